/** Progress cells in shared memory, reused: one buffer for many leases, so that a lease costs no allocation. */
import { CELL_BYTES, LENGTH, MOVES, SINCE_OFFSET, TERM, TEXT_OFFSET, WAITS } from "./pulse.ts";

const CELLS_PER_BUFFER = 512;
const TEXT_BYTES = CELL_BYTES - TEXT_OFFSET;

const encoder = new TextEncoder();

/** A cell that a lease has. */
export interface ProgressCell {
  readonly progress: Int32Array;
  readonly since: Float64Array;
  readonly text: Uint8Array;
}

/** Hands out cells. */
export class ProgressCells {
  readonly #free: ProgressCell[] = [];
  readonly #announce: (memory: SharedArrayBuffer) => void;

  /** @param announce Told of every new buffer before a cell of it is handed out. */
  constructor(announce: (memory: SharedArrayBuffer) => void) {
    this.#announce = announce;
  }

  /**
   * A cell for a lease that begins.
   *
   * @param text What the heartbeat has to say of the lease, ASCII. @throws {RangeError} when it is longer than a cell.
   */
  take(text: string, nowMs: number): ProgressCell {
    const cell = this.#free.pop() ?? this.#grow();
    const { read, written } = encoder.encodeInto(text, cell.text);
    if (read < text.length) throw new RangeError(`Cannot keep "${text}" in a cell of ${TEXT_BYTES} bytes`);
    Atomics.store(cell.progress, MOVES, 0);
    Atomics.store(cell.progress, WAITS, 0);
    cell.since[0] = nowMs;
    Atomics.store(cell.progress, LENGTH, written);
    return cell;
  }

  /** Ends the lease that has the cell: its heart forgets it. */
  give(cell: ProgressCell): void {
    Atomics.store(cell.progress, LENGTH, 0);
    Atomics.add(cell.progress, TERM, 1);
    this.#free.push(cell);
  }

  #grow(): ProgressCell {
    const memory = new SharedArrayBuffer(CELLS_PER_BUFFER * CELL_BYTES);
    this.#announce(memory);
    for (let offset = 0; offset < memory.byteLength; offset += CELL_BYTES) {
      this.#free.push({
        progress: new Int32Array(memory, offset, CELL_BYTES / Int32Array.BYTES_PER_ELEMENT),
        since: new Float64Array(memory, offset + SINCE_OFFSET, 1),
        text: new Uint8Array(memory, offset + TEXT_OFFSET, TEXT_BYTES),
      });
    }
    return this.#free.pop() as ProgressCell;
  }
}
