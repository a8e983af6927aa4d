import assert from "node:assert/strict";
import { Breaker, type BreakerOptions } from "../../src/rpc/breaker.ts";

const OPTIONS: BreakerOptions = {
  failures: 5,
  ratio: 0.5,
  of: 20,
  atLeast: 10,
  reset: 10_000,
  resetMax: 300_000,
  successes: 1,
};

interface Made {
  readonly breaker: Breaker;
  /** `from>to reason` of each transition. */
  readonly moves: string[];
}

/** A breaker whose reset times have no jitter. */
function make(options: Partial<BreakerOptions> = {}, random = () => 0.5): Made {
  const moves: string[] = [];
  const breaker = new Breaker(
    { ...OPTIONS, ...options },
    random,
    ({ from, to, reason }) => moves.push(`${from}>${to} ${reason}`),
  );
  return { breaker, moves };
}

function fail(breaker: Breaker, times: number, nowMs = 0): void {
  for (let time = 0; time < times; time++) breaker.failed(nowMs, "cut");
}

Deno.test("Breaker opens with the fifth failure in a row, whatever lies between them in time", () => {
  const { breaker, moves } = make();
  for (let time = 0; time < 4; time++) breaker.failed(time * 100_000, "timeout");
  assert.equal(breaker.state, "closed");
  breaker.failed(500_000, "timeout");
  assert.equal(breaker.state, "open");
  assert.deepEqual(moves, ["closed>open timeout"]);
});

Deno.test("Breaker forgets the row with a success, but not the share", () => {
  const { breaker } = make();
  for (let time = 0; time < 5; time++) {
    fail(breaker, 1);
    assert.equal(breaker.failures, 1);
    breaker.succeeded();
    assert.equal(breaker.state, "closed");
  }
  // Five of ten so far; the eleventh makes it more than half.
  fail(breaker, 1);
  assert.equal(breaker.state, "open");
});

Deno.test("Breaker asks for ten outcomes before the share counts", () => {
  const { breaker } = make({ failures: 100 });
  fail(breaker, 9);
  assert.equal(breaker.state, "closed");
  fail(breaker, 1);
  assert.equal(breaker.state, "open");
});

Deno.test("Breaker admits one probe when its time has come, and closes with its success", () => {
  const { breaker, moves } = make();
  fail(breaker, 5);
  assert.equal(breaker.halfOpen(9_999), false);
  assert.equal(breaker.halfOpen(10_000), true);
  assert.equal(breaker.halfOpen(10_000), false);
  assert.equal(breaker.probeSucceeded(10_001), false);
  assert.equal(breaker.state, "closed");
  assert.equal(breaker.failures, 0);
  assert.deepEqual(moves.slice(1), ["open>half_open probe", "half_open>closed probe_succeeded"]);
});

Deno.test("Breaker wants as many probes as configured", () => {
  const { breaker } = make({ successes: 3 });
  fail(breaker, 5);
  breaker.halfOpen(10_000);
  assert.deepEqual([1, 2, 3].map(() => breaker.probeSucceeded(10_000)), [true, true, false]);
  assert.equal(breaker.state, "closed");
});

Deno.test("Breaker doubles its reset time up to the longest, and begins again after five calm minutes", () => {
  const { breaker } = make();
  const waits: number[] = [];
  let nowMs = 0;
  fail(breaker, 5);
  for (let round = 0; round < 7; round++) {
    waits.push(breaker.retryAtMs - nowMs);
    nowMs = breaker.retryAtMs;
    breaker.halfOpen(nowMs);
    breaker.probeFailed(nowMs, "refused");
  }
  assert.deepEqual(waits, [10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000]);
  nowMs = breaker.retryAtMs;
  breaker.halfOpen(nowMs);
  breaker.probeSucceeded(nowMs);
  fail(breaker, 5, nowMs + 300_000);
  assert.equal(breaker.retryAtMs - nowMs - 300_000, 10_000);
});

Deno.test("Breaker spreads its reset time by a fifth", () => {
  const [early, late] = [make({}, () => 0).breaker, make({}, () => 1).breaker];
  for (const breaker of [early, late]) fail(breaker, 5);
  assert.deepEqual([early, late].map(({ retryAtMs }) => Math.round(retryAtMs)), [8_000, 12_000]);
});

Deno.test("Breaker takes late outcomes of calls from before for nothing", () => {
  const { breaker } = make();
  fail(breaker, 5);
  const { retryAtMs } = breaker;
  breaker.succeeded();
  breaker.failed(5_000, "cut");
  assert.equal(breaker.state, "open");
  assert.equal(breaker.retryAtMs, retryAtMs);
  breaker.halfOpen(retryAtMs);
  breaker.succeeded();
  assert.equal(breaker.state, "half_open");
});

Deno.test("Breaker brings a probe forward, and takes a cancelled one for none", () => {
  const { breaker } = make();
  fail(breaker, 5);
  breaker.probeBy(3_000);
  breaker.probeBy(7_000);
  assert.equal(breaker.retryAtMs, 3_000);
  breaker.halfOpen(3_000);
  breaker.probeCancelled(4_000);
  assert.deepEqual([breaker.state, breaker.retryAtMs], ["open", 4_000]);
});

Deno.test("Breaker is opened and reset by operators", () => {
  const { breaker, moves } = make();
  breaker.open(0, "maintenance");
  assert.deepEqual([breaker.state, breaker.reason], ["open", "maintenance"]);
  breaker.reset(1);
  assert.deepEqual([breaker.state, breaker.reason, breaker.failures], ["closed", "", 0]);
  assert.deepEqual(moves, ["closed>open maintenance", "open>closed reset"]);
});

Deno.test("Breaker opens for five minutes when three of a hundred traces violate the proof", () => {
  const { breaker } = make();
  for (let trace = 0; trace < 97; trace++) breaker.judged(0, trace < 2);
  assert.equal(breaker.state, "closed");
  breaker.judged(1_000, true);
  assert.deepEqual([breaker.state, breaker.reason, breaker.retryAtMs], ["open", "violated", 301_000]);
  const other = make().breaker;
  for (let trace = 0; trace < 400; trace++) other.judged(0, trace % 60 === 0);
  assert.equal(other.state, "closed");
});
