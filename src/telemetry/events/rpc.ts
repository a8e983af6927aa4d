/** Events of `rpc`, the metrics made of them and their log lines. */
import type { LogTable, Metric } from "../metric.ts";

export type RpcEvent = never;

export const rpcMetrics: readonly Metric<RpcEvent>[] = [];

export const rpcLogs: LogTable<RpcEvent> = {};
