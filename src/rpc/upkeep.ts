/**
 * What the pool does about its nodes on its own: introduces them, probes those whose breakers are open, compares their
 * chains, and looks for the first one to return when none can serve.
 */
import { emit } from "../telemetry/emit.ts";
import type { BreakerTransition } from "./breaker.ts";
import { type Clock, pause } from "./clock.ts";
import type { Direct } from "./direct.ts";
import { NetworkRefused, RpcFailure } from "./failure.ts";
import { capacityOf, type Grants } from "./grants.ts";
import { type HeadBook, type HeadFacts, readHead, readQuantity } from "./heads.ts";
import { callLimitMs, traceLimits } from "./methods.ts";
import type { BreakerPlace, PoolNode } from "./node.ts";
import type { NodePoolOptions } from "./options.ts";
import { type Call, CALL_CLASSES, type CallClass, type Failure, type Hash, type NodeCondition } from "./port.ts";

/** A node that fails once by chance joins all the same; one that is away is asked later and later. */
const RETRY_MS = 50;
const RETRY_MAX_MS = 10_000;
/** Pace of looking for life while no node can serve a class. */
const LIVENESS_MS = 750;
const FORK_CHECK_MS = 30_000;
const FORK_DEPTH = 8;
const OUTAGE_REPEAT_MS = 60_000;
/** How long leases wait in an outage before their tasks go back, to be done by whoever can. */
const HAND_BACK_MS = 5_000;

/** What the upkeep works with. */
export interface UpkeepContext {
  readonly options: NodePoolOptions;
  readonly nodes: readonly PoolNode[];
  readonly clock: Clock;
  readonly direct: Direct;
  readonly grants: Grants;
  readonly heads: HeadBook;
  readonly seen: (node: PoolNode, head: HeadFacts) => void;
  /** A node can do more or less than before. */
  readonly changed: () => void;
  readonly signal: AbortSignal;
}

/** A node is of another chain. */
class WrongChain extends Error {}

/** A node cannot be asked before somebody does something here. */
class Unprepared extends Error {}

interface Outage {
  readonly sinceMs: number;
  readonly repeat: Disposable;
  /** Sends back what waits. */
  readonly handBack: Disposable;
}

/** Keeps one network's nodes. */
export class Upkeep {
  readonly #context: UpkeepContext;
  readonly #probes = new Map<PoolNode, Map<BreakerPlace, Disposable>>();
  readonly #conditions = new Map<PoolNode, NodeCondition>();
  readonly #genesis = new Map<PoolNode, Hash>();
  readonly #versions = new Map<PoolNode, Set<string>>();
  readonly #admitting = new Set<PoolNode>();
  readonly #outages = new Map<CallClass, Outage>();
  /** Nodes whose last sign of life failed. */
  readonly #dead = new Set<PoolNode>();
  readonly #asking = new Set<PoolNode>();
  readonly #waiting = new Set<PromiseWithResolvers<void>>();
  #liveness: Disposable | undefined;
  /** The last block about which the nodes agreed. */
  #agreedNumber: number | undefined;

  constructor(context: UpkeepContext) {
    this.#context = context;
  }

