/**
 * The doorway from pull to push. RxJS has no demand: `mergeMap(work, 8)` subscribes to eight and hoards the rest in an
 * unbounded array. A lane asks for its next piece of work only when it is free, so that nothing is claimed that is not run.
 */
import { defer, Observable, type ObservableInput, type Subscription } from "rxjs";

/**
 * Runs `count` cycles side by side, each again and again, until `drain` is aborted.
 *
 * A cycle pulls one piece of work and runs it; its values are those of the result. It must complete asynchronously
 * (a claim that waits), or an empty one spins. Unsubscribing aborts: the running cycles are unsubscribed. An error of
 * one cycle ends all.
 *
 * @param count Cycles at a time.
 * @param cycle Called for each turn of each lane.
 * @param drain Stop pulling; what runs ends; then the result completes.
 *
 * @example Two lanes, three tasks
 * ```ts
 * import { lastValueFrom, toArray } from "rxjs";
 * import assert from "node:assert/strict";
 * import { lanes } from "./lanes.ts";
 *
 * const tasks = ["a", "b", "c"];
 * const drain = new AbortController();
 * async function* turn(): AsyncGenerator<string> {
 *   const task = await Promise.resolve(tasks.shift());
 *   if (task === undefined) drain.abort();
 *   else yield task;
 * }
 * assert.deepEqual(await lastValueFrom(lanes(2, turn, drain.signal).pipe(toArray())), ["a", "b", "c"]);
 * ```
 */
export function lanes<R>(
  count: number,
  cycle: (lane: number) => ObservableInput<R>,
  drain: AbortSignal,
): Observable<R> {
  return new Observable((subscriber) => {
    // A subscription a lane, replaced each turn: `repeat` in `mergeMap` makes twenty objects of it.
    const turns = new Array<Subscription | undefined>(count);
    subscriber.add(() => turns.forEach((turn) => turn?.unsubscribe()));
    let open = count;
    if (open === 0) subscriber.complete();
    const observers = Array.from({ length: count }, (_, lane) => ({
      next: (value: R) => subscriber.next(value),
      error: (error: unknown) => subscriber.error(error),
      complete: () => next(lane),
    }));
    const next = (lane: number): void => {
      if (subscriber.closed) return;
      if (drain.aborted) {
        if (--open === 0) subscriber.complete();
        return;
      }
      const turn = defer(() => cycle(lane)).subscribe(observers[lane]);
      if (subscriber.closed) turn.unsubscribe(); // by a value that came at once
      else if (!turn.closed) turns[lane] = turn;
    };
    for (let lane = 0; lane < count; lane++) next(lane);
  });
}
