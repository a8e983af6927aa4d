/**
 * A circuit breaker as a state machine without timers: the pool asks when to probe and sends the probe itself.
 *
 * Own code because outcomes arrive by report from another thread, and because choosing a node must ask a breaker
 * without moving it.
 */
import type { RpcOptions } from "./options.ts";

/** `closed` lets calls pass, `open` refuses, `half_open` waits for one probe. */
export type BreakerState = "closed" | "half_open" | "open";

/** A change of state. */
export interface BreakerTransition {
  readonly from: BreakerState;
  readonly to: BreakerState;
  readonly reason: string;
  /** Consecutive failures before it. */
  readonly failures: number;
}

/** When it opens and how long it stays open. */
export type BreakerOptions = RpcOptions["breaker"];

/** Time closed after which the reset time is short again. */
const CALM_MS = 300_000;
/** Violations among the last {@linkcode VIOLATION_WINDOW} traces that open it, and for how long. */
const VIOLATIONS = 3;
const VIOLATION_WINDOW = 100;
const VIOLATION_MS = 300_000;
/** Half the spread of the reset time. */
const JITTER = 0.2;

/** One breaker. */
export class Breaker {
  readonly #options: BreakerOptions;
  readonly #random: () => number;
  readonly #changed: (transition: BreakerTransition) => void;
  #state: BreakerState = "closed";
  #failures = 0;
  #successes = 0;
  /** Last outcomes, 1 failed. */
  #outcomes: number[] = [];
  #violations: number[] = [];
  #resetMs: number;
  #closedAtMs = -Infinity;
  #retryAtMs = 0;
  #reason = "";

  constructor(options: BreakerOptions, random: () => number, changed: (transition: BreakerTransition) => void) {
    this.#options = options;
    this.#random = random;
    this.#changed = changed;
    this.#resetMs = options.reset;
  }

  get state(): BreakerState {
    return this.#state;
  }

  /** Consecutive failures. */
  get failures(): number {
    return this.#failures;
  }

  /** When to probe, while open. */
  get retryAtMs(): number {
    return this.#retryAtMs;
  }

  /** Why it is not closed. */
  get reason(): string {
    return this.#reason;
  }

  /** A call succeeded. Late successes of calls from before it opened close nothing. */
  succeeded(): void {
    if (this.#state !== "closed") return;
    this.#failures = 0;
    this.#count(0);
  }

  /** A call failed. */
  failed(nowMs: number, reason: string): void {
    if (this.#state !== "closed") return;
    this.#failures++;
    this.#count(1);
    const failed = this.#outcomes.reduce((sum, outcome) => sum + outcome, 0);
    const many = this.#outcomes.length >= this.#options.atLeast &&
      failed >= this.#options.ratio * this.#outcomes.length;
    if (this.#failures >= this.#options.failures || many) this.#trip(nowMs, reason);
  }

  /** A trace was proved (`violated` false) or refused by the proof. */
  judged(nowMs: number, violated: boolean): void {
    this.#violations.push(violated ? 1 : 0);
    if (this.#violations.length > VIOLATION_WINDOW) this.#violations.shift();
    if (!violated || this.#state !== "closed") return;
    if (this.#violations.reduce((sum, one) => sum + one, 0) < VIOLATIONS) return;
    this.#violations = [];
    this.#retryAtMs = nowMs + VIOLATION_MS;
    this.#move("open", "violated");
  }

  /** Brings the probe forward. */
  probeBy(atMs: number): void {
    if (this.#state === "open" && atMs < this.#retryAtMs) this.#retryAtMs = atMs;
  }

  /** Admits the probe, where open and due. */
  halfOpen(nowMs: number): boolean {
    if (this.#state !== "open" || nowMs < this.#retryAtMs) return false;
    this.#successes = 0;
    this.#move("half_open", "probe");
    return true;
  }

  /** The probe succeeded. @returns whether another one is needed */
  probeSucceeded(nowMs: number): boolean {
    if (this.#state !== "half_open") return false;
    if (++this.#successes < this.#options.successes) return true;
    this.#close(nowMs, "probe_succeeded");
    return false;
  }

  /** The probe failed. */
  probeFailed(nowMs: number, reason: string): void {
    if (this.#state !== "half_open") return;
    this.#failures++;
    this.#trip(nowMs, reason);
  }

  /** The probe could not be sent: as before it. */
  probeCancelled(nowMs: number): void {
    if (this.#state !== "half_open") return;
    this.#retryAtMs = nowMs;
    this.#move("open", "probe_cancelled");
  }

  /** Closes it and forgets everything. */
  reset(nowMs: number): void {
    this.#violations = [];
    if (this.#state !== "closed") this.#close(nowMs, "reset");
    this.#failures = 0;
    this.#outcomes = [];
    this.#resetMs = this.#options.reset;
    this.#closedAtMs = -Infinity;
  }

  /** Opens it as if it had failed. */
  open(nowMs: number, reason: string): void {
    if (this.#state !== "open") this.#trip(nowMs, reason);
  }

  #count(outcome: number): void {
    this.#outcomes.push(outcome);
    if (this.#outcomes.length > this.#options.of) this.#outcomes.shift();
  }

  #trip(nowMs: number, reason: string): void {
    const { reset, resetMax } = this.#options;
    const again = this.#state === "half_open" || nowMs - this.#closedAtMs < CALM_MS;
    this.#resetMs = again ? Math.min(resetMax, this.#resetMs * 2) : reset;
    this.#retryAtMs = nowMs + this.#resetMs * (1 - JITTER + 2 * JITTER * this.#random());
    this.#move("open", reason);
  }

  #close(nowMs: number, reason: string): void {
    this.#closedAtMs = nowMs;
    this.#move("closed", reason);
    this.#failures = 0;
    this.#outcomes = [];
  }

  #move(to: BreakerState, reason: string): void {
    const from = this.#state;
    this.#state = to;
    this.#reason = to === "closed" ? "" : reason;
    this.#changed({ from, to, reason, failures: this.#failures });
  }
}
