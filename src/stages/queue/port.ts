/**
 * Work between processes: what a task is, the time-limited right to it, and the queue that hands it out.
 *
 * Two adapters keep this contract: `redis_streams.ts` between processes, `memory.ts` inside one. The truth lives in
 * ClickHouse and the ledger; a queue is a cache of work, so a leader enqueues again whatever the ledger says is open.
 * One {@linkcode WorkQueue} serves one network.
 */
import { PipelineError } from "../../errors.ts";

/** What is done with the transactions of a task: `trace` fills both structlog tables, `simple` the transaction table. */
export type TaskKind = "trace" | "simple" | "verify";

/** Towards the head, or towards genesis. Each has a leader of its own. */
export type Mode = "forwards" | "backwards";

/** All classes, in the order of their weights. */
export const TASK_CLASSES = [
  "reprocess_forwards",
  "reprocess_backwards",
  "process_forwards",
  "process_backwards",
  "verify_forwards",
  "verify_backwards",
] as const;

/** What a task is picked by: purpose and direction. */
export type TaskClass = typeof TASK_CLASSES[number];

/** A block on one fork: the number alone can mean another. */
export interface BlockRef {
  readonly blockNumber: number;
  /** `0x` and 64 lower-case hex digits. */
  readonly blockHash: string;
}

/** Contiguous transaction indices of one block, both ends included. */
export interface TransactionRange {
  readonly first: number;
  readonly last: number;
}

/** A contiguous range of transactions of one block hash. */
export interface Task extends BlockRef, TransactionRange {
  readonly kind: TaskKind;
  readonly network: string;
  readonly class: TaskClass;
  /** Deliveries that ended in a failure; a crash is not one of them. */
  readonly attempts: number;
  /** Deliveries whose owner vanished. */
  readonly recoveries: number;
  /** Names of the nodes that failed this task, for the pool to avoid. */
  readonly failedNodes: readonly string[];
  /** When the task was first enqueued, milliseconds since the epoch by the queue's clock. */
  readonly firstEnqueuedMs: number;
}

/** Why a task did not succeed. No secrets: it is shown to operators. */
export interface Failure {
  /** Literal of the error, see {@linkcode PipelineError.code}. */
  readonly code: string;
  readonly message: string;
  /** The node that failed, added to {@linkcode Task.failedNodes}. */
  readonly node?: string;
}

/**
 * What became of a lease.
 *
 * - `done`: the rows of the whole range are durable.
 * - `split`: the rows of `done` are durable; `rest` comes back as narrower tasks, one attempt used.
 * - `fail`: comes back after a back-off, one attempt used; at the limit of attempts a range is halved until a single
 *   transaction is left, and that one is dead-lettered.
 * - `release`: comes back after `delayMs`, no attempt used (shutdown, no node, outage of a neighbour).
 * - `dead`: would fail each time; kept with its error.
 * - `orphaned`: the block left the chain.
 */
export type Settlement =
  | { readonly outcome: "done" }
  | {
    readonly outcome: "split";
    readonly done: readonly TransactionRange[];
    readonly rest: readonly TransactionRange[];
    readonly failure: Failure;
  }
  | { readonly outcome: "fail"; readonly failure: Failure }
  | { readonly outcome: "release"; readonly delayMs: number }
  | { readonly outcome: "dead"; readonly failure: Failure }
  | { readonly outcome: "orphaned" };

/**
 * The queue's answer to a settlement: `settled` (now, or earlier by the same delivery), `stale` (a newer delivery owns
 * the task: drop everything), `orphaned` (the block left the chain).
 */
export type Verdict = "settled" | "stale" | "orphaned";

/** The time-limited right to one task. */
export interface Lease {
  readonly task: Task;
  /** Delivery token: grows with every delivery of the network, below 2^53. It is the `row_version` of the rows. */
  readonly token: number;
  /** `false` when an earlier delivery may have written rows of this task. */
  readonly firstDelivery: boolean;
  /** Aborts with a {@linkcode LeaseLostError} when the lease is lost: drop the work, its settlement would be refused. */
  readonly signal: AbortSignal;
  /**
   * The progress cell, shared memory: `[moves, waits]`. A thread that works on the task adds to `moves`, and holds
   * `waits` above 0 while it waits for a node within its deadline or for ClickHouse. A lease whose cell stands still
   * for `stallTimeoutMs` is given up.
   */
  readonly progress: Int32Array;
  /** Resolves when the lease has ended: settled, or lost. */
  readonly ended: Promise<void>;
  /** Says that the work moves: bytes read, rows durable. */
  moved(): void;
  /** Counts as moving until disposed. */
  waiting(): Disposable;
  /** Ends the lease. A second call returns the verdict of the first. */
  settle(settlement: Settlement): Promise<Verdict>;
}

/** A term of leadership. {@linkcode Office.token} only grows per (network, mode). */
export interface Office {
  readonly mode: Mode;
  /** Identity of the process. */
  readonly holder: string;
  /** Fencing token, checked inside {@linkcode WorkQueue.enqueue}. */
  readonly token: number;
}

