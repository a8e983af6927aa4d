/** Events of `embedded`, the metrics made of them and their log lines. */
import type { LogTable, Metric } from "../metric.ts";

export type EmbeddedEvent = never;

export const embeddedMetrics: readonly Metric<EmbeddedEvent>[] = [];

export const embeddedLogs: LogTable<EmbeddedEvent> = {};
