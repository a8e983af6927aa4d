/**
 * What the rest of the project sees of the sink. A lane opens an {@linkcode Attempt} per transaction, hands it the
 * decoder's columns as they come, and finishes it with the proof's record; what becomes of the rows until they are
 * durable is the sink's own business. Below the sink lies {@linkcode Storage}, with one adapter per vendor.
 */
import type { FrameColumns, ProofRecord, StructlogColumns, Verdict } from "../decode/port.ts";
import type { NativeBlock, RowTable } from "../encode/port.ts";

/** Identity of one transaction in one block. Hashes are lower-case hex with `0x`, 66 characters. */
export interface TransactionKey {
  readonly network: string;
  readonly blockNumber: number;
  readonly blockHash: string;
  readonly transactionHash: string;
}

/** The tables that a trace can fill. */
export type TraceTable = "structlog" | "structlog_agg";

/** What is known of a transaction when its trace begins. */
export interface AttemptStart extends TransactionKey {
  readonly transactionIndex: number;
  /** Delivery token of the task: version of all rows of this attempt. Below 2^53. */
  readonly rowVersion: number;
  /** `false`: the task was delivered before, so an unfinished older attempt may have left rows. */
  readonly firstDelivery: boolean;
  /** `receipt.gasUsed`. */
  readonly gasUsed: number | bigint;
  /** Receipt status is 0; before Byzantium: gas used = gas limit. {@linkcode ProofRecord.failed} corrects the latter. */
  readonly failed: boolean;
  /** The receipt has a status, so {@linkcode failed} is final. */
  readonly failedIsFinal: boolean;
  /** Which tables this attempt fills: every enabled one. */
  readonly tables: readonly TraceTable[];
  /** `web3_clientVersion` of the node. */
  readonly client: string;
  /** Name of the node from the configuration, never its URL. */
  readonly node: string;
  /** Name of the fork whose rules applied, empty when none are known. */
  readonly fork: string;
}

/** What the closing of an attempt needs besides the record. */
export interface AttemptClose {
  /** `enforce`: rows of a violated trace are not published. `record`, `off`: they are, with their verdict. */
  readonly policy: "enforce" | "record" | "off";
  /** Milliseconds from the request to the last byte of this transaction's result. */
  readonly traceMs: number;
}

/** What became of an attempt whose record is durable. */
export interface StoredOutcome {
  readonly verdict: Verdict;
  /** Its rows are to be read. `false` only for a violated trace under `enforce`. */
  readonly published: boolean;
  readonly structlogRows: number;
  readonly aggregateRows: number;
  /** Bytes of encoded rows. */
  readonly bytes: number;
  /** `spilled`: on disk and fsynced, ClickHouse gets it later (`sink.settleOn: spilled`). */
  readonly settled: "durable" | "spilled";
}

/** The two moments of work handed to the sink. Neither promise is left without an observer inside the sink. */
export interface Submission {
  /** The bytes are within the budget: the lane is free for its next task. Rejects as {@linkcode durable} does. */
  readonly accepted: Promise<void>;
  /** Rows and record are durable: the lease may settle. @throws {PipelineError} with a disposition otherwise. */
  readonly durable: Promise<StoredOutcome>;
}

/** The rows of one transaction under one delivery token. Not reentrant. */
export interface Attempt {
  /** Copies the columns: they are valid only during the call. Never waits: see {@linkcode room}. */
  structlogs(columns: StructlogColumns, operations: readonly string[]): void;
  /** Copies the columns: they are valid only during the call. */
  frames(columns: FrameColumns, operations: readonly string[]): void;
  /**
   * The top-level `returnValue`, as soon as it is read: lower-case hex without 0x, `undefined` when empty. Rows that left
   * before it was known have none; the record always has it.
   */
  returnValue(hex: string | undefined): void;
  /**
   * `undefined`: go on reading. Otherwise: what was handed over exceeds the memory budget and is on its way to the
   * overflow; go on when this resolves. Bounded by the disk's pace, never by ClickHouse's.
   *
   * @throws {PipelineError} when the overflow cannot take it (disk full) or a streamed block was refused.
   */
  room(): Promise<void> | undefined;
  /** All rows have been handed over. Order of what follows: rows durable, surplus of older attempts gone, record. */
  finish(record: ProofRecord, close: AttemptClose): Submission;
  /** Gives the attempt up: held rows are dropped, streamed ones deleted by version. Idempotent. */
  abort(reason: string): Promise<void>;
}

/** Figures of what one sink holds, all bounded. */
export interface SinkInHand {
  /** Bytes accepted and not durable. */
  readonly acceptedBytes: number;
  /** Bytes of attempts that wait for their verdict. */
  readonly heldBytes: number;
  /** Bytes of written segments and blocks, kept for the next ones. */
  readonly spareBytes: number;
  readonly insertsInFlight: number;
}

/** The sink of one isolate, shared by its lanes. */
export interface Sink {
  open(start: AttemptStart): Attempt;
  /** Inserts rows of one network into a small table, with the same encoder and retry; resolves when they are durable. */
  insertRows<R extends { readonly meta_network_name: string }>(table: RowTable<R>, rows: readonly R[]): Promise<void>;
  /** A lane works on something whose rows will come: a batch may linger for it until the result is disposed of. */
  expect(): Disposable;
  /** Resolves when the next task may be claimed: within the budget, overflow drained, disk not full. */
  ready(signal: AbortSignal): Promise<void>;
  readonly inHand: SinkInHand;
  /** Flushes everything within the deadline, then spills the rest. Nothing accepted is lost; nothing is taken after. */
  drain(deadlineMs: number): Promise<void>;
}

