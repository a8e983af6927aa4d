/**
 * The pool of nodes of one network: the only door to a node. Callers say what they need; the pool chooses, waits,
 * limits, retries and hedges. All calls for one block go to one node.
 *
 * Times are milliseconds of the main isolate's monotonic clock (`performance.now()`), durations plain milliseconds.
 */
import type { Observable } from "rxjs";
import type { ClientFlags } from "../ethereum/clients.ts";
import type { BreakerState } from "./breaker.ts";

/** Who waits for the answer, highest first. */
export type Priority = "head" | "repair" | "process" | "backfill" | "verify";

/** Priorities from the highest to the lowest. */
export const PRIORITIES: readonly Priority[] = ["head", "repair", "process", "backfill", "verify"];

/** Groups of methods that share limits, breakers and time limits. */
export type CallClass = "head" | "read" | "receipts" | "trace";

/** All classes. */
export const CALL_CLASSES: readonly CallClass[] = ["head", "read", "receipts", "trace"];

/** Name of a node in the configuration. */
export type NodeName = string;

/** A block's or a transaction's hash: 0x and 64 lower-case hex digits. */
export type Hash = string;

/** What a lease is for. */
export interface Need {
  readonly class: CallClass;
  /** JSON-RPC method, for the node's capabilities and its rate rules. */
  readonly method: string;
  /** Predicted work: structlogs of a trace, items of a batch. Absent: 1. */
  readonly units?: number | undefined;
  /** Predicted bytes of the reply. Absent: for traces predicted from `units`, else unknown. */
  readonly bytes?: number;
  /** Number of the block whose state the call needs. */
  readonly stateAt?: number | undefined;
  /** The transaction to be traced: a small one becomes the probe of the node's breaker. */
  readonly transactionHash?: Hash;
  /** Nodes that must not be chosen: the one to be compared with. */
  readonly not?: readonly NodeName[] | undefined;
  /** Nodes chosen only when no other can serve: those that failed this task before. */
  readonly avoid?: readonly NodeName[] | undefined;
}

/** A request for a lease. */
export interface LeaseAsk {
  readonly need: Need;
  /** The node's head must have reached this number (or it announced `blockHash`). */
  readonly blockNumber?: number | undefined;
  /** Pins the call to the node that serves this block. */
  readonly blockHash?: Hash | undefined;
  readonly priority: Priority;
  /** Until when the answer is of use, monotonic; `Infinity`: it has all the time that the node allows. */
  readonly deadlineMs: number;
  /** Until when the lease is waited for, monotonic. Absent: as long as the answer is of use. */
  readonly waitUntilMs?: number;
  readonly signal?: AbortSignal | undefined;
}

/** What a caller needs to send one request to a node: plain data, can be posted to a worker. */
export interface NodeView {
  readonly network: string;
  readonly name: NodeName;
  /** With credentials, if the configuration has them: never log it. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Ask for a compressed reply; otherwise `accept-encoding: identity`. */
  readonly gzip: boolean;
  /** As in `web3_clientVersion`; empty while unknown. */
  readonly clientVersion: string;
  /** How this client prints traces, with its family. */
  readonly flags: ClientFlags;
  /** PEM certificates of further authorities. */
  readonly caCerts: readonly string[];
  /** Idle connections to keep: the bound of the node's concurrency. */
  readonly connections: number;
  /** Bounds of this lease. */
  readonly limits: {
    /** From the grant to the last byte. */
    readonly wholeMs: number;
    readonly firstByteMs: number;
    /** Longest silence after the first byte. */
    readonly stallMs: number;
    /** Value of geth's `timeout` option; absent for clients that ignore it. */
    readonly executionMs?: number | undefined;
  };
}

/** How the use of a lease ended. Plain data: a worker posts it to the main isolate. */
export type Outcome =
  | {
    readonly kind: "ok";
    /** Bytes of the reply. */
    readonly bytes: number;
    /** Work done: structlogs of a trace, else 1. */
    readonly units: number;
    readonly firstByteMs: number;
    readonly totalMs: number;
  }
  | { readonly kind: "failed"; readonly failure: Failure }
  /** Ended by us; says nothing about the node. */
  | { readonly kind: "cancelled" }
  /** A valid reply that the proof refused. */
  | { readonly kind: "violated"; readonly identity: string };

