import assert from "node:assert/strict";
import { bestFixed, KINDS, LIMITERS, workDone } from "../../bench/limit_simulation.ts";
import { ConcurrencyLimit } from "../../src/rpc/concurrency.ts";
import { seeded } from "./virtual_clock.ts";

const HOUR_MS = 3_600_000;
const BOUNDS = { min: 1, max: 64, start: 4 };

/** Time and calls for one limit; a window is whatever it needs. */
class Caller {
  nowMs = 0;

  constructor(readonly limit: ConcurrencyLimit) {}

  /** One window at this rate of work. */
  window(unitsPerSecond: number, full = true): void {
    const calls = Math.max(12, 12 * this.limit.limit);
    const everyMs = 3_000 / calls;
    for (let call = 0; call < calls; call++) {
      this.nowMs += everyMs;
      this.limit.completed(this.nowMs, unitsPerSecond * everyMs / 1_000, full);
    }
    this.limit.completed(this.nowMs, 0, full);
  }
}

Deno.test("ConcurrencyLimit climbs while work per second grows, in longer strides, and stops where it does not", () => {
  const limit = new ConcurrencyLimit(BOUNDS);
  const caller = new Caller(limit);
  const seen = new Set<number>();
  for (let window = 0; window < 40; window++) {
    caller.window(1_000 * Math.min(limit.limit, 20));
    seen.add(limit.limit);
  }
  assert.ok(limit.limit >= 17 && limit.limit <= 23, [...seen].join(" "));
  assert.ok(seen.size < 20, `no strides: ${[...seen].join(" ")}`);
});

Deno.test("ConcurrencyLimit gives up places that bring nothing", () => {
  const limit = new ConcurrencyLimit({ ...BOUNDS, start: 20 });
  const caller = new Caller(limit);
  for (let window = 0; window < 100; window++) caller.window(1_000 * Math.min(limit.limit, 5));
  assert.ok(limit.limit >= 5 && limit.limit <= 7, String(limit.limit));
});

Deno.test("ConcurrencyLimit learns nothing from windows in which the work was short", () => {
  const limit = new ConcurrencyLimit(BOUNDS);
  const caller = new Caller(limit);
  for (let window = 0; window < 20; window++) caller.window(1_000 * window, false);
  assert.equal(limit.limit, 4);
});

Deno.test("ConcurrencyLimit falls to 0.7 on an overload, once for all calls begun before", () => {
  const limit = new ConcurrencyLimit({ ...BOUNDS, start: 20 });
  limit.overloaded(1_000, 500, 20);
  assert.equal(limit.limit, 14);
  limit.overloaded(1_100, 900, 19);
  assert.equal(limit.limit, 14);
  limit.overloaded(2_000, 1_500, 14);
  assert.equal(limit.limit, 9);
});

Deno.test("ConcurrencyLimit takes a few refusals for chance, and many of the last calls for an overload", () => {
  const limit = new ConcurrencyLimit({ ...BOUNDS, start: 20 });
  const calls = (count: number, isRefused: (call: number) => boolean) => {
    for (let call = 0; call < count; call++) {
      if (isRefused(call)) limit.refused(1_000, 1_000, 20);
      else limit.completed(1_000, 1, true);
    }
  };
  calls(160, (call) => call % 6 === 0);
  assert.equal(limit.limit, 20);
  calls(16, () => false);
  calls(3, () => true);
  assert.equal(limit.limit, 20);
  // It refuses one of six at any time, so more of them are needed.
  calls(5, () => true);
  assert.equal(limit.limit, 14);
});

Deno.test("ConcurrencyLimit of a node with few places falls when all of them are refused", () => {
  const limit = new ConcurrencyLimit({ ...BOUNDS, start: 2 });
  limit.refused(1_000, 500, 2);
  assert.equal(limit.limit, 2);
  limit.refused(1_000, 500, 1);
  assert.equal(limit.limit, 1);
});

Deno.test("ConcurrencyLimit takes a step back when the step overloaded the node", () => {
  const limit = new ConcurrencyLimit({ ...BOUNDS, start: 8 });
  const caller = new Caller(limit);
  caller.window(8_000);
  assert.equal(limit.limit, 9);
  limit.overloaded(caller.nowMs, caller.nowMs, 9);
  assert.equal(limit.limit, 8);
});

Deno.test("ConcurrencyLimit takes a refusal of an idle node for no overload, and never leaves its bounds", () => {
  const limit = new ConcurrencyLimit({ ...BOUNDS, start: 20 });
  limit.overloaded(1_000, 500, 3);
  assert.equal(limit.limit, 20);
  for (let at = 2; at < 50; at++) limit.overloaded(1_000 * at, 1_000 * at, 64);
  assert.equal(limit.limit, 1);
  const caller = new Caller(new ConcurrencyLimit({ ...BOUNDS, max: 6 }));
  for (let window = 0; window < 60; window++) {
    caller.window(1_000 * caller.limit.limit);
    assert.ok(caller.limit.limit >= 1 && caller.limit.limit <= 6);
  }
});

Deno.test("ConcurrencyLimit begins again with half after an outage", () => {
  const limit = new ConcurrencyLimit({ ...BOUNDS, start: 9 });
  limit.halve();
  assert.equal(limit.limit, 4);
});

for (const kind of KINDS) {
  Deno.test(`ConcurrencyLimit does at least 0.9 of what the best fixed limit does: ${kind.name}`, () => {
    const best = bestFixed(kind, HOUR_MS, () => seeded(1));
    const shares = [11, 12, 13].map((seed) => workDone(kind, LIMITERS["this pool"]!(), HOUR_MS, seeded(seed)) / best)
      .sort((a, b) => a - b);
    assert.ok(shares[1]! >= 0.9, shares.join(" "));
  });
}
