/**
 * The first and last bytes of one transaction's result, kept while it is read so that a refused trace can be shown.
 * Bounded by twice the size it is given; nothing is copied where that size is 0.
 */
export class EvidenceTap {
  readonly #head: Uint8Array;
  readonly #ring: Uint8Array;
  #headBytes = 0;
  #total = 0;

  /** @param bytes Kept of each end. */
  constructor(readonly bytes: number) {
    this.#head = new Uint8Array(bytes);
    this.#ring = new Uint8Array(bytes);
  }

  /** The next transaction's result begins. */
  reset(): void {
    this.#headBytes = 0;
    this.#total = 0;
  }

  /** Takes what was read. */
  push(chunk: Uint8Array): void {
    if (this.bytes === 0) return;
    const forHead = Math.min(chunk.length, this.bytes - this.#headBytes);
    if (forHead > 0) {
      this.#head.set(chunk.subarray(0, forHead), this.#headBytes);
      this.#headBytes += forHead;
    }
    const tail = chunk.length > this.bytes ? chunk.subarray(chunk.length - this.bytes) : chunk;
    let at = (this.#total + chunk.length - tail.length) % this.bytes;
    const untilEnd = Math.min(tail.length, this.bytes - at);
    this.#ring.set(tail.subarray(0, untilEnd), at);
    at = 0;
    this.#ring.set(tail.subarray(untilEnd), at);
    this.#total += chunk.length;
  }

  /** What was kept: the whole result where it is short enough, else its two ends with the gap named. */
  take(): { readonly head: Uint8Array; readonly tail: Uint8Array; readonly omittedBytes: number } {
    const head = this.#head.slice(0, this.#headBytes);
    if (this.#total <= this.#headBytes) return { head, tail: new Uint8Array(0), omittedBytes: 0 };
    const kept = Math.min(this.#total - this.#headBytes, this.bytes);
    const tail = new Uint8Array(kept);
    const start = this.#total - kept;
    for (let copied = 0; copied < kept;) {
      const at = (start + copied) % this.bytes;
      const length = Math.min(kept - copied, this.bytes - at);
      tail.set(this.#ring.subarray(at, at + length), copied);
      copied += length;
    }
    return { head, tail, omittedBytes: this.#total - head.length - kept };
  }
}
