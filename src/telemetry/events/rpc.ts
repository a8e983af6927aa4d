/** Events of `rpc`, the metrics made of them and their log lines. Labels: network, node and class; never a URL. */
import type { LogTable, Metric, Sample } from "../metric.ts";

interface OnNetwork {
  readonly network: string;
}

interface OnNode extends OnNetwork {
  readonly node: string;
}

interface OnClass extends OnNode {
  /** `head`, `read`, `receipts` or `trace`. */
  readonly class: string;
}

/** Gauges of one class of one node. */
export interface RpcClassGauges {
  readonly class: string;
  readonly limit: number;
  readonly inFlight: number;
  /** 0 closed, 1 half-open, 2 open. */
  readonly breaker: number;
  readonly breakerFailures: number;
  readonly weight: number;
}

export type RpcEvent =
  /** A lease was granted. */
  | OnClass & { readonly kind: "rpc_leased"; readonly priority: string; readonly waitMs: number }
  /** A lease ended. */
  | OnClass & {
    readonly kind: "rpc_finished";
    readonly outcome: "ok" | "failed" | "cancelled" | "violated";
    readonly bytes: number;
    readonly firstByteMs: number | undefined;
    readonly totalMs: number | undefined;
  }
  /** A call failed. */
  | OnClass & {
    readonly kind: "rpc_failed";
    readonly method: string;
    readonly action: string;
    readonly reason: string;
    readonly code: number | undefined;
    readonly text: string;
  }
  /** A breaker moved; class `connection` is the node's own. */
  | OnClass & {
    readonly kind: "rpc_breaker";
    readonly to: "closed" | "half_open" | "open";
    readonly reason: string;
    readonly failures: number;
    readonly client: string;
  }
  /** The proof refused a valid reply. */
  | OnNode & { readonly kind: "rpc_violated"; readonly identity: string; readonly client: string }
  /** Work was sent back. */
  | OnNetwork & { readonly kind: "rpc_shed"; readonly priority: string; readonly reason: string }
  /** A node asked for fewer requests. */
  | OnNode & { readonly kind: "rpc_rate_limited"; readonly method: string; readonly untilMs: number }
  | OnNetwork & { readonly kind: "rpc_retried"; readonly reason: string }
  | OnNetwork & { readonly kind: "rpc_hedged"; readonly result: "won" | "lost" | "failed" | "no_budget" | "no_node" }
  /** A batch was sent. */
  | OnNode & { readonly kind: "rpc_batch"; readonly items: number }
  | OnNode & { readonly kind: "rpc_batch_split"; readonly reason: string }
  /** `each` is done. */
  | OnNetwork & {
    readonly kind: "rpc_each";
    readonly done: number;
    readonly failed: number;
    readonly seconds: number;
  }
  /** Calls of a block moved to another node. */
  | OnClass & { readonly kind: "rpc_pin_moved"; readonly reason: string }
  | OnNode & { readonly kind: "rpc_head"; readonly result: "new" | "duplicate" | "stale" | "reorg" }
  | OnNode & { readonly kind: "rpc_ws"; readonly connected: boolean; readonly reason: string }
  /** A notification that makes no sense. */
  | OnNode & { readonly kind: "rpc_ws_unreadable"; readonly what: string }
  | OnNetwork & { readonly kind: "rpc_pending"; readonly result: "found" | "unknown" | "failed" }
  | OnNetwork & { readonly kind: "rpc_pending_dropped"; readonly reason: string }
  /** A lease was neither reported nor disposed of. */
  | OnClass & { readonly kind: "rpc_lease_abandoned" }
  | OnNode & {
    readonly kind: "rpc_node_condition";
    readonly from: string;
    readonly to: string;
    readonly reason: string;
    readonly client: string;
  }
  /** Repeated each minute while it lasts. */
  | OnNetwork & {
    readonly kind: "rpc_outage";
    readonly class: string;
    readonly over: boolean;
    readonly seconds: number;
    readonly reasons: string;
  }
  /** The nodes do not agree about a block and none has the majority. */
  | OnNetwork & { readonly kind: "rpc_chain_split"; readonly blockNumber: number; readonly hashes: string }
  /** Gauges, each few seconds. */
  | OnNode & {
    readonly kind: "rpc_node_gauges";
    readonly condition: string;
    readonly headNumber: number | undefined;
    readonly lagBlocks: number;
    readonly lagSeconds: number;
    readonly traceBytesInFlight: number;
    readonly structlogsPerSecond: number;
    readonly ratePerSecond: number | undefined;
    readonly rateLearned: boolean;
    readonly connectionBreaker: number;
    readonly classes: readonly RpcClassGauges[];
  }
  | OnNetwork & {
    readonly kind: "rpc_pool_gauges";
    readonly waiting: Readonly<Record<string, number>>;
    readonly pins: number;
    readonly retryTokens: number;
    readonly hedgeTokens: number;
  };

