/**
 * Which leases move. Runs wherever the heartbeat runs: a thread of its own for Redis, the main isolate for memory. It
 * sees a lease only through its progress cell in shared memory, so that a busy event loop cannot stop it.
 */

/** Index of the counter of moves in a progress cell. */
export const MOVES = 0;
/** Index of the number of waits under way. */
export const WAITS = 1;
/** Numbers in a progress cell. */
export const CELL_LENGTH = 2;

/** A lease as the heartbeat sees it. */
export interface Watched {
  readonly token: number;
  readonly progress: Int32Array;
}

interface Beat<W extends Watched> {
  readonly lease: W;
  moves: number;
  movedAtMs: number;
}

/** Tells leases that move from leases that stand still. */
export class Pulse<W extends Watched> {
  readonly #stallTimeoutMs: number;
  readonly #beats = new Map<number, Beat<W>>();

  constructor(stallTimeoutMs: number) {
    this.#stallTimeoutMs = stallTimeoutMs;
  }

  get size(): number {
    return this.#beats.size;
  }

  watch(lease: W, nowMs: number): void {
    this.#beats.set(lease.token, { lease, moves: Atomics.load(lease.progress, MOVES), movedAtMs: nowMs });
  }

  forget(token: number): void {
    this.#beats.delete(token);
  }

  /** Leases to renew, and leases that stood still for too long; the latter are not watched any more. */
  take(nowMs: number): { readonly moving: readonly W[]; readonly stalled: readonly W[] } {
    const moving: W[] = [];
    const stalled: W[] = [];
    for (const [token, beat] of this.#beats) {
      const moves = Atomics.load(beat.lease.progress, MOVES);
      if (moves !== beat.moves || Atomics.load(beat.lease.progress, WAITS) > 0) {
        beat.moves = moves;
        beat.movedAtMs = nowMs;
      }
      if (nowMs - beat.movedAtMs < this.#stallTimeoutMs) {
        moving.push(beat.lease);
      } else {
        stalled.push(beat.lease);
        this.#beats.delete(token);
      }
    }
    return { moving, stalled };
  }
}
