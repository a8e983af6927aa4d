/** Hot to pull: the newest wins. A head is a hint and the ledger the truth, so those in between may be forgotten. */
import { defer, EMPTY, exhaustMap, type ObservableInput, of, type OperatorFunction, repeat, tap } from "rxjs";

/**
 * Like `exhaustMap`, but the newest value that arrived during a projection is projected next.
 *
 * At most one value waits. Completes when the source has completed and the last projection has.
 *
 * @param project What becomes of a value; never two at a time.
 */
export function conflateMap<T, R>(project: (latest: T) => ObservableInput<R>): OperatorFunction<T, R> {
  return (source) =>
    defer(() => {
      const slot: T[] = [];
      const drainSlot = defer(() => {
        const [value] = slot.splice(0) as [T];
        return project(value);
      }).pipe(repeat({ delay: () => slot.length > 0 ? of(true) : EMPTY }));
      return source.pipe(
        tap((value) => {
          slot[0] = value;
        }),
        exhaustMap(() => drainSlot),
      );
    });
}
