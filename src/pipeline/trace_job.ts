/**
 * One reply, from the request to durable rows: trace → decode → encode → sink, in the isolate of a trace worker.
 *
 * A job is plain data, made by `work.ts`; so are its answers. Rows of a transaction go to the sink while the reply is
 * read, at the node's pace; its record follows when the proof has spoken.
 */
import { classified, type Disposition, PipelineError } from "../errors.ts";
import type { Fork } from "../ethereum/forks.ts";
import { RpcFailure } from "../rpc/failure.ts";
import { openTrace, type TraceDefect, type TraceReply } from "../rpc/open_trace.ts";
import type { Failure, NodeView, Outcome } from "../rpc/port.ts";
import { openDecoder } from "../stages/decode/decoder.ts";
import { MalformedReplyError, ReplyError } from "../stages/decode/errors.ts";
import type { JsonObject, ProofRecord, TraceDecoder, TraceSink } from "../stages/decode/port.ts";
import { MAX_UNREAD_BYTES } from "../stages/decode/reply_decoder.ts";
import type { Attempt, AttemptStart, Sink, StoredOutcome, Submission } from "../stages/sink/port.ts";
import { EvidenceTap } from "../stages/trace/evidence_tap.ts";
import { READ_BYTES, readReply, TraceTooLargeError } from "../stages/trace/read.ts";

/** One transaction of a job. */
export interface JobTransaction {
  readonly index: number;
  readonly transaction: JsonObject;
  readonly receipt: JsonObject;
  /** What the sink needs; complete but for what the reply decides. */
  readonly start: AttemptStart;
}

/** What is audited: the stored attempt of a transaction. */
export interface AuditTarget {
  readonly rowVersion: number;
  readonly structlogRows: number;
  readonly aggregateRows: number;
}

/** One reply to read, decode and store. */
export interface TraceJob {
  readonly network: string;
  readonly shape: "block" | "transaction";
  /** Hash of the block or of the transaction that is asked for. */
  readonly target: string;
  readonly node: NodeView;
  readonly returnData: boolean;
  readonly caps: { readonly maxBytes?: number; readonly maxStructlogs?: number };
  readonly policy: "enforce" | "record" | "off";
  readonly evidenceBytes: number;
  readonly fork?: Fork;
  readonly chainId: number;
  /** Header of the block, without its transactions. */
  readonly block: JsonObject;
  readonly transactions: readonly JobTransaction[];
  /** The one transaction is compared with what is stored of it, and not stored. */
  readonly audit?: AuditTarget;
}

/** What became of one transaction. */
export interface TransactionResult {
  readonly index: number;
  readonly transactionHash: string;
  readonly verdict: ProofRecord["verdict"];
  readonly identity: string;
  readonly detail: string;
  readonly structlogs: number;
  readonly bytes: number;
  readonly stored: StoredOutcome;
}

/** An error as plain data, for the way between two isolates. */
export interface PlainError {
  readonly code: string;
  readonly disposition: Disposition;
  readonly release: boolean;
  /** Where the error knows better than the pipeline how long to stay away. */
  readonly releaseMs?: number;
  readonly message: string;
  /** Where a node was to blame. */
  readonly failure?: Failure;
}

/** First and last bytes of a refused transaction's result. */
export interface Evidence {
  readonly network: string;
  readonly blockNumber: number;
  readonly blockHash: string;
  readonly transactionHash: string;
  readonly node: string;
  readonly client: string;
  readonly identity: string;
  readonly detail: string;
  readonly transaction: JsonObject;
  readonly receipt: JsonObject;
  readonly record: ProofRecord;
  readonly head: Uint8Array;
  readonly tail: Uint8Array;
  readonly omittedBytes: number;
}

/** What a job tells while it runs. */
export interface JobListener {
  /** Bytes arrived or rows became durable: the lease moves. */
  moved(): void;
  /** Counts as moving until disposed: a node within its deadline, or the store, is waited for. */
  waiting(): Disposable;
  /** The reply has been read, or has failed: the node is free. */
  read(outcome: Outcome): void;
  /** Figures since the last call. */
  progress(bytes: number, structlogs: number): void;
  /** A trace was refused. */
  violated(evidence: Evidence): void;
}

