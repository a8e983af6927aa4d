/** One node as the pool knows it: what it is, what it was seen to do, and how much it is doing. */
import { clientFlags } from "../ethereum/clients.ts";
import { Breaker, type BreakerTransition } from "./breaker.ts";
import { ConcurrencyLimit } from "./concurrency.ts";
import { Average, Latencies, Reliability, Throughput } from "./figures.ts";
import { callLimitMs, familyReplyBytes, traceLimits } from "./methods.ts";
import type { NodeOptions, NodePoolOptions, RpcOptions } from "./options.ts";
import {
  CALL_CLASSES,
  type CallClass,
  type Failure,
  type Hash,
  type LeaseAsk,
  type NodeCondition,
  type NodeState,
  type NodeView,
  PRIORITIES,
  type Priority,
} from "./port.ts";
import { RateLimits } from "./rate.ts";

/** Where a breaker sits: one per class, one for the connection. */
export type BreakerPlace = CallClass | "connection";

const CONNECTION_FAILURES = 3;
const HEAD_LIMIT = 8;
const METHOD_OFF_MS = 600_000;
const STATE_FORGET_MS = 3_600_000;
/** Start of the prediction of a trace's size. */
const BYTES_PER_STRUCTLOG = 85;
const ANNOUNCED = 256;
/** Share of the time limit that a trace may be predicted to need. */
const TIME_SHARE = 0.8;
/** A trace of at most this many structlogs serves as a probe. */
const SMALL_TRACE = 2_000;
/** Steps in which the weight moves, and how often. */
const WEIGHT_STEP = Math.SQRT2;
const WEIGHT_HOLD_MS = 30_000;
const RATE_AVERAGE = 0.1;

/** Why a node cannot take a call. */
export interface Refusal {
  readonly reason: string;
  /** When it may be over, monotonic; `event`: as soon as something happens; `never`: somebody must do something. */
  readonly until: number | "event" | "never";
  /** `size`: ignored when no node is large enough. `request`: the block's other calls stay. */
  readonly scope: "node" | "request" | "size";
}

/** Figures of one class. */
export class NodeClass {
  readonly breaker: Breaker;
  readonly #limit: ConcurrencyLimit | undefined;
  /** Leases by priority, in the order of {@linkcode PRIORITIES}. */
  readonly inFlight = new Uint32Array(PRIORITIES.length);
  total = 0;
  readonly reliability: Reliability;
  readonly latencies = new Latencies();
  readonly throughput = new Throughput();
  /** Units per second of one call. */
  readonly speed = new Average(RATE_AVERAGE);
  #weight = { value: 1, atMs: -Infinity };

  constructor(breaker: Breaker, limit: ConcurrencyLimit | undefined, nowMs: number) {
    this.breaker = breaker;
    this.#limit = limit;
    this.reliability = new Reliability(nowMs);
  }

  /** Calls at once. */
  get limit(): number {
    return this.#limit?.limit ?? HEAD_LIMIT;
  }

  completed(nowMs: number, units: number, full: boolean): void {
    this.#limit?.completed(nowMs, units, full);
  }

  /** A call failed as in an overload. The call is over, but was part of what the node had to do. */
  refused(nowMs: number, startedAtMs: number): void {
    this.#limit?.refused(nowMs, startedAtMs, this.total + 1);
  }

  /** The node has too much to do. */
  overloaded(nowMs: number, startedAtMs: number): void {
    this.#limit?.overloaded(nowMs, startedAtMs, this.total + 1);
  }

  halve(): void {
    this.#limit?.halve();
  }

  /** Work per second at the limit, where known. */
  get workPerSecond(): number | undefined {
    return this.speed.value === undefined ? undefined : this.speed.value * this.limit;
  }

