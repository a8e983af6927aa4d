/** Events of `decode`, the metrics made of them and their log lines. */
import type { LogTable, Metric } from "../metric.ts";

export type DecodeEvent = never;

export const decodeMetrics: readonly Metric<DecodeEvent>[] = [];

export const decodeLogs: LogTable<DecodeEvent> = {};