  /** Introduces all nodes and compares their chains until the shutdown. */
  start(): void {
    for (const node of this.#context.nodes) this.#run(this.#keep(node));
    this.#run(this.#compareForks());
  }

  /** As {@linkcode NodePool.ready}. */
  ready(signal?: AbortSignal): Promise<void> {
    const waiting = Promise.withResolvers<void>();
    const aborted = () => waiting.reject(signal!.reason);
    if (signal?.aborted) aborted();
    signal?.addEventListener("abort", aborted, { once: true });
    this.#waiting.add(waiting);
    this.changed();
    return waiting.promise.finally(() => {
      this.#waiting.delete(waiting);
      signal?.removeEventListener("abort", aborted);
    });
  }

  /** Looks at what follows from a change of any node. */
  changed(): void {
    this.#tellConditions();
    const now = this.#context.clock.now();
    const lacking = this.#context.options.classes.filter((callClass) => this.#judge(callClass, now));
    if (lacking.length > 0) this.#settleWrongChains();
    else for (const waiting of this.#waiting) waiting.resolve();
    this.seekLife();
  }

  /** Looks for a node's return while a class has none, or a call waits that no node can take. */
  seekLife(): void {
    if (this.#liveness === undefined && !this.#context.signal.aborted && this.#isLacking()) this.#lookForLife();
  }

  #isLacking(): boolean {
    return this.#outages.size > 0 || (this.#context.grants.starving && this.#context.nodes.some(isOpen));
  }

  /** Asks a node for a sign of life. One without counts for the breaker of its connection. */
  async isAlive(node: PoolNode): Promise<boolean> {
    const { clock, options, direct, signal } = this.#context;
    if (signal.aborted) return false;
    const limitMs = callLimitMs("head", "eth_blockNumber", node.options, options.rpc);
    const reply = await direct.try(node, "head", { method: "eth_blockNumber", params: [] }, limitMs).catch((error) => {
      if (signal.aborted) return undefined;
      throw error;
    });
    if (reply?.ok) return true;
    if (reply?.failure.connection) node.connection.failed(clock.now(), reply.failure.reason);
    return reply !== undefined && reply.failure.connection !== true && reply.failure.action !== "overload";
  }

  /** A breaker moved. */
  breakerMoved(node: PoolNode, place: BreakerPlace, transition: BreakerTransition): void {
    const { options, clock } = this.#context;
    emit({
      kind: "rpc_breaker",
      network: options.name,
      node: node.name,
      class: place,
      to: transition.to,
      reason: transition.reason,
      failures: transition.failures,
      client: node.clientVersion,
    });
    if (transition.to === "closed" && transition.reason !== "reset") {
      for (const callClass of place === "connection" ? CALL_CLASSES : [place]) node.classes[callClass].halve();
    }
    if (transition.to === "closed" && place === "connection") {
      this.#bringForward(node);
      this.reconnected(node);
    }
    // What follows may ask the breaker, which is in the middle of its move.
    if (transition.to === "open") queueMicrotask(() => this.#armProbe(node, place));
    queueMicrotask(() => {
      if (this.#context.signal.aborted) return;
      this.#capResets(clock.now());
      this.#context.changed();
    });
  }

  /** A node that was away may have come back as another one. */
  reconnected(node: PoolNode): void {
    if (node.probed && !this.#context.signal.aborted) this.#run(this.#lookAgain(node));
  }

  /** A node showed that it cannot be used as configured: it is introduced anew. */
  refused(node: PoolNode, failure: Failure): void {
    node.probed = false;
    node.probeFailure = `${failure.reason}: check its url`;
    this.introduce(node);
  }

  /** Introduces a node that is not in use, unless that is going on. */
  introduce(node: PoolNode): void {
    if (!this.#admitting.has(node)) this.#run(this.#admit(node));
  }

  stop(): void {
    for (const probes of this.#probes.values()) for (const probe of probes.values()) probe[Symbol.dispose]();
    for (const outage of this.#outages.values()) endOutage(outage);
    this.#liveness?.[Symbol.dispose]();
    for (const waiting of this.#waiting) waiting.reject(this.#context.signal.reason);
  }

  /** Background work ends with the shutdown; any other rejection is a defect and must be seen. */
  #run(work: Promise<void>): void {
    work.catch((error) => {
      if (!this.#context.signal.aborted) throw error;
    });
  }

  async #keep(node: PoolNode): Promise<void> {
    const { clock, options, signal } = this.#context;
    await this.#admit(node);
    while (true) {
      await pause(clock, options.rpc.probe.interval, signal);
      if (node.probed && !node.drained) await this.#lookAgain(node);
    }
  }

  /** Whether a node in use is still of the chain, and which client it is now. */
  async #lookAgain(node: PoolNode): Promise<void> {
    try {
      await this.#checkChain(node);
      await this.#readVersion(node);
    } catch (error) {
      if (error instanceof WrongChain) this.#excludeWrongChain(node, error.message);
      else if (!(error instanceof RpcFailure)) throw error;
    }
  }

  /** Asks who a node is until it answers. */
  async #admit(node: PoolNode): Promise<void> {
    this.#admitting.add(node);
    let steps = this.#introduction(node);
    let waitMs = RETRY_MS;
    try {
      while (!node.probed && node.wrongChain === undefined) {
        const before = steps.length;
        try {
          // What a node has answered it is not asked again: one that fails now and then joins all the same.
          for (; steps.length > 0; steps = steps.slice(1)) await steps[0]!();
          node.probed = true;
          node.probeFailure = "";
        } catch (error) {
          if (error instanceof WrongChain) node.wrongChain = error.message;
          else if (error instanceof RpcFailure) node.probeFailure = error.failure.reason;
          else if (error instanceof Unprepared) node.probeFailure = error.message;
          else throw error;
          // After a silence it may be another node.
          if (error instanceof RpcFailure && error.failure.connection) steps = this.#introduction(node);
        }
        this.#context.changed();
        if (node.probed || node.wrongChain !== undefined) return;
        if (steps.length < before) waitMs = RETRY_MS;
        await this.#rest(waitMs);
        waitMs = Math.min(RETRY_MAX_MS, waitMs * 2);
      }
    } finally {
      this.#admitting.delete(node);
    }
  }

  /** Waits; but while calls wait that no other node can take, an answer is worth more than a node's peace. */
  async #rest(ms: number): Promise<void> {
    const { clock, grants, signal } = this.#context;
    const untilMs = clock.now() + ms;
    while (clock.now() < untilMs) {
      await pause(clock, Math.min(LIVENESS_MS, untilMs - clock.now()), signal);
      if (this.#outages.size > 0 || grants.starving) return;
    }
  }

  /** What a node is asked before it is used. */
  #introduction(node: PoolNode): readonly (() => Promise<void>)[] {
    const { seen } = this.#context;
    return [
      async () => {
        const { caFile } = node.options;
        if (caFile !== undefined) node.caCerts = [await readAuthority(caFile)];
        await this.#checkChain(node);
      },
      () => this.#readVersion(node),
      async () => {
        const genesis = await this.#readBlock(node, "0x0");
        if (genesis !== undefined) this.#checkGenesis(node, genesis.hash);
      },
      async () => {
        const head = await this.#readBlock(node, "latest");
        if (head !== undefined) seen(node, head);
      },
      () => this.#compareOnce(node),
    ];
  }

  async #checkChain(node: PoolNode): Promise<void> {
    const wanted = this.#context.options.chainId;
    const chainId = readQuantity(await this.#ask(node, "eth_chainId", []));
    if (chainId !== wanted) throw new WrongChain(`chain id is ${chainId ?? "unreadable"} instead of ${wanted}`);
  }

  #ask(node: PoolNode, method: string, params: readonly unknown[]): Promise<unknown> {
    const { options, direct } = this.#context;
    return direct.call(node, "head", { method, params }, callLimitMs("head", method, node.options, options.rpc));
  }

  async #readBlock(node: PoolNode, block: string): Promise<HeadFacts | undefined> {
    try {
      return readHead(await this.#ask(node, "eth_getBlockByNumber", [block, false]));
    } catch (error) {
      if (error instanceof RpcFailure && error.failure.action === "missing") return undefined;
      throw error;
    }
  }

  async #readVersion(node: PoolNode): Promise<void> {
    let version: unknown;
    try {
      version = await this.#ask(node, "web3_clientVersion", []);
    } catch (error) {
      // Gateways that hide it: the family is geth's, or the configured one.
      if (!(error instanceof RpcFailure) || error.failure.action !== "depth") throw error;
    }
    const text = typeof version === "string" ? version.slice(0, 200) : "";
    const versions = this.#versions.get(node) ?? new Set();
    // An earlier release is back: several nodes behind one address.
    if (node.options.balanced === "auto" && node.clientVersion !== text && versions.has(text)) node.balanced = true;
    versions.add(text);
    this.#versions.set(node, versions);
    if (text !== node.clientVersion) node.identify(text);
  }

  #checkGenesis(node: PoolNode, hash: Hash): void {
    const { options } = this.#context;
    this.#genesis.set(node, hash);
    const wanted = options.genesisHash?.toLowerCase() ?? majority([...this.#genesis.values()]);
    if (wanted === undefined) {
      return emit({
        kind: "rpc_chain_split",
        network: options.name,
        blockNumber: 0,
        hashes: [...this.#genesis].map(([each, its]) => `${each.name} ${its}`).join(", "),
      });
    }
    for (const [other, its] of this.#genesis) {
      if (its === wanted) continue;
      if (other === node) throw new WrongChain(`block 0 is ${its} instead of ${wanted}`);
      this.#excludeWrongChain(other, `block 0 is ${its} instead of ${wanted}`);
    }
  }

  #excludeWrongChain(node: PoolNode, reason: string): void {
    node.wrongChain = reason;
    this.#context.grants.abortNode(node, new Error(`Cannot use node ${node.name}: ${reason}`));
    this.#context.changed();
  }

  #tellConditions(): void {
    const { nodes, clock, options } = this.#context;
    for (const node of nodes) {
      const to = node.condition(clock.now());
      const from = this.#conditions.get(node) ?? "new";
      if (from === to) continue;
      this.#conditions.set(node, to);
      const reason = node.wrongChain ?? (node.probed ? node.connection.reason : node.probeFailure);
      emit({
        kind: "rpc_node_condition",
        network: options.name,
        node: node.name,
        from,
        to,
        reason: to === "lagging" ? `${node.lagBlocks} blocks behind` : reason,
        client: node.clientVersion,
      });
    }
  }

  /** Every node of another chain: nothing will come of waiting. */
  #settleWrongChains(): void {
    const { nodes, options } = this.#context;
    if (!nodes.every((node) => node.wrongChain !== undefined)) return;
    const found = new Map(nodes.map((node) => [node.name, node.wrongChain!]));
    for (const waiting of this.#waiting) waiting.reject(new NetworkRefused(options.name, options.chainId, found));
  }

  /** @returns whether the class has no node */
  #judge(callClass: CallClass, now: number): boolean {
    const { nodes, options, clock } = this.#context;
    const { available, reason } = capacityOf(nodes, callClass, now);
    const outage = this.#outages.get(callClass);
    const tell = (over: boolean, sinceMs: number) =>
      emit({
        kind: "rpc_outage",
        network: options.name,
        class: callClass,
        over,
        seconds: Math.round((clock.now() - sinceMs) / 1000),
        reasons: over ? "" : capacityOf(nodes, callClass, clock.now()).reason,
      });
    if (available) {
      if (outage !== undefined) endOutage(outage);
      if (this.#outages.delete(callClass)) tell(true, outage!.sinceMs);
      return false;
    }
    // Before each node has been tried nothing is known.
    if (outage !== undefined || nodes.some((node) => !node.probed && node.probeFailure === "" && !node.wrongChain)) {
      return true;
    }
    const sinceMs = now;
    const every = (ms: number, task: () => void): Disposable => {
      const turn = () => {
        timer = clock.after(ms, turn);
        task();
      };
      let timer = clock.after(ms, turn);
      return { [Symbol.dispose]: () => timer[Symbol.dispose]() };
    };
    const repeat = every(OUTAGE_REPEAT_MS, () => tell(false, sinceMs));
    const handBack = every(HAND_BACK_MS, () => this.#context.grants.handBack(callClass, HAND_BACK_MS));
    this.#outages.set(callClass, { sinceMs, repeat, handBack });
    // It was seen dead: its next sign of life is a return.
    for (const node of nodes) if (node.connection.state === "open") this.#dead.add(node);
    emit({ kind: "rpc_outage", network: options.name, class: callClass, over: false, seconds: 0, reasons: reason });
    this.#capResets(now);
    return true;
  }

  /** The last node of a class is probed soon, however often it failed. */
  #capResets(now: number): void {
    const { nodes, options } = this.#context;
    for (const callClass of CALL_CLASSES) {
      if (capacityOf(nodes, callClass, now).available) continue;
      for (const node of nodes) {
        for (const place of [callClass, "connection"] as const) {
          const breaker = breakerAt(node, place);
          if (breaker.state !== "open" || breaker.retryAtMs <= now + options.rpc.breaker.reset) continue;
          breaker.probeBy(now + options.rpc.breaker.reset);
          this.#armProbe(node, place);
        }
      }
    }
  }

  /** Asks every node that cannot serve for a sign of life; the first after a silence brings its probes forward. */
  #lookForLife(): void {
    const { clock, nodes, options, direct } = this.#context;
    this.#liveness = clock.after(LIVENESS_MS, () => {
      this.#liveness = undefined;
      this.seekLife();
    });
    for (const node of nodes) {
      if (!node.probed || node.drained || node.wrongChain !== undefined || this.#asking.has(node)) continue;
      if (!isOpen(node)) continue;
      this.#asking.add(node);
      const limitMs = callLimitMs("head", "eth_blockNumber", node.options, options.rpc);
      this.#run(
        direct.try(node, "head", { method: "eth_blockNumber", params: [] }, limitMs).then((reply) => {
          if (!reply.ok && reply.failure.action !== "limit") this.#dead.add(node);
          else if (this.#dead.delete(node)) this.#bringForward(node);
        }).finally(() => this.#asking.delete(node)),
      );
    }
  }

  /** Probes what is open at once. */
  #bringForward(node: PoolNode): void {
    const now = this.#context.clock.now();
    const places = node.connection.state === "closed" ? CALL_CLASSES : ["connection"] as const;
    for (const place of places) {
      const breaker = breakerAt(node, place);
      if (breaker.state !== "open" || breaker.reason === "violated") continue;
      breaker.probeBy(now);
      this.#armProbe(node, place);
    }
  }

  #armProbe(node: PoolNode, place: BreakerPlace): void {
    const { clock, signal } = this.#context;
    if (signal.aborted) return;
    const probes = this.#probes.get(node) ?? new Map<BreakerPlace, Disposable>();
    this.#probes.set(node, probes);
    probes.get(place)?.[Symbol.dispose]();
    const waitMs = Math.max(0, breakerAt(node, place).retryAtMs - clock.now());
    probes.set(place, clock.after(Math.ceil(waitMs), () => this.#run(this.#probe(node, place))));
  }

  async #probe(node: PoolNode, place: BreakerPlace): Promise<void> {
    const { clock, direct, options, grants } = this.#context;
    const breaker = breakerAt(node, place);
    // The node's own breaker speaks for its classes: they are probed when it has closed.
    if (place !== "connection" && node.connection.state !== "closed") return;
    if (!breaker.halfOpen(clock.now())) return;
    const call = probeCall(node, place);
    // Without a transaction to ask for, the next real trace is the probe.
    if (call === undefined) return;
    const callClass = place === "connection" ? "head" : place;
    const limitMs = place === "trace"
      ? traceLimits(node.flags.family, node.options).wholeMs
      : callLimitMs(callClass, call.method, node.options, options.rpc);
    let again = true;
    while (again) {
      const reply = await direct.try(node, callClass, call, limitMs);
      const failure = reply.ok ? undefined : reply.failure;
      if (failure?.action === "limit") {
        grants.rateLimited(node, call.method, failure, clock.now());
        breaker.probeCancelled(clock.now() + (failure.retryAfterMs ?? options.rpc.breaker.reset));
        return;
      }
      const lacks = failure?.action === "missing" || failure?.action === "depth";
      // The transaction is too old for it by now, or was on a branch that lost.
      if (lacks && place === "trace") node.sample = undefined;
      if (failure !== undefined && !lacks && failure.action !== "answer") {
        grants.emitFailure(failure);
        return breaker.probeFailed(clock.now(), failure.reason);
      }
      again = breaker.probeSucceeded(clock.now());
    }
  }

  async #compareForks(): Promise<void> {
    const { clock, signal } = this.#context;
    while (true) {
      await pause(clock, FORK_CHECK_MS, signal);
      await this.#compareOnce();
    }
  }

