/** Events of the pipeline itself: blocks, tasks, the window, the process. */
import type { LogTable, Metric } from "../metric.ts";

/** Why a window is closed. */
export type WindowReason = "blocks" | "queue" | "limiter" | "confirmations" | "not_leading" | "reorg_too_deep";

export type PipelineProcessEvent =
  | {
    readonly kind: "process_started";
    readonly version: string;
    readonly roles: readonly string[];
    readonly networks: readonly string[];
  }
  | { readonly kind: "process_draining"; readonly signal: string }
  | { readonly kind: "process_stopped"; readonly seconds: number }
  /** Tasks in hand went back to the queue; it could not be told of those left. */
  | { readonly kind: "work_aborted"; readonly tasks: number; readonly left: number }
  | { readonly kind: "configuration_warning"; readonly text: string }
  | {
    readonly kind: "block_accepted";
    readonly network: string;
    readonly direction: string;
    readonly blockNumber: number;
    readonly transactions: number;
    readonly tasks: number;
  }
  | {
    readonly kind: "block_finished";
    readonly network: string;
    readonly direction: string;
    readonly blockNumber: number;
    readonly state: "complete" | "stuck";
    readonly transactions: number;
    readonly seconds: number;
  }
  | { readonly kind: "head_seen"; readonly network: string; readonly blockNumber: number }
  | {
    readonly kind: "checkpoint";
    readonly network: string;
    readonly direction: string;
    readonly blockNumber: number;
    readonly distance: number;
  }
  | {
    readonly kind: "window_closed";
    readonly network: string;
    readonly direction: string;
    readonly reason: WindowReason;
  }
  | { readonly kind: "window_opened"; readonly network: string; readonly direction: string }
  | { readonly kind: "window_pending"; readonly network: string; readonly direction: string; readonly blocks: number }
  | {
    readonly kind: "reorg";
    readonly network: string;
    readonly blockNumber: number;
    readonly oldHash: string;
    readonly newHash: string;
    readonly depth: number;
  }
  | {
    readonly kind: "reorg_too_deep";
    readonly network: string;
    readonly depth: number;
    readonly maxDepth: number;
    readonly blockNumber: number;
    readonly oldHash: string;
    readonly newHash: string;
  }
  | {
    readonly kind: "orphaned_rows_removed";
    readonly network: string;
    readonly blockNumber: number;
    readonly blockHash: string;
  }
  | {
    readonly kind: "gap_repaired";
    readonly network: string;
    readonly blocks: number;
    readonly reason: "missing" | "stale" | "unverified";
  }
  | {
    readonly kind: "request_answered";
    readonly network: string;
    readonly direction: string;
    readonly key: string;
    readonly blocks: number;
    /** Why it was not understood; empty when it was done. */
    readonly refused: string;
  }
  | {
    readonly kind: "discover_failed";
    readonly network: string;
    readonly direction: string;
    readonly code: string;
    readonly message: string;
  }
  /** ClickHouse does not answer questions: once, each minute while it lasts, and once when it is over. */
  | {
    readonly kind: "store_outage";
    readonly over: boolean;
    readonly seconds: number;
    /** Empty when it is over. */
    readonly message: string;
  }
  | {
    readonly kind: "task_claimed";
    readonly network: string;
    readonly class: string;
    readonly transactions: number;
    readonly waitSeconds: number;
  }
  | {
    readonly kind: "task_settled";
    readonly network: string;
    readonly class: string;
    readonly outcome: string;
    readonly verdict: string;
    readonly seconds: number;
  }
  | {
    readonly kind: "task_failed";
    readonly network: string;
    readonly code: string;
    readonly disposition: string;
    readonly blockNumber: number;
    readonly first: number;
    readonly last: number;
    readonly node: string;
    readonly message: string;
  }
  | { readonly kind: "trace_progress"; readonly network: string; readonly bytes: number; readonly structlogs: number }
  | {
    readonly kind: "transaction_stored";
    readonly network: string;
    readonly blockNumber: number;
    readonly transactionHash: string;
    readonly verdict: string;
    readonly identity: string;
    readonly structlogs: number;
    readonly structlogRows: number;
    readonly aggregateRows: number;
    readonly bytes: number;
    readonly seconds: number;
  }
  | {
    readonly kind: "transaction_violated";
    readonly network: string;
    readonly blockNumber: number;
    readonly transactionHash: string;
    readonly identity: string;
    readonly detail: string;
    readonly node: string;
    readonly client: string;
  }
  | {
    readonly kind: "evidence_kept";
    readonly network: string;
    readonly transactionHash: string;
    readonly file: string;
    readonly bytes: number;
  }
  | {
    readonly kind: "evidence_failed";
    readonly network: string;
    readonly transactionHash: string;
    readonly message: string;
  }
  | { readonly kind: "worker_replaced"; readonly worker: number; readonly message: string; readonly tasks: number }
  | { readonly kind: "worker_spinning"; readonly worker: number; readonly seconds: number }
  | { readonly kind: "lanes_busy"; readonly busy: number; readonly lanes: number }
  | {
    readonly kind: "rows_verified";
    readonly network: string;
    readonly blockNumber: number;
    readonly result: "agrees" | "differs" | "removed_unrecorded";
    readonly transactions: number;
  }
  | {
    readonly kind: "transaction_audited";
    readonly network: string;
    readonly blockNumber: number;
    readonly transactionHash: string;
    /** `web3_clientVersion` of the other node. */
    readonly client: string;
    readonly node: string;
    /** Cells. */
    readonly differences: number;
    readonly columns: readonly string[];
    /** The first difference. */
    readonly example: string;
  }
  | {
    readonly kind: "audit_left_out";
    readonly network: string;
    readonly blockNumber: number;
    readonly transactionHash: string;
    readonly code: string;
    readonly message: string;
  }
  | {
    readonly kind: "api_request";
    /** The route's path with names in the places of parameters, or `unknown`. */
    readonly route: string;
    readonly method: string;
    /** Path and query as they came, cut. */
    readonly path: string;
    /** The idempotency key of what changes something; empty otherwise. */
    readonly key: string;
    /** As it came, cut; empty where there is none. */
    readonly body: string;
    /** Host that asks. */
    readonly client: string;
    readonly status: number;
    readonly seconds: number;
    readonly requestId: string;
  }
  | { readonly kind: "api_listening"; readonly url: string }
  | { readonly kind: "telemetry_listening"; readonly url: string }
  | { readonly kind: "api_failed"; readonly requestId: string; readonly message: string };

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

