/**
 * The limiter: no block beyond what another table already holds (the consensus layer's, as a rule). The answer is
 * cached; when it grows too old the limiter fails closed.
 */

/** How the bound is asked for. */
export interface LimiterOptions {
  readonly refreshMs: number;
  /** Age of the newest answer from which on nothing new may enter. */
  readonly maxAgeMs: number;
}

/** Caches the highest allowed block. */
export class Limiter {
  #highest: number | undefined;
  #answeredMs = Number.NEGATIVE_INFINITY;
  #askedMs = Number.NEGATIVE_INFINITY;
  #asking: Promise<void> | undefined;

  /**
   * @param ask The highest allowed block number; `undefined` while the table is empty.
   * @param now Monotonic milliseconds.
   */
  constructor(
    readonly options: LimiterOptions,
    readonly ask: () => Promise<number | undefined>,
    readonly now: () => number = () => performance.now(),
  ) {}

  /** The highest block that may enter; -1 while nothing is known or the answer is too old. Asks at most each refresh. */
  async highest(): Promise<number> {
    if (this.now() - this.#askedMs >= this.options.refreshMs) {
      this.#asking ??= this.#refresh().finally(() => this.#asking = undefined);
      await this.#asking;
    }
    const stale = this.now() - this.#answeredMs > this.options.maxAgeMs;
    return stale ? -1 : this.#highest ?? -1;
  }

  async #refresh(): Promise<void> {
    this.#askedMs = this.now();
    try {
      this.#highest = await this.ask();
      this.#answeredMs = this.now();
    } catch {
      // The old answer stands until it is too old: that is what maxAgeMs is for.
    }
  }
}