  /** @param joining A node that is not used before it has been compared. Who is right a tie does not tell yet. */
  async #compareOnce(joining?: PoolNode): Promise<void> {
    const { heads, nodes, options } = this.#context;
    if (heads.tip === undefined) return;
    const number = Math.max(0, heads.tip - FORK_DEPTH);
    const asked = nodes.filter((node) =>
      node.headNumber !== undefined && node.wrongChain === undefined && !node.drained &&
      node.connection.state === "closed" && (joining !== undefined || node.probed)
    );
    if (asked.length < 2) return;
    const found = await this.#hashesOf(asked.filter((node) => node.headNumber! >= number), number, joining);
    const agreed = majority([...found.values()]);
    if (agreed === undefined && found.size > 1 && joining === undefined) {
      for (const node of nodes) node.splitAbove ??= this.#agreedNumber ?? 0;
      emit({
        kind: "rpc_chain_split",
        network: options.name,
        blockNumber: number,
        hashes: [...found].map(([node, hash]) => `${node.name} ${hash}`).join(", "),
      });
    } else if (agreed !== undefined) {
      this.#agreedNumber = number;
      for (const node of nodes) node.splitAbove = undefined;
      const isLate = (node: PoolNode) => node.headNumber! < number || node.lagBlocks > options.rpc.lag.blocks;
      for (const [node, hash] of found) if (hash !== agreed || !isLate(node)) node.forked = hash !== agreed;
      const alike = asked.filter((node) => (found.get(node) ?? agreed) === agreed);
      await Promise.all(alike.filter(isLate).map((node) => this.#compareHead(node, alike, joining)));
      const minority = asked.filter((node) => node.forked);
      if (minority.length > 0 && minority.length < asked.length) await this.#checkFinalized(asked, minority);
    }
    this.#context.changed();
  }

  /** A node that is behind is compared at its head, where a fork that is not deep yet shows. Of two, the longer wins. */
  async #compareHead(node: PoolNode, alike: readonly PoolNode[], joining: PoolNode | undefined): Promise<void> {
    const head = node.headNumber!;
    const found = await this.#hashesOf(alike.filter((each) => each.headNumber! >= head), head, joining);
    const own = found.get(node);
    const theirs = [...found].filter(([each]) => each !== node).map(([, hash]) => hash);
    const agreed = own === undefined ? undefined : majority([own, ...theirs]) ?? majority(theirs);
    if (agreed !== undefined) node.forked = own !== agreed;
  }