/** `Geth` of `Geth/v1.17.10-stable/linux-amd64`: versions would be labels without end. */
function clientName(clientVersion: string): string {
  return clientVersion.split("/", 1)[0]!;
}

export const pipelineMetrics: readonly Metric<PipelineProcessEvent>[] = [
  {
    name: "discover_blocks_accepted_total",
    help: "Blocks that entered the queue.",
    type: "counter",
    labels: ["network", "direction"],
    read: { block_accepted: (event) => [[event.network, event.direction], 1] },
  },
  {
    name: "discover_blocks_finished_total",
    help: "Blocks whose last transaction was settled.",
    type: "counter",
    labels: ["network", "direction", "state"],
    read: { block_finished: (event) => [[event.network, event.direction, event.state], 1] },
  },
  {
    name: "discover_block_seconds",
    help: "From the acceptance of a block to its end.",
    type: "histogram",
    labels: ["network", "direction"],
    buckets: SECONDS,
    read: { block_finished: (event) => [[event.network, event.direction], event.seconds] },
  },
  {
    name: "discover_head_number",
    help: "Newest block head seen.",
    type: "gauge",
    labels: ["network"],
    read: { head_seen: (event) => [[event.network], event.blockNumber] },
  },
  {
    name: "discover_checkpoint_number",
    help: "Block up to which everything is complete or listed as stuck.",
    type: "gauge",
    labels: ["network", "direction"],
    read: { checkpoint: (event) => [[event.network, event.direction], event.blockNumber] },
  },
  {
    name: "discover_head_distance_blocks",
    help: "Blocks between the checkpoint and the head (forwards) or the floor (backwards).",
    type: "gauge",
    labels: ["network", "direction"],
    read: { checkpoint: (event) => [[event.network, event.direction], event.distance] },
  },
  {
    name: "gate_window_closed_total",
    help: "Closings of the window, by reason.",
    type: "counter",
    labels: ["network", "direction", "reason"],
    read: { window_closed: (event) => [[event.network, event.direction, event.reason], 1] },
  },
  {
    name: "gate_window_open",
    help: "1 while blocks may enter.",
    type: "gauge",
    labels: ["network", "direction"],
    read: {
      window_closed: (event) => [[event.network, event.direction], 0],
      window_opened: (event) => [[event.network, event.direction], 1],
    },
  },
  {
    name: "gate_window_pending_blocks",
    help: "Blocks accepted and not finished.",
    type: "gauge",
    labels: ["network", "direction"],
    read: { window_pending: (event) => [[event.network, event.direction], event.blocks] },
  },
  {
    name: "source_reorgs_total",
    help: "Blocks that left the chain.",
    type: "counter",
    labels: ["network"],
    read: { reorg: (event) => [[event.network], 1] },
  },
  {
    name: "source_gaps_repaired_total",
    help: "Blocks enqueued again by the scan.",
    type: "counter",
    labels: ["network", "reason"],
    read: { gap_repaired: (event) => [[event.network, event.reason], event.blocks] },
  },
  {
    name: "discover_requests_answered_total",
    help: "Requests of operators and of verification that the leader has answered.",
    type: "counter",
    labels: ["network", "outcome"],
    read: { request_answered: (event) => [[event.network, event.refused === "" ? "done" : "refused"], 1] },
  },
  {
    name: "discover_failures_total",
    help: "Steps of discovery that failed and are tried again, by what failed and the code of its error.",
    type: "counter",
    labels: ["network", "part", "code"],
    read: { discover_failed: (event) => [[event.network, event.direction, event.code], 1] },
  },
  {
    name: "work_tasks_claimed_total",
    help: "Tasks claimed.",
    type: "counter",
    labels: ["network", "class"],
    read: { task_claimed: (event) => [[event.network, event.class], 1] },
  },
  {
    name: "work_task_wait_seconds",
    help: "From the first enqueue of a task to its claim.",
    type: "histogram",
    labels: ["network", "class"],
    buckets: SECONDS,
    read: { task_claimed: (event) => [[event.network, event.class], event.waitSeconds] },
  },
  {
    name: "work_tasks_settled_total",
    help: "Tasks settled, by outcome and the queue's verdict on it.",
    type: "counter",
    labels: ["network", "class", "outcome", "verdict"],
    read: { task_settled: (event) => [[event.network, event.class, event.outcome, event.verdict], 1] },
  },
  {
    name: "work_task_seconds",
    help: "From the claim of a task to its settlement.",
    type: "histogram",
    labels: ["network", "class"],
    buckets: SECONDS,
    read: { task_settled: (event) => [[event.network, event.class], event.seconds] },
  },
  {
    name: "work_task_failures_total",
    help: "Deliveries that failed.",
    type: "counter",
    labels: ["network", "code", "disposition"],
    read: { task_failed: (event) => [[event.network, event.code, event.disposition], 1] },
  },
  {
    name: "work_lanes_busy",
    help: "Lanes with a task.",
    type: "gauge",
    labels: [],
    read: { lanes_busy: (event) => [[], event.busy] },
  },
  {
    name: "work_lanes_limit",
    help: "Lanes of this process.",
    type: "gauge",
    labels: [],
    read: { lanes_busy: (event) => [[], event.lanes] },
  },
  {
    name: "trace_bytes_total",
    help: "Bytes of traces read.",
    type: "counter",
    labels: ["network"],
    read: { trace_progress: (event) => [[event.network], event.bytes] },
  },
  {
    name: "decode_structlogs_total",
    help: "Structlogs decoded.",
    type: "counter",
    labels: ["network"],
    read: { trace_progress: (event) => [[event.network], event.structlogs] },
  },
  {
    name: "decode_transactions_total",
    help: "Transactions stored, by verdict of the gas-closure proof.",
    type: "counter",
    labels: ["network", "verdict"],
    read: { transaction_stored: (event) => [[event.network, event.verdict], 1] },
  },
  {
    name: "decode_violations_total",
    help: "Traces refused by the proof, by identity.",
    type: "counter",
    labels: ["network", "identity", "node"],
    read: { transaction_violated: (event) => [[event.network, event.identity, event.node], 1] },
  },
  {
    name: "sink_rows_stored_total",
    help: "Rows durable in ClickHouse.",
    type: "counter",
    labels: ["network", "table"],
    read: {
      transaction_stored: (event) => [
        [[event.network, "structlog"], event.structlogRows],
        [[event.network, "structlog_agg"], event.aggregateRows],
      ],
    },
  },
  {
    name: "work_workers_replaced_total",
    help: "Trace workers replaced after an exception or a trap.",
    type: "counter",
    labels: [],
    read: { worker_replaced: () => [[], 1] },
  },
  {
    name: "verify_blocks_total",
    help: "Blocks whose stored rows were compared with their records.",
    type: "counter",
    labels: ["network", "result"],
    read: { rows_verified: (event) => [[event.network, event.result], 1] },
  },
  {
    name: "verify_audit_differences_total",
    help: "Cells that differ from another node's trace.",
    type: "counter",
    labels: ["network", "node", "client"],
    read: {
      transaction_audited: (event) => [[event.network, event.node, clientName(event.client)], event.differences],
    },
  },
  {
    name: "verify_audits_total",
    help: "Transactions traced again on another node, by what came of it.",
    type: "counter",
    labels: ["network", "result"],
    read: {
      transaction_audited: (event) => [[event.network, event.differences === 0 ? "agrees" : "differs"], 1],
      audit_left_out: (event) => [[event.network, "left_out"], 1],
    },
  },
  {
    name: "api_request_seconds",
    help: "Requests to the operator API.",
    type: "histogram",
    labels: ["route", "method", "status"],
    buckets: SECONDS,
    read: { api_request: (event) => [[event.route, event.method, String(event.status)], event.seconds] },
  },
];

