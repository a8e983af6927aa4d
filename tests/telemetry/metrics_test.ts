import assert from "node:assert/strict";
import { type AnyMetric, metrics } from "../../src/telemetry/events.ts";
import { Metrics } from "../../src/telemetry/metrics.ts";

const tables = [
  {
    name: "a_total",
    help: "Counts.",
    type: "counter",
    labels: ["network"],
    read: { block_accepted: (event) => [[event.network], 2] },
  },
  { name: "b", help: "Is set.", type: "gauge", labels: [], read: { head_seen: (event) => [[], event.blockNumber] } },
  {
    name: "c_seconds",
    help: "Is observed.",
    type: "histogram",
    labels: ["network"],
    buckets: [0.1, 1],
    read: { block_finished: (event) => [[event.network], event.seconds] },
  },
] satisfies readonly AnyMetric[];

function finished(seconds: number) {
  return {
    kind: "block_finished",
    network: "dev",
    direction: "forwards",
    blockNumber: 1,
    state: "complete",
    transactions: 1,
    seconds,
  } as const;
}

Deno.test("Metrics writes counters, gauges and histograms in the text format", () => {
  const all = new Metrics(tables);
  for (let block = 0; block < 3; block++) {
    all.read({
      kind: "block_accepted",
      network: 'a"b\\c',
      direction: "forwards",
      blockNumber: 1,
      transactions: 0,
      tasks: 0,
    });
  }
  all.read({ kind: "head_seen", network: "dev", blockNumber: 4 });
  all.read({ kind: "head_seen", network: "dev", blockNumber: 7 });
  for (const seconds of [0.05, 0.1, 0.5, 9]) all.read(finished(seconds));
  assert.deepEqual(all.text().split("\n"), [
    "# HELP a_total Counts.",
    "# TYPE a_total counter",
    'a_total{network="a\\"b\\\\c"} 6',
    "# HELP b Is set.",
    "# TYPE b gauge",
    "b 7",
    "# HELP c_seconds Is observed.",
    "# TYPE c_seconds histogram",
    'c_seconds_bucket{network="dev",le="0.1"} 2',
    'c_seconds_bucket{network="dev",le="1"} 3',
    'c_seconds_bucket{network="dev",le="+Inf"} 4',
    'c_seconds_sum{network="dev"} 9.65',
    'c_seconds_count{network="dev"} 4',
    "",
  ]);
});

Deno.test("every metric of the process has a name of its own, in Prometheus' grammar, and says something", () => {
  const names = metrics.map(({ name }) => name);
  assert.deepEqual(names.filter((name, index) => names.indexOf(name) !== index), []);
  for (const { name, help, type } of metrics) {
    assert.match(name, /^[a-z][a-z0-9_]*$/);
    assert.ok(help.length > 5, name);
    assert.equal(type === "counter", name.endsWith("_total"), `${name} is a ${type}`);
  }
});
