/**
 * How many calls a node takes at once, found by hill climbing on the work done per second. Latency says nothing here:
 * a caller that always has work teaches every latency baseline the loaded value.
 */
import type { NodeOptions } from "./options.ts";

/** Lowest, highest and first limit. */
export type ConcurrencyOptions = NodeOptions["limits"]["trace"];

const WINDOW_MS = 2_000;
const WINDOW_COMPLETIONS = 12;
const WINDOW_ROUNDS = 8;
/** Share of completions that must have found the node full: otherwise the work was short, not the limit. */
const FULL_SHARE = 0.8;
/** Least relative change of work per second that counts. */
const STEP_GAIN = 0.02;
const OVERLOAD_FACTOR = 0.7;
/** Share of the limit that must have been in use for an overload to be one. */
const LOADED_SHARE = 0.5;

/** One limit. */
export class ConcurrencyLimit {
  readonly #options: ConcurrencyOptions;
  #limit: number;
  #direction: 1 | -1 = 1;
  /** Work per second of the last window that counted. */
  #before: number | undefined;
  #sinceMs: number | undefined;
  #completions = 0;
  #full = 0;
  #units = 0;
  #loweredAtMs = -Infinity;

  constructor(options: ConcurrencyOptions) {
    this.#options = options;
    this.#limit = options.start;
  }

  get limit(): number {
    return this.#limit;
  }

  /** A call ended well. `full`: while it ran, the limit was reached. */
  completed(nowMs: number, units: number, full: boolean): void {
    if (this.#sinceMs === undefined) {
      this.#sinceMs = nowMs;
      return;
    }
    this.#completions++;
    this.#units += units;
    if (full) this.#full++;
    const elapsedMs = nowMs - this.#sinceMs;
    if (this.#completions < Math.max(WINDOW_COMPLETIONS, WINDOW_ROUNDS * this.#limit) || elapsedMs < WINDOW_MS) return;
    const counted = this.#full >= FULL_SHARE * this.#completions;
    const rate = this.#units * 1000 / elapsedMs;
    this.#restart(nowMs);
    if (counted) this.#climb(rate);
  }

  /**
   * The node said, or showed, that it has too much. Calls begun before the last lowering say nothing new; and a node that
   * refuses while it has little to do does not refuse because of the limit.
   */
  overloaded(nowMs: number, startedAtMs: number, inFlight: number): void {
    if (startedAtMs < this.#loweredAtMs || inFlight < LOADED_SHARE * this.#limit) return;
    this.#loweredAtMs = nowMs;
    this.#lower(OVERLOAD_FACTOR);
  }

  /** After an outage: half of what it was. */
  halve(): void {
    this.#lower(0.5);
  }

  #lower(factor: number): void {
    this.#limit = Math.max(this.#options.min, Math.floor(this.#limit * factor));
    this.#direction = -1;
    this.#before = undefined;
    this.#restart(undefined);
  }

  #climb(rate: number): void {
    if (this.#before !== undefined) {
      const gain = rate / this.#before - 1;
      const turn = this.#direction === 1 ? gain < STEP_GAIN : gain < -STEP_GAIN;
      if (turn) this.#direction = this.#direction === 1 ? -1 : 1;
    }
    this.#before = rate;
    const next = this.#limit + this.#direction;
    if (next < this.#options.min || next > this.#options.max) this.#direction = this.#direction === 1 ? -1 : 1;
    this.#limit = Math.min(this.#options.max, Math.max(this.#options.min, this.#limit + this.#direction));
  }

  #restart(nowMs: number | undefined): void {
    this.#sinceMs = nowMs;
    this.#completions = 0;
    this.#full = 0;
    this.#units = 0;
  }
}
