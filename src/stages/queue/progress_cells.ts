/** Progress cells in shared memory, reused: one buffer for many leases, so that a lease costs no allocation. */
import { CELL_LENGTH, MOVES, TERM, WAITS } from "./pulse.ts";

const CELLS_PER_BUFFER = 512;

/** A cell and where it is, for a thread that has the buffer. */
export interface ProgressCell {
  readonly progress: Int32Array;
  readonly buffer: number;
  /** In bytes. */
  readonly offset: number;
}

/** Hands out cells without moves and waits. */
export class ProgressCells {
  readonly #free: ProgressCell[] = [];
  #buffers = 0;
  readonly #announce: (buffer: number, memory: SharedArrayBuffer) => void;

  /** @param announce Told of every new buffer before a cell of it is handed out. */
  constructor(announce: (buffer: number, memory: SharedArrayBuffer) => void) {
    this.#announce = announce;
  }

  take(): ProgressCell {
    const cell = this.#free.pop() ?? this.#grow();
    Atomics.store(cell.progress, MOVES, 0);
    Atomics.store(cell.progress, WAITS, 0);
    return cell;
  }

  /** Ends the lease that has the cell: its heart forgets it. */
  give(cell: ProgressCell): void {
    Atomics.add(cell.progress, TERM, 1);
    this.#free.push(cell);
  }

  #grow(): ProgressCell {
    const memory = new SharedArrayBuffer(CELLS_PER_BUFFER * CELL_LENGTH * Int32Array.BYTES_PER_ELEMENT);
    const buffer = this.#buffers++;
    this.#announce(buffer, memory);
    for (let cell = 0; cell < CELLS_PER_BUFFER; cell++) {
      const offset = cell * CELL_LENGTH * Int32Array.BYTES_PER_ELEMENT;
      this.#free.push({ progress: new Int32Array(memory, offset, CELL_LENGTH), buffer, offset });
    }
    return this.#free.pop() as ProgressCell;
  }
}
