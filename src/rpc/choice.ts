/**
 * Which node gets a call. Calls of one block stay on one node, found by weighted rendezvous hashing, so that several
 * processes choose alike without talking. "If all look bad, use all" does not exist.
 */
import type { PoolNode, Refusal } from "./node.ts";
import type { CallClass, Hash, LeaseAsk } from "./port.ts";

const PINS = 4_096;
const PIN_MS = 600_000;
/** Blocks below the tip within which branches are told apart by who is at the tip. */
const YOUNG_BLOCKS = 64;
/** Weight of a node that announced the block. */
const ANNOUNCED_WEIGHT = 2;

/** Where to send a call. */
export type Choice =
  | { readonly kind: "node"; readonly node: PoolNode; readonly moved: boolean }
  /** Some node can serve it but is full, or its rate allows it at `atMs` only. */
  | { readonly kind: "busy"; readonly atMs: number }
  /** `retryAtMs`: when time alone may change that; `hopeful`: an event may change it at any moment. */
  | {
    readonly kind: "none";
    readonly retryAtMs: number;
    readonly hopeful: boolean;
    readonly reasons: ReadonlyMap<string, string>;
  };

interface Pin {
  readonly node: PoolNode;
  readonly usedAtMs: number;
  /** Another node served this block before. */
  readonly moved: boolean;
}

const NO_REFUSALS: ReadonlyMap<PoolNode, Refusal> = new Map();

/** Chooses among the nodes of one network. */
export class Chooser {
  readonly #nodes: readonly PoolNode[];
  readonly #random: () => number;
  readonly #pinMoved: (node: PoolNode, callClass: CallClass, reason: string) => void;
  /** Least recently used first. */
  readonly #pins = new Map<Hash, Pin>();
  /** Nodes that a block left, until its pin is forgotten. */
  readonly #left = new Map<Hash, { readonly nodes: Set<PoolNode>; reason: string }>();

  constructor(
    nodes: readonly PoolNode[],
    random: () => number,
    pinMoved: (node: PoolNode, callClass: CallClass, reason: string) => void,
  ) {
    this.#nodes = nodes;
    this.#random = random;
    this.#pinMoved = pinMoved;
  }

  get pins(): number {
    return this.#pins.size;
  }

  /** The node for `ask` now. Changes nothing but the block's pin. */
  choose(ask: LeaseAsk, nowMs: number): Choice {
    let found: Map<PoolNode, Refusal> | undefined;
    let eligible: PoolNode[] = [];
    for (const node of this.#nodes) {
      const refusal = node.refusal(ask, nowMs);
      if (refusal === undefined) eligible.push(node);
      else (found ??= new Map()).set(node, refusal);
    }
    const refusals = found ?? NO_REFUSALS;
    // A prediction must not keep a call away for ever: where no node is large enough, the others are asked.
    if (eligible.length === 0) {
      eligible = [...refusals].filter(([, refusal]) => refusal.scope === "size").map(([node]) => node);
    }
    if (eligible.length === 0) return none(refusals);
    eligible = preferred(eligible, isPrimary);
    const { avoid } = ask.need;
    if (avoid !== undefined) eligible = preferred(eligible, (node) => !avoid.includes(node.name));
    if (asksForChain(ask, eligible)) eligible = preferred(eligible, isAtTip);
    return ask.blockHash === undefined
      ? this.#unpinned(eligible, ask, nowMs)
      : this.#pinned(eligible, refusals, ask, ask.blockHash, nowMs);
  }