/** What becomes of a failed call. */
export type Action =
  /** The same node after a pause. */
  | "same"
  /** Another node; the pin moves. */
  | "other"
  /** The node asked for fewer requests. */
  | "limit"
  /** The node is overloaded: its concurrency falls; another node. */
  | "overload"
  /** The node cannot do this (method off, state pruned): learned; another node. */
  | "depth"
  /** A smaller request. */
  | "split"
  /** The node does not know the block yet. */
  | "missing"
  /** Not a failure. */
  | "answer"
  /** No node will do better. */
  | "dead"
  /** Stop using this node. */
  | "fatal";

/** A classified failure. Plain data: crosses threads. */
export interface Failure {
  readonly class: CallClass;
  readonly method: string;
  readonly node: NodeName;
  readonly action: Action;
  /** Row of the classification table, a closed set: a metric label. */
  readonly reason: string;
  /** JSON-RPC error code. */
  readonly code?: number;
  readonly httpStatus?: number;
  /** The node's words, at most 1 KiB, without URLs. */
  readonly text: string;
  /** Bytes of the reply that had arrived. */
  readonly bytes: number;
  /** How long to stay away, as the node asked. */
  readonly retryAfterMs?: number;
  /** A cap that the node named, in bytes. */
  readonly capBytes?: number;
  /** What of the node is to blame where the action is `depth`. */
  readonly capability?: "method" | "state";
  /** No byte came: counts for the node's connection breaker too. */
  readonly connection?: boolean;
}

/** The right to send one request to one node. Leaving a `using` block without a report counts as `cancelled`. */
export interface Lease extends Disposable {
  readonly node: NodeView;
  /** Fires at `endByMs`, when the caller aborts, when the node proves to be of another chain, and at shutdown. */
  readonly signal: AbortSignal;
  /** Monotonic. */
  readonly endByMs: number;
  /**
   * The block was read from another node before. Above the finalized block, trace a transaction only after this node's
   * receipt names the same block hash.
   */
  readonly moved: boolean;
  /** Says how it ended, exactly once; later calls are ignored. */
  report(outcome: Outcome): void;
}

/** How the pool sends a request. */
export interface RequestAsk<T> {
  readonly class: CallClass;
  /**
   * Turns the `result` member into a value. `null` arrives only where it is an answer ("not yet known").
   * An exception is a malformed reply of the node.
   */
  readonly decode: (result: unknown) => T;
  /** Value of a look-up that a node answers with `null`. Without it another node is asked. */
  readonly absent?: (node: NodeName) => T;
  readonly blockNumber?: number;
  readonly blockHash?: Hash;
  readonly stateAt?: number;
  readonly not?: readonly NodeName[];
  readonly avoid?: readonly NodeName[];
  readonly priority: Priority;
  readonly deadlineMs: number;
  readonly signal?: AbortSignal;
}

/** One call of a batch. */
export interface Call {
  readonly method: string;
  readonly params: readonly unknown[];
}

/** A value or the failure in its place. */
export type Result<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: Error };

/** What to do when one of several pieces of work fails. */
export type FailureMode = "collect" | "failFast";

/** Bounds of {@linkcode NodePool.each}. */
export interface EachAsk {
  /** At most this many at once; absent: `rpc.each.concurrency`. */
  readonly concurrency?: number;
  /** `failFast`: the first failure aborts the others and is thrown. `collect`: a result per item. */
  readonly mode: FailureMode;
  readonly signal?: AbortSignal;
}

/** What became of the items of {@linkcode NodePool.each}. */
export interface EachResults<R> {
  /** In the order of the items; those not begun when aborted have failed. */
  readonly results: readonly Result<R>[];
  /** How many failed. */
  readonly failures: number;
}

/** A block that a node announced. A hint: read its header by hash before trusting it. */
export interface Head {
  readonly number: number;
  readonly hash: Hash;
  readonly parentHash: Hash;
  /** Seconds since 1970, from the header. */
  readonly timestamp: number;
  readonly node: NodeName;
  /** Another hash of this number was announced before. */
  readonly reorg: boolean;
}

/** May a lane claim work of this class? */
export interface Capacity {
  readonly class: CallClass;
  /** Leases that would be granted at once. */
  readonly free: number;
  /** Some node can serve the class, now or when a slot is free. */
  readonly available: boolean;
  /** Why not, per node; empty when available. */
  readonly reason: string;
}

/** Where a node stands. */
export type NodeCondition = "new" | "probing" | "ready" | "lagging" | "forked" | "down" | "wrong_chain" | "drained";

