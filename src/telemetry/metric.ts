/**
 * What a metric is: data. Stages emit typed events; a metric reads the events it is made of. One table per stage in
 * `events/`, turned into Prometheus text by `metrics.ts`.
 */

/** One observation: label values in the order of {@linkcode Metric.labels}, and a number. */
export type Sample = readonly [labels: readonly string[], value: number];

/** How one Prometheus metric follows from events of the union `E`. Labels come from closed sets, never hashes or URLs. */
export interface Metric<E extends { readonly kind: string }> {
  /** Prometheus name, `<stage>_<noun>_<unit>[_total]`. */
  readonly name: string;
  readonly help: string;
  /** Counters add the sample, gauges are set to it, histograms observe it. */
  readonly type: "counter" | "gauge" | "histogram";
  readonly labels: readonly string[];
  /** Upper bounds of a histogram's buckets. */
  readonly buckets?: readonly number[];
  /** Per event kind: the samples that it contributes. */
  readonly read: { readonly [K in E["kind"]]?: (event: Extract<E, { kind: K }>) => Sample | readonly Sample[] };
}

/** How one event reads as a log line; absent kinds are not logged. */
export type LogLevel = "debug" | "info" | "warn" | "error";

/** Log level and message per event kind; the event's own fields are the structured part of the line. */
export type LogTable<E extends { readonly kind: string }> = {
  readonly [K in E["kind"]]?: (event: Extract<E, { kind: K }>) => readonly [level: LogLevel, message: string];
};