  /** The block leaves this node, which failed it. */
  leave(hash: Hash, node: PoolNode, reason: string): void {
    const left = this.#left.get(hash) ?? { nodes: new Set(), reason };
    left.nodes.add(node);
    left.reason = reason;
    // When every node failed it once, all may be asked again.
    if (left.nodes.size >= this.#nodes.length) left.nodes.clear();
    this.#left.set(hash, left);
    if (this.#left.size > PINS) this.#left.delete(this.#left.keys().next().value!);
  }

  #pinned(
    eligible: readonly PoolNode[],
    refusals: ReadonlyMap<PoolNode, Refusal>,
    ask: LeaseAsk,
    hash: Hash,
    nowMs: number,
  ): Choice {
    const left = this.#left.get(hash);
    const candidates = left === undefined ? eligible : preferred(eligible, (node) => !left.nodes.has(node));
    const pin = this.#pins.get(hash);
    const current = pin !== undefined && nowMs - pin.usedAtMs < PIN_MS ? pin : undefined;
    if (current !== undefined && candidates.includes(current.node)) {
      if (!ready(current.node, ask, nowMs)) return busy([current.node], ask, nowMs);
      this.#pin(hash, { ...current, usedAtMs: nowMs });
      return { kind: "node", node: current.node, moved: current.moved };
    }
    const node = this.#rendezvous(candidates, ask.need.class, hash, nowMs);
    if (!ready(node, ask, nowMs)) return busy([node], ask, nowMs);
    if (current === undefined) {
      this.#pin(hash, { node, usedAtMs: nowMs, moved: false });
      return { kind: "node", node, moved: false };
    }
    const refusal = refusals.get(current.node);
    // A reason of this request alone (its size, whom it excludes) moves nothing.
    const stays = refusal === undefined
      ? left === undefined || !left.nodes.has(current.node)
      : refusal.scope !== "node";
    if (!stays) {
      this.#pin(hash, { node, usedAtMs: nowMs, moved: true });
      this.#pinMoved(node, ask.need.class, refusal === undefined ? left!.reason : moveReason(refusal));
    }
    return { kind: "node", node, moved: true };
  }

  #pin(hash: Hash, pin: Pin): void {
    this.#pins.delete(hash);
    this.#pins.set(hash, pin);
    if (this.#pins.size <= PINS) return;
    const oldest = this.#pins.keys().next().value!;
    this.#pins.delete(oldest);
    this.#left.delete(oldest);
  }

  /** Of two nodes drawn by weight, the one with less work per limit; else any that is free. */
  #unpinned(eligible: readonly PoolNode[], ask: LeaseAsk, nowMs: number): Choice {
    const free = eligible.filter((node) => ready(node, ask, nowMs));
    if (free.length === 0) return busy(eligible, ask, nowMs);
    if (free.length === 1) return { kind: "node", node: free[0]!, moved: false };
    const callClass = ask.need.class;
    const weights = free.map((node) => this.#weight(node, callClass, nowMs));
    const [a, b] = [this.#draw(free, weights), this.#draw(free, weights)];
    const load = (node: PoolNode) => node.classes[callClass].total / node.classes[callClass].limit;
    return { kind: "node", node: load(b) < load(a) ? b : a, moved: false };
  }

  #draw(nodes: readonly PoolNode[], weights: readonly number[]): PoolNode {
    let left = this.#random() * weights.reduce((sum, weight) => sum + weight, 0);
    for (const [at, weight] of weights.entries()) if ((left -= weight) < 0) return nodes[at]!;
    return nodes.at(-1)!;
  }

  #rendezvous(nodes: readonly PoolNode[], callClass: CallClass, hash: Hash, nowMs: number): PoolNode {
    let [best, bestScore] = [nodes[0]!, -Infinity];
    for (const node of nodes) {
      const weight = this.#weight(node, callClass, nowMs) * (node.hasAnnounced(hash) ? ANNOUNCED_WEIGHT : 1);
      const score = -weight / Math.log(unitHash(hash, node.name));
      if (score > bestScore) [best, bestScore] = [node, score];
    }
    return best;
  }

  #weight(node: PoolNode, callClass: CallClass, nowMs: number): number {
    return node.classes[callClass].weight(nowMs, node.options.weight, () => this.#medianWork(callClass));
  }

