/**
 * How many statements run at once. Calls into the engine occupy threads of Deno's blocking pool, of which there are 32:
 * without a bound a burst of long statements would leave none, and even the statement that ends them could not run.
 */
import { InterfaceError } from "./exceptions.ts";

/** A bounded number of places, and a bounded queue before them. */
export class Admission {
  readonly #places: number;
  readonly #maxWaiting: number;
  #taken = 0;
  readonly #waiting: Array<() => void> = [];

  constructor(places: number, maxWaiting: number) {
    this.#places = places;
    this.#maxWaiting = maxWaiting;
  }

  /** Statements that run now. */
  get running(): number {
    return this.#taken;
  }

  /**
   * Waits for a place, in order of arrival. Dispose of it once to give it back.
   *
   * @throws {InterfaceError} 202 when the queue is full; the reason of `signal` when it aborts first.
   */
  async enter(signal: AbortSignal): Promise<Disposable> {
    signal.throwIfAborted();
    if (this.#taken < this.#places) {
      this.#taken++;
    } else if (this.#waiting.length >= this.#maxWaiting) {
      throw new InterfaceError(
        202,
        "TOO_MANY_SIMULTANEOUS_QUERIES",
        `Too many simultaneous queries. Maximum: ${this.#places} running and ${this.#maxWaiting} waiting`,
      );
    } else {
      await this.#turn(signal);
    }
    let given = false;
    return {
      [Symbol.dispose]: () => {
        if (given) return;
        given = true;
        const next = this.#waiting.shift();
        if (next === undefined) this.#taken--;
        else next();
      },
    };
  }

  /** Resolves when a place was handed over: it stays counted as taken meanwhile. */
  #turn(signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const abort = () => {
      this.#waiting.splice(this.#waiting.indexOf(enter), 1);
      reject(signal.reason);
    };
    const enter = () => {
      signal.removeEventListener("abort", abort);
      resolve();
    };
    this.#waiting.push(enter);
    signal.addEventListener("abort", abort, { once: true });
    return promise;
  }
}
