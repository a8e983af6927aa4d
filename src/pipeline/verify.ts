/**
 * Verification. Level *stored*: some time after a block was finished, its rows are read back and compared with their
 * records. Rows that no record names are removed; a block that differs is processed again, a few times, and then
 * becomes a dead letter with what was found. Always of whole blocks, whatever the range of the task. Level *audit*: of
 * what agrees, a sample is traced again on another node.
 */
import { classified, PipelineError } from "../errors.ts";
import { checksumSql } from "../stages/encode/checksum.ts";
import { structlogChecksum, structlogTable } from "../stages/encode/structlog.ts";
import { structlogAggChecksum, structlogAggTable } from "../stages/encode/structlog_agg.ts";
import recordedSql from "../stages/gate/sql/recorded.sql" with { type: "text" };
import storedRowsSql from "../stages/gate/sql/stored_rows.sql" with { type: "text" };
import storedTransactionsSql from "../stages/gate/sql/stored_transactions.sql" with { type: "text" };
import { advanced, type Ledger, type LedgerRow } from "../stages/gate/ledger.ts";
import type { Lease, Task, WorkQueue } from "../stages/queue/port.ts";
import type { AttemptKey, SqlReader, TraceTable } from "../stages/sink/port.ts";
import { emit } from "../telemetry/emit.ts";
import type { Processors } from "./intake.ts";
import { TRACE_PROCESSORS } from "./options.ts";
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
  /** Rows of a delivery younger than twice this may still get their record; how long to wait for it. */
  readonly leaseMs: number;
}

/** The rows differ from their records; the task comes back when they were made again, or is a dead letter. */
export class StoredDifferenceError extends PipelineError {
  readonly code = "stored_difference";

  constructor(readonly disposition: "retry" | "dead", task: Task, found: string) {
    super(`Cannot take block ${task.blockNumber} ${task.blockHash} as stored: ${found}`);
  }
}

/** Nothing can be said yet: the block is still in work, or is processed again. */
export class NotVerifiableYetError extends PipelineError {
  readonly code = "not_verifiable_yet";
  readonly disposition = "retry";
  override readonly release = true;

