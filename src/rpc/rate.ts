/**
 * How many requests a second a node takes: the configured rules, and what its refusals teach. A refusal pauses the node
 * (or the methods of the rule) and is never a failure.
 */
import type { NodeOptions } from "./options.ts";

/** A configured rule. */
export type RateRule = NodeOptions["limits"]["rates"][number];

const PAUSE_MS = 1_000;
const PAUSE_MAX_MS = 60_000;
/** Spread added to a pause. */
const PAUSE_SPREAD = 0.2;
/** What is left of the rate that was refused. */
const LEARNED_SHARE = 0.7;
/** What a learned rate grows by, as a share of it; doubles each time, up to the whole, until the next refusal. */
const GROWTH_FIRST = 0.2;
const GROWTH_MAX = 1;
const GROWTH_MS = 10_000;
/** Share of the rate that must have been used before it grows. */
const USED_SHARE = 0.8;
/** A learned rate is forgotten after this long without a refusal. */
const FORGET_MS = 600_000;
/** A lower learned rate would starve the node. */
const LEARNED_MIN = 0.5;

/** One rule at work. */
class Bucket {
  readonly matches: (method: string) => boolean;
  readonly #configured: RateRule | undefined;
  #perSecond: number;
  #burst: number;
  #tokens: number;
  #filledAtMs: number;
  #learned = false;
  #limitedAtMs = -Infinity;
  #grownAtMs = 0;
  #growth = GROWTH_FIRST;
  #usedSinceGrowth = 0;
  /** Pauses since the node last took a request. */
  #pauses = 0;
  #passed = false;
  pausedUntilMs = -Infinity;
  /** Requests by tenth of a second, newest last. */
  #sent: { tenth: number; count: number }[] = [];

  constructor(configured: RateRule | undefined, nowMs: number) {
    this.#configured = configured;
    const pattern = configured?.methods ?? "*";
    this.matches = pattern.endsWith("*")
      ? (method) => method.startsWith(pattern.slice(0, -1))
      : (method) => method === pattern;
    this.#perSecond = configured?.perSecond ?? Infinity;
    this.#burst = configured?.burst ?? Infinity;
    this.#tokens = this.#burst;
    this.#filledAtMs = nowMs;
  }

  get perSecond(): number {
    return this.#perSecond;
  }

  get learned(): boolean {
    return this.#learned;
  }

