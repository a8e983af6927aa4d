/** Hands values of callbacks to subscribers: the hot sources of the pool. */
import { Observable, type Subscriber } from "rxjs";

/** A set of subscribers. */
export class FanOut<T> {
  readonly #subscribers = new Set<Subscriber<T>>();
  #ended = false;
  /** Every subscriber begins with the values of `first`, then sees each later one. Completes with {@linkcode end}. */
  readonly values: Observable<T>;

  /** @param watched called with the number of subscribers when it changes */
  constructor(first: () => readonly T[] = () => [], watched: (count: number) => void = () => {}) {
    this.values = new Observable<T>((subscriber) => {
      if (this.#ended) return subscriber.complete();
      for (const value of first()) subscriber.next(value);
      this.#subscribers.add(subscriber);
      watched(this.#subscribers.size);
      return () => {
        this.#subscribers.delete(subscriber);
        watched(this.#subscribers.size);
      };
    });
  }

  get watched(): boolean {
    return this.#subscribers.size > 0;
  }

  next(value: T): void {
    for (const subscriber of [...this.#subscribers]) subscriber.next(value);
  }

  end(): void {
    this.#ended = true;
    for (const subscriber of [...this.#subscribers]) subscriber.complete();
  }
}
