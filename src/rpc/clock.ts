/**
 * Time as the pool sees it, so that a test can be the time. One sweep serves all deadlines: a timer per request would
 * cost more than the request's own bookkeeping.
 */

/** Time and timers. */
export interface Clock {
  /** Monotonic milliseconds. */
  now(): number;
  /** Milliseconds since 1970, to judge a block's time stamp. */
  epochMs(): number;
  /** Runs `task` once after `ms`; dispose of the result to prevent it. */
  after(ms: number, task: () => void): Disposable;
}

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => performance.now(),
  epochMs: () => Date.now(),
  after(ms, task) {
    const timer = setTimeout(task, ms);
    return { [Symbol.dispose]: () => clearTimeout(timer) };
  },
};

/** Resolves after `ms`; rejects with the signal's reason when it fires before. */
export function pause(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  if (signal?.aborted) {
    reject(signal.reason);
    return promise;
  }
  const aborted = () => {
    timer[Symbol.dispose]();
    reject(signal!.reason);
  };
  const timer = clock.after(ms, () => {
    signal?.removeEventListener("abort", aborted);
    resolve();
  });
  signal?.addEventListener("abort", aborted, { once: true });
  return promise;
}

/** One moment of the future in a {@linkcode Sweep}. */
interface Due extends Disposable {
  readonly atMs: number;
  readonly task: () => void;
}

/** Runs tasks up to one interval after they are due, with one timer for all, and none while there are none. */
export class Sweep implements Disposable {
  readonly #clock: Clock;
  readonly #everyMs: number;
  readonly #dues = new Set<Due>();
  #timer: Disposable | undefined;
  #ended = false;

  constructor(clock: Clock, everyMs: number) {
    this.#clock = clock;
    this.#everyMs = everyMs;
  }

  /** Runs `task` once `atMs` has passed, unless the sweep ends before; dispose of the result to prevent it. */
  at(atMs: number, task: () => void): Disposable {
    const due: Due = { atMs, task, [Symbol.dispose]: () => void this.#dues.delete(due) };
    if (this.#ended) return due;
    this.#dues.add(due);
    this.#timer ??= this.#clock.after(this.#everyMs, this.#turn);
    return due;
  }

  readonly #turn = (): void => {
    this.#timer = undefined;
    const now = this.#clock.now();
    for (const due of this.#dues) {
      if (due.atMs > now) continue;
      this.#dues.delete(due);
      due.task();
    }
    if (this.#dues.size > 0) this.#timer ??= this.#clock.after(this.#everyMs, this.#turn);
  };

  [Symbol.dispose](): void {
    this.#ended = true;
    this.#dues.clear();
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
  }
}