  /** Weight for the choice, held for a while and moved in steps so that noise moves no block. */
  weight(nowMs: number, configured: number, othersMedian: () => number): number {
    if (nowMs - this.#weight.atMs < WEIGHT_HOLD_MS) return this.#weight.value;
    const raw = (this.workPerSecond ?? othersMedian()) * this.reliability.share(nowMs) ** 2 * configured;
    const value = WEIGHT_STEP ** Math.round(Math.log(Math.max(raw, 1e-9)) / Math.log(WEIGHT_STEP));
    this.#weight = { value, atMs: nowMs };
    return value;
  }
}

/** One node. */
export class PoolNode {
  readonly name: string;
  readonly options: NodeOptions;
  readonly #rpc: RpcOptions;
  readonly #network: string;
  readonly classes: Readonly<Record<CallClass, NodeClass>>;
  readonly connection: Breaker;
  readonly rates: RateLimits;

  // What it is.
  clientVersion = "";
  flags = clientFlags("");
  caCerts: readonly string[] = [];
  balanced: boolean;
  /** Has answered the probes since it was last refused. */
  probed = false;
  /** Why the last probe failed. */
  probeFailure = "";
  /** Why it is of another chain. */
  wrongChain: string | undefined;
  drained = false;
  forked = false;
  /** The nodes do not agree about what lies above this block; absent: they do. */
  splitAbove: number | undefined;
  webSocket: NodeState["webSocket"];

  // What it can do.
  readonly #methodsOff = new Map<string, number>();
  #lowestState: { readonly block?: number; readonly last?: number; readonly untilMs: number } | undefined;
  replyBytes: number | undefined;
  batchItems: number;
  readonly bytesPerStructlog = new Average(RATE_AVERAGE, BYTES_PER_STRUCTLOG);

  // What it is doing.
  traceBytesInFlight = 0;
  lastFailure: { readonly failure: Failure; readonly atMs: number } | undefined;
  /** A small transaction that it traced: the probe of class trace. */
  sample: Hash | undefined;

  // Where it is.
  headNumber: number | undefined;
  lagging = false;
  lagBlocks = 0;
  lagMs = 0;
  readonly #announced = new Set<Hash>();

  constructor(
    options: NodeOptions,
    pool: NodePoolOptions,
    nowMs: number,
    random: () => number,
    moved: (place: BreakerPlace, transition: BreakerTransition) => void,
  ) {
    this.name = options.name;
    this.options = options;
    this.#rpc = pool.rpc;
    this.#network = pool.name;
    const { limits } = options;
    const of = (callClass: CallClass) =>
      new NodeClass(
        new Breaker(pool.rpc.breaker, random, (transition) => moved(callClass, transition)),
        callClass === "head" ? undefined : new ConcurrencyLimit(limits[callClass]),
        nowMs,
      );
    this.classes = { head: of("head"), read: of("read"), receipts: of("receipts"), trace: of("trace") };
    const connection = { ...pool.rpc.breaker, failures: CONNECTION_FAILURES, ratio: 2 };
    this.connection = new Breaker(connection, random, (transition) => moved("connection", transition));
    this.rates = new RateLimits(limits.rates, nowMs, random);
    this.balanced = options.balanced === true;
    this.webSocket = options.ws === undefined ? "none" : "connecting";
    this.batchItems = limits.batchItems;
    this.identify("");
  }

  /** Takes the answer of `web3_clientVersion`. */
  identify(clientVersion: string): void {
    this.clientVersion = clientVersion;
    const { family, limits } = this.options;
    const found = clientFlags(clientVersion);
    this.flags = family === "auto" || family === found.family
      ? found
      : clientFlags(family === "revm" ? "reth" : family);
    this.replyBytes = limits.replyBytes === "auto" ? familyReplyBytes(this.flags.family) : limits.replyBytes;
  }

  /** Predicted bytes of a trace's reply, whole ones: what is added up is taken off again without a rest. */
  predictedBytes(ask: LeaseAsk): number | undefined {
    const { bytes, units, class: callClass } = ask.need;
    if (bytes !== undefined || callClass !== "trace" || units === undefined) return bytes;
    return Math.ceil(units * this.bytesPerStructlog.value!);
  }

  /** Predicted milliseconds of a trace. */
  predictedMs(units: number | undefined): number | undefined {
    const speed = this.classes.trace.speed.value;
    return units === undefined || speed === undefined ? undefined : units * 1000 / speed;
  }

