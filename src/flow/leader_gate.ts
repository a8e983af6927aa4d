/** Work that only the elected may do: begun with each term of office, ended with it. */
import { EMPTY, type ObservableInput, type OperatorFunction, switchMap } from "rxjs";

/**
 * Runs `work` while `officeOf` gives an office, and unsubscribes it the moment the term is over.
 *
 * Nothing is remembered between terms: `work` reads the ledger when it begins, so that it resumes where the last
 * leader, whoever it was, had got. The office it is given carries the fencing token for what it enqueues.
 *
 * @param officeOf The office in a value of the source, `undefined` when not leading.
 * @param work What the leader does.
 */
export function leaderGate<L, O, R>(
  officeOf: (leadership: L) => O | undefined,
  work: (office: O) => ObservableInput<R>,
): OperatorFunction<L, R> {
  return switchMap((leadership) => {
    const office = officeOf(leadership);
    return office === undefined ? EMPTY : work(office);
  });
}
