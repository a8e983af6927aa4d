/**
 * Which leases move. Runs wherever the heartbeat runs: a thread of its own for Redis, the main isolate for memory. It
 * knows leases by their cells in shared memory alone, so that no busy event loop can stop it, and a lease that begins or
 * ends costs no message.
 *
 * A cell: `moves`, `waits`, `term`, `length` as 32 bit integers, then when the lease began as a 64 bit float, then what
 * the heartbeat has to say of the lease as `length` bytes of ASCII; `length` is 0 while no lease has the cell.
 */

/** Index of the counter of moves in a progress cell. */
export const MOVES = 0;
/** Index of the number of waits under way. */
export const WAITS = 1;
/** Index of the number of leases that have had the cell before: with another one, what was known of a lease is over. */
export const TERM = 2;
/** Index of the length of the text. */
export const LENGTH = 3;
/** Byte offset of the begin, in milliseconds of the heart's clock. */
export const SINCE_OFFSET = 16;
/** Byte offset of the text. */
export const TEXT_OFFSET = 24;
/** Bytes of a progress cell. */
export const CELL_BYTES = 192;

const CELL_LENGTH = CELL_BYTES / Int32Array.BYTES_PER_ELEMENT;

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

  /** Texts of the leases to renew, and of those that have stood still for too long: each of these is told once. */
  take(nowMs: number): { readonly moving: readonly string[]; readonly stalled: readonly string[] } {
    const moving: string[] = [];
    const stalled: string[] = [];
    for (const sheet of this.#sheets) {
      for (let cell = 0; cell * CELL_LENGTH < sheet.numbers.length; cell++) {
        const text = textOf(sheet, cell);
        if (text === undefined) continue;
        const beat = this.#beat(sheet, cell, nowMs);
        if (beat.stalled) continue;
        beat.stalled = nowMs - beat.movedAtMs >= this.#stallTimeoutMs;
        (beat.stalled ? stalled : moving).push(text);
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

/** What a lease has written, unless the cell is free or changes hands at this moment: that one is fresh. */
function textOf({ numbers, memory }: Sheet, cell: number): string | undefined {
  const at = cell * CELL_LENGTH;
  const term = Atomics.load(numbers, at + TERM);
  const length = Atomics.load(numbers, at + LENGTH);
  const text = String.fromCharCode(...new Uint8Array(memory, cell * CELL_BYTES + TEXT_OFFSET, length));
  return length === 0 || Atomics.load(numbers, at + TERM) !== term ? undefined : text;
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