/** What a leader enqueues: one block for one kind of work in one class. */
export interface BlockPlan extends BlockRef {
  readonly kind: TaskKind;
  readonly class: TaskClass;
  /** Transactions of the block; 0 completes at once. */
  readonly total: number;
  readonly ranges: readonly TransactionRange[];
  /** When given, a verify task is created this long after the block completes, becomes stuck or is reprocessed. */
  readonly verifyDelayMs?: number;
}

/** What an enqueue found and did, in tasks. */
export interface EnqueueReceipt {
  readonly state: BlockState;
  /** New in the queue. */
  readonly enqueued: number;
  /** Already waiting, delayed or in flight. */
  readonly duplicate: number;
  /** All transactions of the range are done. */
  readonly done: number;
  /** Dead-lettered earlier. */
  readonly dead: number;
}

/** Of one block for one kind. */
export type BlockState = "open" | "complete" | "stuck" | "orphaned";

/** A block whose last transaction was settled. Told at least once: the ledger writer is idempotent. */
export interface Completion extends BlockRef {
  /** Identifies this telling, for {@linkcode WorkQueue.confirm}. */
  readonly id: string;
  readonly kind: TaskKind;
  readonly class: TaskClass;
  readonly total: number;
  /** `stuck`: every transaction still open is dead-lettered. */
  readonly state: "complete" | "stuck";
}

/** What another process asks of the leader. */
export interface LeaderRequest {
  /** A repeat of the same key within a day is one request. */
  readonly key: string;
  /** Absent: the leader forwards, or backwards if there is none. */
  readonly mode?: Mode;
  /** JSON text, understood by the leader. */
  readonly body: string;
}

/** A request that waits for the leader. */
export interface PendingRequest extends LeaderRequest {
  readonly id: string;
  /** Milliseconds since the epoch by the queue's clock. */
  readonly requestedMs: number;
}

/** A task that will not be tried again by itself. */
export interface DeadLetter {
  readonly id: string;
  readonly task: Task;
  readonly failure: Failure;
  /** Milliseconds since the epoch by the queue's clock. */
  readonly diedMs: number;
}

/** Of one class, in tasks. */
export interface ClassStats {
  readonly waiting: number;
  /** Age of the oldest waiting task, milliseconds; 0 when none waits. */
  readonly oldestWaitMs: number;
  readonly inFlight: number;
  readonly paused: boolean;
}

/** Depths of one network's queue. */
export interface QueueStats {
  readonly classes: Readonly<Record<TaskClass, ClassStats>>;
  readonly delayed: number;
  readonly dead: number;
  /**
   * Blocks accepted and neither complete nor stuck; one that is open for several kinds counts once. Those that entered
   * in a reprocess class, or were stuck, count apart from those of the windows.
   */
  readonly open: Readonly<Record<Mode | "repair", number>>;
  readonly stuck: number;
  /** Completions not confirmed. */
  readonly completions: number;
  readonly requests: number;
  /** Claims per second allowed; absent is no limit. */
  readonly limitPerSecond?: number;
  /** Counters since the queue was created: recovered, retried, dead, stale, orphaned, clock_went_back and so on. */
  readonly counters: Readonly<Record<string, number>>;
}

/** The queue of one network. Every call may be repeated: a call that ran twice has the effect of one. */
export interface WorkQueue {
  readonly network: string;

  /**
   * Enqueues a block's tasks; opens the block at the first time. A task that is pending, done or dead is skipped; the
   * reprocess classes ignore done bits and bring dead ones back. A block whose verification is done is verified anew.
   *
   * @throws {NotLeaderError} when `office` is over. @throws {QueueFullError} when the backend refuses more.
   */
  enqueue(plan: BlockPlan, office: Office): Promise<EnqueueReceipt>;

  /**
   * Marks a block that left the chain, for every kind, and drops its tasks, those in flight too.
   *
   * @returns tasks dropped. @throws {NotLeaderError}
   */
  orphan(block: BlockRef, office: Office): Promise<number>;

  /** Claims up to `free` tasks, never more, and returns at once. */
  fetch(free: number): Promise<readonly Lease[]>;

  /** Returns when a fetch may find something: work arrived, a delay or a lease ran out, or `signal` aborted. */
  idle(signal: AbortSignal): Promise<void>;

  /** Waits for completions; empty when `signal` aborted. Those not confirmed come again, here or elsewhere. */
  completions(max: number, signal: AbortSignal): Promise<readonly Completion[]>;

  /** The ledger holds these durably. */
  confirm(completions: readonly Completion[]): Promise<void>;

  /** Appends a request. @returns `false` when its key was seen within a day. */
  request(request: LeaderRequest): Promise<boolean>;

  /** The oldest requests that `office` has to answer. @throws {NotLeaderError} */
  requests(office: Office, max: number): Promise<readonly PendingRequest[]>;

  /** Removes answered requests. @throws {NotLeaderError} */
  answered(office: Office, requests: readonly PendingRequest[]): Promise<void>;

  stats(): Promise<QueueStats>;

