/**
 * How many calls a node takes at once, found by hill climbing on the work done per second. Latency says nothing here:
 * a caller that always has work teaches every latency baseline the loaded value.
 *
 * The limit stays where it is and tries a neighbour now and then: one window above, one below. Trying costs work where
 * the node is touchy, so after a failed trial the limit rests, the longer the more a trial hurt.
 */
import type { NodeOptions } from "./options.ts";

/** Lowest, highest and first limit. */
export type ConcurrencyOptions = NodeOptions["limits"]["trace"];

const WINDOW_MS = 2_000;
const WINDOW_COMPLETIONS = 12;
const WINDOW_ROUNDS = 12;
/** Share of completions that must have found the node full: otherwise the work was short, not the limit. */
const FULL_SHARE = 0.8;
/** Least relative change of work per second that counts. */
const STEP_GAIN = 0.02;
/** Share of the limit by which a trial differs, at least 1. */
const STEP_SHARE = 0.1;
/** Windows of rest after a failed trial, and after one that overloaded the node. */
const REST_WINDOWS = 4;
const REST_WINDOWS_OVERLOADED = 12;
/** Weight of the newest window in the rate of the resting limit. */
const RATE_SHARE = 0.3;
/** Change of the resting rate that says that the node has become another one. */
const UNLIKE = 0.25;
const OVERLOAD_FACTOR = 0.7;
/** Share of the limit that must have been in use for an overload to be one. */
const LOADED_SHARE = 0.5;
/** Of this many outcomes, so many refusals are an overload, and more where the node refuses at any time. */
const RECENT = 16;
const REFUSALS = 4;
const REFUSALS_USUAL = 2;
/** Weight of the newest outcome in the share of refusals that is usual. */
const USUAL_SHARE = 1 / 256;

/** One limit. */
export class ConcurrencyLimit {
  readonly #options: ConcurrencyOptions;
  /** Where it rests. */
  #centre: number;
  /** How far the window of now is from there. */
  #trial = 0;
  #direction: 1 | -1 = 1;
  /** Trials upwards in a row that did good: each is twice as far. */
  #strides = 0;
  /** Windows until the next trial. */
  #rest = 0;
  /** Work per second at the centre. */
  #rate: number | undefined;
  #sinceMs: number | undefined;
  #completions = 0;
  #full = 0;
  #units = 0;
  #loweredAtMs = -Infinity;
  /** The last {@linkcode RECENT} outcomes, a bit each: refused. */
  #recent = 0;
  /** Share of calls that are refused whatever the node has to do. */
  #usual = 0;

  constructor(options: ConcurrencyOptions) {
    this.#options = options;
    this.#centre = options.start;
  }

  get limit(): number {
    return this.#centre + this.#trial;
  }

  /** A call ended well. `full`: while it ran, the limit was reached. */
  completed(nowMs: number, units: number, full: boolean): void {
    this.#note(0);
    if (this.#sinceMs === undefined) {
      this.#sinceMs = nowMs;
      return;
    }
    this.#completions++;
    this.#units += units;
    if (full) this.#full++;
    const elapsedMs = nowMs - this.#sinceMs;
    if (this.#completions < Math.max(WINDOW_COMPLETIONS, WINDOW_ROUNDS * this.limit) || elapsedMs < WINDOW_MS) return;
    const counted = this.#full >= FULL_SHARE * this.#completions;
    const rate = this.#units * 1000 / elapsedMs;
    this.#restart(nowMs);
    if (!counted) return;
    if (this.#trial === 0) this.#rested(rate);
    else this.#tried(rate);
  }

  /**
   * A call was refused or ran out of time, which may be an overload or chance: gateways refuse a few calls at any time,
   * and a limit that fell with each of them would end at 1. Many of the last calls are an overload.
   */
  refused(nowMs: number, startedAtMs: number, inFlight: number): void {
    if (startedAtMs < this.#loweredAtMs) return;
    this.#note(1);
    let refusals = 0;
    for (let bits = this.#recent; bits !== 0; bits &= bits - 1) refusals++;
    const usual = Math.floor(REFUSALS_USUAL * RECENT * this.#usual);
    if (refusals >= Math.min(REFUSALS, Math.max(2, this.limit)) + usual) this.overloaded(nowMs, startedAtMs, inFlight);
  }

  /**
   * The node said, or showed, that it has too much. Calls begun before the last lowering say nothing new; and a node that
   * refuses while it has little to do does not refuse because of the limit.
   */
  overloaded(nowMs: number, startedAtMs: number, inFlight: number): void {
    if (startedAtMs < this.#loweredAtMs || inFlight < LOADED_SHARE * this.limit) return;
    this.#loweredAtMs = nowMs;
    this.#recent = 0;
    // A step too far is taken back; what was good until now is given up only when it fails too.
    if (this.#trial > 0) this.#fail(REST_WINDOWS_OVERLOADED);
    else this.#lower(OVERLOAD_FACTOR);
    this.#restart(undefined);
  }

  /** After an outage: half of what it was. */
  halve(): void {
    this.#lower(0.5);
    this.#restart(undefined);
  }

  #lower(factor: number): void {
    this.#centre = Math.max(this.#options.min, Math.floor(this.limit * factor));
    this.#trial = 0;
    this.#strides = 0;
    this.#rate = undefined;
    this.#rest = 1;
    this.#direction = 1;
  }

  /** A window at the centre is over. */
  #rested(rate: number): void {
    const unlike = this.#rate !== undefined && Math.abs(rate / this.#rate - 1) > UNLIKE;
    this.#rate = this.#rate === undefined || unlike ? rate : this.#rate + RATE_SHARE * (rate - this.#rate);
    this.#rest = unlike ? 0 : this.#rest - 1;
    if (this.#rest <= 0) this.#try();
  }

  /** A window beside the centre is over. */
  #tried(rate: number): void {
    const gain = rate / this.#rate! - 1;
    const better = this.#trial > 0 ? gain >= STEP_GAIN : gain > -STEP_GAIN;
    if (!better) return this.#fail(REST_WINDOWS);
    this.#centre += this.#trial;
    this.#rate = rate;
    this.#strides = this.#trial > 0 ? this.#strides + 1 : 0;
    this.#try();
  }

  #fail(restWindows: number): void {
    this.#direction = this.#trial > 0 ? -1 : 1;
    this.#trial = 0;
    this.#strides = 0;
    this.#rest = restWindows;
  }

  /** Steps aside, the other way at the end of the range. */
  #try(): void {
    const { min, max } = this.#options;
    const step = Math.max(1, Math.round(STEP_SHARE * this.#centre)) * 2 ** this.#strides;
    if (this.#centre + this.#direction < min || this.#centre + this.#direction > max) {
      this.#direction = this.#direction === 1 ? -1 : 1;
    }
    const next = Math.min(max, Math.max(min, this.#centre + this.#direction * step));
    this.#trial = next - this.#centre;
  }

  #note(refused: 0 | 1): void {
    this.#recent = ((this.#recent << 1) | refused) & ((1 << RECENT) - 1);
    this.#usual += USUAL_SHARE * (refused - this.#usual);
  }

  #restart(nowMs: number | undefined): void {
    this.#sinceMs = nowMs;
    this.#completions = 0;
    this.#full = 0;
    this.#units = 0;
  }
}
