/** What a lease writes into its cell, for a heartbeat that knows nothing else of it. */
import type { TaskClass } from "./port.ts";

/** A lease by its text. */
export interface LeaseText {
  readonly taskClass: TaskClass;
  readonly entry: string;
  readonly token: string;
  /** Of the task. */
  readonly id: string;
}

/** The text of a lease. */
export function textOfLease(taskClass: TaskClass, entry: string, token: number, id: string): string {
  return `${taskClass} ${entry} ${token} ${id}`;
}

/** The lease of a text. */
export function leaseOf(text: string): LeaseText {
  const [taskClass, entry, token, id] = text.split(" ") as [TaskClass, string, string, string];
  return { taskClass, entry, token, id };
}

/** Milliseconds that grow evenly and are the same in every thread. */
export function heartMs(): number {
  return performance.timeOrigin + performance.now();
}
