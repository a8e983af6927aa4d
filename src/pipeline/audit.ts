/**
 * Verification, level *audit*: a transaction that is stored is traced again on another node. The trace takes the way of
 * every trace, decode and encode and sink, but the sink stands on a storage that compares instead of storing: what it
 * is told to insert is what this node would have stored.
 */
import { ByteReader } from "../stages/encode/bytes.ts";
import {
  type ExecutionTransactionAuditRow,
  executionTransactionAuditTable,
} from "../stages/encode/execution_transaction_audit.ts";
import { decodeBlocks } from "../stages/encode/native.ts";
import type { NativeBlock } from "../stages/encode/port.ts";
import { structlogTable } from "../stages/encode/structlog.ts";
import { structlogAggTable } from "../stages/encode/structlog_agg.ts";
import type { TableDefinition } from "../stages/encode/table.ts";
import auditedRowsSql from "../stages/gate/sql/audited_rows.sql" with { type: "text" };
import type { AttemptStart, Sink, SinkOptions, SqlReader, Storage, StoredRecord } from "../stages/sink/port.ts";
import { openSink } from "../stages/sink/sink.ts";
import { emit } from "../telemetry/emit.ts";
import {
  type AuditTarget,
  type JobListener,
  type JobResults,
  type Lane,
  plainError,
  type RunningJob,
  runTraceJob,
  type TraceJob,
} from "./trace_job.ts";

/** Rows compared at a time. */
const ROWS = 2_000;
const BYTES = 1 << 20;
/** Longest wait for the end of what is compared. */
const DRAIN_MS = 10_000;

/** When a row was written, which delivery wrote it, and what is only sometimes known when it is written. */
const INCOMPARABLE: readonly string[] = ["updated_date_time", "row_version", "transaction_return_value"];

/** The tables that are compared, and where in a transaction a row of them belongs. */
const COMPARED: Readonly<
  Record<string, { readonly table: TableDefinition; readonly place: string; readonly key: readonly string[] }>
> = {
  [structlogTable.name]: { table: structlogTable, place: "index", key: ["index"] },
  [structlogAggTable.name]: {
    table: structlogAggTable,
    place: "call_frame_id",
    key: ["call_frame_id", "operation"],
  },
};

type Row = Readonly<Record<string, unknown>>;

/** What differs. */
interface Differences {
  cells: number;
  readonly columns: Set<string>;
  /** The first one. */
  example: string;
}

/** A job in a trace worker: one that stores, or one that audits. Its results come when what it found is stored. */
export function runJob(
  job: TraceJob,
  lane: Lane,
  sink: Sink,
  audits: { readonly options: SinkOptions; readonly database: SqlReader } | undefined,
  signal: AbortSignal,
  listener: JobListener,
): RunningJob {
  if (job.audit === undefined || audits === undefined) return runTraceJob(job, lane, sink, signal, listener);
  const audit = new Audit(job.transactions[0]!.start, job.audit, audits.options, audits.database);
  const { accepted, results } = runTraceJob(job, lane, audit.sink, signal, listener);
  const finished = results.then(async (found): Promise<JobResults> => {
    if (found.error === undefined) await audit.finish(sink);
    else await audit.abort();
    return found;
  }).catch((error): JobResults => ({ transactions: [], error: plainError(error) }));
  return { accepted, results: finished };
}

/** One audit: hand {@linkcode Audit.sink} to the job, then finish. */
export class Audit {
  readonly sink: Sink;
  readonly #storage: ComparingStorage;

  /**
   * @param start Names the transaction and the other node.
   * @param options Of the sink that stores; an audit keeps less in memory.
   */
  constructor(readonly start: AttemptStart, readonly target: AuditTarget, options: SinkOptions, database: SqlReader) {
    this.#storage = new ComparingStorage(start, target, database);
    this.sink = openSink(
      { ...options, rows: ROWS, bytes: BYTES, holdBytes: BYTES, settleOn: "durable" },
      this.#storage,
    );
  }

  /** The whole trace has been compared: tells what was found, and stores it in `store`. */
  async finish(store: Sink): Promise<void> {
    await this.sink.drain(DRAIN_MS);
    const found = this.#storage.findings();
    if (found === undefined) return; // the transaction was stored anew meanwhile, and will be verified again
    const { network, blockNumber, blockHash, transactionHash, client, node } = this.start;
    const row: ExecutionTransactionAuditRow = {
      audited_at: new Date(),
      meta_network_name: network,
      block_number: blockNumber,
      block_hash: blockHash,
      transaction_hash: transactionHash,
      row_version: this.target.rowVersion,
      client,
      node,
      differences: found.cells,
      columns: [...found.columns].sort(),
      example: found.example,
    };
    await store.insertRows(executionTransactionAuditTable, [row]);
    emit({
      kind: "transaction_audited",
      network,
      blockNumber,
      transactionHash,
      client,
      node,
      differences: found.cells,
      columns: row.columns,
      example: found.example,
    });
  }