  /** Why it cannot take this call; `undefined` when it can. */
  refusal(ask: LeaseAsk, nowMs: number): Refusal | undefined {
    const { need } = ask;
    const own = this.#refusalOfAll(nowMs) ?? this.#refusalOfClass(need.class, nowMs);
    if (own !== undefined) return own;
    if (need.not?.includes(this.name)) return { reason: "excluded", until: "never", scope: "request" };
    const offUntilMs = this.methodOffUntilMs(need.method, nowMs);
    if (offUntilMs !== undefined) {
      return { reason: `${need.method} not available`, until: offUntilMs, scope: "node" };
    }
    const announced = ask.blockHash !== undefined && this.#announced.has(ask.blockHash);
    if (this.forked && !announced) {
      return { reason: "on a fork", until: "event", scope: "node" };
    }
    if (this.splitAbove !== undefined && ask.blockNumber !== undefined && ask.blockNumber > this.splitAbove) {
      return { reason: `the nodes agree up to ${this.splitAbove}`, until: "event", scope: "request" };
    }
    if (ask.blockNumber !== undefined && !announced && (this.headNumber ?? -1) < ask.blockNumber) {
      return { reason: `head ${this.headNumber ?? "unknown"} is below`, until: "event", scope: "node" };
    }
    if (need.stateAt !== undefined && need.stateAt < this.lowestState(nowMs)) {
      return { reason: `no state below ${this.lowestState(nowMs)}`, until: "never", scope: "node" };
    }
    const pausedUntilMs = this.rates.pausedUntilMs(need.method);
    if (pausedUntilMs > nowMs) return { reason: "rate limited", until: pausedUntilMs, scope: "node" };
    return this.#refusalOfSize(ask);
  }

  #refusalOfAll(nowMs: number): Refusal | undefined {
    const never = { until: "never", scope: "node" } as const;
    if (this.wrongChain !== undefined) return { reason: this.wrongChain, ...never };
    if (this.drained) return { reason: "drained", ...never };
    if (!this.probed) return { reason: this.probeFailure || "not probed yet", until: "event", scope: "node" };
    return refusalOfBreaker(this.connection, nowMs, "connection ");
  }

