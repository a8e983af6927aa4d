/** Events of `sink`, the metrics made of them and their log lines. */
import type { LogTable, Metric } from "../metric.ts";

export type SinkEvent = never;

export const sinkMetrics: readonly Metric<SinkEvent>[] = [];

export const sinkLogs: LogTable<SinkEvent> = {};
