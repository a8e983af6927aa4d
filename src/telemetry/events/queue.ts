/** Events of `queue`, the metrics made of them and their log lines. */
import type { LogTable, Metric } from "../metric.ts";

export type QueueEvent = never;

export const queueMetrics: readonly Metric<QueueEvent>[] = [];

export const queueLogs: LogTable<QueueEvent> = {};