/** Figures of one class of one node. */
export interface ClassState {
  readonly limit: number;
  readonly inFlight: number;
  /** Structlogs (trace) or calls per second. */
  readonly unitsPerSecond: number;
  readonly breaker: BreakerState;
  /** Calls of the last minutes. */
  readonly attempts: number;
  readonly failures: number;
  readonly p95Ms?: number;
  /** Requests per second over the last seconds. */
  readonly perSecond: number;
  /** Why the node cannot serve this class now; empty when it can. */
  readonly reason: string;
}

/** A node as `main.ts nodes` shows it. Holds no URL. */
export interface NodeState {
  readonly name: NodeName;
  readonly tier: "primary" | "fallback";
  readonly condition: NodeCondition;
  readonly clientVersion: string;
  readonly family: string;
  readonly headNumber?: number;
  readonly lagBlocks?: number;
  readonly lagMs?: number;
  /** Lowest block with state; absent while nothing is known. */
  readonly lowestState?: number;
  readonly methodsOff: readonly string[];
  readonly replyBytes?: number;
  readonly batchItems: number;
  readonly balanced: boolean;
  readonly bytesPerStructlog: number;
  readonly traceBytesInFlight: number;
  /** Requests per second, where one is known. */
  readonly ratePerSecond?: number;
  /** How much longer the node wants to be left alone. */
  readonly pausedMs?: number;
  readonly webSocket: "none" | "connecting" | "open";
  readonly connectionBreaker: BreakerState;
  readonly classes: Readonly<Record<CallClass, ClassState>>;
  readonly lastFailure?: { readonly failure: Failure; readonly ageMs: number };
}

/** An operator's hand on one breaker. */
export interface BreakerControl {
  readonly state: BreakerState;
  /** Consecutive failures. */
  readonly failures: number;
  /** Closes it and forgets what opened it. */
  reset(): void;
  /** Opens it as if it had failed. */
  open(reason: string): void;
}

/** All nodes of one network. */
export interface NodePool extends AsyncDisposable {
  readonly network: string;
  /**
   * Waits for a node that can serve the need.
   *
   * @throws {NodesUnavailable} no node can serve it until the deadline
   * @throws {Overloaded} shed from the waiting queue
   * @throws {DeadlineExceeded} the deadline passed while it waited
   */
  lease(ask: LeaseAsk): Promise<Lease>;
  /**
   * One call: lease, send, classify, retry, hedge. For every class but `trace`.
   *
   * @throws {RpcFailure} what the last node said; as `lease` otherwise
   */
  request<T>(method: string, params: readonly unknown[], ask: RequestAsk<T>): Promise<T>;
  /** Several calls in few requests; results in the order of the calls. `failFast` throws the first failure. */
  batch<T>(calls: readonly Call[], ask: RequestAsk<T> & { readonly mode: FailureMode }): Promise<readonly Result<T>[]>;
  /** Runs `work` over the items with bounded concurrency, keeping their order. */
  each<T, R>(
    items: Iterable<T>,
    ask: EachAsk,
    work: (item: T, signal: AbortSignal, index: number) => Promise<R>,
  ): Promise<EachResults<R>>;
  /** The current capacity of every class on subscription, then each change. */
  readonly capacity: Observable<Capacity>;
  /** New heads, each hash once, never completed but by the shutdown. */
  readonly heads: Observable<Head>;
  /** Hashes of pending transactions, each once, while somebody subscribes; empty unless `pending.enabled`. */
  readonly pendingHashes: Observable<Hash>;
  /** What the pool knows about its nodes. */
  nodes(): readonly NodeState[];
  /** The breaker of one class of one node. @throws {RangeError} no node of this name */
  breaker(node: NodeName, callClass: CallClass): BreakerControl;
  /**
   * Whether a failure is the node's outage: what was asked uses no attempt. Asks the node for a sign of life where a
   * reply broke off. Call it after the lease was reported.
   */
  isOutage(failure: Failure): Promise<boolean>;
  /**
   * Resolves when every class in use has a ready node.
   *
   * @throws {NetworkRefused} every node is of another chain
   */
  ready(signal?: AbortSignal): Promise<void>;
  /** Stops or resumes the use of a node. Leases in hand finish. @throws {RangeError} no node of this name */
  setDrained(node: NodeName, drained: boolean): void;
  /** Forgets what was learned about a node, its breakers and its wrong chain, and probes it anew. @throws {RangeError} */
  reset(node: NodeName): void;
  /** Grants no more leases, waits for those in hand. */
  drain(): Promise<void>;
}