  #medianWork(callClass: CallClass): number {
    const known = this.#nodes.map((node) => node.classes[callClass].workPerSecond).filter((work) => work !== undefined);
    return known.sort((a, b) => a - b)[known.length >> 1] ?? 1;
  }

  /** Weight of a node, for the gauge. */
  weightOf(node: PoolNode, callClass: CallClass, nowMs: number): number {
    return this.#weight(node, callClass, nowMs);
  }
}

function isPrimary(node: PoolNode): boolean {
  return node.options.tier === "primary";
}

function isAtTip(node: PoolNode): boolean {
  return node.lagBlocks === 0;
}

/** Whether the answer says which chain is the canonical one: who is behind may be on a branch that lost. */
function asksForChain({ need, blockHash, blockNumber }: LeaseAsk, nodes: readonly PoolNode[]): boolean {
  if (need.class === "head") return true;
  if (blockHash !== undefined || blockNumber === undefined) return false;
  return blockNumber > Math.max(...nodes.map((node) => node.headNumber ?? 0)) - YOUNG_BLOCKS;
}

function preferred(nodes: PoolNode[], wanted: (node: PoolNode) => boolean): PoolNode[];
function preferred(nodes: readonly PoolNode[], wanted: (node: PoolNode) => boolean): readonly PoolNode[];
function preferred(nodes: readonly PoolNode[], wanted: (node: PoolNode) => boolean): readonly PoolNode[] {
  if (nodes.every(wanted)) return nodes;
  const found = nodes.filter(wanted);
  return found.length > 0 ? found : nodes;
}

/** A batch costs its items. */
export function rateCost(ask: LeaseAsk): number {
  return ask.need.class === "trace" ? 1 : ask.need.units ?? 1;
}

function ready(node: PoolNode, ask: LeaseAsk, nowMs: number): boolean {
  return node.hasSlot(ask) && node.rates.readyAtMs(nowMs, ask.need.method, rateCost(ask)) <= nowMs;
}

function busy(nodes: readonly PoolNode[], ask: LeaseAsk, nowMs: number): Choice {
  let atMs = Infinity;
  for (const node of nodes) {
    if (node.hasSlot(ask)) atMs = Math.min(atMs, node.rates.readyAtMs(nowMs, ask.need.method, rateCost(ask)));
  }
  return { kind: "busy", atMs };
}

function none(refusals: ReadonlyMap<PoolNode, Refusal>): Choice {
  const reasons = new Map([...refusals].map(([node, refusal]) => [node.name, refusal.reason]));
  let [retryAtMs, hopeful] = [Infinity, false];
  for (const { until } of refusals.values()) {
    if (typeof until === "number") retryAtMs = Math.min(retryAtMs, until);
    else if (until === "event") hopeful = true;
  }
  return { kind: "none", retryAtMs, hopeful, reasons };
}

/** A closed set: a metric label. */
function moveReason(refusal: Refusal): string {
  if (refusal.reason.includes("breaker")) return "breaker";
  if (refusal.reason.startsWith("head ")) return "behind";
  if (refusal.reason.startsWith("no state")) return "depth";
  if (refusal.reason.endsWith("not available")) return "method_off";
  if (refusal.reason === "rate limited") return "rate_limit";
  if (refusal.reason === "on a fork") return "forked";
  return refusal.reason === "drained" ? "drained" : "down";
}

/** A number in (0, 1), the same in every process, that depends on every digit of both texts. */
function unitHash(hash: string, name: string): number {
  let state = 0x811c9dc5;
  for (let at = 0; at < hash.length; at++) state = Math.imul(state ^ hash.charCodeAt(at), 0x01000193);
  state = Math.imul(state ^ 0x7c, 0x01000193);
  for (let at = 0; at < name.length; at++) state = Math.imul(state ^ name.charCodeAt(at), 0x01000193);
  state = Math.imul(state ^ (state >>> 16), 0x85ebca6b);
  state = Math.imul(state ^ (state >>> 13), 0xc2b2ae35);
  return (((state ^ (state >>> 16)) >>> 0) + 0.5) / 4_294_967_296;
}
