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

/** One moment of the future in a {@linkcode Sweep}: a link of a ring, so that a call makes one object and no more. */
class Due implements Disposable {
  readonly atMs: number;
  readonly task: () => void;
  next: Due = this;
  previous: Due = this;

  constructor(atMs: number, task: () => void) {
    this.atMs = atMs;
    this.task = task;
  }

  /** Puts it before `other`. */
  enter(other: Due): void {
    this.next = other;
    this.previous = other.previous;
    this.previous.next = this;
    other.previous = this;
  }

  [Symbol.dispose](): void {
    this.next.previous = this.previous;
    this.previous.next = this.next;
    this.next = this.previous = this;
  }
}

/** Runs tasks up to one interval after they are due, with one timer for all, and none while there are none. */
export class Sweep implements Disposable {
  readonly #clock: Clock;
  readonly #everyMs: number;
  /** Where the ring begins and ends. */
  readonly #dues = new Due(Infinity, () => {});
  #timer: Disposable | undefined;
  #ended = false;

  constructor(clock: Clock, everyMs: number) {
    this.#clock = clock;
    this.#everyMs = everyMs;
  }

  /** Runs `task` once `atMs` has passed, unless the sweep ends before; dispose of the result to prevent it. */
  at(atMs: number, task: () => void): Disposable {
    const due = new Due(atMs, task);
    if (this.#ended) return due;
    due.enter(this.#dues);
    this.#timer ??= this.#clock.after(this.#everyMs, this.#turn);
    return due;
  }

  readonly #turn = (): void => {
    this.#timer = undefined;
    const now = this.#clock.now();
    const ripe: Due[] = [];
    for (let due = this.#dues.next; due !== this.#dues; due = due.next) if (due.atMs <= now) ripe.push(due);
    for (const due of ripe) {
      // A task before it may have disposed of it.
      if (due.next === due) continue;
      due[Symbol.dispose]();
      due.task();
    }
    if (this.#dues.next !== this.#dues) this.#timer ??= this.#clock.after(this.#everyMs, this.#turn);
  };

  [Symbol.dispose](): void {
    this.#ended = true;
    while (this.#dues.next !== this.#dues) this.#dues.next[Symbol.dispose]();
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
  }
}
