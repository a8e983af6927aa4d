/** The pool of nodes of one network, put together: {@linkcode openNodePool} is the way in. */
import type { Observable } from "rxjs";
import { emit } from "../telemetry/emit.ts";
import { HedgeBudget, RetryBudget } from "./budget.ts";
import { type Clock, systemClock } from "./clock.ts";
import { Connections } from "./connections.ts";
import { Direct, Sender } from "./direct.ts";
import { each } from "./each.ts";
import { RpcFailure } from "./failure.ts";
import { FanOut } from "./fan_out.ts";
import { capacityOf, Grants } from "./grants.ts";
import { HeadBook, type HeadFacts } from "./heads.ts";
import { type OpenSocket, openWebSocket, watchHeads } from "./head_watch.ts";
import { HttpTransport, type Transport } from "./http_transport.ts";
import { PoolNode } from "./node.ts";
import type { NodePoolOptions } from "./options.ts";
import {
  type BreakerControl,
  type Call,
  CALL_CLASSES,
  type CallClass,
  type Capacity,
  type EachAsk,
  type EachResults,
  type Failure,
  type FailureMode,
  type Hash,
  type Head,
  type Lease,
  type LeaseAsk,
  type NodeName,
  type NodePool,
  type NodeState,
  PRIORITIES,
  type RequestAsk,
  type Result,
} from "./port.ts";
import { Batches } from "./batches.ts";
import { Requests } from "./requests.ts";
import { Upkeep } from "./upkeep.ts";

const GAUGES_MS = 5_000;
/** Reasons of failures in which the node fell silent within a call. */
const BROKEN_OFF: ReadonlySet<string> = new Set(["cut", "stalled", "timeout", "first_byte_timeout"]);
/** Lag that grows by this much while the node traces at half of its limit or more lowers the limit. */
const LAG_GROWTH = 2;

/** What a simulation replaces. */
export interface PoolSeams {
  readonly clock: Clock;
  /** In [0, 1). */
  readonly random: () => number;
  readonly transport: Transport;
  readonly openSocket: OpenSocket;
}

/** Opens the pool; it introduces its nodes in the background. Dispose of it to end everything. */
export function openNodePool(options: NodePoolOptions, seams: Partial<PoolSeams> = {}): NodePool {
  return new Pool(options, seams);
}

class Pool implements NodePool {
  readonly network: string;
  readonly #options: NodePoolOptions;
  readonly #clock: Clock;
  readonly #connections = new Connections();
  readonly #nodes: readonly PoolNode[];
  readonly #grants: Grants;
  readonly #heads: HeadBook;
  readonly #upkeep: Upkeep;
  readonly #requests: Requests;
  readonly #batches: Batches;
  readonly #retries: RetryBudget;
  readonly #hedges: HedgeBudget;
  readonly #shutdown = new AbortController();
  readonly #capacity: FanOut<Capacity>;
  readonly #headFan = new FanOut<Head>();
  readonly #pendingFan = new FanOut<Hash>();
  readonly #pendingSeen = new Set<Hash>();
  readonly #told = new Map<CallClass, Capacity>();
  readonly #lag = new Map<PoolNode, number>();
  #watches: Promise<unknown>;
  #gauges: Disposable | undefined;
  #closed = false;

