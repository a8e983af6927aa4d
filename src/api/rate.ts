/** A token bucket over the requests of all clients: guessing a token is slow, and a loop cannot starve the pipeline. */
export class RequestRate {
  #level: number;
  #atMs: number;

  /** @param perSecond Twice as many pass at once after a pause. @param nowMs Monotonic. */
  constructor(readonly perSecond: number, readonly nowMs: () => number) {
    this.#level = 2 * perSecond;
    this.#atMs = nowMs();
  }

  /** Whether one more request may pass now. */
  take(): boolean {
    const nowMs = this.nowMs();
    this.#level = Math.min(2 * this.perSecond, this.#level + (nowMs - this.#atMs) * this.perSecond / 1_000);
    this.#atMs = nowMs;
    if (this.#level < 1) return false;
    this.#level--;
    return true;
  }
}
