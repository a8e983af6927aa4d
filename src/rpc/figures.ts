/** Running figures of a node: averages that forget. */

/** An average in which the newest value weighs `share`. */
export class Average {
  #value: number | undefined;
  readonly #share: number;

  constructor(share: number, first?: number) {
    this.#share = share;
    this.#value = first;
  }

  get value(): number | undefined {
    return this.#value;
  }

  add(value: number): void {
    this.#value = this.#value === undefined ? value : this.#value + this.#share * (value - this.#value);
  }
}

const RELIABILITY_MS = 300_000;

/** Share of calls that went well, over about five minutes, beginning with 9 of 10. */
export class Reliability {
  #successes = 9;
  #attempts = 10;
  #atMs: number;

  constructor(nowMs: number) {
    this.#atMs = nowMs;
  }

  add(nowMs: number, success: boolean): void {
    this.#decay(nowMs);
    this.#attempts++;
    if (success) this.#successes++;
  }

  share(nowMs: number): number {
    this.#decay(nowMs);
    return this.#successes / this.#attempts;
  }

  /** Attempts and failures that still count, the prior left out. */
  counts(nowMs: number): { readonly attempts: number; readonly failures: number } {
    this.#decay(nowMs);
    const failures = this.#attempts - this.#successes - 1;
    return { attempts: Math.max(0, Math.round(this.#attempts - 10)), failures: Math.max(0, Math.round(failures)) };
  }

  /** Moves towards the prior: without calls nothing is known again. */
  #decay(nowMs: number): void {
    const keep = Math.exp((this.#atMs - nowMs) / RELIABILITY_MS);
    this.#atMs = nowMs;
    this.#successes = 9 + (this.#successes - 9) * keep;
    this.#attempts = 10 + (this.#attempts - 10) * keep;
  }
}

const LATENCIES = 64;
/** Sorting them costs more than a whole lease. */
const LATENCY_STEP = 8;

/** The last latencies and their 95th percentile. */
export class Latencies {
  readonly #ring = new Float64Array(LATENCIES).fill(Infinity);
  readonly #sorted = new Float64Array(LATENCIES);
  #count = 0;
  #p95: number | undefined;

  add(ms: number): void {
    this.#ring[this.#count++ % LATENCIES] = ms;
    if (this.#count % LATENCY_STEP !== 0) return;
    const known = Math.min(this.#count, LATENCIES);
    this.#sorted.set(this.#ring);
    this.#p95 = this.#sorted.sort()[Math.ceil(known * 0.95) - 1];
  }

  /** Absent before the eighth call; computed anew with every eighth. */
  get p95Ms(): number | undefined {
    return this.#p95;
  }
}

const THROUGHPUT_SECONDS = 10;

/** Calls per second over the last ten seconds. */
export class Throughput {
  readonly #seconds: { readonly second: number; count: number }[] = [];

  add(nowMs: number): void {
    const second = Math.floor(nowMs / 1000);
    const last = this.#seconds.at(-1);
    if (last?.second === second) last.count++;
    else this.#seconds.push({ second, count: 1 });
    while (this.#seconds[0]!.second <= second - THROUGHPUT_SECONDS) this.#seconds.shift();
  }

  perSecond(nowMs: number): number {
    const from = Math.floor(nowMs / 1000) - THROUGHPUT_SECONDS;
    return this.#seconds.reduce((sum, { second, count }) => second > from ? sum + count : sum, 0) / THROUGHPUT_SECONDS;
  }
}
