/** How urgently a task's calls are wanted from the nodes: by what it is for. */
import type { Priority } from "../rpc/port.ts";
import type { TaskClass } from "../stages/queue/port.ts";

export const PRIORITIES: Readonly<Record<TaskClass, Priority>> = {
  reprocess_forwards: "repair",
  reprocess_backwards: "repair",
  process_forwards: "process",
  process_backwards: "backfill",
  verify_forwards: "verify",
  verify_backwards: "verify",
};
