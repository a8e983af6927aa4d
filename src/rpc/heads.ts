/**
 * Where the chain and each node stand, made of what nodes announce. No I/O: heads come in, judgements come out. A head is
 * a hint: its header is read by hash before anyone trusts it.
 */
import type { PoolNode } from "./node.ts";
import type { Hash, Head } from "./port.ts";

/** A block header as far as it is needed here. */
export interface HeadFacts {
  readonly number: number;
  readonly hash: Hash;
  readonly parentHash: Hash;
  /** Seconds since 1970. */
  readonly timestamp: number;
}

/** What an announced head is to those before it. */
export type HeadResult = "new" | "duplicate" | "stale" | "reorg";

const REMEMBERED = 256;
const STALE_BLOCKS = 64;
/** A head from further in the future is not believed. */
const FUTURE_SECONDS = 15;
/** A head this far above all others is not believed until a second node says so. */
const LEAP_BLOCKS = 64;
const LEAP_MS = 30_000;
/** Lag at which a lagging node recovers, and for how long it must hold. */
const CAUGHT_UP_BLOCKS = 1;
const CAUGHT_UP_MS = 10_000;
/** Observations in a row that make a node lag. */
const LAG_OBSERVATIONS = 2;
/** Heads in a row from below its own after which a node is believed to be there: one may be a poll that was overtaken. */
const FALLEN_OBSERVATIONS = 3;
/** Returns after which a node counts as several: one may be a poll that was overtaken. */
const RETURNS = 3;

interface NodeHead {
  number: number;
  lateObservations: number;
  caughtUpSinceMs: number | undefined;
  /** Heads in a row from below its own. */
  fallen: number;
  /** Times that it went back to a block that was its head before. */
  returns: number;
}

/** The heads of one network. */
export class HeadBook {
  readonly #lag: { readonly blocks: number; readonly seconds: number };
  readonly #epochMs: () => number;
  readonly #nodeCount: number;
  readonly #nodes = new Map<PoolNode, NodeHead>();
  /** Number by hash, oldest first. */
  readonly #seen = new Map<Hash, number>();
  /** When a number was first seen, oldest first. */
  readonly #firstSeenMs = new Map<number, number>();
  /** The claim of a leap that a second node may confirm. */
  #leap: { readonly node: PoolNode; readonly number: number; readonly atMs: number } | undefined;

  constructor(lag: { readonly blocks: number; readonly seconds: number }, nodeCount: number, epochMs: () => number) {
    this.#lag = lag;
    this.#nodeCount = nodeCount;
    this.#epochMs = epochMs;
  }