  /** A fork below the finalized block is another chain. */
  async #checkFinalized(asked: readonly PoolNode[], minority: readonly PoolNode[]): Promise<void> {
    const others = asked.filter((node) => !minority.includes(node));
    const finalized = await this.#readBlock(others[0]!, "finalized").catch((error) => {
      if (error instanceof RpcFailure) return undefined;
      throw error;
    });
    if (finalized === undefined) return;
    const found = await this.#hashesOf(asked, finalized.number);
    const agreed = majority([...found.values()]);
    for (const node of minority) {
      const hash = found.get(node);
      if (agreed === undefined || hash === undefined || hash === agreed) continue;
      this.#excludeWrongChain(node, `finalized block ${finalized.number} is ${hash} instead of ${agreed}`);
    }
  }

  /** @param needed The node without whose answer nothing is known. */
  async #hashesOf(asked: readonly PoolNode[], number: number, needed?: PoolNode): Promise<Map<PoolNode, Hash>> {
    const found = new Map<PoolNode, Hash>();
    await Promise.all(asked.map(async (node) => {
      try {
        const head = await this.#readBlock(node, `0x${number.toString(16)}`);
        if (head !== undefined) found.set(node, head.hash);
      } catch (error) {
        if (!(error instanceof RpcFailure) || node === needed) throw error;
      }
    }));
    return found;
  }
}