const NODE = ["network", "node"] as const;
const CLASS = ["network", "node", "class"] as const;
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];
const CONDITIONS = ["new", "probing", "ready", "lagging", "forked", "down", "wrong_chain", "drained"] as const;

type Gauges = Extract<RpcEvent, { kind: "rpc_node_gauges" }>;

function perClass(event: Gauges, value: (gauges: RpcClassGauges) => number): Sample[] {
  return event.classes.map((gauges) => [[event.network, event.node, gauges.class], value(gauges)]);
}

function nodeGauge(name: string, help: string, value: (event: Gauges) => number | undefined): Metric<RpcEvent> {
  return {
    name,
    help,
    type: "gauge",
    labels: NODE,
    read: {
      rpc_node_gauges: (event) => {
        const current = value(event);
        return current === undefined ? [] : [[event.network, event.node], current];
      },
    },
  };
}

function classGauge(name: string, help: string, value: (gauges: RpcClassGauges) => number): Metric<RpcEvent> {
  return { name, help, type: "gauge", labels: CLASS, read: { rpc_node_gauges: (event) => perClass(event, value) } };
}

export const rpcMetrics: readonly Metric<RpcEvent>[] = [
  {
    name: "rpc_requests_total",
    help: "Leases that ended, by outcome.",
    type: "counter",
    labels: [...CLASS, "outcome"],
    read: { rpc_finished: (event) => [[event.network, event.node, event.class, event.outcome], 1] },
  },
  {
    name: "rpc_request_seconds",
    help: "Time of a request by phase: waiting for a node, until the first byte, in all.",
    type: "histogram",
    labels: [...CLASS, "phase"],
    buckets: SECONDS,
    read: {
      rpc_leased: (event) => [[event.network, event.node, event.class, "wait"], event.waitMs / 1000],
      rpc_finished: ({ network, node, class: callClass, firstByteMs, totalMs }) => {
        const samples: Sample[] = [];
        if (firstByteMs !== undefined) samples.push([[network, node, callClass, "first_byte"], firstByteMs / 1000]);
        if (totalMs !== undefined) samples.push([[network, node, callClass, "total"], totalMs / 1000]);
        return samples;
      },
    },
  },
  {
    name: "rpc_reply_bytes_total",
    help: "Bytes of replies.",
    type: "counter",
    labels: CLASS,
    read: { rpc_finished: (event) => [[event.network, event.node, event.class], event.bytes] },
  },
  {
    name: "rpc_failures_total",
    help: "Failed calls by what became of them and why.",
    type: "counter",
    labels: [...CLASS, "action", "reason"],
    read: { rpc_failed: (event) => [[event.network, event.node, event.class, event.action, event.reason], 1] },
  },
  {
    name: "rpc_unclassified_total",
    help: "Failures that no row of the table names.",
    type: "counter",
    labels: CLASS,
    read: {
      rpc_failed: (event) => event.reason === "unclassified" ? [[event.network, event.node, event.class], 1] : [],
    },
  },
  {
    ...classGauge("rpc_breaker_state", "0 closed, 1 half-open, 2 open.", (gauges) => gauges.breaker),
    read: {
      rpc_node_gauges: (event) => [
        ...perClass(event, (gauges) => gauges.breaker),
        [[event.network, event.node, "connection"], event.connectionBreaker],
      ],
    },
  },
  classGauge("rpc_breaker_consecutive_failures", "Failures in a row.", (gauges) => gauges.breakerFailures),
  {
    name: "rpc_breaker_transitions_total",
    help: "Changes of breakers.",
    type: "counter",
    labels: [...CLASS, "to", "reason"],
    read: { rpc_breaker: (event) => [[event.network, event.node, event.class, event.to, event.reason], 1] },
  },
  classGauge("rpc_concurrency_limit", "Calls at once that the node is found to take.", (gauges) => gauges.limit),
  classGauge("rpc_in_flight", "Leases in hand.", (gauges) => gauges.inFlight),
  nodeGauge("rpc_trace_bytes_in_flight", "Predicted bytes of traces in flight.", (event) => event.traceBytesInFlight),
  nodeGauge(
    "rpc_trace_structlogs_per_second",
    "Structlogs per second of one trace.",
    (event) => event.structlogsPerSecond,
  ),
  {
    name: "rpc_waiting",
    help: "Leases that wait for a node.",
    type: "gauge",
    labels: ["network", "priority"],
    read: {
      rpc_pool_gauges: ({ network, waiting }) =>
        Object.entries(waiting).map(([priority, count]): Sample => [[network, priority], count]),
    },
  },
  {
    name: "rpc_wait_seconds",
    help: "How long leases waited.",
    type: "histogram",
    labels: ["network", "priority"],
    buckets: SECONDS,
    read: { rpc_leased: (event) => [[event.network, event.priority], event.waitMs / 1000] },
  },
  {
    name: "rpc_shed_total",
    help: "Work sent back from the waiting queue.",
    type: "counter",
    labels: ["network", "priority", "reason"],
    read: { rpc_shed: (event) => [[event.network, event.priority, event.reason], 1] },
  },
  {
    name: "rpc_rate_limit_per_second",
    help: "The lowest rate in force.",
    type: "gauge",
    labels: [...NODE, "source"],
    read: {
      rpc_node_gauges: ({ network, node, ratePerSecond, rateLearned }) =>
        ratePerSecond === undefined ? [] : [[network, node, rateLearned ? "learned" : "configured"], ratePerSecond],
    },
  },
  {
    name: "rpc_rate_limited_total",
    help: "Refusals because of a rate limit.",
    type: "counter",
    labels: NODE,
    read: { rpc_rate_limited: (event) => [[event.network, event.node], 1] },
  },
  {
    name: "rpc_retries_total",
    help: "Second and third attempts by the reason of the failure before.",
    type: "counter",
    labels: ["network", "reason"],
    read: { rpc_retried: (event) => [[event.network, event.reason], 1] },
  },
  {
    name: "rpc_hedges_total",
    help: "Second calls beside a late first one.",
    type: "counter",
    labels: ["network", "result"],
    read: { rpc_hedged: (event) => [[event.network, event.result], 1] },
  },
  {
    name: "rpc_budget_tokens",
    help: "Retries and second calls left.",
    type: "gauge",
    labels: ["network", "kind"],
    read: {
      rpc_pool_gauges: ({ network, retryTokens, hedgeTokens }) => [
        [[network, "retry"], retryTokens],
        [[network, "hedge"], hedgeTokens],
      ],
    },
  },
  {
    name: "rpc_batch_items",
    help: "Calls per batch.",
    type: "histogram",
    labels: NODE,
    buckets: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000],
    read: { rpc_batch: (event) => [[event.network, event.node], event.items] },
  },
  {
    name: "rpc_batch_splits_total",
    help: "Batches sent again in halves.",
    type: "counter",
    labels: [...NODE, "reason"],
    read: { rpc_batch_split: (event) => [[event.network, event.node, event.reason], 1] },
  },
  {
    name: "rpc_each_tasks_total",
    help: "Pieces of work of the bounded worker pool.",
    type: "counter",
    labels: ["network", "result"],
    read: { rpc_each: ({ network, done, failed }) => [[[network, "done"], done], [[network, "failed"], failed]] },
  },
  {
    name: "rpc_each_seconds",
    help: "Time of one run of the bounded worker pool.",
    type: "histogram",
    labels: ["network"],
    buckets: SECONDS,
    read: { rpc_each: (event) => [[event.network], event.seconds] },
  },
  {
    name: "rpc_node_state",
    help: "1 for the state of the node, 0 for the others.",
    type: "gauge",
    labels: [...NODE, "state"],
    read: {
      rpc_node_gauges: ({ network, node, condition }) =>
        CONDITIONS.map((state): Sample => [[network, node, state], state === condition ? 1 : 0]),
    },
  },
  nodeGauge("rpc_node_head_number", "Number of the node's head.", (event) => event.headNumber),
  nodeGauge("rpc_node_lag_blocks", "Blocks behind the tip.", (event) => event.lagBlocks),
  nodeGauge("rpc_node_lag_seconds", "Seconds behind the tip.", (event) => event.lagSeconds),
  classGauge("rpc_node_weight", "Weight in the choice.", (gauges) => gauges.weight),
  {
    name: "rpc_pins",
    help: "Blocks with a node of their own.",
    type: "gauge",
    labels: ["network"],
    read: { rpc_pool_gauges: (event) => [[event.network], event.pins] },
  },
  {
    name: "rpc_pin_moves_total",
    help: "Blocks whose calls moved to another node.",
    type: "counter",
    labels: [...CLASS, "reason"],
    read: { rpc_pin_moved: (event) => [[event.network, event.node, event.class, event.reason], 1] },
  },
  {
    name: "rpc_violated_total",
    help: "Valid replies that the proof refused.",
    type: "counter",
    labels: NODE,
    read: { rpc_violated: (event) => [[event.network, event.node], 1] },
  },
  {
    name: "rpc_heads_total",
    help: "Announced heads.",
    type: "counter",
    labels: [...NODE, "result"],
    read: { rpc_head: (event) => [[event.network, event.node, event.result], 1] },
  },
  {
    name: "rpc_ws_connected",
    help: "1 while the socket is open.",
    type: "gauge",
    labels: NODE,
    read: { rpc_ws: (event) => [[event.network, event.node], event.connected ? 1 : 0] },
  },
  {
    name: "rpc_ws_reconnects_total",
    help: "Sockets lost, by reason.",
    type: "counter",
    labels: [...NODE, "reason"],
    read: { rpc_ws: (event) => event.connected ? [] : [[event.network, event.node, event.reason], 1] },
  },
  {
    name: "rpc_ws_unreadable_total",
    help: "Notifications that make no sense.",
    type: "counter",
    labels: [...NODE, "what"],
    read: { rpc_ws_unreadable: (event) => [[event.network, event.node, event.what], 1] },
  },
  {
    name: "rpc_pending_total",
    help: "Look-ups of pending transactions.",
    type: "counter",
    labels: ["network", "result"],
    read: { rpc_pending: (event) => [[event.network, event.result], 1] },
  },
  {
    name: "rpc_pending_dropped_total",
    help: "Pending hashes given up.",
    type: "counter",
    labels: ["network", "reason"],
    read: { rpc_pending_dropped: (event) => [[event.network, event.reason], 1] },
  },
  {
    name: "rpc_leases_abandoned_total",
    help: "Leases that nobody reported.",
    type: "counter",
    labels: CLASS,
    read: { rpc_lease_abandoned: (event) => [[event.network, event.node, event.class], 1] },
  },
];