  /** Highest plausible head; what a node on a fork says does not count while there are others. */
  get tip(): number | undefined {
    const known = [...this.#nodes];
    const trusted = known.filter(([node]) => !node.forked);
    const numbers = (trusted.length > 0 ? trusted : known).map(([, head]) => head.number);
    return numbers.length === 0 ? undefined : Math.max(...numbers);
  }

  /**
   * Takes a head of a node; updates the node's lag.
   *
   * @param isNewest whether the node calls it its newest, or was asked for it by its number
   * @returns what it is, and the head to pass on: the chain's, never that of a node which is behind or on a fork.
   */
  observe(
    node: PoolNode,
    facts: HeadFacts,
    nowMs: number,
    isNewest = true,
  ): { readonly result: HeadResult; readonly head?: Head } {
    if (!this.#plausible(node, facts, nowMs)) return { result: "stale" };
    const number = this.#headAfter(node, facts.number, isNewest);
    if (number > facts.number + STALE_BLOCKS) return { result: "stale" };
    this.#noteReturn(node, facts);
    node.announce(facts.hash);
    this.#advance(node, number, nowMs);
    if (this.#seen.has(facts.hash)) return { result: "duplicate" };
    const tip = this.tip!;
    if (facts.number < tip - STALE_BLOCKS) return { result: "stale" };
    const reorg = this.#holds(facts.number);
    this.#seen.set(facts.hash, facts.number);
    if (this.#seen.size > REMEMBERED) this.#seen.delete(this.#seen.keys().next().value!);
    const result = reorg ? "reorg" : "new";
    return node.forked || number < tip ? { result } : { result, head: { ...facts, node: node.name, reorg } };
  }

  /** A node's head is at least `number`, as a reply showed. */
  reached(node: PoolNode, number: number, nowMs: number): void {
    const known = this.#nodes.get(node);
    if (known === undefined || number <= known.number || number > this.tip!) return;
    this.#advance(node, number, nowMs);
  }

  /** Forgets what a node said: it is not asked any more. */
  forget(node: PoolNode): void {
    this.#nodes.delete(node);
  }

  #holds(number: number): boolean {
    for (const seen of this.#seen.values()) if (seen === number) return true;
    return false;
  }

  /** The newest that the node has shown: a lower one is old news; told again and again, it has lost its blocks. */
  #headAfter(node: PoolNode, number: number, isNewest: boolean): number {
    const known = this.#nodes.get(node);
    if (known === undefined) return number;
    if (!isNewest) return Math.max(known.number, number);
    known.fallen = number < known.number ? known.fallen + 1 : 0;
    return known.fallen > 0 && known.fallen < FALLEN_OBSERVATIONS ? known.number : number;
  }

  /** A node that goes back on its own chain again and again is several nodes behind one address. */
  #noteReturn(node: PoolNode, { hash, number }: HeadFacts): void {
    const known = this.#nodes.get(node);
    if (known === undefined || number >= known.number || !this.#seen.has(hash)) return;
    if (++known.returns >= RETURNS && node.options.balanced === "auto") node.balanced = true;
  }

  #plausible(node: PoolNode, { number, timestamp }: HeadFacts, nowMs: number): boolean {
    if (timestamp > this.#epochMs() / 1000 + FUTURE_SECONDS) return false;
    const others = [...this.#nodes].filter(([other]) => other !== node).map(([, head]) => head.number);
    if (this.#nodeCount === 1 || others.length === 0 || number <= Math.max(...others) + LEAP_BLOCKS) return true;
    const leap = this.#leap;
    const confirmed = leap !== undefined && leap.node !== node && nowMs - leap.atMs <= LEAP_MS &&
      Math.abs(leap.number - number) <= LEAP_BLOCKS;
    if (!confirmed && (leap === undefined || nowMs - leap.atMs > LEAP_MS || leap.node === node)) {
      this.#leap = { node, number, atMs: nowMs };
    }
    return confirmed;
  }

  #advance(node: PoolNode, number: number, nowMs: number): void {
    const head = this.#nodes.get(node) ??
      { number, lateObservations: 0, caughtUpSinceMs: undefined, fallen: 0, returns: 0 };
    this.#nodes.set(node, head);
    head.number = number;
    node.headNumber = number;
    if (!this.#firstSeenMs.has(number)) {
      this.#firstSeenMs.set(number, nowMs);
      if (this.#firstSeenMs.size > REMEMBERED) this.#firstSeenMs.delete(this.#firstSeenMs.keys().next().value!);
    }
    const tip = this.tip!;
    this.#judge(node, head, tip, nowMs);
    for (const [other, its] of this.#nodes) if (other !== node) this.#measure(other, its, tip, nowMs);
  }

  #measure(node: PoolNode, head: NodeHead, tip: number, nowMs: number): void {
    node.lagBlocks = Math.max(0, tip - head.number);
    node.lagMs = node.lagBlocks === 0 ? 0 : nowMs - (this.#firstAboveMs(head.number) ?? nowMs);
  }

  /** When the first block above `number` was seen. */
  #firstAboveMs(number: number): number | undefined {
    let first: number | undefined;
    for (const [seen, atMs] of this.#firstSeenMs) {
      if (seen > number) first = Math.min(first ?? atMs, atMs);
    }
    return first;
  }

  #judge(node: PoolNode, head: NodeHead, tip: number, nowMs: number): void {
    this.#measure(node, head, tip, nowMs);
    const late = node.lagBlocks > this.#lag.blocks || node.lagMs > this.#lag.seconds;
    head.lateObservations = late ? head.lateObservations + 1 : 0;
    if (node.lagBlocks > CAUGHT_UP_BLOCKS) head.caughtUpSinceMs = undefined;
    else head.caughtUpSinceMs ??= nowMs;
    if (head.lateObservations >= LAG_OBSERVATIONS) node.lagging = true;
    else if (head.caughtUpSinceMs !== undefined && nowMs - head.caughtUpSinceMs >= CAUGHT_UP_MS) node.lagging = false;
  }
}

/** Header of `eth_getBlockByNumber` or a newHeads notification; `undefined` when it is none. */
export function readHead(value: unknown): HeadFacts | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { number, hash, parentHash, timestamp } = value as Record<string, unknown>;
  if (!isHash(hash) || !isHash(parentHash)) return undefined;
  const [height, seconds] = [readQuantity(number), readQuantity(timestamp)];
  if (height === undefined || seconds === undefined) return undefined;
  return { number: height, hash: hash.toLowerCase(), parentHash: parentHash.toLowerCase(), timestamp: seconds };
}

/** Whether a value is 0x and 64 hex digits. */
export function isHash(value: unknown): value is Hash {
  return typeof value === "string" && /^0x[0-9a-fA-F]{64}$/.test(value);
}

/** A JSON-RPC quantity that a number holds exactly. */
export function readQuantity(value: unknown): number | undefined {
  if (typeof value !== "string" || !/^0x[0-9a-fA-F]+$/.test(value)) return undefined;
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : undefined;
}
