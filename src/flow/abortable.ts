/** Doorways for an `AbortSignal`: work that is a function of one, which unsubscribing aborts, and a signal as a stream. */
import { defer, fromEvent, Observable, of, take } from "rxjs";

/**
 * Runs `work` for each subscription. Its values are emitted as it `tell`s them, the result completes with its promise.
 * Unsubscribing aborts the signal; what the promise does afterwards is not seen.
 *
 * @param work Must end soon after its signal aborts.
 */
export function abortable<T>(work: (signal: AbortSignal, tell: (value: T) => void) => Promise<void>): Observable<T> {
  return new Observable<T>((subscriber) => {
    const abort = new AbortController();
    work(abort.signal, (value) => subscriber.next(value)).then(
      () => subscriber.complete(),
      (error: unknown) => subscriber.error(error),
    );
    return () => abort.abort(new DOMException("unsubscribed", "AbortError"));
  });
}

/** Emits once: when the signal aborts, or at once if it has. */
export function aborted(signal: AbortSignal): Observable<unknown> {
  return defer(() => signal.aborted ? of(true) : fromEvent(signal, "abort").pipe(take(1)));
}
