/**
 * Which leases move. Runs wherever the heartbeat runs: a thread of its own for Redis, the main isolate for memory. It
 * knows leases by their cells in shared memory alone, so that no busy event loop can stop it, and a lease that begins or
 * ends costs no message.
 *
 * A cell: `moves`, `waits`, `term`, `length` as 32 bit integers, then when the lease began and its token as 64 bit floats,
 * then the id of its task as `length` bytes of ASCII; `length` is 0 while no lease has the cell.
 */

/** Index of the counter of moves in a progress cell. */
export const MOVES = 0;
/** Index of the number of waits under way. */
export const WAITS = 1;
/** Index of the number of leases that have had the cell before: with another one, what was known of a lease is over. */
export const TERM = 2;
/** Index of the length of the id. */
export const LENGTH = 3;
/** Byte offset of the begin, in milliseconds of the heart's clock. */
export const SINCE_OFFSET = 16;
/** Byte offset of the token. */
export const TOKEN_OFFSET = 24;
/** Byte offset of the id. */
export const ID_OFFSET = 32;
/** Bytes of a progress cell. */
export const CELL_BYTES = 192;

const CELL_LENGTH = CELL_BYTES / Int32Array.BYTES_PER_ELEMENT;

/** A lease as its cell has it. */
export interface Beating {
  readonly token: number;
  /** Of its task. */
  readonly id: string;
}

interface Beat {
  readonly term: number;
  moves: number;
  movedAtMs: number;
  stalled: boolean;
}

/** Cells of one shared memory. */
interface Sheet {
  readonly numbers: Int32Array;
  readonly memory: SharedArrayBuffer;
  readonly beats: (Beat | undefined)[];
}

/** Tells leases that move from leases that stand still. */
export class Pulse {
  readonly #stallTimeoutMs: number;
  readonly #sheets: Sheet[] = [];

  constructor(stallTimeoutMs: number) {
    this.#stallTimeoutMs = stallTimeoutMs;
  }

  /** Leases of the cells of this memory are watched from now on. */
  share(memory: SharedArrayBuffer): void {
    this.#sheets.push({ numbers: new Int32Array(memory), memory, beats: [] });
  }

  /** The leases to renew, and those that have stood still for too long: each of these is told once. */
  take(nowMs: number): { readonly moving: readonly Beating[]; readonly stalled: readonly Beating[] } {
    const moving: Beating[] = [];
    const stalled: Beating[] = [];
    for (const sheet of this.#sheets) {
      for (let cell = 0; cell * CELL_LENGTH < sheet.numbers.length; cell++) {
        const lease = leaseIn(sheet, cell);
        if (lease === undefined) continue;
        const beat = this.#beat(sheet, cell, nowMs);
        if (beat.stalled) continue;
        beat.stalled = nowMs - beat.movedAtMs >= this.#stallTimeoutMs;
        (beat.stalled ? stalled : moving).push(lease);
      }
    }
    return { moving, stalled };
  }

  #beat({ numbers, memory, beats }: Sheet, cell: number, nowMs: number): Beat {
    const at = cell * CELL_LENGTH;
    const term = Atomics.load(numbers, at + TERM);
    const moves = Atomics.load(numbers, at + MOVES);
    let beat = beats[cell];
    if (beat?.term !== term) {
      const [sinceMs] = new Float64Array(memory, cell * CELL_BYTES + SINCE_OFFSET, 1) as unknown as [number];
      beats[cell] = beat = { term, moves: 0, movedAtMs: sinceMs, stalled: false };
    }
    if (moves !== beat.moves || Atomics.load(numbers, at + WAITS) > 0) {
      beat.moves = moves;
      beat.movedAtMs = nowMs;
    }
    return beat;
  }
}

/** The lease that has the cell, unless the cell is free or changes hands at this moment: that one is fresh. */
function leaseIn({ numbers, memory }: Sheet, cell: number): Beating | undefined {
  const at = cell * CELL_LENGTH;
  const term = Atomics.load(numbers, at + TERM);
  const length = Atomics.load(numbers, at + LENGTH);
  const [token] = new Float64Array(memory, cell * CELL_BYTES + TOKEN_OFFSET, 1) as unknown as [number];
  const id = String.fromCharCode(...new Uint8Array(memory, cell * CELL_BYTES + ID_OFFSET, length));
  return length === 0 || Atomics.load(numbers, at + TERM) !== term ? undefined : { token, id };
}

/** The clock of hearts: milliseconds that grow evenly and are the same in every thread. */
export function heartMs(): number {
  return performance.timeOrigin + performance.now();
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
