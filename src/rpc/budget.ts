/** Budgets that keep retries and second calls a small share of the load. */

/** Retries: a fixed number per second and a share of the calls of the last ten seconds. */
export class RetryBudget {
  readonly #ratio: number;
  readonly #perSecond: number;
  /** Calls and retries of the last seconds, by second. */
  readonly #seconds: { second: number; calls: number; retries: number }[] = [];

  constructor(options: { readonly ratio: number; readonly perSecond: number }) {
    this.#ratio = options.ratio;
    this.#perSecond = options.perSecond;
  }

  /** A first attempt was made. */
  called(nowMs: number): void {
    this.#slot(nowMs).calls++;
  }

  /** Takes a retry, if one is left. */
  take(nowMs: number): boolean {
    if (this.left(nowMs) < 1) return false;
    this.#slot(nowMs).retries++;
    return true;
  }

  /** Retries left now. */
  left(nowMs: number): number {
    this.#slot(nowMs);
    let [calls, retries] = [0, 0];
    for (const slot of this.#seconds) [calls, retries] = [calls + slot.calls, retries + slot.retries];
    return this.#perSecond * WINDOW_SECONDS + this.#ratio * calls - retries;
  }

  #slot(nowMs: number) {
    const second = Math.floor(nowMs / 1000);
    while (this.#seconds.length > 0 && this.#seconds[0]!.second <= second - WINDOW_SECONDS) this.#seconds.shift();
    let slot = this.#seconds.at(-1);
    if (slot?.second !== second) this.#seconds.push(slot = { second, calls: 0, retries: 0 });
    return slot;
  }
}

const WINDOW_SECONDS = 10;

/** Second calls: each call earns a part of one. */
export class HedgeBudget {
  readonly #ratio: number;
  #tokens = HEDGE_CAP;

  constructor(ratio: number) {
    this.#ratio = ratio;
    if (ratio === 0) this.#tokens = 0;
  }

  /** A call was made. */
  called(): void {
    this.#tokens = Math.min(HEDGE_CAP, this.#tokens + this.#ratio);
  }

  /** Takes a second call, if one is left. */
  take(): boolean {
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }

  get left(): number {
    return this.#tokens;
  }
}

const HEDGE_CAP = 10;