  /** Dead letters, oldest first, after the id `after`. */
  deadLetters(max: number, after?: string): Promise<readonly DeadLetter[]>;

  deadLetter(id: string): Promise<DeadLetter | undefined>;

  /** Brings dead letters back with fresh attempts; their blocks are open again. @returns how many. */
  replay(ids: readonly string[]): Promise<number>;

  /** Forgets dead letters; their blocks stay stuck. @returns how many. */
  drop(ids: readonly string[]): Promise<number>;

  /** Nothing of these classes is claimed until resumed; what is in flight ends. */
  pause(classes: readonly TaskClass[]): Promise<void>;
  resume(classes: readonly TaskClass[]): Promise<void>;

  /** Claims per second of the whole network, `undefined` for no limit. */
  limit(perSecond: number | undefined): Promise<void>;

  /** Takes the office if it is free. @returns `undefined` when another holds it. */
  lead(mode: Mode, holder: string): Promise<Office | undefined>;

  /** Prolongs a term. @returns `false` when it is over. */
  renew(office: Office): Promise<boolean>;

  /** Ends a term at once. */
  resign(office: Office): Promise<void>;

  /** Calls back after every reconnection to the backend: what it lost has to be enqueued again. */
  onReconnect(listener: () => void): Disposable;

  /** Sends what is settled, stops the heartbeat and disconnects. Leases in hand are lost to their time limit. */
  close(): Promise<void>;
}

/** Opens the queue of each network of a process on one backend. */
export interface WorkQueues {
  open(network: string): Promise<WorkQueue>;
  /** Closes every queue that is still open. */
  close(): Promise<void>;
}

/** Every key has to be given: defaults live in the configuration. */
export interface QueueOptions {
  /** A lease that is not renewed for this long may be taken over. */
  readonly leaseMs: number;
  /** Renewal of leases that move. */
  readonly heartbeatMs: number;
  /** How often expired leases are looked for, at most. */
  readonly reclaimMs: number;
  /** A lease whose progress cell stands still for this long is given up. */
  readonly stallTimeoutMs: number;
  /** Attempts before a task is dead-lettered. */
  readonly maxAttempts: number;
  /** Recoveries before a task is dead-lettered. */
  readonly maxRecoveries: number;
  /** From this many recoveries on, a task is run alone in its process. */
  readonly aloneAfterRecoveries: number;
  readonly backoffBaseMs: number;
  readonly backoffMaxMs: number;
  readonly leaderTtlMs: number;
  /** How long a complete or orphaned block is remembered. */
  readonly keepCompleteMs: number;
  /** Share of picks per class. */
  readonly weights: Readonly<Record<TaskClass, number>>;
  /** Most tasks in flight per class in this process. */
  readonly inFlight: Readonly<Record<TaskClass, number>>;
  /** Most settlements in one message. */
  readonly ackBatch: number;
}

/** Random numbers in [0, 1), injected for tests. */
export type Random = () => number;

/** The lease was taken over, given up, or its block left the chain. The queue has the task; nothing is to be settled. */
export class LeaseLostError extends PipelineError {
  readonly code = "lease_lost";
  readonly disposition = "retry";
  override readonly release = true;

  constructor(readonly taskId: string, readonly reason: "taken_over" | "stalled" | "orphaned" | "closed") {
    super(`Cannot go on with task ${taskId}: current value of its lease is lost (${reason})`);
  }
}

/** The office that a call was made under is over. Stop enqueuing and resume from the ledger when elected again. */
export class NotLeaderError extends PipelineError {
  readonly code = "not_leader";
  readonly disposition = "retry";
  override readonly release = true;

  constructor(readonly network: string, readonly office: Office) {
    super(`Cannot enqueue for ${network} as leader ${office.mode}: current value of token ${office.token} is outdated`);
  }
}

/** The backend is at its limit of memory. What is in it drains; the enqueue is repeated later. */
export class QueueFullError extends PipelineError {
  readonly code = "queue_full";
  readonly disposition = "retry";
  override readonly release = true;

  constructor(readonly network: string, options?: ErrorOptions) {
    super(
      `Cannot enqueue for ${network}: current value of the backend's memory is at its limit; raise maxmemory or lower the window`,
      options,
    );
  }
}

/** A plan that contradicts what is known of its block. */
export class BlockPlanError extends PipelineError {
  readonly code = "block_plan";
  readonly disposition = "fatal";
}

/** `<kind>:<number>:<first 8 digits of the hash>:<first>-<last>`: without the hash a reorg leaves the second block incomplete for ever. */
export function taskId(task: BlockRef & TransactionRange & { readonly kind: TaskKind }): string {
  return `${taskIdHead(task)}${task.first}-${task.last}`;
}

/** What the ids of a block's tasks begin with, up to their range. */
export function taskIdHead({ kind, blockNumber, blockHash }: BlockRef & { readonly kind: TaskKind }): string {
  return `${kind}:${blockNumber}:${blockHash.slice(2, 10)}:`;
}

/** Direction of a class. */
export function modeOf(taskClass: TaskClass): Mode {
  return taskClass.endsWith("_forwards") ? "forwards" : "backwards";
}
