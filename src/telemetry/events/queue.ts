/** Events of `queue` and `gate`'s leadership, the metrics made of them and their log lines. */
import type { LogTable, Metric, Sample } from "../metric.ts";

export type QueueEvent =
  /** Tasks of one block were offered to the queue. */
  | {
    readonly kind: "queue_enqueued";
    readonly network: string;
    readonly class: string;
    readonly tasks: number;
    readonly duplicates: number;
  }
  /** A lease began; `waitSeconds` is the time since the task was first enqueued. */
  | {
    readonly kind: "queue_claimed";
    readonly network: string;
    readonly class: string;
    readonly waitSeconds: number;
    readonly attempts: number;
    readonly recoveries: number;
  }
  /** A lease ended by its owner. `stale`: refused, a newer delivery owns the task. */
  | {
    readonly kind: "queue_settled";
    readonly network: string;
    readonly class: string;
    readonly outcome: "done" | "split" | "fail" | "release" | "dead" | "orphaned";
    readonly verdict: "settled" | "stale" | "orphaned";
    readonly heldSeconds: number;
  }
  /** A task was dead-lettered: it is not tried again by itself. */
  | {
    readonly kind: "queue_task_dead";
    readonly network: string;
    readonly class: string;
    readonly task: string;
    readonly code: string;
    readonly message: string;
  }
  /** A lease ended without its owner. */
  | {
    readonly kind: "queue_lease_lost";
    readonly network: string;
    readonly task: string;
    readonly reason: "taken_over" | "stalled" | "orphaned" | "closed";
  }
  /** Expired leases of vanished owners were handed out again. */
  | { readonly kind: "queue_recovered"; readonly network: string; readonly tasks: number }
  /** Deliveries of this process whose answer got lost with a connection were handed back. */
  | { readonly kind: "queue_adopted"; readonly network: string; readonly tasks: number }
  /** Leases in hand and free slots of this process, after a change. */
  | { readonly kind: "queue_in_hand"; readonly network: string; readonly leases: number }
  /** The heartbeat renewed leases. */
  | { readonly kind: "queue_renewed"; readonly network: string; readonly leases: number }
  /** Depths, as `stats` read them. */
  | {
    readonly kind: "queue_depths";
    readonly network: string;
    readonly classes: Readonly<
      Record<string, { readonly waiting: number; readonly inFlight: number; readonly oldestWaitMs: number }>
    >;
    readonly delayed: number;
    readonly dead: number;
    readonly open: Readonly<Record<string, number>>;
    readonly stuck: number;
    readonly completions: number;
    readonly requests: number;
  }
  /** Redis refused a renewal; leases run out until it allows them again. */
  | { readonly kind: "queue_heartbeat_failed"; readonly reason: string }
  | { readonly kind: "queue_unreachable"; readonly seconds: number; readonly reason: string }
  | { readonly kind: "queue_reachable"; readonly seconds: number }
  /** The server's settings can lose work. */
  | { readonly kind: "queue_unsafe"; readonly setting: string; readonly value: string; readonly wanted: string }
  | { readonly kind: "queue_clock_went_back"; readonly network: string }
  | {
    readonly kind: "leadership_changed";
    readonly network: string;
    readonly mode: string;
    readonly leading: boolean;
    readonly token: number;
  }
  /** One reconciliation of the ledger with the queue has ended. */
  | {
    readonly kind: "reconciled";
    readonly network: string;
    readonly mode: string;
    readonly blocks: number;
    readonly enqueued: number;
    readonly seconds: number;
  };

const WAIT_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30, 60, 600, 3600];
const HELD_BUCKETS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

