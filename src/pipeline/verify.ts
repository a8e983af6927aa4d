/**
 * Verification, level *stored*: some time after a block was finished, its rows are read back and compared with their
 * records. Rows that no record names are removed; a transaction that differs is processed again, a few times, and then
 * becomes a dead letter with what was found.
 */
import { PipelineError } from "../errors.ts";
import { checksumSql } from "../stages/encode/checksum.ts";
import { structlogChecksum, structlogTable } from "../stages/encode/structlog.ts";
import { structlogAggChecksum, structlogAggTable } from "../stages/encode/structlog_agg.ts";
import recordedSql from "../stages/gate/sql/recorded.sql" with { type: "text" };
import storedRowsSql from "../stages/gate/sql/stored_rows.sql" with { type: "text" };
import storedTransactionsSql from "../stages/gate/sql/stored_transactions.sql" with { type: "text" };
import type { Ledger, LedgerRow } from "../stages/gate/ledger.ts";
import { type Lease, modeOf, type Task, type WorkQueue } from "../stages/queue/port.ts";
import type { AttemptKey, SqlReader, TraceTable } from "../stages/sink/port.ts";
import { emit } from "../telemetry/emit.ts";
import type { Processors } from "./intake.ts";
import { processRequest } from "./requests.ts";
import { compareStored, type Recorded, type StoredRows } from "./stored.ts";

/** What verification needs of a network. */
export interface VerifyNetwork {
  readonly name: string;
  readonly queue: WorkQueue;
  readonly ledger: Ledger;
  readonly processors: Processors;
  /** Tables that a trace fills. */
  readonly tables: readonly TraceTable[];
  readonly database: SqlReader & {
    deleteAttempts(table: TraceTable, attempts: readonly AttemptKey[], signal: AbortSignal): Promise<void>;
  };
  /** Times that a difference is processed again. */
  readonly rounds: number;
  /** Rows of a delivery younger than this may still get their record. */
  readonly leaseMs: number;
}

/** The rows differ from their record; the task comes back when they were made again, or is a dead letter. */
export class StoredDifferenceError extends PipelineError {
  readonly code = "stored_difference";

  constructor(readonly disposition: "retry" | "dead", task: Task, found: string) {
    super(`Cannot take block ${task.blockNumber} ${task.blockHash} as stored: ${found}`);
  }
}

/** Nothing can be said yet: processing goes on, or rows are too young. */
export class NotVerifiableYetError extends PipelineError {
  readonly code = "not_verifiable_yet";
  readonly disposition = "retry";
  override readonly release = true;
}

/** Differences that an error's text names. */
const NAMED_DIFFERENCES = 5;
const MICROSECONDS = 1_000;

const TABLES = {
  structlog: { name: structlogTable.name, checksum: checksumSql(structlogTable.columns, structlogChecksum) },
  structlog_agg: {
    name: structlogAggTable.name,
    checksum: checksumSql(structlogAggTable.columns, structlogAggChecksum),
  },
} as const;

/** Verifies the transactions of a task; resolves when they agree. */
export async function verifyStored(lease: Lease, network: VerifyNetwork): Promise<void> {
  const { task } = lease;
  const rows = (await network.ledger.between(task.blockNumber, task.blockNumber)).filter((row) =>
    row.blockHash === task.blockHash && row.state !== "orphaned"
  );
  if (rows.length === 0) return; // it left the chain: its rows are removed elsewhere
  if (rows.some((row) => row.state === "accepted")) {
    throw new NotVerifiableYetError(`Cannot verify block ${task.blockNumber}: it is still in work`);
  }
  const found = [...await traceDifferences(lease, network, rows), ...await simpleDifferences(lease, network, rows)];
  emit({
    kind: "rows_verified",
    network: network.name,
    blockNumber: task.blockNumber,
    result: found.length === 0 ? "agrees" : "differs",
    transactions: task.last - task.first + 1,
  });
  if (found.length > 0) throw await difference(task, network, found);
}

/** One thing that differs, and the newest attempt that it was seen of. */
interface Found {
  readonly text: string;
  readonly version: bigint;
}

async function traceDifferences(lease: Lease, network: VerifyNetwork, rows: readonly LedgerRow[]): Promise<Found[]> {
  const { task } = lease;
  const { trace = [] } = network.processors;
  const traced = rows.filter((row) => trace.includes(row.processor));
  if (traced.length === 0) return [];
  const records = await recordedOf(network, task.blockNumber);
  const stored = (await Promise.all(network.tables.map((table) => storedOf(network, table, task.blockNumber)))).flat();
  const stuck = traced.some((row) => row.state === "stuck");
  const findings = compareStored({ ...task, stuck }, records, stored);
  await removeSurplus(lease, network, findings.surplus);
  const newest = records.reduce((most, record) => record.version > most ? record.version : most, 0n);
  return findings.differences.map(({ index, transactionHash, text }) => ({
    text: `transaction ${index} ${transactionHash}: ${text}`,
    version: newest,
  }));
}

