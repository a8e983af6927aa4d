/**
 * Leases: who gets a node now, who waits, who is sent back, and what each outcome teaches. Never a timer per lease: one
 * sweep serves all deadlines.
 */
import { emit } from "../telemetry/emit.ts";
import { Chooser, rateCost } from "./choice.ts";
import type { Clock } from "./clock.ts";
import { Sweep } from "./clock.ts";
import { DeadlineExceeded, NodesUnavailable, Overloaded, type ShedReason } from "./failure.ts";
import { TimeLimit } from "./http_transport.ts";
import { type PoolNode, rankOf } from "./node.ts";
import type { NodePoolOptions } from "./options.ts";
import type { CallClass, Failure, Lease, LeaseAsk, NodeView, Outcome } from "./port.ts";
import { WaitingQueue } from "./waiting.ts";

const SWEEP_MS = 50;
/** A lease unreported for this long after its end is lost. */
const ABANDON_MS = 5_000;
/** A trace predicted to need less than this share of its time limit is the node's failure when it runs out of it. */
const PREDICTED_SHARE = 0.5;
/** First-byte timeouts in a row after which idle connections are forgotten. */
const SILENT_CALLS = 2;
/** The user of a lease notices the end of its time before the pool does, and can say what it was waiting for. */
const MARGIN_MS = 100;
/** Share of the node's old cap when it cut a reply without naming one. */
const BATCH_HALVES = 2;

/** What becomes of a waiting lease. */
interface Waiter {
  readonly ask: LeaseAsk;
  readonly sinceMs: number;
  readonly resolve: (lease: GrantedLease) => void;
  readonly reject: (error: Error) => void;
  readonly deadline: Disposable;
  readonly unlisten: () => void;
}

/** What the leases need from the rest of the pool. */
export interface GrantsContext {
  readonly options: NodePoolOptions;
  readonly nodes: readonly PoolNode[];
  readonly clock: Clock;
  readonly random: () => number;
  /** A slot of this class was taken or is free again. */
  readonly slotChanged: (callClass: CallClass) => void;
  /** A node can do more or less than before. */
  readonly changed: () => void;
  /** The node must be probed anew before it is used again. */
  readonly refused: (node: PoolNode, failure: Failure) => void;
  readonly renew: (view: NodeView) => void;
  /** A lease waits that no node can serve now. */
  readonly starved: () => void;
}

/** A lease with the inside that the pool needs. */
export interface GrantedLease extends Lease {
  readonly poolNode: PoolNode;
  readonly ask: LeaseAsk;
  readonly startedMs: number;
  /** Ends it from inside the pool. */
  abort(reason: Error): void;
}

/** All leases of one network. */
export class Grants {
  readonly chooser: Chooser;
  readonly sweep: Sweep;
  readonly #context: GrantsContext;
  readonly #network: string;
  readonly #clock: Clock;
  readonly #waiting: WaitingQueue<Waiter>;
  readonly #leases = new Set<GrantedLease>();
  readonly #silent = new Map<PoolNode, number>();
  readonly #ended = (lease: GrantedLeaseImpl, outcome: Outcome) => this.#end(lease, outcome);
  #wake: { readonly atMs: number; readonly timer: Disposable } | undefined;
  #stopped: Error | undefined;
  #starving = false;
  #drained: (() => void) | undefined;

