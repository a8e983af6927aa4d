/**
 * Which leases move. Runs wherever the heartbeat runs: a thread of its own for Redis, the main isolate for memory. It
 * sees a lease only through its progress cell in shared memory, so that a busy event loop cannot stop it, and a lease
 * that ends costs no message.
 */

/** Index of the counter of moves in a progress cell. */
export const MOVES = 0;
/** Index of the number of waits under way. */
export const WAITS = 1;
/** Index of the number of leases that had the cell before: with another one, what was known of a lease is over. */
export const TERM = 2;
/** Numbers in a progress cell. */
export const CELL_LENGTH = 3;

/** Ended leases that are swept at once; fewer wait for the next beat. */
const SWEEP_FROM = 1_024;

/** A lease as the heartbeat sees it. */
export interface Watched {
  readonly progress: Int32Array;
  /** {@linkcode TERM} of the cell when the lease got it. */
  readonly term: number;
}

interface Beat<W extends Watched> {
  readonly lease: W;
  moves: number;
  movedAtMs: number;
}

/** Tells leases that move from leases that stand still. */
export class Pulse<W extends Watched> {
  readonly #stallTimeoutMs: number;
  #beats: Beat<W>[] = [];
  #sweepAt = SWEEP_FROM;

  constructor(stallTimeoutMs: number) {
    this.#stallTimeoutMs = stallTimeoutMs;
  }

  watch(lease: W, nowMs: number): void {
    this.#beats.push({ lease, moves: Atomics.load(lease.progress, MOVES), movedAtMs: nowMs });
    if (this.#beats.length >= this.#sweepAt) this.#sweep();
  }

  /** Leases to renew, and leases that stood still for too long; the latter are not watched any more. */
  take(nowMs: number): { readonly moving: readonly W[]; readonly stalled: readonly W[] } {
    this.#sweep();
    const stalled: W[] = [];
    this.#beats = this.#beats.filter((beat) => {
      const { lease } = beat;
      const moves = Atomics.load(lease.progress, MOVES);
      if (moves !== beat.moves || Atomics.load(lease.progress, WAITS) > 0) {
        beat.moves = moves;
        beat.movedAtMs = nowMs;
      }
      if (nowMs - beat.movedAtMs < this.#stallTimeoutMs) return true;
      stalled.push(lease);
      return false;
    });
    return { moving: this.#beats.map(({ lease }) => lease), stalled };
  }

  /** Forgets what has ended. */
  #sweep(): void {
    this.#beats = this.#beats.filter(({ lease }) => Atomics.load(lease.progress, TERM) === lease.term);
    this.#sweepAt = 2 * this.#beats.length + SWEEP_FROM;
  }
}

/** Counts as moving until disposed. A wait that outlives its lease is no wait of the next lease of the cell. */
export function waitingIn(progress: Int32Array): Disposable {
  const term = Atomics.load(progress, TERM);
  let under = true;
  Atomics.add(progress, WAITS, 1);
  return {
    [Symbol.dispose]: () => {
      if (under && Atomics.load(progress, TERM) === term) Atomics.sub(progress, WAITS, 1);
      under = false;
    },
  };
}