  constructor(task: Task, reason: string, override readonly releaseMs: number) {
    super(`Cannot verify block ${task.blockNumber} yet: ${reason}`);
  }
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

/**
 * Verifies the block of a task and tells the ledger.
 *
 * @returns the records of its traced transactions, all of which agree; empty for a block that left the chain.
 */
export async function verifyStored(lease: Lease, network: VerifyNetwork): Promise<readonly Recorded[]> {
  const { task } = lease;
  const rows = await currentRows(network, task);
  if (rows.length === 0) return []; // it left the chain: its rows are removed elsewhere
  if (rows.some((row) => row.state === "accepted")) {
    throw new NotVerifiableYetError(task, "it is still in work", network.leaseMs);
  }
  const traced = await checkTraces(lease, network, rows);
  const simple = await checkTransactions(network, task, rows);
  const found = [...traced.texts, ...simple.texts];
  emit({
    kind: "rows_verified",
    network: network.name,
    blockNumber: task.blockNumber,
    result: found.length === 0 ? "agrees" : "differs",
    transactions: rows[0]!.transactions,
  });
  if (found.length > 0) throw await difference(task, network, found, `${traced.version}:${simple.rows}`);
  await tellLedger(network, task, rows, (processor) => {
    const table = TRACE_PROCESSORS[processor];
    return table === undefined ? simple.rows : Number(traced.rows[table]);
  });
  return traced.agreeing;
}

/** Rows of the ledger, one per processor of the network, for the block of a task that is still of the chain. */
async function currentRows(network: VerifyNetwork, { blockNumber, blockHash }: Task): Promise<LedgerRow[]> {
  const processors = Object.values(network.processors).flat();
  return (await network.ledger.between(blockNumber, blockNumber)).filter((row) =>
    row.blockHash === blockHash && row.state !== "orphaned" && processors.includes(row.processor)
  );
}

/** Says in the ledger that these rows were verified. @throws {NotVerifiableYetError} something happened to them. */
async function tellLedger(
  network: VerifyNetwork,
  task: Task,
  verified: readonly LedgerRow[],
  storedRows: (processor: string) => number,
): Promise<void> {
  const versions = new Map(verified.map((row) => [row.processor, row.version]));
  const nowMs = Date.now();
  const current = await currentRows(network, task);
  if (current.some((row) => versions.get(row.processor) !== row.version)) {
    throw new NotVerifiableYetError(task, "it has changed meanwhile", network.leaseMs);
  }
  await network.ledger.write(
    current.flatMap((row) =>
      advanced(row, row.state, { verifiedMs: nowMs, storedRows: storedRows(row.processor) }, nowMs) ?? []
    ),
  );
}

/** What an audit of verified transactions needs. */
export interface AuditNetwork {
  readonly name: string;
  /** Share of the transactions that are audited. */
  readonly share: number;
  /** Names of the nodes. */
  readonly nodes: () => readonly string[];
}

/**
 * Has a sample of stored transactions traced again, each on another node than before. The same transactions whenever
 * it is done again. What no other node can trace now is left out, and told: the rows themselves are verified.
 */
export async function auditSample(
  lease: Lease,
  network: AuditNetwork,
  records: readonly Recorded[],
  audit: (record: Recorded) => Promise<void>,
): Promise<void> {
  for (const record of records) {
    if (!sampled(record.transactionHash, network.share)) continue;
    if (!network.nodes().some((node) => node !== record.node)) continue;
    try {
      await audit(record);
    } catch (error) {
      if (lease.signal.aborted) throw error;
      const { code, message, disposition } = classified(error);
      if (disposition !== "retry") throw error;
      const { transactionHash } = record;
      const { blockNumber } = lease.task;
      emit({ kind: "audit_left_out", network: network.name, blockNumber, transactionHash, code, message });
    }
  }
}

/** By the hash alone: the last 32 bits of it, as a fraction. */
function sampled(transactionHash: string, share: number): boolean {
  return Number.parseInt(transactionHash.slice(-8), 16) / 2 ** 32 < share;
}

interface CheckedTraces {
  readonly texts: readonly string[];
  readonly agreeing: readonly Recorded[];
  readonly rows: Readonly<Record<TraceTable, bigint>>;
  /** Of the newest record: says whether the block was processed again since. */
  readonly version: bigint;
}

async function checkTraces(lease: Lease, network: VerifyNetwork, rows: readonly LedgerRow[]): Promise<CheckedTraces> {
  const { task } = lease;
  const { trace = [] } = network.processors;
  const traced = rows.filter((row) => trace.includes(row.processor));
  if (traced.length === 0) {
    return { texts: [], agreeing: [], rows: { structlog: 0n, structlog_agg: 0n }, version: 0n };
  }
  const records = await recordedOf(network, task.blockNumber);
  const stored = (await Promise.all(network.tables.map((table) => storedOf(network, table, task.blockNumber)))).flat();
  const { blockHash } = task;
  const { transactions } = traced[0]!;
  const stuck = traced.some((row) => row.state === "stuck");
  const findings = compareStored({ blockHash, transactions, stuck }, records, stored);
  const youngest = BigInt(lease.token - 2 * network.leaseMs * MICROSECONDS);
  if ([...findings.surplus, ...findings.unrecorded].some(({ version }) => version > youngest)) {
    throw new NotVerifiableYetError(task, "rows without a record are young", network.leaseMs);
  }
  await removeSurplus(lease, network, findings.surplus);
  return {
    texts: findings.differences.map(({ index, transactionHash, text }) =>
      `transaction ${index} ${transactionHash}: ${text}`
    ),
    agreeing: findings.agreeing,
    rows: findings.rows,
    version: records.reduce((newest, record) => record.version > newest ? record.version : newest, 0n),
  };
}

async function checkTransactions(
  network: VerifyNetwork,
  { blockNumber, blockHash }: Task,
  rows: readonly LedgerRow[],
): Promise<{ readonly texts: readonly string[]; readonly rows: number }> {
  const { simple = [] } = network.processors;
  const row = rows.find(({ processor, state }) => simple.includes(processor) && state === "complete");
  if (row === undefined) return { texts: [], rows: 0 };
  const [answer] = await network.database.query<{ rows: string }>(storedTransactionsSql, {
    network: network.name,
    number: blockNumber,
    hash: blockHash,
  });
  const found = Number(answer?.rows ?? 0);
  const texts = found === row.transactions
    ? []
    : [`execution_transaction: ${found} rows are stored, the block has ${row.transactions} transactions`];
  return { texts, rows: found };
}

/** Removes what no record names and none will. */
async function removeSurplus(lease: Lease, network: VerifyNetwork, surplus: readonly StoredRows[]): Promise<void> {
  if (surplus.length === 0) return;
  const { blockNumber } = lease.task;
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

/**
 * Asks the leader to process the block again; says what becomes of this task.
 *
 * @param seen State of the records: a state is processed again once, however often it is seen.
 */
async function difference(
  task: Task,
  network: VerifyNetwork,
  found: readonly string[],
  seen: string,
): Promise<PipelineError> {
  const named = found.slice(0, NAMED_DIFFERENCES).join("; ");
  const text = found.length > NAMED_DIFFERENCES ? `${named}; and ${found.length - NAMED_DIFFERENCES} more` : named;
  if (task.attempts >= network.rounds) return new StoredDifferenceError("dead", task, text);
  const processors = Object.values(network.processors).flat();
  const asked = await network.queue.request(
    processRequest(`verify:${task.blockHash}:${seen}`, {
      blocks: [task.blockNumber],
      processors,
      class: "reprocess",
    }),
  );
  if (asked) return new StoredDifferenceError("retry", task, text);
  return new NotVerifiableYetError(task, `it is being processed again: ${text}`, network.leaseMs);
}

interface RecordedRow {
  readonly transaction_hash: string;
  readonly transaction_index: number;
  readonly block_hash: string;
  readonly version: string;
  readonly published: number;
  readonly verdict: string;
  readonly node: string;
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
    node: row.node,
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
