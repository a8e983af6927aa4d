/** Time that passes only when told, and everything that then happens, in order. */
import { setImmediate } from "node:timers";
import type { Clock } from "../../src/rpc/clock.ts";

interface Timer extends Disposable {
  readonly atMs: number;
  readonly order: number;
  readonly task: () => void;
}

/** A clock for tests. */
export class VirtualClock implements Clock {
  #nowMs = 0;
  #order = 0;
  readonly #timers = new Set<Timer>();

  /** Milliseconds since 1970 at its beginning: the time of a fake chain's first block. */
  constructor(readonly epochAtStartMs = 1_600_000_000_000 + 3_600_000) {}

  now(): number {
    return this.#nowMs;
  }

  epochMs(): number {
    return this.epochAtStartMs + this.#nowMs;
  }

  after(ms: number, task: () => void): Disposable {
    const timer: Timer = {
      atMs: this.#nowMs + Math.max(0, ms),
      order: this.#order++,
      task,
      [Symbol.dispose]: () => void this.#timers.delete(timer),
    };
    this.#timers.add(timer);
    return timer;
  }

  /** Timers that have not run. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Lets `ms` pass; what a timer starts is done before the next one runs. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms;
    await settled();
    while (true) {
      let next: Timer | undefined;
      for (const timer of this.#timers) {
        if (timer.atMs > untilMs) continue;
        if (next === undefined || timer.atMs < next.atMs || (timer.atMs === next.atMs && timer.order < next.order)) {
          next = timer;
        }
      }
      if (next === undefined) break;
      this.#timers.delete(next);
      this.#nowMs = next.atMs;
      next.task();
      await settled();
    }
    this.#nowMs = untilMs;
  }
}

/** Resolves when every promise that can settle without time or I/O has done so. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Numbers in [0, 1), the same for the same seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
