/**
 * The first and last bytes of one transaction's result, kept while a reply is read so that a refused trace can be shown.
 *
 * Where a result begins and ends is known only when the decoder has read it, and the reply may have been read further
 * by then: positions are offsets in the reply, and the newest bytes are kept in a ring that is as much larger.
 */

/** What a reply may hold between two results: the end of an item, and its hash. */
const BETWEEN_RESULTS_BYTES = 1024;

/** Kept of one result: all of it where it is short enough, else its two ends. */
export interface ResultEnds {
  readonly head: Uint8Array;
  readonly tail: Uint8Array;
  /** Between the two. */
  readonly omittedBytes: number;
}

/** One tap per lane: its memory is kept from reply to reply. */
export class EvidenceTap {
  readonly #aheadBytes: number;
  /** Kept of each end; 0: nothing is kept. */
  #bytes = 0;
  /** The reply's bytes from #headFrom on. */
  #head = new Uint8Array(0);
  #headFrom = 0;
  #headBytes = 0;
  /** The newest bytes: that of offset n lies at n modulo its length. */
  #ring = new Uint8Array(0);
  /** Bytes of the reply so far. */
  #total = 0;

  /** @param aheadBytes The most that is pushed behind the end of a result before that result is taken. */
  constructor(aheadBytes: number) {
    this.#aheadBytes = aheadBytes;
  }

  /** A reply begins. @param bytes Kept of each end of a result; 0 copies nothing. */
  begin(bytes: number): void {
    if (bytes !== this.#bytes) {
      this.#bytes = bytes;
      this.#head = new Uint8Array(bytes === 0 ? 0 : bytes + BETWEEN_RESULTS_BYTES);
      this.#ring = new Uint8Array(bytes === 0 ? 0 : bytes + this.#aheadBytes);
    }
    this.#headFrom = 0;
    this.#headBytes = 0;
    this.#total = 0;
  }

  /** Takes what was read. */
  push(chunk: Uint8Array): void {
    if (this.#bytes === 0) return;
    const forHead = Math.min(chunk.length, this.#head.length - this.#headBytes);
    if (forHead > 0) {
      this.#head.set(chunk.subarray(0, forHead), this.#headBytes);
      this.#headBytes += forHead;
    }
    const newest = chunk.subarray(Math.max(0, chunk.length - this.#ring.length));
    const at = (this.#total + chunk.length - newest.length) % this.#ring.length;
    const untilEnd = Math.min(newest.length, this.#ring.length - at);
    this.#ring.set(newest.subarray(0, untilEnd), at);
    this.#ring.set(newest.subarray(untilEnd), 0);
    this.#total += chunk.length;
  }

  /** The ends of the result that lies at offsets [from, to). */
  take(from: number, to: number): ResultEnds {
    if (this.#bytes === 0) return { head: new Uint8Array(0), tail: new Uint8Array(0), omittedBytes: to - from };
    const headFrom = Math.max(from, this.#headFrom);
    const headTo = Math.max(headFrom, Math.min(to, from + this.#bytes, this.#headFrom + this.#headBytes));
    const head = this.#head.slice(headFrom - this.#headFrom, headTo - this.#headFrom);
    const tail = this.#newest(Math.max(headTo, to - this.#bytes), to);
    return { head, tail, omittedBytes: to - from - head.length - tail.length };
  }

  /** What lies before offset `to` will not be taken: the next result follows. */
  release(to: number): void {
    if (this.#bytes === 0) return;
    const following = this.#newest(to, Math.min(this.#total, to + this.#head.length));
    this.#headFrom = to;
    this.#headBytes = following.length;
    this.#head.set(following);
  }

  /** A copy of the bytes at [from, to), which are among the newest. */
  #newest(from: number, to: number): Uint8Array {
    const copy = new Uint8Array(to - from);
    for (let copied = 0; copied < copy.length;) {
      const at = (from + copied) % this.#ring.length;
      const length = Math.min(copy.length - copied, this.#ring.length - at);
      copy.set(this.#ring.subarray(at, at + length), copied);
      copied += length;
    }
    return copy;
  }
}
