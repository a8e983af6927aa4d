/** Looks at a network's queue now and then: its depths are told, and it keeps the limit of the configuration. */
import type { Observable } from "rxjs";
import { abortable } from "../flow/abortable.ts";
import { pause } from "../flow/pause.ts";
import type { WorkQueue } from "../stages/queue/port.ts";
import { emit } from "../telemetry/emit.ts";
import { tellUnlessFatal } from "./tell_failure.ts";

/**
 * Runs until unsubscribed.
 *
 * @param ratePerSecond Claims of all processes together; the queue may lose it with its backend. Absent: no limit.
 * @param everyMs Time between two looks.
 */
export function watchQueue(
  queue: Pick<WorkQueue, "network" | "stats" | "limit">,
  ratePerSecond: number | undefined,
  everyMs: number,
): Observable<never> {
  return abortable<never>(async (signal) => {
    while (!signal.aborted) {
      try {
        const { limitPerSecond, counters: _counters, ...depths } = await queue.stats();
        emit({ kind: "queue_depths", network: queue.network, ...depths });
        if (limitPerSecond !== ratePerSecond) await queue.limit(ratePerSecond);
      } catch (error) {
        if (!signal.aborted) tellUnlessFatal(queue.network, "queue", error);
      }
      await pause(everyMs, signal);
    }
  });
}
