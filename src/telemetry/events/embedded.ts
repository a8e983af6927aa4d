/** Events of `embedded`, the metrics made of them and their log lines. */
import type { LogTable, Metric } from "../metric.ts";

export type EmbeddedEvent =
  /** The embedded ClickHouse engine serves. */
  | {
    readonly kind: "engine_started";
    readonly pid: number;
    readonly version: string;
    readonly path: string;
    readonly seconds: number;
  }
  /** Its process has ended. */
  | {
    readonly kind: "engine_exited";
    readonly pid: number;
    readonly path: string;
    readonly code: number | undefined;
    readonly signal: string | undefined;
    /** `true`: it was told to. */
    readonly expected: boolean;
    /** The end of what it said on stderr. */
    readonly stderr: string;
  };

export const embeddedMetrics: readonly Metric<EmbeddedEvent>[] = [
  {
    name: "embedded_engine_up",
    help: "1 while the embedded ClickHouse engine runs",
    type: "gauge",
    labels: [],
    read: { engine_started: () => [[], 1], engine_exited: () => [[], 0] },
  },
  {
    name: "embedded_engine_exits_total",
    help: "Ends of the embedded engine's process",
    type: "counter",
    labels: ["expected"],
    read: { engine_exited: (event) => [[String(event.expected)], 1] },
  },
  {
    name: "embedded_engine_start_seconds",
    help: "Time from the start of the embedded engine's process until it served",
    type: "histogram",
    labels: [],
    buckets: [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
    read: { engine_started: (event) => [[], event.seconds] },
  },
];

export const embeddedLogs: LogTable<EmbeddedEvent> = {
  engine_started: () => ["info", "embedded ClickHouse engine started"],
  engine_exited: (event) =>
    event.expected
      ? ["info", "embedded ClickHouse engine stopped"]
      : ["error", "embedded ClickHouse engine ended unexpectedly"],
};