/** A job in its two moments. */
export interface RunningJob {
  /** The reply is decoded and the sink has taken its rows: the lane is free. */
  readonly accepted: Promise<void>;
  /** The records of these transactions are durable. Transactions that are not in it are not stored. */
  readonly results: Promise<JobResults>;
}

/** How a job ended. */
export interface JobResults {
  readonly transactions: readonly TransactionResult[];
  /** Why the others are missing. */
  readonly error?: PlainError;
}

/** `error` as plain data. */
export function plainError(error: unknown): PlainError {
  const known = classified(error);
  return {
    code: known.code,
    disposition: known.disposition,
    release: known.release,
    message: known.message,
    ...(known.releaseMs === undefined ? {} : { releaseMs: known.releaseMs }),
    ...(known instanceof RpcFailure ? { failure: known.failure } : {}),
  };
}

/** The reply holds other transactions than the block. */
export class WrongTransactionError extends PipelineError {
  readonly code = "wrong_transaction";
  readonly disposition = "retry";
}

/** What one lane keeps from job to job. */
export interface Lane {
  readonly decoder: TraceDecoder;
  readonly tap: EvidenceTap;
}

/** A lane of this isolate. */
export async function openLane(): Promise<Lane> {
  return { decoder: await openDecoder(), tap: new EvidenceTap(MAX_UNREAD_BYTES + READ_BYTES) };
}

/** Reads, decodes and stores. Never throws: what fails is in {@linkcode JobResults.error}. */
export function runTraceJob(
  job: TraceJob,
  { decoder, tap }: Lane,
  sink: Sink,
  signal: AbortSignal,
  listener: JobListener,
): RunningJob {
  const finished: FinishedTransaction[] = [];
  const decoded = decodeReply(job, { decoder, tap }, sink, signal, listener, finished);
  const accepted = decoded.then(async () => {
    await Promise.all(finished.map((transaction) => transaction.submission.accepted));
  });
  const results = decoded.then(() => undefined, plainError).then((failed) => collect(finished, failed, listener));
  accepted.catch(() => {});
  return { accepted, results };
}

interface FinishedTransaction {
  readonly transaction: JobTransaction;
  readonly record: ProofRecord;
  readonly submission: Submission;
}

async function collect(
  finished: readonly FinishedTransaction[],
  failed: PlainError | undefined,
  listener: JobListener,
): Promise<JobResults> {
  const transactions: TransactionResult[] = [];
  let error = failed;
  using _store = listener.waiting();
  const settled = await Promise.allSettled(finished.map(async ({ submission }) => {
    const stored = await submission.durable;
    listener.moved();
    return stored;
  }));
  for (const [at, outcome] of settled.entries()) {
    const { transaction, record } = finished[at]!;
    if (outcome.status === "rejected") {
      error ??= plainError(outcome.reason);
      continue;
    }
    transactions.push({
      index: transaction.index,
      transactionHash: transaction.start.transactionHash,
      verdict: record.verdict,
      identity: record.identity,
      detail: record.detail,
      structlogs: record.rows,
      bytes: record.bytes,
      stored: outcome.value,
    });
  }
  return { transactions, ...(error === undefined ? {} : { error }) };
}