  #refusalOfClass(callClass: CallClass, nowMs: number): Refusal | undefined {
    const { breaker, total } = this.classes[callClass];
    // Without a transaction to probe with, one real call is the probe.
    if (breaker.state === "half_open" && callClass === "trace" && this.sample === undefined && total === 0) {
      return undefined;
    }
    return refusalOfBreaker(breaker, nowMs, "");
  }

  #refusalOfSize(ask: LeaseAsk): Refusal | undefined {
    const bytes = this.predictedBytes(ask);
    if (bytes !== undefined && this.replyBytes !== undefined && bytes > this.replyBytes) {
      return { reason: `replies end at ${this.replyBytes} bytes`, until: "never", scope: "size" };
    }
    if (ask.need.class !== "trace") return undefined;
    const limitMs = traceLimits(this.flags.family, this.options).wholeMs;
    const predictedMs = this.predictedMs(ask.need.units);
    if (predictedMs === undefined || predictedMs <= TIME_SHARE * limitMs) return undefined;
    return { reason: `too slow for its limit of ${limitMs} ms`, until: "never", scope: "size" };
  }

  /** Why nothing of the class can be asked, whatever the request. */
  refusalOf(callClass: CallClass, nowMs: number): Refusal | undefined {
    const own = this.#refusalOfAll(nowMs) ?? this.#refusalOfClass(callClass, nowMs);
    if (own !== undefined || callClass === "read" || callClass === "head") return own;
    const methods = callClass === "trace"
      ? ["debug_traceTransaction", "debug_traceBlockByHash"]
      : ["eth_getBlockReceipts"];
    const untils = methods.map((method) => this.methodOffUntilMs(method, nowMs));
    if (untils.some((untilMs) => untilMs === undefined)) return undefined;
    return { reason: `${methods[0]} not available`, until: Math.min(...untils as number[]), scope: "node" };
  }

  /** Whether one more lease of this priority fits. */
  hasSlot(ask: LeaseAsk): boolean {
    const { priority, need } = ask;
    const { inFlight, total, limit } = this.classes[need.class];
    if (total > 0) {
      // What a priority and those below it hold is bounded by its share: the rest is kept for those above.
      let held = 0;
      const own = rankOf(priority);
      for (let rank = PRIORITIES.length - 1; rank >= 0; rank--) {
        held += inFlight[rank]!;
        if (rank > own) continue;
        if (held >= Math.max(1, Math.floor(this.#rpc.shares[PRIORITIES[rank]!] * limit))) return false;
      }
    }
    if (need.class !== "trace" || total === 0) return true;
    return this.traceBytesInFlight + (this.predictedBytes(ask) ?? 0) <= this.options.limits.traceBytes;
  }

  /** Slots that would be granted to the highest priority. */
  free(callClass: CallClass): number {
    const { limit, total } = this.classes[callClass];
    return Math.max(0, limit - total);
  }

  /** What a call of this class needs to be sent, within `wholeMs`. */
  view(callClass: CallClass, wholeMs: number): NodeView {
    const { url, headers, gzip } = this.options;
    return {
      network: this.#network,
      name: this.name,
      url,
      headers,
      gzip,
      clientVersion: this.clientVersion,
      flags: this.flags,
      caCerts: this.caCerts,
      connections: this.options.limits.read.max,
      limits: callClass === "trace"
        ? this.#traceLimits(wholeMs)
        : { wholeMs, firstByteMs: wholeMs, stallMs: this.#rpc.timeouts.stall },
    };
  }

  #traceLimits(wholeMs: number): NodeView["limits"] {
    const { firstByteMs, executionMs } = traceLimits(this.flags.family, this.options);
    return {
      wholeMs,
      firstByteMs: Math.min(firstByteMs, wholeMs),
      stallMs: this.#rpc.timeouts.stall,
      executionMs: executionMs && Math.max(1_000, Math.min(executionMs, Math.floor(wholeMs) - 1_000)),
    };
  }

  /** How long a call may take here. */
  limitMs(callClass: CallClass, method: string): number {
    return callClass === "trace"
      ? traceLimits(this.flags.family, this.options).wholeMs
      : callLimitMs(callClass, method, this.options, this.#rpc);
  }

  announce(hash: Hash): void {
    this.#announced.delete(hash);
    this.#announced.add(hash);
    if (this.#announced.size > ANNOUNCED) this.#announced.delete(this.#announced.values().next().value!);
  }

  hasAnnounced(hash: Hash): boolean {
    return this.#announced.has(hash);
  }

  methodOff(method: string, nowMs: number): void {
    this.#methodsOff.set(method, nowMs + METHOD_OFF_MS);
  }

  methodOn(method: string): void {
    this.#methodsOff.delete(method);
  }

  methodOffUntilMs(method: string, nowMs: number): number | undefined {
    const { allow, deny } = this.options.methods;
    if (deny.includes(method) || (allow.length > 0 && !allow.includes(method))) return Infinity;
    const untilMs = this.#methodsOff.get(method);
    return untilMs === undefined || untilMs <= nowMs ? undefined : untilMs;
  }

  get methodsOff(): readonly string[] {
    return [...this.#methodsOff.keys(), ...this.options.methods.deny];
  }

  /** State of `block` was missing: near the head the node keeps the last blocks, else it begins above. */
  stateMissing(block: number, nowMs: number): void {
    const last = this.headNumber === undefined ? Infinity : this.headNumber - block;
    this.#lowestState = last < STATE_RECENT
      ? { last: Math.min(last, this.#lowestState?.last ?? Infinity), untilMs: nowMs + STATE_FORGET_MS }
      : { block: Math.max(block + 1, this.#lowestState?.block ?? 0), untilMs: nowMs + STATE_FORGET_MS };
  }

  /** Lowest block with state; 0 while nothing else is known. */
  lowestState(nowMs: number): number {
    const { depth } = this.options;
    const head = this.headNumber ?? Infinity;
    if (typeof depth === "number") return head === Infinity ? 0 : Math.max(0, head - depth + 1);
    if (depth === "full" || this.#lowestState === undefined || this.#lowestState.untilMs <= nowMs) return 0;
    const { block, last } = this.#lowestState;
    return block ?? (head === Infinity ? 0 : Math.max(0, head - last! + 1));
  }

  /** Takes a finished trace into the predictions. */
  traced(units: number, bytes: number, totalMs: number, transaction: Hash | undefined): void {
    if (units >= 100) this.bytesPerStructlog.add(bytes / units);
    if (units >= 100 && totalMs > 0) this.classes.trace.speed.add(units * 1000 / totalMs);
    if (transaction !== undefined && units <= SMALL_TRACE) this.sample = transaction;
  }

  condition(nowMs: number): NodeCondition {
    if (this.wrongChain !== undefined) return "wrong_chain";
    if (this.drained) return "drained";
    if (!this.probed) return this.probeFailure !== "" ? "down" : this.clientVersion === "" ? "new" : "probing";
    if (refusalOfBreaker(this.connection, nowMs, "") !== undefined) return "down";
    if (this.forked) return "forked";
    return this.lagging ? "lagging" : "ready";
  }

  /** Forgets what was learned. */
  forget(nowMs: number): void {
    this.#methodsOff.clear();
    this.#lowestState = undefined;
    this.wrongChain = undefined;
    this.forked = false;
    this.probed = false;
    this.probeFailure = "";
    this.batchItems = this.options.limits.batchItems;
    this.rates.reset();
    for (const callClass of CALL_CLASSES) this.classes[callClass].breaker.reset(nowMs);
    this.connection.reset(nowMs);
    this.identify(this.clientVersion);
  }

  state(nowMs: number): NodeState {
    const rate = this.rates.tightest();
    const pausedUntilMs = this.rates.pausedUntilMs("");
    const lowestState = this.lowestState(nowMs);
    const classes = Object.fromEntries(CALL_CLASSES.map((callClass) => {
      const { limit, total, speed, breaker, reliability, latencies } = this.classes[callClass];
      const p95Ms = latencies.p95Ms;
      return [callClass, {
        limit,
        inFlight: total,
        unitsPerSecond: speed.value ?? 0,
        perSecond: this.classes[callClass].throughput.perSecond(nowMs),
        breaker: breaker.state,
        ...reliability.counts(nowMs),
        ...(p95Ms === undefined ? {} : { p95Ms }),
        reason: this.refusalOf(callClass, nowMs)?.reason ?? "",
      }];
    })) as unknown as NodeState["classes"];
    return {
      name: this.name,
      tier: this.options.tier,
      condition: this.condition(nowMs),
      clientVersion: this.clientVersion,
      family: this.clientVersion === "" && this.options.family === "auto" ? "" : this.flags.family,
      ...(this.headNumber === undefined
        ? {}
        : { headNumber: this.headNumber, lagBlocks: this.lagBlocks, lagMs: this.lagMs }),
      ...(lowestState === 0 ? {} : { lowestState }),
      methodsOff: this.methodsOff,
      ...(this.replyBytes === undefined ? {} : { replyBytes: this.replyBytes }),
      batchItems: this.batchItems,
      balanced: this.balanced,
      bytesPerStructlog: this.bytesPerStructlog.value!,
      traceBytesInFlight: this.traceBytesInFlight,
      ...(rate === undefined ? {} : { ratePerSecond: rate.perSecond }),
      ...(pausedUntilMs > nowMs ? { pausedMs: pausedUntilMs - nowMs } : {}),
      webSocket: this.webSocket,
      connectionBreaker: this.connection.state,
      classes,
      ...(this.lastFailure === undefined
        ? {}
        : { lastFailure: { failure: this.lastFailure.failure, ageMs: nowMs - this.lastFailure.atMs } }),
    };
  }
}

/** Blocks behind the head within which a missing state means "keeps the last n blocks". */
const STATE_RECENT = 100_000;

function refusalOfBreaker(breaker: Breaker, nowMs: number, what: string): Refusal | undefined {
  if (breaker.state === "closed") return undefined;
  const until = breaker.state === "open" && breaker.retryAtMs > nowMs ? breaker.retryAtMs : "event";
  return { reason: `${what}breaker ${breaker.state}: ${breaker.reason}`, until, scope: "node" };
}

/** Position in {@linkcode PRIORITIES}. */
export function rankOf(priority: Priority): number {
  return PRIORITIES.indexOf(priority);
}