  /** The trace has failed: nothing is said. */
  async abort(): Promise<void> {
    await this.sink.drain(0);
  }
}

/** Compares each block with the rows that are stored in its place. Knows one transaction, as new as can be. */
class ComparingStorage implements Storage {
  readonly endpoint = "audit";
  readonly #differences: Differences = { cells: 0, columns: new Set(), example: "" };
  readonly #rows = new Map<string, number>();
  #replaced = false;

  constructor(readonly start: AttemptStart, readonly target: AuditTarget, readonly database: SqlReader) {}

  /** `undefined`: rows of another attempt are stored now. */
  findings(): Differences | undefined {
    if (this.#replaced) return undefined;
    const { tables } = this.start;
    if (tables.includes("structlog")) this.#countMissing(structlogTable.name, this.target.structlogRows);
    if (tables.includes("structlog_agg")) this.#countMissing(structlogAggTable.name, this.target.aggregateRows);
    return this.#differences;
  }

  async insert(block: NativeBlock, signal: AbortSignal): Promise<void> {
    const compared = COMPARED[block.table];
    if (compared === undefined) return; // the record: its figures are those of the rows, or of the node
    const rows = rowsOf(block, compared.table);
    const places = rows.map((row) => Number(row[compared.place]));
    const { network, blockNumber, transactionHash } = this.start;
    const sql = auditedRowsSql.replace(":target", block.table).replace(":place", `\`${compared.place}\``);
    const stored = await this.database.query<Row>(sql, {
      network,
      number: blockNumber,
      hash: transactionHash,
      first: places.reduce((least, place) => Math.min(least, place)),
      last: places.reduce((most, place) => Math.max(most, place)),
    }, signal);
    if (stored.some((row) => Number(row["row_version"]) !== this.target.rowVersion)) this.#replaced = true;
    const byKey = new Map(stored.map((row) => [keyOf(row, compared.key), row]));
    for (const row of rows) this.#compare(row, byKey.get(keyOf(row, compared.key)), compared.key);
    this.#rows.set(block.table, (this.#rows.get(block.table) ?? 0) + rows.length);
  }

  deleteAttempts(): Promise<void> {
    return Promise.resolve();
  }

  deleteSurplus(): Promise<number> {
    return Promise.resolve(0);
  }

  records(): Promise<StoredRecord[]> {
    return Promise.resolve([]);
  }

  orphaned(): Promise<ReadonlySet<string>> {
    return Promise.resolve(new Set());
  }

  ping(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #compare(other: Row, stored: Row | undefined, key: readonly string[]): void {
    const place = key.map((name) => `${name} ${cellText(other[name])}`).join(", ");
    if (stored === undefined) {
      this.#differ(key[0]!, `${place}: no row is stored, the other node has one`);
      return;
    }
    for (const [name, cell] of Object.entries(other)) {
      if (INCOMPARABLE.includes(name)) continue;
      const [ours, theirs] = [cellText(stored[name]), cellText(cell)];
      if (ours !== theirs) this.#differ(name, `${place}, ${name}: stored ${ours}, other ${theirs}`);
    }
  }

  #countMissing(table: string, storedRows: number): void {
    const rows = this.#rows.get(table) ?? 0;
    const missing = storedRows - rows;
    if (missing <= 0) return;
    const [column] = COMPARED[table]!.key;
    this.#differ(column!, `${table}: stored ${storedRows} rows, other ${rows}`, missing);
  }

  #differ(column: string, example: string, cells = 1): void {
    this.#differences.cells += cells;
    this.#differences.columns.add(column);
    if (this.#differences.example === "") this.#differences.example = example;
  }
}

/** Rows of a block; a column that it leaves out has its type's empty value in all of them. */
function rowsOf(block: NativeBlock, { columns: defined }: TableDefinition): Row[] {
  return decodeBlocks(new ByteReader(block.bytes)).flatMap(({ rows, columns }) => {
    const cells = Object.entries(defined).map(([name, { type }]) => [name, columns.get(name), type.empty] as const);
    return Array.from(
      { length: rows },
      (_, row) =>
        Object.fromEntries(cells.map(([name, values, empty]) => [name, values === undefined ? empty : values[row]])),
    );
  });
}

function keyOf(row: Row, key: readonly string[]): string {
  return key.map((name) => cellText(row[name])).join(" ");
}

/** A cell as one text, whether it comes from a block or from an answer in JSON, where 64 bits are texts. */
function cellText(cell: unknown): string {
  return cell === undefined || cell === null ? "null" : `${cell}`;
}