async function decodeReply(
  job: TraceJob,
  { decoder, tap }: Lane,
  sink: Sink,
  signal: AbortSignal,
  listener: JobListener,
  finished: FinishedTransaction[],
): Promise<void> {
  using _expected = sink.expect();
  const writer = new JobWriter(job, tap, sink, listener, finished);
  let reply: TraceReply | undefined;
  let reported = false;
  const report = (outcome: Outcome) => {
    if (!reported) listener.read(outcome);
    reported = true;
  };
  try {
    const asked = listener.waiting();
    reply = await openTrace(job.node, {
      target: { kind: job.shape, hash: job.target },
      memory: false,
      stack: true,
      storage: false,
      returnData: job.returnData,
    }, signal).finally(() => asked[Symbol.dispose]());
    decoder.begin({
      shape: job.shape,
      flags: job.node.flags,
      chainId: job.chainId,
      block: job.block,
      transactions: job.transactions,
      ...(job.fork === undefined ? {} : { fork: job.fork }),
    }, writer);
    let toldBytes = 0;
    let toldStructlogs = 0;
    const tell = (bytes: number) => {
      const { structlogs } = decoder.progress;
      listener.progress(bytes - toldBytes, structlogs - toldStructlogs);
      toldBytes = bytes;
      toldStructlogs = structlogs;
    };
    await readReply(reply.body, signal, (piece, bytes) => {
      writer.piece(piece);
      decoder.push(piece);
      listener.moved();
      tell(bytes);
      checkBytes(job, bytes);
      writer.checkStructlogs(decoder.progress.structlogs);
      return untilRoom(writer, listener);
    });
    decoder.end();
    writer.complete();
    report(
      writer.violatedIdentity === undefined
        ? reply.outcome(decoder.progress.structlogs)
        : { kind: "violated", identity: writer.violatedIdentity },
    );
  } catch (error) {
    const failure = failureOf(error, reply);
    report(failure === undefined ? { kind: "cancelled" } : { kind: "failed", failure: failure.failure });
    await writer.abort(String(failure?.message ?? error));
    throw failure ?? error;
  } finally {
    await reply?.[Symbol.asyncDispose]();
  }
}

/** The store is waited for, not the node. */
function untilRoom(writer: JobWriter, listener: JobListener): Promise<void> | undefined {
  const room = writer.room();
  if (room === undefined) return undefined;
  const waiting = listener.waiting();
  return room.finally(() => waiting[Symbol.dispose]());
}

function checkBytes({ caps: { maxBytes } }: TraceJob, bytes: number): void {
  if (maxBytes !== undefined && bytes > maxBytes) throw new TraceTooLargeError("bytes", maxBytes, bytes);
}

/** What decode found wrong with the document, judged by the transport's evidence; `undefined`: the node is not to blame. */
function failureOf(error: unknown, reply: TraceReply | undefined): RpcFailure | undefined {
  if (error instanceof RpcFailure) return error;
  if (reply === undefined) return undefined;
  if (error instanceof ReplyError) {
    return new RpcFailure(reply.failure(replyDefect(error)), false, { cause: error });
  }
  if (error instanceof MalformedReplyError) {
    return new RpcFailure(reply.failure({ kind: "malformed", detail: error.message }), false, { cause: error });
  }
  if (error instanceof WrongTransactionError) {
    return new RpcFailure(reply.failure({ kind: "malformed", detail: error.message }), false, { cause: error });
  }
  return undefined;
}

function replyDefect(error: ReplyError): TraceDefect {
  if (error.absent) return { kind: "null" };
  const { rpcCode: code, rpcMessage: message, rpcData: data, transaction } = error;
  return { kind: "error", error: { code, message, data }, ...(transaction === undefined ? {} : { inside: true }) };
}

/** Decode's callbacks: columns into attempts, records into submissions. */
class JobWriter implements TraceSink {
  /** The first identity that a trace of this reply violates. */
  violatedIdentity: string | undefined;
  readonly #open = new Map<number, Attempt>();
  readonly #startedMs = performance.now();
  #next = 0;
  /** Structlogs of the transactions that have ended. */
  #structlogs = 0;
  /** The end of a reply for one transaction, which may yet turn out to be none. */
  #last: { readonly position: number; readonly record: ProofRecord } | undefined;

  constructor(
    readonly job: TraceJob,
    readonly tap: EvidenceTap,
    readonly sink: Sink,
    readonly listener: JobListener,
    readonly finishedTransactions: FinishedTransaction[],
  ) {
    tap.begin(job.policy === "off" ? 0 : job.evidenceBytes);
  }

  /** Bytes that decode is about to see. */
  piece(bytes: Uint8Array): void {
    this.tap.push(bytes);
  }

