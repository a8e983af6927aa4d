/** From the configuration's tree to what each stage must be told. Names of units change here, nothing else does. */
import type { Config, NetworkConfig } from "../config/schema.ts";
import type { CallClass } from "../rpc/port.ts";
import type { NodePoolOptions } from "../rpc/options.ts";
import type { RedisTarget } from "../stages/queue/redis_connection.ts";
import type { QueueOptions, TaskClass } from "../stages/queue/port.ts";
import type { SinkOptions, TraceTable } from "../stages/sink/port.ts";
import type { StorageConnection } from "../stages/sink/clickhouse.ts";
import type { Processors } from "./intake.ts";

/** Tables of the processors that need a trace. */
export const TRACE_PROCESSORS: Readonly<Record<string, TraceTable>> = {
  transaction_structlog: "structlog",
  transaction_structlog_agg: "structlog_agg",
};
/** From this many recoveries on a task is run alone. */
export const ALONE_AFTER_RECOVERIES = 2;
/** Most settlements in one message to the queue. */
const ACK_BATCH = 200;

/** The processors of a network by kind of task. */
export function processorsOf(network: NetworkConfig): Processors {
  const trace = network.processors.filter((name) => name in TRACE_PROCESSORS);
  const simple = network.processors.filter((name) => !(name in TRACE_PROCESSORS));
  return { ...(trace.length > 0 ? { trace } : {}), ...(simple.length > 0 ? { simple } : {}) };
}

/** Tables that a trace fills on this network. */
export function tablesOf(network: NetworkConfig): readonly TraceTable[] {
  return network.processors.flatMap((name) => TRACE_PROCESSORS[name] ?? []);
}

/** What the pool of this network is told. */
export function poolOptions(network: NetworkConfig): NodePoolOptions {
  const traced: readonly CallClass[] = tablesOf(network).length > 0 ? ["trace"] : [];
  return { ...network, classes: ["head", "read", "receipts", ...traced] };
}

/** @param lanes Lanes of the process: the share of a class is a share of them. */
export function queueOptions(config: Config, lanes: number): QueueOptions {
  const { queue, work } = config;
  const pair = <T>(of: (name: "reprocess" | "process" | "verify", at: 0 | 1) => T): Record<TaskClass, T> => ({
    reprocess_forwards: of("reprocess", 0),
    reprocess_backwards: of("reprocess", 1),
    process_forwards: of("process", 0),
    process_backwards: of("process", 1),
    verify_forwards: of("verify", 0),
    verify_backwards: of("verify", 1),
  });
  return {
    leaseMs: queue.lease,
    heartbeatMs: queue.heartbeat,
    reclaimMs: queue.reclaim,
    stallTimeoutMs: work.stallTimeout,
    maxAttempts: queue.attempts,
    maxRecoveries: queue.recoveries,
    aloneAfterRecoveries: ALONE_AFTER_RECOVERIES,
    backoffBaseMs: queue.backoff.base,
    backoffMaxMs: queue.backoff.max,
    leaderTtlMs: queue.leader.ttl,
    keepCompleteMs: queue.keepCompleted,
    weights: pair((name, at) => queue.weights[name][at]),
    inFlight: pair((name) => Math.max(1, Math.floor(lanes * queue.inFlightShare[name]))),
    ackBatch: ACK_BATCH,
  };
}

/**
 * Where many isolates share the memory, batches are smaller: those in flight, one that waits and one that fills must fit
 * into an isolate's share, or rows would go by way of the disk in normal operation.
 *
 * @param isolates How many sinks share the process's memory budget.
 */
export function sinkOptions(config: Config, isolates: number): SinkOptions {
  const { sink } = config;
  const memoryBytes = Math.floor(sink.memoryBytes / isolates);
  return {
    isolate: "main",
    rows: sink.rows,
    bytes: Math.min(sink.bytes, Math.floor(memoryBytes / (sink.inFlight + 2))),
    lingerMs: sink.linger,
    holdBytes: sink.holdBytes,
    inFlight: sink.inFlight,
    memoryBytes,
    settleOn: sink.settleOn,
    spillAfterMs: sink.spill.after,
    retry: { initialDelayMs: sink.retry.base, maxDelayMs: sink.retry.max },
    breaker: { failures: sink.breaker.failures, halfOpenAfterMs: sink.breaker.reset },
  };
}

/**
 * Settings that every request carries unless the configuration says otherwise. Without `optimize_on_insert` a block is
 * sorted and not collapsed: that is for the merges and for FINAL to do, which have to anyway.
 */
export const CLICKHOUSE_SETTINGS = {
  async_insert: 0,
  optimize_on_insert: 0,
  input_format_skip_unknown_fields: 0,
  output_format_json_quote_64bit_integers: 1,
} as const;

/** How to reach ClickHouse. */
export function storageConnection(config: Config): StorageConnection {
  const { clickhouse } = config;
  return {
    url: clickhouse.url,
    database: clickhouse.database,
    user: clickhouse.user,
    password: clickhouse.password,
    ...(clickhouse.cluster === undefined ? {} : { cluster: clickhouse.cluster }),
    requestTimeoutMs: clickhouse.timeout,
    settings: { ...CLICKHOUSE_SETTINGS, ...clickhouse.settings },
  };
}

/** Wait before a full disk is tried again. */
const RECHECK_MS = 1_000;

/** The spill directory. */
export function spillOptions(config: Config) {
  const { directory, maxBytes, segmentBytes } = config.sink.spill;
  const { isolate, retry, breaker } = sinkOptions(config, 1);
  return { isolate, directory, maxBytes, segmentBytes, recheckMs: RECHECK_MS, retry, breaker };
}

/** Which backend the queue has. */
export function queueTarget(config: Config): RedisTarget {
  const { url, prefix, tls, sentinel, replicas } = config.queue;
  return {
    url,
    prefix,
    replicas,
    ...(tls === undefined ? {} : { tls }),
    ...(sentinel === undefined ? {} : { sentinel }),
  };
}