export const rpcLogs: LogTable<RpcEvent> = {
  rpc_failed: (event) => [
    event.reason === "bad_request" ? "error" : "debug",
    event.reason === "bad_request"
      ? `node ${event.node} refuses our ${event.method} as malformed: report it with this line`
      : `node ${event.node}: ${event.method} failed: ${event.reason}`,
  ],
  rpc_breaker: (event) => [
    event.to === "open" ? "warn" : event.to === "closed" ? "info" : "debug",
    event.to === "open"
      ? `node ${event.node} is not asked for ${event.class} for now: ${event.reason}`
      : event.to === "closed"
      ? `node ${event.node} is asked for ${event.class} again`
      : `node ${event.node} is probed for ${event.class}`,
  ],
  rpc_violated: (event) => [
    "debug",
    `node ${event.node} (${event.client}) sent a trace that violates ${event.identity}`,
  ],
  rpc_shed: (event) => ["debug", `work of priority ${event.priority} is sent back: ${event.reason}`],
  rpc_rate_limited: (event) => ["debug", `node ${event.node} asks for fewer requests`],
  rpc_ws: (event) => [
    "debug",
    event.connected ? `socket to node ${event.node} is open` : `socket to node ${event.node} is lost: ${event.reason}`,
  ],
  rpc_ws_unreadable: (event) => ["debug", `node ${event.node} sent a notification that makes no sense: ${event.what}`],
  rpc_lease_abandoned: (event) => ["warn", `a lease of node ${event.node} was never reported; its slot is free again`],
  rpc_node_condition: (event) => {
    const why = event.reason === "" ? "" : `: ${event.reason}`;
    const line = `node ${event.node} is ${event.to}${why}`;
    if (event.to === "wrong_chain") return ["error", `${line}. Check its url, then "nodes reset ${event.node}"`];
    const worse = event.to === "down" || event.to === "forked" || event.to === "lagging";
    return [worse ? "warn" : event.to === "probing" ? "debug" : "info", line];
  },
  rpc_outage: (event) =>
    event.over
      ? ["info", `network ${event.network} has a node for class ${event.class} again after ${event.seconds} s`]
      : [
        "warn",
        `network ${event.network} has no node for class ${event.class} since ${event.seconds} s, work waits: ${event.reasons}`,
      ],
  rpc_chain_split: (event) => [
    "error",
    `nodes of network ${event.network} do not agree about block ${event.blockNumber} and none has the majority: ${event.hashes}`,
  ],
};