async function simpleDifferences(lease: Lease, network: VerifyNetwork, rows: readonly LedgerRow[]): Promise<Found[]> {
  const { task } = lease;
  const { simple = [] } = network.processors;
  const row = rows.find(({ processor, state }) => simple.includes(processor) && state === "complete");
  if (row === undefined) return [];
  const [answer] = await network.database.query<{ rows: string }>(storedTransactionsSql, {
    network: network.name,
    number: task.blockNumber,
    hash: task.blockHash,
  });
  const found = Number(answer?.rows ?? 0);
  if (found === row.transactions) return [];
  const text = `execution_transaction: ${found} rows are stored, the block has ${row.transactions} transactions`;
  return [{ text, version: BigInt(found) }];
}

/** Removes what no record names, once it is old enough that none will come. */
async function removeSurplus(lease: Lease, network: VerifyNetwork, surplus: readonly StoredRows[]): Promise<void> {
  if (surplus.length === 0) return;
  const { blockNumber } = lease.task;
  const youngest = BigInt(lease.token - 2 * network.leaseMs * MICROSECONDS);
  if (surplus.some((rows) => rows.version > youngest)) {
    throw new NotVerifiableYetError(`Cannot verify block ${blockNumber}: rows without a record are too young`);
  }
  for (const [table, group] of Map.groupBy(surplus, (rows) => rows.table)) {
    const attempts = group.map(({ transactionHash, blockHash, version }) => ({
      network: network.name,
      blockNumber,
      blockHash,
      transactionHash,
      rowVersion: Number(version),
    }));
    await network.database.deleteAttempts(table, attempts, lease.signal);
  }
  emit({
    kind: "rows_verified",
    network: network.name,
    blockNumber,
    result: "removed_unrecorded",
    transactions: new Set(surplus.map((rows) => rows.transactionHash)).size,
  });
}

/** Asks the leader to process the block again, once per state of its records; says what becomes of this task. */
async function difference(task: Task, network: VerifyNetwork, found: readonly Found[]): Promise<PipelineError> {
  const named = found.slice(0, NAMED_DIFFERENCES).map(({ text }) => text).join("; ");
  const text = found.length > NAMED_DIFFERENCES ? `${named}; and ${found.length - NAMED_DIFFERENCES} more` : named;
  if (task.attempts >= network.rounds) return new StoredDifferenceError("dead", task, text);
  const key = `verify:${task.blockHash}:${task.attempts}:${found[0]!.version}`;
  const processors = Object.values(network.processors).flat();
  const asked = await network.queue.request(
    processRequest(key, { blocks: [task.blockNumber], processors, class: "reprocess" }, modeOf(task.class)),
  );
  if (asked) return new StoredDifferenceError("retry", task, text);
  return new NotVerifiableYetError(`Cannot verify block ${task.blockNumber}: it is being processed again: ${text}`);
}

interface RecordedRow {
  readonly transaction_hash: string;
  readonly transaction_index: number;
  readonly block_hash: string;
  readonly version: string;
  readonly published: number;
  readonly verdict: string;
  readonly structlog_rows: string;
  readonly agg_rows: string;
  readonly structlog_checksum: string;
  readonly agg_checksum: string;
  readonly tables: readonly TraceTable[];
}

async function recordedOf(network: VerifyNetwork, blockNumber: number): Promise<Recorded[]> {
  const params = { network: network.name, number: blockNumber };
  return (await network.database.query<RecordedRow>(recordedSql, params)).map((row) => ({
    transactionHash: row.transaction_hash,
    index: row.transaction_index,
    blockHash: row.block_hash,
    version: BigInt(row.version),
    published: row.published === 1,
    verdict: row.verdict,
    tables: row.tables,
    rows: { structlog: BigInt(row.structlog_rows), structlog_agg: BigInt(row.agg_rows) },
    checksum: { structlog: BigInt(row.structlog_checksum), structlog_agg: BigInt(row.agg_checksum) },
  }));
}

async function storedOf(network: VerifyNetwork, table: TraceTable, blockNumber: number): Promise<StoredRows[]> {
  const { name, checksum } = TABLES[table];
  const rows = await network.database.query<
    { transaction_hash: string; block_hash: string; version: string; rows: string; checksum: string }
  >(storedRowsSql.replace(":checksum", checksum).replace(":target", name), {
    network: network.name,
    number: blockNumber,
  });
  return rows.map((row) => ({
    table,
    transactionHash: row.transaction_hash,
    blockHash: row.block_hash,
    version: BigInt(row.version),
    rows: BigInt(row.rows),
    checksum: BigInt(row.checksum),
  }));
}
