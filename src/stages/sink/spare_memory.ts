/**
 * Memory of what was written, for what comes next: fresh buffers of megabytes are zeroed page by page, and make V8
 * collect garbage for their size alone.
 */

/** Smaller ones are not worth the search. */
const SMALLEST_BYTES = 64 * 1024;
/** A buffer is not used for something of less than this part of it. */
const LEAST_USE = 1 / 2;

/** Keeps buffers of at most `maxBytes` together. */
export class SpareMemory {
  readonly #maxBytes: number;
  readonly #free: ArrayBuffer[] = [];
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** What is kept now. */
  get bytes(): number {
    return this.#bytes;
  }

  /** At least `bytes` and at most twice as much, with whatever was in them. */
  take(bytes: number): Uint8Array<ArrayBuffer> {
    let best = -1;
    let bestBytes = bytes / LEAST_USE + 1;
    for (const [i, { byteLength }] of this.#free.entries()) {
      if (byteLength < bytes || byteLength >= bestBytes) continue;
      best = i;
      bestBytes = byteLength;
    }
    if (best === -1) return new Uint8Array(roundedUp(bytes));
    this.#bytes -= bestBytes;
    return new Uint8Array(this.#free.splice(best, 1)[0]!);
  }

  /** Nobody reads it any more. The longest unused ones leave when there is too much. */
  giveBack({ buffer }: Uint8Array<ArrayBuffer>): void {
    if (buffer.byteLength < SMALLEST_BYTES) return;
    this.#free.push(buffer);
    this.#bytes += buffer.byteLength;
    while (this.#bytes > this.#maxBytes) this.#bytes -= this.#free.shift()!.byteLength;
  }
}

/** To an eighth of the next smaller power of two, so that what is of about the same size fits into the same buffers. */
function roundedUp(bytes: number): number {
  if (bytes < SMALLEST_BYTES) return bytes;
  const step = 2 ** (Math.floor(Math.log2(bytes)) - 3);
  return Math.ceil(bytes / step) * step;
}