async function readAuthority(caFile: string): Promise<string> {
  try {
    return await Deno.readTextFile(caFile);
  } catch (error) {
    const why = error instanceof Error ? error.name : String(error);
    throw new Unprepared(`caFile ${caFile} cannot be read: ${why}`);
  }
}

function endOutage({ repeat, handBack }: Outage): void {
  repeat[Symbol.dispose]();
  handBack[Symbol.dispose]();
}

function breakerAt(node: PoolNode, place: BreakerPlace) {
  return place === "connection" ? node.connection : node.classes[place].breaker;
}

/** Whether something of the node is not asked because it failed. */
function isOpen(node: PoolNode): boolean {
  return node.connection.state !== "closed" ||
    CALL_CLASSES.some((callClass) => node.classes[callClass].breaker.state !== "closed");
}

/** The call that tells whether a class works again. */
function probeCall(node: PoolNode, place: BreakerPlace): Call | undefined {
  switch (place) {
    case "connection":
    case "head":
      return { method: "eth_blockNumber", params: [] };
    case "read":
      return { method: "eth_getBlockByNumber", params: ["latest", false] };
    case "receipts":
      return { method: "eth_getBlockReceipts", params: ["latest"] };
    case "trace":
      return node.sample === undefined
        ? undefined
        : { method: "debug_traceTransaction", params: [node.sample, { disableStorage: true, disableMemory: true }] };
  }
}

/** The value that more than half of at least one hold. */
function majority<T>(values: readonly T[]): T | undefined {
  const counts = new Map<T, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].find(([, count]) => count * 2 > values.length)?.[0];
}