  constructor(options: NodePoolOptions, seams: Partial<PoolSeams>) {
    const clock = this.#clock = seams.clock ?? systemClock;
    const random = seams.random ?? Math.random;
    const transport = seams.transport ?? new HttpTransport(this.#connections);
    this.network = options.name;
    this.#options = options;
    const now = clock.now();
    this.#nodes = options.nodes.filter((node) => node.enabled).map((node) => {
      const made: PoolNode = new PoolNode(
        node,
        options,
        now,
        random,
        (place, transition) => this.#upkeep.breakerMoved(made, place, transition),
      );
      return made;
    });
    const nodes = this.#nodes;
    const changed = () => this.#changed();
    this.#grants = new Grants({
      options,
      nodes,
      clock,
      random,
      slotChanged: (callClass) => this.#tellCapacity(callClass),
      changed,
      refused: (node, failure) => this.#upkeep.refused(node, failure),
      renew: (view) => transport.renew(view),
      starved: () => this.#upkeep.seekLife(),
    });
    const grants = this.#grants;
    const sender = new Sender(transport);
    const { signal } = this.#shutdown;
    const direct = new Direct(sender, grants.sweep, () => clock.now(), signal);
    this.#heads = new HeadBook(options.rpc.lag, nodes.length, () => clock.epochMs());
    const heads = this.#heads;
    const seen = (node: PoolNode, head: HeadFacts, isNewest = true) => this.#seen(node, head, isNewest);
    const nodeChanged = () => {
      this.#changed();
      grants.dispatch();
    };
    this.#upkeep = new Upkeep({ options, nodes, clock, direct, grants, heads, seen, changed: nodeChanged, signal });
    this.#retries = new RetryBudget(options.rpc.retry);
    this.#hedges = new HedgeBudget(options.rpc.hedge.ratio);
    const [retries, hedges] = [this.#retries, this.#hedges];
    const failed = (failure: Failure) => this.#failed(failure);
    const calls = { options, nodes, clock, random, grants, sender, heads, retries, hedges, failed };
    this.#requests = new Requests(calls);
    this.#batches = new Batches(calls, this.#requests);
    this.#capacity = new FanOut(() => CALL_CLASSES.map((callClass) => this.#capacityNow(callClass)));
    this.#upkeep.start();
    this.#watches = Promise.all(nodes.map((node) =>
      watchHeads(node, {
        network: options.name,
        clock,
        random,
        direct,
        openSocket: seams.openSocket ?? openWebSocket,
        blockTimeMs: options.blockTime,
        headLimitMs: node.limitMs("head", "eth_getBlockByNumber"),
        pending: () => options.rpc.pending.enabled,
        seen,
        pendingSeen: (hash) => this.#pendingHash(hash),
        reconnected: (again) => this.#upkeep.reconnected(again),
        polled: (polled, ok, failure) => this.#polled(polled, ok, failure),
      }, signal)
    ));
    this.#measure();
  }

  get capacity(): Observable<Capacity> {
    return this.#capacity.values;
  }

  get heads(): Observable<Head> {
    return this.#headFan.values;
  }

  get pendingHashes(): Observable<Hash> {
    return this.#pendingFan.values;
  }

  lease(ask: LeaseAsk): Promise<Lease> {
    return this.#grants.lease(ask);
  }

  request<T>(method: string, params: readonly unknown[], ask: RequestAsk<T>): Promise<T> {
    return this.#requests.request({ method, params }, ask);
  }

  batch<T>(calls: readonly Call[], ask: RequestAsk<T> & { readonly mode: FailureMode }): Promise<readonly Result<T>[]> {
    return this.#batches.batch(calls, ask);
  }

  async each<T, R>(
    items: Iterable<T>,
    ask: EachAsk,
    work: (item: T, signal: AbortSignal, index: number) => Promise<R>,
  ): Promise<EachResults<R>> {
    const started = this.#clock.now();
    const concurrency = ask.concurrency ?? this.#options.rpc.each.concurrency;
    let [done, failed] = [0, 0];
    try {
      return await each(items, { ...ask, concurrency }, async (item, signal, index) => {
        try {
          const value = await work(item, signal, index);
          done++;
          return value;
        } catch (error) {
          failed++;
          throw error;
        }
      });
    } finally {
      const seconds = (this.#clock.now() - started) / 1000;
      emit({ kind: "rpc_each", network: this.network, done, failed, seconds });
    }
  }

  nodes(): readonly NodeState[] {
    const now = this.#clock.now();
    return this.#nodes.map((node) => node.state(now));
  }

  breaker(name: NodeName, callClass: CallClass): BreakerControl {
    const { breaker } = this.#node(name).classes[callClass];
    const now = () => this.#clock.now();
    return {
      get state() {
        return breaker.state;
      },
      get failures() {
        return breaker.failures;
      },
      reset: () => breaker.reset(now()),
      open: (reason) => breaker.open(now(), reason),
    };
  }

  async isOutage(failure: Failure): Promise<boolean> {
    if (this.#failed(failure).release) return true;
    const node = this.#nodes.find(({ name }) => name === failure.node);
    return node !== undefined && BROKEN_OFF.has(failure.reason) && !await this.#upkeep.isAlive(node);
  }

  ready(signal?: AbortSignal): Promise<void> {
    return this.#upkeep.ready(signal);
  }

  setDrained(name: NodeName, drained: boolean): void {
    this.#node(name).drained = drained;
    this.#changed();
    this.#grants.dispatch();
  }

  reset(name: NodeName): void {
    const node = this.#node(name);
    node.forget(this.#clock.now());
    this.#heads.forget(node);
    this.#upkeep.introduce(node);
    this.#changed();
  }

  drain(): Promise<void> {
    return this.#grants.drain();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const reason = new DOMException(`The pool of network ${this.network} is closed`, "AbortError");
    this.#shutdown.abort(reason);
    this.#gauges?.[Symbol.dispose]();
    this.#upkeep.stop();
    this.#requests[Symbol.dispose]();
    this.#grants.stop(reason);
    await this.#watches;
    for (const fan of [this.#capacity, this.#headFan, this.#pendingFan]) fan.end();
    this.#connections[Symbol.dispose]();
  }

  /** The error of a call; it releases the task where the node, not the task, is to blame. */
  #failed(failure: Failure): RpcFailure {
    const node = this.#nodes.find(({ name }) => name === failure.node);
    const nodeDown = node !== undefined && (node.connection.state !== "closed" || !node.probed);
    const released = failure.action === "limit" || failure.action === "overload" || failure.action === "missing" ||
      failure.action === "same" || failure.action === "depth" || failure.action === "fatal";
    return new RpcFailure(failure, released || failure.connection === true || nodeDown);
  }

  #node(name: NodeName): PoolNode {
    const node = this.#nodes.find((each) => each.name === name);
    if (node !== undefined) return node;
    const known = this.#nodes.map((each) => each.name).join(", ");
    throw new RangeError(`Cannot find node ${name} in network ${this.network}: its nodes are ${known}`);
  }

  #changed(): void {
    if (this.#closed) return;
    this.#upkeep.changed();
    for (const callClass of CALL_CLASSES) this.#tellCapacity(callClass);
  }

  #tellCapacity(callClass: CallClass): void {
    if (this.#closed || !this.#capacity.watched) return;
    const before = this.#told.get(callClass);
    const now = this.#capacityNow(callClass);
    const same = before !== undefined && before.available === now.available && before.reason === now.reason &&
      (before.free === 0) === (now.free === 0);
    if (same) return;
    this.#told.set(callClass, now);
    this.#capacity.next(now);
  }

  #capacityNow(callClass: CallClass): Capacity {
    return { class: callClass, ...capacityOf(this.#nodes, callClass, this.#clock.now()) };
  }

  #seen(node: PoolNode, facts: HeadFacts, isNewest: boolean): void {
    const now = this.#clock.now();
    const lagBefore = this.#lag.get(node) ?? 0;
    const { result, head } = this.#heads.observe(node, facts, now, isNewest);
    emit({ kind: "rpc_head", network: this.network, node: node.name, result });
    for (const other of this.#nodes) {
      const { trace } = other.classes;
      const grown = other.lagBlocks - (this.#lag.get(other) ?? 0);
      // Our load must not push a node behind.
      if (grown >= LAG_GROWTH && trace.total * 2 >= trace.limit) trace.overloaded(now, now);
      if (grown !== 0 && (grown >= LAG_GROWTH || grown < 0)) this.#lag.set(other, other.lagBlocks);
    }
    if (head !== undefined) this.#headFan.next(head);
    this.#grants.dispatch();
    if (lagBefore !== node.lagBlocks) this.#changed();
  }

  #polled(node: PoolNode, ok: boolean, failure: Failure | undefined): void {
    const now = this.#clock.now();
    if (ok) node.connection.succeeded();
    else if (failure?.connection) node.connection.failed(now, failure.reason);
  }

  /** Each pending hash once, though several nodes announce it. */
  #pendingHash(hash: Hash): void {
    if (this.#pendingSeen.has(hash)) return;
    this.#pendingSeen.add(hash);
    if (this.#pendingSeen.size > this.#options.rpc.pending.max) {
      this.#pendingSeen.delete(this.#pendingSeen.values().next().value!);
    }
    this.#pendingFan.next(hash);
  }

  #measure(): void {
    this.#gauges = this.#clock.after(GAUGES_MS, () => {
      for (const node of this.#nodes) this.#emitGauges(node);
      emit({
        kind: "rpc_pool_gauges",
        network: this.network,
        waiting: Object.fromEntries(PRIORITIES.map((priority) => [priority, this.#grants.waiting(priority)])),
        pins: this.#grants.chooser.pins,
        retryTokens: this.#retries.left(this.#clock.now()),
        hedgeTokens: this.#hedges.left,
      });
      this.#measure();
    });
  }

  #emitGauges(node: PoolNode): void {
    const now = this.#clock.now();
    const rate = node.rates.tightest();
    emit({
      kind: "rpc_node_gauges",
      network: this.network,
      node: node.name,
      condition: node.condition(now),
      headNumber: node.headNumber,
      lagBlocks: node.lagBlocks,
      lagSeconds: node.lagMs / 1000,
      traceBytesInFlight: node.traceBytesInFlight,
      structlogsPerSecond: node.classes.trace.speed.value ?? 0,
      ratePerSecond: rate?.perSecond,
      rateLearned: rate?.learned ?? false,
      connectionBreaker: BREAKER_GAUGE[node.connection.state],
      classes: CALL_CLASSES.map((callClass) => {
        const { limit, total, breaker } = node.classes[callClass];
        return {
          class: callClass,
          limit,
          inFlight: total,
          breaker: BREAKER_GAUGE[breaker.state],
          breakerFailures: breaker.failures,
          weight: this.#grants.chooser.weightOf(node, callClass, now),
        };
      }),
    });
  }
}

const BREAKER_GAUGE = { closed: 0, half_open: 1, open: 2 } as const;
