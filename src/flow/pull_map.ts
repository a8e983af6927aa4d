/** A cursor under lanes: the bounded form of `from(asyncIterable).pipe(mergeMap(project, count))`, which reads on and on. */
import { concatMap, defer, EMPTY, finalize, from, type Observable, type ObservableInput } from "rxjs";
import { lanes } from "./lanes.ts";

/**
 * Projects what an async iterable yields, `count` values at a time; the next value is pulled when a lane is free.
 *
 * What a lane has pulled and not projected when the result is unsubscribed is lost to it: pull leases or cursors only.
 *
 * @param open Makes the iterable, per subscription. Its signal aborts when the result ends for any reason:
 *   unsubscribing does not by itself return an iterator whose `next()` is pending.
 * @param count Values in hand at most.
 * @param project What becomes of one value.
 * @returns Completes when the iterable is exhausted and the last projection has completed.
 */
export function pullMap<T, R>(
  open: (abort: AbortSignal) => AsyncIterable<T>,
  count: number,
  project: (value: T) => ObservableInput<R>,
): Observable<R> {
  return defer(() => {
    const [abort, exhausted] = [new AbortController(), new AbortController()];
    const iterator = open(abort.signal)[Symbol.asyncIterator]();
    function turn(): Observable<R> {
      return defer(() => iterator.next()).pipe(concatMap((step) => {
        if (!step.done) return from(project(step.value));
        exhausted.abort();
        return EMPTY;
      }));
    }
    return lanes(count, turn, exhausted.signal).pipe(finalize(() => {
      abort.abort();
      iterator.return?.().catch(() => {}); // its error has no one left to read it
    }));
  });
}