/** One attempt as far as storage needs to know it. */
export interface AttemptKey extends TransactionKey {
  readonly rowVersion: number;
}

/** What storage knows of a transaction from its newest record. */
export interface StoredRecord {
  readonly blockNumber: number;
  readonly transactionHash: string;
  readonly rowVersion: number;
  readonly verdict: Verdict | "open";
  readonly published: boolean;
}

/**
 * What the sink needs of a database. Every method is one try, idempotent, and leaves nothing half done that a
 * repetition does not heal: retry, breaker and spill lie above.
 *
 * @throws {PipelineError} `StorageUnavailableError` (retry: an outage, or unknown whether it was done),
 * `StorageRejectedError` (dead: refused for its data), `StorageSetupError` (fatal: credentials, missing table).
 */
export interface Storage {
  /** Name of the endpoint for events; a label, never a URL. */
  readonly endpoint: string;
  /** One block, one request; durable when it resolves. */
  insert(block: NativeBlock, signal: AbortSignal): Promise<void>;
  /** Removes the rows of exactly these attempts from a trace table. */
  deleteAttempts(table: TraceTable, attempts: readonly AttemptKey[], signal: AbortSignal): Promise<void>;
  /** Removes what older attempts left visible beside these ones. @returns how many rows that were. */
  deleteSurplus(table: TraceTable, attempts: readonly AttemptKey[], signal: AbortSignal): Promise<number>;
  /** The newest record of each of these transactions that has one. */
  records(keys: readonly TransactionKey[], signal: AbortSignal): Promise<StoredRecord[]>;
  /** Which of these blocks the ledger knows as orphaned, as `number:hash`. */
  orphaned(keys: readonly TransactionKey[], signal: AbortSignal): Promise<ReadonlySet<string>>;
  /** Answers when the database does. */
  ping(signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

/** SELECTs with bound parameters (`{name:Type}`). Only a ClickHouse adapter has it. One try, errors as in {@linkcode Storage}. */
export interface SqlReader {
  query<T>(sql: string, params: Readonly<Record<string, unknown>>, signal?: AbortSignal): Promise<T[]>;
}

/** {@linkcode SqlReader}, and statements without an answer. */
export interface SqlDatabase extends SqlReader {
  execute(sql: string, params: Readonly<Record<string, unknown>>, signal?: AbortSignal): Promise<void>;
}

/** One operation of the spill: what it does when replayed, in order. */
export type SpillOperation =
  | { readonly kind: "insert"; readonly block: NativeBlock; readonly attempts: readonly AttemptKey[] }
  | { readonly kind: "record"; readonly block: NativeBlock; readonly attempts: readonly AttemptKey[] }
  | { readonly kind: "delete"; readonly table: TraceTable; readonly attempts: readonly AttemptKey[] }
  | { readonly kind: "surplus"; readonly table: TraceTable; readonly attempts: readonly AttemptKey[] };

/** The two moments of an operation given to the spill. */
export interface Spilled {
  /** Written and fsynced. @throws {SpillFullError} when the bound or the disk is reached. */
  readonly spilled: Promise<void>;
  /** Replayed into storage. */
  readonly durable: Promise<void>;
}

/** The one writer of the spill directory. It lives in the main isolate; workers reach it by messages. */
export interface SpillPort {
  /** Operations are replayed in the order of these calls. The bytes of a block are given away with it. */
  append(operation: SpillOperation): Spilled;
  /** Bytes on disk that are not replayed yet. */
  readonly backlogBytes: number;
  /** Resolves when nothing waits on disk. */
  drained(signal: AbortSignal): Promise<void>;
  /** Resolves when nothing waits on disk, or storage cannot take it now. */
  drainedOrAway(signal: AbortSignal): Promise<void>;
  /** Resolves when there is room on disk. */
  room(signal: AbortSignal): Promise<void>;
}

/** Options of a sink. No defaults here: see the configuration's schema. */
export interface SinkOptions {
  /** Name of the isolate: a label of its gauges. */
  readonly isolate: string;
  /** Rows of one insert. */
  readonly rows: number;
  /** Bytes of one insert. */
  readonly bytes: number;
  /** Wait since the first row of a batch, in milliseconds. */
  readonly lingerMs: number;
  /** Bytes of encoded rows that an attempt holds until its verdict; beyond it streams. */
  readonly holdBytes: number;
  /** Inserts in flight. */
  readonly inFlight: number;
  /** Bytes accepted and not durable in this isolate; blocks beyond it overflow to the spill. */
  readonly memoryBytes: number;
  /** What settles a lease. */
  readonly settleOn: "durable" | "spilled";
  /** An outage longer than this sends batches to the spill, in milliseconds. */
  readonly spillAfterMs: number;
  readonly retry: RetryOptions;
  readonly breaker: BreakerOptions;
}

/** How one operation is repeated. */
export interface RetryOptions {
  readonly initialDelayMs: number;
  readonly maxDelayMs: number;
}

/** When an endpoint counts as away, and for how long it is left alone. */
export interface BreakerOptions {
  /** Consecutive failures that open it. */
  readonly failures: number;
  /** Milliseconds until one probe is let through. */
  readonly halfOpenAfterMs: number;
}