  constructor(context: GrantsContext) {
    this.#context = context;
    this.#network = context.options.name;
    this.#clock = context.clock;
    this.#waiting = new WaitingQueue(context.options.rpc.queue.max);
    this.sweep = new Sweep(context.clock, SWEEP_MS);
    this.chooser = new Chooser(context.nodes, context.random, (node, callClass, reason) => {
      emit({ kind: "rpc_pin_moved", network: this.#network, node: node.name, class: callClass, reason });
    });
  }

  get inFlight(): number {
    return this.#leases.size;
  }

  /** Whether a lease waits that no node could serve when it was last looked at. */
  get starving(): boolean {
    return this.#starving;
  }

  waiting(priority: LeaseAsk["priority"]): number {
    return this.#waiting.count(priority);
  }

  /** As {@linkcode NodePool.lease}. */
  lease(ask: LeaseAsk): Promise<GrantedLease> {
    if (this.#stopped !== undefined) return Promise.reject(this.#stopped);
    if (ask.signal?.aborted) return Promise.reject(ask.signal.reason);
    const now = this.#clock.now();
    const waitUntilMs = waitUntil(ask);
    if (waitUntilMs <= now) return Promise.reject(new DeadlineExceeded(this.#network, ask.need.class));
    // A head is granted before those that wait; the others stand in line behind their own.
    if (this.#waiting.count(ask.priority) === 0) {
      const choice = this.chooser.choose(ask, now);
      if (choice.kind === "node") return Promise.resolve(this.#grant(ask, choice.node, choice.moved, now, now));
      if (choice.kind === "none" && !choice.hopeful && choice.retryAtMs >= waitUntilMs) {
        return Promise.reject(this.#unavailable(ask, choice.retryAtMs, choice.reasons));
      }
    }
    if (ask.priority !== "head" && this.#predictedWaitMs(ask) > waitUntilMs - now) {
      return Promise.reject(this.#shed(ask, "deadline"));
    }
    return this.#wait(ask, now);
  }

  /** Grants what can be granted. Called whenever something changed. */
  dispatch(): void {
    this.#wake?.timer[Symbol.dispose]();
    this.#wake = undefined;
    this.#starving = false;
    if (this.#waiting.size === 0) return;
    let wakeAtMs = Infinity;
    const full = new Set<string>();
    this.#waiting.offer((waiter) => {
      const { ask } = waiter;
      const kind = ask.blockHash === undefined && ask.need.not === undefined
        ? `${ask.need.class} ${ask.need.method} ${ask.priority} ${ask.blockNumber} ${ask.need.stateAt}`
        : undefined;
      if (kind !== undefined && full.has(kind)) return false;
      const now = this.#clock.now();
      const choice = this.chooser.choose(ask, now);
      if (choice.kind === "node") {
        this.#settle(waiter);
        waiter.resolve(this.#grant(ask, choice.node, choice.moved, waiter.sinceMs, now));
        return true;
      }
      if (choice.kind === "none") this.#starving = true;
      else if (kind !== undefined) full.add(kind);
      wakeAtMs = Math.min(wakeAtMs, choice.kind === "busy" ? choice.atMs : choice.retryAtMs);
      return false;
    });
    this.#wakeAt(wakeAtMs);
  }

  /** Refuses those that have waited so long for this class and that no node can serve; whoever follows the head waits. */
  handBack(callClass: CallClass, waitedMs: number): void {
    const now = this.#clock.now();
    for (const waiter of this.#waiting.all()) {
      const { need, priority } = waiter.ask;
      if (need.class !== callClass || priority === "head" || now - waiter.sinceMs < waitedMs) continue;
      const choice = this.chooser.choose(waiter.ask, now);
      if (choice.kind !== "none") continue;
      this.#waiting.remove(waiter);
      this.#settle(waiter);
      waiter.reject(this.#unavailable(waiter.ask, choice.retryAtMs, choice.reasons));
    }
  }

  /** Ends leases on this node. */
  abortNode(node: PoolNode, reason: Error): void {
    for (const lease of this.#leases) if (lease.poolNode === node) lease.abort(reason);
  }

  /** No more leases; resolves when those in hand are over. */
  drain(): Promise<void> {
    this.#refuseAll("shutdown");
    if (this.#leases.size === 0) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#drained = resolve;
    return promise;
  }

  /** Ends everything now. */
  stop(reason: Error): void {
    this.#refuseAll("shutdown");
    for (const lease of this.#leases) {
      lease.abort(reason);
      lease.report({ kind: "cancelled" });
    }
    this.#wake?.timer[Symbol.dispose]();
    this.sweep[Symbol.dispose]();
  }

  #refuseAll(reason: ShedReason): void {
    this.#stopped ??= new Overloaded(this.#network, "process", reason, 0);
    for (const waiter of this.#waiting.all()) {
      this.#waiting.remove(waiter);
      this.#settle(waiter);
      waiter.reject(this.#shed(waiter.ask, reason));
    }
  }

  #wait(ask: LeaseAsk, now: number): Promise<GrantedLease> {
    const { promise, resolve, reject } = Promise.withResolvers<GrantedLease>();
    const end = (error: () => Error) => {
      if (!this.#waiting.remove(waiter)) return;
      this.#settle(waiter);
      reject(error());
    };
    const aborted = () => end(() => ask.signal!.reason as Error);
    const waiter: Waiter = {
      ask,
      sinceMs: now,
      resolve,
      reject,
      deadline: this.sweep.at(waitUntil(ask), () => end(() => this.#late(ask))),
      unlisten: () => ask.signal?.removeEventListener("abort", aborted),
    };
    ask.signal?.addEventListener("abort", aborted, { once: true });
    const displaced = this.#waiting.add(waiter);
    if (displaced !== undefined) {
      this.#settle(displaced);
      displaced.reject(this.#shed(displaced.ask, "queue_full"));
    }
    const choice = this.chooser.choose(ask, now);
    if (choice.kind === "none" && !this.#starving) {
      this.#starving = true;
      this.#context.starved();
    }
    this.#wakeAt(choice.kind === "busy" ? choice.atMs : choice.kind === "none" ? choice.retryAtMs : now);
    return promise;
  }

  /** The deadline of a waiting lease passed: was there no node, or no slot? */
  #late(ask: LeaseAsk): Error {
    const choice = this.chooser.choose(ask, this.#clock.now());
    if (choice.kind !== "none") return new DeadlineExceeded(this.#network, ask.need.class);
    return this.#unavailable(ask, choice.retryAtMs, choice.reasons);
  }

  #unavailable(ask: LeaseAsk, retryAtMs: number, reasons: ReadonlyMap<string, string>): Error {
    emit({ kind: "rpc_shed", network: this.#network, priority: ask.priority, reason: "no_node" });
    return new NodesUnavailable(this.#network, ask.need.class, retryAtMs, reasons);
  }

  #shed(ask: LeaseAsk, reason: ShedReason): Error {
    emit({ kind: "rpc_shed", network: this.#network, priority: ask.priority, reason });
    return new Overloaded(this.#network, ask.priority, reason, this.#waiting.size);
  }

  #settle(waiter: Waiter): void {
    waiter.deadline[Symbol.dispose]();
    waiter.unlisten();
  }

  /** Those ahead in line, at the pace of the class. */
  #predictedWaitMs(ask: LeaseAsk): number {
    const ahead = this.#waiting.count(ask.priority);
    if (ahead === 0) return 0;
    let perMs = 0;
    for (const node of this.#context.nodes) {
      const { latencies, limit } = node.classes[ask.need.class];
      if (latencies.p95Ms !== undefined) perMs += limit / latencies.p95Ms;
    }
    return perMs === 0 ? 0 : ahead / perMs;
  }

  #wakeAt(atMs: number): void {
    if (atMs === Infinity || this.#waiting.size === 0) return;
    if (this.#wake !== undefined && this.#wake.atMs <= atMs) return;
    this.#wake?.timer[Symbol.dispose]();
    const timer = this.#clock.after(Math.max(1, Math.ceil(atMs - this.#clock.now())), () => this.dispatch());
    this.#wake = { atMs, timer };
  }

  #grant(ask: LeaseAsk, node: PoolNode, moved: boolean, sinceMs: number, now: number): GrantedLease {
    const { need } = ask;
    const figures = node.classes[need.class];
    const bytes = need.class === "trace" ? node.predictedBytes(ask) ?? 0 : 0;
    figures.throughput.add(now);
    figures.inFlight[rankOf(ask.priority)]!++;
    figures.total++;
    node.traceBytesInFlight += bytes;
    node.rates.take(now, need.method, rateCost(ask));
    const endByMs = Math.min(ask.deadlineMs, now + node.limitMs(need.class, need.method));
    const lease = new GrantedLeaseImpl(ask, node, moved, now, endByMs, bytes, this.sweep, this.#ended);
    this.#leases.add(lease);
    emit({
      kind: "rpc_leased",
      network: this.#network,
      node: node.name,
      class: need.class,
      priority: ask.priority,
      waitMs: now - sinceMs,
    });
    this.#context.slotChanged(need.class);
    return lease;
  }

  #end(lease: GrantedLeaseImpl, outcome: Outcome): void {
    const { poolNode: node, ask } = lease;
    const figures = node.classes[ask.need.class];
    this.#leases.delete(lease);
    const full = figures.total >= figures.limit;
    figures.inFlight[rankOf(ask.priority)]!--;
    figures.total--;
    node.traceBytesInFlight -= lease.traceBytes;
    this.#learn(lease, outcome, full, this.#clock.now());
    this.dispatch();
    if (outcome.kind === "ok" || outcome.kind === "cancelled") this.#context.slotChanged(ask.need.class);
    else this.#context.changed();
    if (this.#leases.size === 0) this.#drained?.();
  }

  #learn(lease: GrantedLease, outcome: Outcome, full: boolean, now: number): void {
    const { poolNode: node, ask } = lease;
    emit({
      kind: "rpc_finished",
      network: this.#network,
      node: node.name,
      class: ask.need.class,
      outcome: outcome.kind,
      bytes: outcome.kind === "ok" ? outcome.bytes : outcome.kind === "failed" ? outcome.failure.bytes : 0,
      firstByteMs: outcome.kind === "ok" ? outcome.firstByteMs : undefined,
      totalMs: outcome.kind === "ok" ? outcome.totalMs : undefined,
    });
    switch (outcome.kind) {
      case "ok":
        return this.#succeeded(lease, outcome, now, full);
      case "failed":
        return this.#failed(lease, outcome.failure, now, full);
      case "violated":
        node.classes.trace.breaker.judged(now, true);
        node.classes.trace.reliability.add(now, false);
        if (ask.blockHash !== undefined) this.chooser.leave(ask.blockHash, node, "violated");
        return emit({
          kind: "rpc_violated",
          network: this.#network,
          node: node.name,
          identity: outcome.identity,
          client: node.clientVersion,
        });
      case "cancelled":
        return;
    }
  }

  #succeeded(lease: GrantedLease, outcome: Extract<Outcome, { kind: "ok" }>, now: number, full: boolean): void {
    const { poolNode: node, ask } = lease;
    const callClass = ask.need.class;
    const figures = node.classes[callClass];
    this.#silent.delete(node);
    node.connection.succeeded();
    node.rates.passed(lease.startedMs, ask.need.method);
    if (figures.breaker.state === "half_open") {
      figures.breaker.probeSucceeded(now);
    } else figures.breaker.succeeded();
    figures.reliability.add(now, true);
    figures.completed(now, outcome.units, full);
    if (callClass === "trace") {
      figures.breaker.judged(now, false);
      node.traced(outcome.units, outcome.bytes, outcome.totalMs, ask.need.transactionHash);
    } else if (outcome.totalMs > 0) {
      figures.speed.add(outcome.units * 1000 / outcome.totalMs);
    }
    figures.latencies.add(outcome.totalMs);
  }

  /** The table of actions: what each failure means for the node. */
  #failed(lease: GrantedLease, failure: Failure, now: number, full: boolean): void {
    const { poolNode: node, ask } = lease;
    node.lastFailure = { failure, atMs: now };
    this.emitFailure(failure);
    const figures = node.classes[ask.need.class];
    const blamed = () => {
      figures.reliability.add(now, false);
      figures.breaker.failed(now, failure.reason);
      if (figures.breaker.state === "half_open") figures.breaker.probeFailed(now, failure.reason);
    };
    const leave = () => ask.blockHash === undefined || this.chooser.leave(ask.blockHash, node, failure.action);
    switch (failure.action) {
      case "answer":
      case "dead":
        // The node did its part.
        node.connection.succeeded();
        node.rates.passed(lease.startedMs, ask.need.method);
        figures.breaker.succeeded();
        figures.completed(now, 1, full);
        break;
      case "same":
        break;
      case "limit":
        this.rateLimited(node, ask.need.method, failure, now);
        break;
      case "missing":
        leave();
        break;
      case "depth":
        this.#learnDepth(node, ask, failure, now);
        leave();
        break;
      case "split":
        if (failure.capBytes !== undefined) node.replyBytes = Math.min(node.replyBytes ?? Infinity, failure.capBytes);
        this.#learnTooLarge(lease, failure, now, blamed);
        break;
      case "overload":
        // A gateway may refuse by chance; a node that says that it has too much is believed.
        if (failure.reason === "gateway") figures.refused(now, lease.startedMs);
        else figures.overloaded(now, lease.startedMs);
        blamed();
        leave();
        break;
      case "other":
        if (failure.connection) node.connection.failed(now, failure.reason);
        if (isTimeout(failure) && ask.need.class === "trace") this.#tooSlow(lease, now, blamed);
        else blamed();
        if (failure.reason === "cut" || isTimeout(failure)) figures.refused(now, lease.startedMs);
        leave();
        break;
      case "fatal":
        blamed();
        leave();
        this.#context.refused(node, failure);
        break;
    }
    if (failure.reason === "first_byte_timeout") this.#countSilence(lease);
    else this.#silent.delete(node);
  }

  /** A trace that ran out of time: the node's failure, or a wrong prediction of ours? */
  #tooSlow(lease: GrantedLease, now: number, blamed: () => void): void {
    const { poolNode: node, ask, startedMs, endByMs } = lease;
    const predictedMs = node.predictedMs(ask.need.units);
    const limitMs = endByMs - startedMs;
    if (predictedMs === undefined || predictedMs < PREDICTED_SHARE * limitMs) return blamed();
    node.classes.trace.speed.add((ask.need.units ?? 1) * 1000 / (now - startedMs));
  }

  #learnTooLarge(lease: GrantedLease, failure: Failure, now: number, blamed: () => void): void {
    const { poolNode: node, ask } = lease;
    if (ask.need.class === "trace") {
      if (failure.reason === "execution_timeout" || failure.reason === "request_timed_out") {
        node.classes.trace.overloaded(now, lease.startedMs);
        this.#tooSlow(lease, now, blamed);
      }
    } else if ((ask.need.units ?? 1) > 1) {
      node.batchItems = Math.max(1, Math.floor(Math.min(node.batchItems, ask.need.units!) / BATCH_HALVES));
    }
  }

  #learnDepth(node: PoolNode, ask: LeaseAsk, failure: Failure, now: number): void {
    if (failure.capability === "method") node.methodOff(failure.method, now);
    else {
      const block = ask.need.stateAt ?? ask.blockNumber;
      if (block !== undefined) node.stateMissing(block, now);
    }
  }

  /** Two calls without a byte: the idle connections may be dead without a sign. */
  #countSilence({ poolNode: node, node: view }: GrantedLease): void {
    const calls = (this.#silent.get(node) ?? 0) + 1;
    this.#silent.set(node, calls);
    if (calls % SILENT_CALLS === 0) this.#context.renew(view);
  }

  /** The node asked for fewer requests. */
  rateLimited(node: PoolNode, method: string, failure: Failure, now: number): void {
    node.rates.limited(now, method, failure.retryAfterMs);
    const untilMs = node.rates.pausedUntilMs(method);
    emit({ kind: "rpc_rate_limited", network: this.#network, node: node.name, method, untilMs });
  }

  emitFailure(failure: Failure): void {
    emit({
      kind: "rpc_failed",
      network: this.#network,
      node: failure.node,
      class: failure.class,
      method: failure.method,
      action: failure.action,
      reason: failure.reason,
      code: failure.code,
      text: failure.text,
    });
  }
}

/** Until when a lease is waited for. */
function waitUntil({ deadlineMs, waitUntilMs = Infinity }: LeaseAsk): number {
  return Math.min(deadlineMs, waitUntilMs);
}

function isTimeout(failure: Failure): boolean {
  return failure.reason === "first_byte_timeout" || failure.reason === "timeout" || failure.reason === "stalled";
}

/** One lease. Its deadline, abort and loss are all one entry of the sweep. */
class GrantedLeaseImpl implements GrantedLease {
  readonly node: NodeView;
  readonly #abort = new AbortController();
  readonly #ended: (lease: GrantedLeaseImpl, outcome: Outcome) => void;
  readonly #sweep: Sweep;
  #due: Disposable;
  /** Forwards the caller's abort; most callers have none. */
  #forward: (() => void) | undefined;
  #reported = false;

  constructor(
    readonly ask: LeaseAsk,
    readonly poolNode: PoolNode,
    readonly moved: boolean,
    readonly startedMs: number,
    readonly endByMs: number,
    /** Predicted bytes of the reply of a trace. */
    readonly traceBytes: number,
    sweep: Sweep,
    ended: (lease: GrantedLeaseImpl, outcome: Outcome) => void,
  ) {
    this.node = poolNode.view(ask.need.class, Math.max(1, endByMs - startedMs - MARGIN_MS));
    this.#ended = ended;
    this.#sweep = sweep;
    this.#due = sweep.at(endByMs, () => this.#end());
    const { signal } = ask;
    if (signal === undefined) return;
    this.#forward = () => this.#abort.abort(signal.reason);
    signal.addEventListener("abort", this.#forward, { once: true });
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  abort(reason: Error): void {
    this.#abort.abort(reason);
  }

  report(outcome: Outcome): void {
    if (this.#reported) return;
    this.#reported = true;
    this.#due[Symbol.dispose]();
    if (this.#forward !== undefined) this.ask.signal!.removeEventListener("abort", this.#forward);
    this.#ended(this, outcome);
  }

  [Symbol.dispose](): void {
    this.report({ kind: "cancelled" });
  }

  #end(): void {
    this.#abort.abort(new TimeLimit(`Cannot wait longer for node ${this.node.name}: its time limit has passed`));
    this.#due = this.#sweep.at(this.endByMs + ABANDON_MS, () => this.#lose());
  }

  #lose(): void {
    emit({
      kind: "rpc_lease_abandoned",
      network: this.node.network,
      node: this.node.name,
      class: this.ask.need.class,
    });
    this.report({ kind: "cancelled" });
  }
}

/** Whether any lease of the class could be granted, ever or soon, and how many at once. */
export function capacityOf(
  nodes: readonly PoolNode[],
  callClass: CallClass,
  nowMs: number,
): { readonly free: number; readonly available: boolean; readonly reason: string } {
  let [free, available] = [0, false];
  const reasons: string[] = [];
  for (const node of nodes) {
    const refusal = node.refusalOf(callClass, nowMs);
    if (refusal === undefined) {
      available = true;
      free += node.free(callClass);
    } else reasons.push(`${node.name}: ${refusal.reason}`);
  }
  return { free, available, reason: available ? "" : reasons.join("; ") };
}