export const queueMetrics: readonly Metric<QueueEvent>[] = [
  {
    name: "queue_enqueued_total",
    help: "Tasks offered to the queue: new, or already there.",
    type: "counter",
    labels: ["network", "class", "result"],
    read: {
      queue_enqueued: (event) => [
        [[event.network, event.class, "new"], event.tasks],
        [[event.network, event.class, "duplicate"], event.duplicates],
      ],
    },
  },
  {
    name: "queue_wait_seconds",
    help: "From the first enqueue of a task to the beginning of its lease.",
    type: "histogram",
    labels: ["network", "class"],
    buckets: WAIT_BUCKETS,
    read: { queue_claimed: (event) => [[event.network, event.class], event.waitSeconds] },
  },
  {
    name: "queue_held_seconds",
    help: "From the beginning of a lease to its settlement.",
    type: "histogram",
    labels: ["network", "class", "outcome"],
    buckets: HELD_BUCKETS,
    read: { queue_settled: (event) => [[event.network, event.class, event.outcome], event.heldSeconds] },
  },
  {
    name: "queue_settled_total",
    help: "Leases ended by their owner, by what the queue answered.",
    type: "counter",
    labels: ["network", "class", "outcome", "verdict"],
    read: { queue_settled: (event) => [[event.network, event.class, event.outcome, event.verdict], 1] },
  },
  {
    name: "queue_stale_settlements_total",
    help: "Settlements refused because a newer delivery owns the task.",
    type: "counter",
    labels: ["network"],
    read: { queue_settled: (event) => event.verdict === "stale" ? [[event.network], 1] : [] },
  },
  {
    name: "queue_retries_total",
    help: "Deliveries of a task that had failed before.",
    type: "counter",
    labels: ["network", "class"],
    read: { queue_claimed: (event) => event.attempts > 0 ? [[event.network, event.class], 1] : [] },
  },
  {
    name: "queue_dead_total",
    help: "Tasks dead-lettered.",
    type: "counter",
    labels: ["network", "class", "code"],
    read: { queue_task_dead: (event) => [[event.network, event.class, event.code], 1] },
  },
  {
    name: "queue_leases_lost_total",
    help: "Leases that ended without their owner.",
    type: "counter",
    labels: ["network", "reason"],
    read: { queue_lease_lost: (event) => [[event.network, event.reason], 1] },
  },
  {
    name: "queue_recovered_total",
    help: "Expired leases of vanished owners, handed out again.",
    type: "counter",
    labels: ["network"],
    read: { queue_recovered: (event) => [[event.network], event.tasks] },
  },
  {
    name: "queue_leases",
    help: "Leases in hand in this process; bound: work.lanes of all workers.",
    type: "gauge",
    labels: ["network"],
    read: { queue_in_hand: (event) => [[event.network], event.leases] },
  },
  {
    name: "queue_tasks",
    help: "Tasks by class and state.",
    type: "gauge",
    labels: ["network", "class", "state"],
    read: {
      queue_depths: (event) =>
        Object.entries(event.classes).flatMap(([name, depth]): Sample[] => [
          [[event.network, name, "waiting"], depth.waiting],
          [[event.network, name, "in_flight"], depth.inFlight],
        ]),
    },
  },
  {
    name: "queue_delayed_tasks",
    help: "Tasks of all classes that wait for a time.",
    type: "gauge",
    labels: ["network"],
    read: { queue_depths: (event) => [[event.network], event.delayed] },
  },
  {
    name: "queue_dead_tasks",
    help: "Dead letters; more than 0 needs an operator.",
    type: "gauge",
    labels: ["network"],
    read: { queue_depths: (event) => [[event.network], event.dead] },
  },
  {
    name: "queue_oldest_wait_seconds",
    help: "Age of the oldest waiting task.",
    type: "gauge",
    labels: ["network", "class"],
    read: {
      queue_depths: (event) =>
        Object.entries(event.classes).map(([name, depth]): Sample => [
          [event.network, name],
          depth.oldestWaitMs / 1000,
        ]),
    },
  },
  {
    name: "queue_open_blocks",
    help: "Blocks accepted and neither complete nor stuck.",
    type: "gauge",
    labels: ["network", "mode"],
    read: {
      queue_depths: (event) =>
        Object.entries(event.open).map(([mode, blocks]): Sample => [[event.network, mode], blocks]),
    },
  },
  {
    name: "queue_stuck_blocks",
    help: "Blocks whose every open transaction is dead-lettered.",
    type: "gauge",
    labels: ["network"],
    read: { queue_depths: (event) => [[event.network], event.stuck] },
  },
  {
    name: "queue_unconfirmed_completions",
    help: "Completed blocks that the ledger does not hold yet.",
    type: "gauge",
    labels: ["network"],
    read: { queue_depths: (event) => [[event.network], event.completions] },
  },
  {
    name: "queue_requests",
    help: "Requests that wait for the leader.",
    type: "gauge",
    labels: ["network"],
    read: { queue_depths: (event) => [[event.network], event.requests] },
  },
  {
    name: "queue_renewed_leases_total",
    help: "Leases renewed by the heartbeat.",
    type: "counter",
    labels: ["network"],
    read: { queue_renewed: (event) => [[event.network], event.leases] },
  },
  {
    name: "queue_heartbeat_failures_total",
    help: "Renewals that the backend refused.",
    type: "counter",
    labels: [],
    read: { queue_heartbeat_failed: () => [[], 1] },
  },
  {
    name: "queue_adopted_total",
    help: "Deliveries whose answer got lost with a connection, handed back.",
    type: "counter",
    labels: ["network"],
    read: { queue_adopted: (event) => [[event.network], event.tasks] },
  },
  {
    name: "queue_up",
    help: "1 while the queue's backend answers.",
    type: "gauge",
    labels: [],
    read: { queue_unreachable: () => [[], 0], queue_reachable: () => [[], 1] },
  },
  {
    name: "queue_clock_went_back_total",
    help: "Steps back of the backend's clock.",
    type: "counter",
    labels: ["network"],
    read: { queue_clock_went_back: (event) => [[event.network], 1] },
  },
  {
    name: "gate_leader",
    help: "1 while this process leads the network's direction.",
    type: "gauge",
    labels: ["network", "mode"],
    read: { leadership_changed: (event) => [[event.network, event.mode], event.leading ? 1 : 0] },
  },
  {
    name: "gate_leadership_changes_total",
    help: "Terms of leadership begun and ended by this process.",
    type: "counter",
    labels: ["network", "mode"],
    read: { leadership_changed: (event) => [[event.network, event.mode], 1] },
  },
  {
    name: "gate_reconciled_tasks_total",
    help: "Tasks that the ledger knew and the queue had lost.",
    type: "counter",
    labels: ["network", "mode"],
    read: { reconciled: (event) => [[event.network, event.mode], event.enqueued] },
  },
  {
    name: "gate_reconcile_seconds",
    help: "Duration of one reconciliation of ledger and queue.",
    type: "histogram",
    labels: ["network", "mode"],
    buckets: HELD_BUCKETS,
    read: { reconciled: (event) => [[event.network, event.mode], event.seconds] },
  },
];

export const queueLogs: LogTable<QueueEvent> = {
  queue_task_dead:
    () => ["error", "task is dead-lettered: see `queue dead show`, mend the cause, then `queue dead replay`"],
  queue_lease_lost: (event) =>
    event.reason === "closed"
      ? ["debug", "lease ended with its queue"]
      : ["warn", "lease is lost, the task runs again"],
  queue_recovered: () => ["warn", "tasks of a vanished process are handed out again"],
  queue_adopted: () => ["debug", "deliveries lost with a connection are handed back"],
  queue_heartbeat_failed: () => ["error", "leases cannot be renewed"],
  queue_unreachable: () => ["warn", "queue is unreachable, waiting"],
  queue_reachable: () => ["info", "queue is reachable"],
  queue_unsafe: () => ["warn", "the queue's server can lose work: change its setting"],
  queue_clock_went_back: () => ["warn", "clock of the queue's server went back, times are adjusted"],
  leadership_changed: (event) => ["info", event.leading ? "leads" : "does not lead any more"],
  reconciled: (event) =>
    event.enqueued > 0 ? ["info", "enqueued again what the queue had lost"] : ["debug", "reconciled"],
};
