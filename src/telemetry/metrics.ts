/**
 * Prometheus text from events: what the metric tables say, added up. The client library for Prometheus is not used:
 * `deno compile` cannot embed it (a package below it overflows the compiler's stack), and the text format is this small.
 *
 * @see {@link https://prometheus.io/docs/instrumenting/exposition_formats/}
 */
import { type AnyMetric, metrics, type PipelineEvent } from "./events.ts";
import type { Sample } from "./metric.ts";

/** Upper bounds where a histogram names none, in seconds. */
const BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

interface Distribution {
  /** Observations up to each bound, not cumulative; the last one is above every bound. */
  readonly counts: number[];
  sum: number;
}

/** One metric's series by their label text. */
class Series {
  readonly #metric: AnyMetric;
  readonly #bounds: readonly number[];
  readonly #values = new Map<string, number>();
  readonly #distributions = new Map<string, Distribution>();

  constructor(metric: AnyMetric) {
    this.#metric = metric;
    this.#bounds = metric.buckets ?? BUCKETS;
    // A counter without labels is there from the start, so that its rate is.
    if (metric.labels.length === 0 && metric.type !== "histogram") this.#values.set("", 0);
  }

  take([labels, value]: Sample): void {
    const key = this.#metric.labels.map((label, index) => `${label}="${escaped(labels[index] ?? "")}"`).join(",");
    switch (this.#metric.type) {
      case "counter":
        this.#values.set(key, (this.#values.get(key) ?? 0) + value);
        return;
      case "gauge":
        this.#values.set(key, value);
        return;
      case "histogram": {
        let known = this.#distributions.get(key);
        if (known === undefined) {
          this.#distributions.set(key, known = { counts: new Array(this.#bounds.length + 1).fill(0), sum: 0 });
        }
        const bucket = this.#bounds.findIndex((bound) => value <= bound);
        known.counts[bucket < 0 ? this.#bounds.length : bucket]!++;
        known.sum += value;
      }
    }
  }

  *lines(): Generator<string> {
    const { name, help, type } = this.#metric;
    yield `# HELP ${name} ${help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")}`;
    yield `# TYPE ${name} ${type}`;
    for (const [key, value] of this.#values) yield `${name}${braced(key)} ${number(value)}`;
    for (const [key, { counts, sum }] of this.#distributions) {
      let total = 0;
      for (const [index, bound] of [...this.#bounds, Infinity].entries()) {
        total += counts[index]!;
        yield `${name}_bucket${braced(key, `le="${number(bound)}"`)} ${total}`;
      }
      yield `${name}_sum${braced(key)} ${number(sum)}`;
      yield `${name}_count${braced(key)} ${total}`;
    }
  }
}

function escaped(label: string): string {
  return label.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}

function braced(...labels: readonly string[]): string {
  const text = labels.filter((label) => label !== "").join(",");
  return text === "" ? "" : `{${text}}`;
}

function number(value: number): string {
  if (value === Infinity) return "+Inf";
  if (value === -Infinity) return "-Inf";
  return Number.isNaN(value) ? "NaN" : String(value);
}

/** The metrics of one process. */
export class Metrics {
  readonly #series: readonly Series[];
  readonly #readers = new Map<string, ((event: PipelineEvent) => void)[]>();

  constructor(tables: readonly AnyMetric[] = metrics) {
    this.#series = tables.map((metric) => {
      const series = new Series(metric);
      const reads = metric.read as Readonly<Record<string, (event: PipelineEvent) => Sample | readonly Sample[]>>;
      for (const [kind, read] of Object.entries(reads)) {
        const readers = this.#readers.get(kind) ?? [];
        this.#readers.set(kind, readers);
        readers.push((event) => {
          for (const sample of samplesOf(read(event))) series.take(sample);
        });
      }
      return series;
    });
  }

  /** A reader for `subscribe`. */
  readonly read = (event: PipelineEvent): void => {
    for (const reader of this.#readers.get(event.kind) ?? []) reader(event);
  };

  /** Prometheus text format 0.0.4. */
  text(): string {
    return `${this.#series.flatMap((series) => [...series.lines()]).join("\n")}\n`;
  }
}

function samplesOf(read: Sample | readonly Sample[]): readonly Sample[] {
  return typeof read[1] === "number" ? [read as Sample] : read as readonly Sample[];
}