  structlogs(...[position, columns, operations]: Parameters<TraceSink["structlogs"]>): void {
    this.#attempt(position).structlogs(columns, operations);
  }

  frames(...[position, columns, operations]: Parameters<TraceSink["frames"]>): void {
    this.#attempt(position).frames(columns, operations);
  }

  returnValue(position: number, hex: string | undefined): void {
    this.#attempt(position).returnValue(hex);
  }

  finished(position: number, record: ProofRecord): void {
    const transaction = this.#transaction(position);
    const expected = transaction.start.transactionHash;
    if (record.transactionHash !== undefined && record.transactionHash.toLowerCase() !== expected) {
      throw new WrongTransactionError(
        `Cannot take the trace at position ${position} as that of ${expected}: the reply says ${record.transactionHash}`,
      );
    }
    this.#structlogs += record.rows;
    this.#checkCap(record.rows);
    this.#next = position + 1;
    if (this.job.shape === "transaction") this.#last = { position, record };
    else this.#finish(position, record);
  }

  /** `read`: structlogs of the reply so far. @throws {TraceTooLargeError} */
  checkStructlogs(read: number): void {
    this.#checkCap(read - this.#structlogs);
  }

  #checkCap(structlogs: number): void {
    const { maxStructlogs } = this.job.caps;
    if (maxStructlogs === undefined || structlogs <= maxStructlogs) return;
    throw new TraceTooLargeError("structlogs", maxStructlogs, structlogs);
  }

  /** Everything of this transaction is known. */
  #finish(position: number, record: ProofRecord): void {
    const transaction = this.#transaction(position);
    const attempt = this.#attempt(position);
    const traceMs = Math.round(performance.now() - this.#startedMs);
    const submission = attempt.finish(record, { policy: this.job.policy, traceMs });
    submission.accepted.catch(() => {});
    submission.durable.catch(() => {});
    this.#open.delete(position);
    this.finishedTransactions.push({ transaction, record, submission });
    if (record.verdict === "violated" && this.job.policy !== "off") this.#violated(transaction, record);
    this.tap.release(record.offset + record.bytes);
  }

  /** The reply has ended well: all transactions must have come. @throws {WrongTransactionError} */
  complete(): void {
    if (this.#next !== this.job.transactions.length) {
      throw new WrongTransactionError(
        `Cannot take the reply for ${this.job.target} as complete: it holds ${this.#next} of ${this.job.transactions.length} transactions`,
      );
    }
    if (this.#last !== undefined) this.#finish(this.#last.position, this.#last.record);
  }

  /** What the overflow still has to take, if anything. */
  room(): Promise<void> | undefined {
    for (const attempt of this.#open.values()) {
      const waiting = attempt.room();
      if (waiting !== undefined) return waiting;
    }
    return undefined;
  }

  /** Gives up what has no record yet. */
  async abort(reason: string): Promise<void> {
    const attempts = [...this.#open.values()];
    this.#open.clear();
    await Promise.allSettled(attempts.map((attempt) => attempt.abort(reason)));
  }

  #attempt(position: number): Attempt {
    const known = this.#open.get(position);
    if (known !== undefined) return known;
    const attempt = this.sink.open(this.#transaction(position).start);
    this.#open.set(position, attempt);
    return attempt;
  }

  #transaction(position: number): JobTransaction {
    const transaction = this.job.transactions[position];
    if (transaction === undefined) {
      throw new WrongTransactionError(
        `Cannot take a trace at position ${position} of the reply for ${this.job.target}: ${this.job.transactions.length} transactions were asked for`,
      );
    }
    return transaction;
  }

  #violated(transaction: JobTransaction, record: ProofRecord): void {
    this.violatedIdentity ??= record.identity;
    const { blockNumber, blockHash, transactionHash, node, client } = transaction.start;
    this.listener.violated({
      network: this.job.network,
      blockNumber,
      blockHash,
      transactionHash,
      node,
      client,
      identity: record.identity,
      detail: record.detail,
      transaction: transaction.transaction,
      receipt: transaction.receipt,
      record,
      ...this.tap.take(record.offset, record.offset + record.bytes),
    });
  }
}
