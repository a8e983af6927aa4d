/** Progress cells in shared memory, reused: one buffer for many leases, so that a lease costs no allocation. */
import { CELL_BYTES, ID_OFFSET, LENGTH, MOVES, SINCE_OFFSET, TERM, TOKEN_OFFSET, WAITS } from "./pulse.ts";

const CELLS_PER_BUFFER = 512;
const ID_BYTES = CELL_BYTES - ID_OFFSET;

/** A cell that a lease has. */
export interface ProgressCell {
  readonly progress: Int32Array;
  readonly since: Float64Array;
  readonly token: Float64Array;
  readonly id: Uint8Array;
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
   * @param id Of its task, ASCII. @throws {RangeError} when it is longer than a cell.
   */
  take(token: number, id: string, nowMs: number): ProgressCell {
    if (id.length > ID_BYTES) throw new RangeError(`Cannot keep "${id}" in ${ID_BYTES} bytes of a cell`);
    const cell = this.#free.pop() ?? this.#grow();
    for (let at = 0; at < id.length; at++) cell.id[at] = id.charCodeAt(at);
    cell.token[0] = token;
    cell.since[0] = nowMs;
    Atomics.store(cell.progress, MOVES, 0);
    Atomics.store(cell.progress, WAITS, 0);
    Atomics.store(cell.progress, LENGTH, id.length);
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
        token: new Float64Array(memory, offset + TOKEN_OFFSET, 1),
        id: new Uint8Array(memory, offset + ID_OFFSET, ID_BYTES),
      });
    }
    return this.#free.pop() as ProgressCell;
  }
}
