/** All events: the union, the metrics and the log lines, each stage's from its own file in `events/`. */
import { type DecodeEvent, decodeLogs, decodeMetrics } from "./events/decode.ts";
import { type EmbeddedEvent, embeddedLogs, embeddedMetrics } from "./events/embedded.ts";
import { pipelineLogs, pipelineMetrics, type PipelineProcessEvent } from "./events/pipeline.ts";
import { type QueueEvent, queueLogs, queueMetrics } from "./events/queue.ts";
import { type RpcEvent, rpcLogs, rpcMetrics } from "./events/rpc.ts";
import { type SinkEvent, sinkLogs, sinkMetrics } from "./events/sink.ts";
import type { LogTable, Metric } from "./metric.ts";

/** Everything that `emit` takes. */
export type PipelineEvent = DecodeEvent | EmbeddedEvent | PipelineProcessEvent | QueueEvent | RpcEvent | SinkEvent;

/** A metric whose readers take the event that they are named for; `read` is only ever called with that event. */
export type AnyMetric = Metric<PipelineEvent>;

/** Every metric of the process. */
export const metrics: readonly AnyMetric[] = [
  ...pipelineMetrics,
  ...decodeMetrics,
  ...embeddedMetrics,
  ...queueMetrics,
  ...rpcMetrics,
  ...sinkMetrics,
] as readonly AnyMetric[];

/** Every event that is logged. */
export const logs: LogTable<PipelineEvent> = {
  ...pipelineLogs,
  ...decodeLogs,
  ...embeddedLogs,
  ...queueLogs,
  ...rpcLogs,
  ...sinkLogs,
};
