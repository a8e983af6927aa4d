/**
 * Storage in this process: reads the blocks back into rows and behaves as the tables would under `FINAL`. For tests,
 * which compare it with the real engine, and for runs that are to leave nothing behind.
 */
import { ByteReader } from "../encode/bytes.ts";
import { executionBlockTable } from "../encode/execution_block.ts";
import { executionTransactionTraceTable } from "../encode/execution_transaction_trace.ts";
import { NativeFormatError } from "../encode/errors.ts";
import { decodeBlocks, type DecodedBlock } from "../encode/native.ts";
import type { NativeBlock } from "../encode/port.ts";
import { structlogTable } from "../encode/structlog.ts";
import { structlogAggTable } from "../encode/structlog_agg.ts";
import type { TableDefinition } from "../encode/table.ts";
import { tables } from "../encode/tables.ts";
import { StorageRejectedError, StorageSetupError } from "./errors.ts";
import type { AttemptKey, Storage, StoredRecord, TraceTable, TransactionKey } from "./port.ts";

/** One row: cells by column. */
export type MemoryRow = Readonly<Record<string, unknown>>;

/** What became of one table. */
export interface TableCounts {
  /** Rows inserted, replaced and deleted ones included. */
  readonly rows: number;
  readonly bytes: number;
  readonly inserts: number;
}

const TRACE_DEFINITIONS: Readonly<Record<TraceTable, TableDefinition>> = {
  structlog: structlogTable,
  structlog_agg: structlogAggTable,
};

/** Rows of one table that a storage keeps which only counts: enough to know the records of transactions under way. */
const RECENT_ROWS = 10_000;

/** See the module's comment. */
export class MemoryStorage implements Storage {
  readonly endpoint = "memory";
  /** Rows by table, then by sorting key: the newest version, of equal ones the later. */
  readonly #rows = new Map<string, Map<string, MemoryRow>>();
  readonly #counts = new Map<string, TableCounts>();
  readonly #counted: boolean;

  /** `counted`: rows of the trace tables are counted and not kept, and of the others only the newest are. */
  constructor(options: { readonly rows: "kept" | "counted" }) {
    this.#counted = options.rows === "counted";
    for (const { name } of tables) {
      this.#rows.set(name, new Map());
      this.#counts.set(name, { rows: 0, bytes: 0, inserts: 0 });
    }
  }