/** Errors of those who wait for a neighbour: the outage itself is told once, and then each minute. */
const WAITS: ReadonlySet<string> = new Set([
  "nodes_unavailable",
  "rpc_overloaded",
  "rpc_deadline",
  "storage_unavailable",
]);

export const pipelineLogs: LogTable<PipelineProcessEvent> = {
  process_started: () => ["info", "started"],
  process_draining: () => ["info", "draining: nothing more is claimed, what is in hand is finished"],
  process_stopped: () => ["info", "stopped"],
  work_aborted: (event) => [
    event.tasks > 0 ? "warn" : "info",
    "tasks in hand are handed back unfinished; those left come back when their leases run out",
  ],
  configuration_warning: () => ["warn", "the configuration looks unintended"],
  block_accepted: () => ["debug", "block accepted"],
  block_finished: (event) =>
    event.state === "stuck"
      ? ["warn", "block is stuck: all that is open is dead-lettered"]
      : ["debug", "block complete"],
  window_closed: () => ["debug", "window closed"],
  window_opened: () => ["debug", "window opened"],
  reorg: () => ["info", "block left the chain"],
  reorg_too_deep: () => [
    "error",
    "this network stops: the reorg is deeper than reorg.maxDepth. Check the nodes; raise reorg.maxDepth if the chain really did this",
  ],
  orphaned_rows_removed: () => ["info", "removed the rows of a block that left the chain"],
  gap_repaired: () => ["info", "enqueued blocks again"],
  request_answered: (event) =>
    event.refused === "" ? ["info", "did what was asked for"] : ["warn", "refused a request"],
  discover_failed: (event) => [
    WAITS.has(event.code) ? "debug" : "warn",
    "cannot look for blocks now, trying again",
  ],
  store_outage: (event) =>
    event.over
      ? ["info", "ClickHouse answers again"]
      : ["warn", "ClickHouse does not answer: nothing new is accepted or verified until it does"],
  task_settled: () => ["debug", "task settled"],
  task_failed: (event) =>
    event.code === "unclassified"
      ? ["error", "task failed with an error that nobody classified: a defect, please report it"]
      : [WAITS.has(event.code) ? "debug" : "warn", "task failed"],
  transaction_violated: () => ["warn", "trace refused: it contradicts its receipt"],
  evidence_failed: () => ["warn", "cannot keep the evidence of a refused trace"],
  worker_replaced: () => ["warn", "trace worker replaced, its tasks are retried"],
  worker_spinning: () => ["error", "trace worker does not answer: the process ends and the queue recovers its tasks"],
  rows_verified: (event) =>
    event.result === "agrees" ? ["debug", "stored rows agree"] : ["warn", "stored rows differ from their record"],
  transaction_audited: (event) =>
    event.differences === 0 ? ["debug", "another node agrees"] : ["warn", "another node's trace differs"],
  audit_left_out: () => ["warn", "cannot trace a transaction on another node now: it is not audited"],
  api_listening: () => ["info", "the operator API listens"],
  telemetry_listening: () => ["info", "telemetry listens"],
  api_request: (event) =>
    event.method === "GET" && event.status < 400 ? ["debug", "operator asks"] : ["info", "operator request"],
  api_failed: () => ["error", "cannot answer an operator: a defect, please report it"],
};