  /** When `cost` more requests may be sent: now or later. */
  readyAtMs(nowMs: number, cost: number): number {
    this.#fill(nowMs);
    const paused = Math.max(nowMs, this.pausedUntilMs);
    if (this.#perSecond === Infinity) return paused;
    // More than a full bucket is let through when it is full: it would wait for ever otherwise.
    const missing = Math.min(cost, this.#burst) - this.#tokens;
    return missing <= 1e-9 ? paused : Math.max(paused, nowMs + missing * 1000 / this.#perSecond);
  }

  take(nowMs: number, cost: number): void {
    this.#fill(nowMs);
    if (this.#perSecond !== Infinity) this.#tokens -= cost;
    this.#usedSinceGrowth += cost;
    const tenth = Math.floor(nowMs / 100);
    const last = this.#sent.at(-1);
    if (last?.tenth === tenth) last.count += cost;
    else this.#sent.push({ tenth, count: cost });
    while (this.#sent[0]!.tenth < tenth - 10) this.#sent.shift();
  }

  /** The node took a request that was sent then. */
  passed(sentMs: number): void {
    if (sentMs < this.pausedUntilMs) return; // it says nothing about what comes after the pause
    this.#passed = true;
    this.#pauses = 0;
  }

  /**
   * The node refused. `retryAfterMs` is what it asked for. Where nothing passed since the last pause, the pause was too
   * short, and how much was sent says nothing: a node that takes no request at all for some seconds is not slow.
   */
  limited(nowMs: number, retryAfterMs: number | undefined, random: () => number): void {
    if (nowMs < this.pausedUntilMs) return;
    const ms = Math.min(PAUSE_MAX_MS, retryAfterMs ?? PAUSE_MS * 2 ** this.#pauses++);
    this.pausedUntilMs = nowMs + ms * (1 + PAUSE_SPREAD * random());
    if (this.#passed) this.#learn(nowMs);
    this.#passed = false;
  }

  #learn(nowMs: number): void {
    const tenth = Math.floor(nowMs / 100);
    const lastSecond = this.#sent.reduce((sum, slot) => slot.tenth > tenth - 10 ? sum + slot.count : sum, 0);
    this.#learned = true;
    this.#limitedAtMs = nowMs;
    this.#perSecond = Math.max(LEARNED_MIN, LEARNED_SHARE * Math.min(lastSecond, this.#perSecond));
    this.#burst = Math.max(1, Math.min(this.#configured?.burst ?? Infinity, this.#perSecond));
    this.#tokens = Math.min(this.#tokens, this.#burst);
    this.#grownAtMs = nowMs;
    this.#growth = GROWTH_FIRST;
    this.#usedSinceGrowth = 0;
  }

  reset(): void {
    this.#forget();
    this.pausedUntilMs = -Infinity;
    this.#pauses = 0;
  }

  #forget(): void {
    this.#learned = false;
    this.#perSecond = this.#configured?.perSecond ?? Infinity;
    this.#burst = this.#configured?.burst ?? Infinity;
    this.#tokens = this.#burst;
  }

  #fill(nowMs: number): void {
    const elapsedMs = nowMs - this.#filledAtMs;
    this.#filledAtMs = nowMs;
    if (this.#learned) this.#grow(nowMs);
    if (this.#perSecond === Infinity) return;
    this.#tokens = Math.min(this.#burst, this.#tokens + elapsedMs * this.#perSecond / 1000);
  }

  #grow(nowMs: number): void {
    if (nowMs - this.#limitedAtMs >= FORGET_MS) return this.#forget();
    if (nowMs - this.#grownAtMs < GROWTH_MS) return;
    const used = this.#usedSinceGrowth * 1000 / (nowMs - this.#grownAtMs);
    this.#grownAtMs = nowMs;
    this.#usedSinceGrowth = 0;
    if (used < USED_SHARE * this.#perSecond) return;
    this.#perSecond *= 1 + this.#growth;
    this.#growth = Math.min(GROWTH_MAX, 2 * this.#growth);
    if (this.#configured !== undefined && this.#perSecond >= this.#configured.perSecond) return this.#forget();
    this.#burst = Math.max(1, Math.min(this.#configured?.burst ?? Infinity, this.#perSecond));
  }
}

/** All rules of one node, and one for what no rule names. */
export class RateLimits {
  readonly #rules: readonly Bucket[];
  readonly #rest: Bucket;
  readonly #random: () => number;

  constructor(rules: readonly RateRule[], nowMs: number, random: () => number) {
    this.#rules = rules.map((rule) => new Bucket(rule, nowMs));
    this.#rest = new Bucket(undefined, nowMs);
    this.#random = random;
  }

  /** When `cost` requests of `method` may be sent. */
  readyAtMs(nowMs: number, method: string, cost: number): number {
    let atMs = this.#rest.readyAtMs(nowMs, cost);
    for (const rule of this.#rules) if (rule.matches(method)) atMs = Math.max(atMs, rule.readyAtMs(nowMs, cost));
    return atMs;
  }

  /** Until when a refusal of the node keeps `method` away; the past when it does not. */
  pausedUntilMs(method: string): number {
    let untilMs = this.#rest.pausedUntilMs;
    for (const rule of this.#rules) if (rule.matches(method)) untilMs = Math.max(untilMs, rule.pausedUntilMs);
    return untilMs;
  }

  /** Counts a request; a batch costs its items. */
  take(nowMs: number, method: string, cost: number): void {
    this.#rest.take(nowMs, cost);
    for (const rule of this.#rules) if (rule.matches(method)) rule.take(nowMs, cost);
  }

  /** The node took a request of `method` that was sent then. */
  passed(sentMs: number, method: string): void {
    this.#rest.passed(sentMs);
    for (const rule of this.#rules) if (rule.matches(method)) rule.passed(sentMs);
  }

  /** The node refused `method`: its rule pauses, or the node when no rule names it. */
  limited(nowMs: number, method: string, retryAfterMs: number | undefined): void {
    const rules = this.#rules.filter((rule) => rule.matches(method));
    for (const rule of rules.length > 0 ? rules : [this.#rest]) rule.limited(nowMs, retryAfterMs, this.#random);
  }

  reset(): void {
    for (const bucket of [...this.#rules, this.#rest]) bucket.reset();
  }

  /** The lowest rate in force, requests per second, and whether it was learned; absent when none is. */
  tightest(): { readonly perSecond: number; readonly learned: boolean } | undefined {
    const tightest = [...this.#rules, this.#rest].reduce((a, b) => (b.perSecond < a.perSecond ? b : a));
    return tightest.perSecond === Infinity ? undefined : tightest;
  }
}
