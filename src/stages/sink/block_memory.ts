/** Memory of blocks whose insert is done, for the next ones: a fresh buffer of many megabytes is zeroed page by page. */

/** Keeps at most `count` buffers. */
export class BlockMemory {
  readonly #count: number;
  readonly #free: ArrayBuffer[] = [];

  constructor(count: number) {
    this.#count = count;
  }

  /** At least `bytes`, with whatever was in them. */
  take(bytes: number): Uint8Array<ArrayBuffer> {
    const fitting = this.#free.findIndex((buffer) => buffer.byteLength >= bytes);
    return new Uint8Array(fitting === -1 ? new ArrayBuffer(bytes) : this.#free.splice(fitting, 1)[0]!);
  }

  /** Nobody reads `block` any more. The smallest leaves when there are too many. */
  giveBack(block: Uint8Array<ArrayBuffer>): void {
    this.#free.push(block.buffer);
    if (this.#free.length <= this.#count) return;
    this.#free.sort((a, b) => b.byteLength - a.byteLength).pop();
  }
}
