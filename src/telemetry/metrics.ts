/** Prometheus text from events: a registry filled by the metric tables. */
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { PipelineEvent } from "./events.ts";
import { type AnyMetric, metrics } from "./events.ts";
import type { Sample } from "./metric.ts";

type Observe = (labels: Record<string, string>, value: number) => void;

function instrument(metric: AnyMetric, registry: Registry): Observe {
  const options = { name: metric.name, help: metric.help, labelNames: [...metric.labels], registers: [registry] };
  switch (metric.type) {
    case "counter": {
      const counter = new Counter(options);
      return (labels, value) => counter.inc(labels, value);
    }
    case "gauge": {
      const gauge = new Gauge(options);
      return (labels, value) => gauge.set(labels, value);
    }
    case "histogram": {
      const histogram = new Histogram({ ...options, ...(metric.buckets ? { buckets: [...metric.buckets] } : {}) });
      return (labels, value) => histogram.observe(labels, value);
    }
  }
}

/** The metrics of one process. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #readers = new Map<string, ((event: PipelineEvent) => void)[]>();

  constructor(tables: readonly AnyMetric[] = metrics) {
    for (const metric of tables) {
      const observe = instrument(metric, this.#registry);
      for (
        const [kind, read] of Object.entries(metric.read) as [
          string,
          (event: PipelineEvent) => Sample | readonly Sample[],
        ][]
      ) {
        const readers = this.#readers.get(kind) ?? [];
        this.#readers.set(kind, readers);
        readers.push((event) => {
          for (const [values, value] of samplesOf(read(event))) {
            observe(Object.fromEntries(metric.labels.map((label, index) => [label, values[index] ?? ""])), value);
          }
        });
      }
    }
  }

  /** A reader for `subscribe`. */
  readonly read = (event: PipelineEvent): void => {
    for (const reader of this.#readers.get(event.kind) ?? []) reader(event);
  };

  /** Prometheus text format. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }
}

function samplesOf(read: Sample | readonly Sample[]): readonly Sample[] {
  return typeof read[1] === "number" ? [read as Sample] : read as readonly Sample[];
}