  insert(block: NativeBlock, signal: AbortSignal): Promise<void> {
    return attempt(signal, () => {
      const definition = tables.find(({ name }) => name === block.table);
      const counts = this.#counts.get(block.table);
      if (definition === undefined || counts === undefined) {
        throw new StorageSetupError(`Cannot insert into ${block.table}: there is no such table`);
      }
      if (!this.#counted || !isTraceTable(block.table)) this.#keep(definition, block);
      this.#counts.set(block.table, {
        rows: counts.rows + block.rows,
        bytes: counts.bytes + block.bytes.length,
        inserts: counts.inserts + 1,
      });
    });
  }

  deleteAttempts(table: TraceTable, attempts: readonly AttemptKey[], signal: AbortSignal): Promise<void> {
    return attempt(signal, () => {
      const keys = new Set(attempts.map((key) => `${transactionKey(key)}:${key.rowVersion}`));
      this.#remove(table, (row) => keys.has(`${keyOfRow(row)}:${row.row_version}`));
    });
  }

  deleteSurplus(table: TraceTable, attempts: readonly AttemptKey[], signal: AbortSignal): Promise<number> {
    return attempt(signal, () => {
      const versions = new Map(attempts.map((key) => [transactionKey(key), key.rowVersion]));
      return this.#remove(table, (row) => Number(row.row_version) < (versions.get(keyOfRow(row)) ?? 0));
    });
  }

  records(keys: readonly TransactionKey[], signal: AbortSignal): Promise<StoredRecord[]> {
    return attempt(signal, () => {
      const wanted = new Set(keys.map(transactionKey));
      return this.final(executionTransactionTraceTable.name)
        .filter((row) => wanted.has(keyOfRow(row)))
        .map((row) => ({
          blockNumber: Number(row.block_number),
          transactionHash: String(row.transaction_hash),
          rowVersion: Number(row.row_version),
          verdict: String(row.verdict) as StoredRecord["verdict"],
          published: row.published === 1,
        }));
    });
  }

  orphaned(keys: readonly TransactionKey[], signal: AbortSignal): Promise<ReadonlySet<string>> {
    return attempt(signal, () => {
      const wanted = new Set(keys.map((key) => `${key.network}:${key.blockNumber}:${key.blockHash}`));
      const found = this.final(executionBlockTable.name)
        .filter((row) => row.state === "orphaned")
        .filter((row) => wanted.has(`${row.meta_network_name}:${row.block_number}:${row.block_hash}`));
      return new Set(found.map((row) => `${row.block_number}:${row.block_hash}`));
    });
  }

  ping(signal: AbortSignal): Promise<void> {
    return attempt(signal, () => {});
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  /** Rows of a table as `SELECT … FINAL` sees them, in the order of their first insert. */
  final(table: string): readonly MemoryRow[] {
    return [...this.#rows.get(table)?.values() ?? []];
  }

  /** What was inserted into a table. */
  counts(table: string): TableCounts {
    return this.#counts.get(table) ?? { rows: 0, bytes: 0, inserts: 0 };
  }

  #keep(definition: TableDefinition, block: NativeBlock): void {
    const rows = this.#rows.get(definition.name)!;
    for (const row of rowsOf(definition, block)) {
      const key = definition.orderBy.map((name) => String(row[name])).join("\0");
      const known = rows.get(key);
      if (known === undefined || !newer(known[definition.version], row[definition.version])) rows.set(key, row);
    }
    if (!this.#counted) return;
    for (const oldest of rows.keys()) {
      if (rows.size <= RECENT_ROWS) break;
      rows.delete(oldest);
    }
  }

  #remove(table: TraceTable, matches: (row: MemoryRow) => boolean): number {
    let removed = 0;
    const rows = this.#rows.get(TRACE_DEFINITIONS[table].name)!;
    for (const [key, row] of rows) {
      if (!matches(row)) continue;
      rows.delete(key);
      removed++;
    }
    return removed;
  }
}

/** Runs `operation` in a later turn, as a server would, unless the signal is aborted. */
async function attempt<T>(signal: AbortSignal, operation: () => T): Promise<T> {
  signal.throwIfAborted();
  await Promise.resolve();
  signal.throwIfAborted();
  return operation();
}

function isTraceTable(name: string): boolean {
  return Object.values(TRACE_DEFINITIONS).some((definition) => definition.name === name);
}

function transactionKey(key: TransactionKey): string {
  return `${key.network}:${key.blockNumber}:${key.transactionHash}`;
}

function keyOfRow(row: MemoryRow): string {
  return `${row.meta_network_name}:${row.block_number}:${row.transaction_hash}`;
}

function newer(known: unknown, other: unknown): boolean {
  return comparable(known) > comparable(other);
}

function comparable(version: unknown): bigint {
  if (version instanceof Date) return BigInt(version.getTime());
  return BigInt(version as number | bigint);
}

/** The rows of a block, cells that it leaves out filled with their empty value. */
function rowsOf(definition: TableDefinition, block: NativeBlock): MemoryRow[] {
  const [decoded, ...more] = readBlocks(block);
  if (decoded === undefined || more.length > 0 || decoded.rows !== block.rows) {
    throw new StorageRejectedError(
      `Cannot read an insert into ${block.table}: expected one block of ${block.rows} rows`,
    );
  }
  const unknown = [...decoded.columns.keys()].find((name) => !(name in definition.columns));
  if (unknown !== undefined) {
    throw new StorageSetupError(`Cannot insert into ${block.table}: there is no column ${unknown}`);
  }
  const columns = Object.entries(definition.columns).map(([name, { type }]) => {
    const cells = decoded.columns.get(name);
    return [name, (row: number) => cells === undefined ? type.empty : cells[row]] as const;
  });
  return Array.from(
    { length: decoded.rows },
    (_, row) => Object.fromEntries(columns.map(([name, cell]) => [name, cell(row)])),
  );
}

function readBlocks(block: NativeBlock): DecodedBlock[] {
  try {
    return decodeBlocks(new ByteReader(block.bytes));
  } catch (error) {
    if (!(error instanceof NativeFormatError)) throw error;
    throw new StorageRejectedError(`Cannot read an insert into ${block.table}: ${error.message}`, { cause: error });
  }
}
