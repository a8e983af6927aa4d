import assert from "node:assert/strict";
import { RateLimits } from "../../src/rpc/rate.ts";

const RULE = { methods: "debug_*", perSecond: 10, burst: 5 };
const noSpread = () => 0;

/** How many calls get through in so many milliseconds, asked for as often as allowed. */
function through(limits: RateLimits, method: string, fromMs: number, forMs: number): number {
  let calls = 0;
  for (let nowMs = fromMs; nowMs < fromMs + forMs; nowMs++) {
    while (limits.readyAtMs(nowMs, method, 1) <= nowMs) {
      limits.take(nowMs, method, 1);
      if (++calls > 100_000) return calls;
    }
  }
  return calls;
}

Deno.test("RateLimits lets a burst through, then the rate", () => {
  const limits = new RateLimits([RULE], 0, noSpread);
  assert.equal(through(limits, "debug_traceTransaction", 0, 1), 5);
  const second = through(limits, "debug_traceTransaction", 1, 1_000);
  assert.ok(second >= 9 && second <= 10, String(second));
});

Deno.test("RateLimits lets alone what no rule names, and applies all that match", () => {
  const limits = new RateLimits([RULE, { methods: "debug_traceTransaction", perSecond: 1, burst: 1 }], 0, noSpread);
  limits.take(0, "debug_traceTransaction", 1);
  assert.equal(limits.readyAtMs(0, "eth_getCode", 1), 0);
  assert.equal(limits.readyAtMs(0, "debug_traceBlockByHash", 1), 0);
  assert.equal(limits.readyAtMs(0, "debug_traceTransaction", 1), 1_000);
});

Deno.test("RateLimits charges a batch its items, and lets one through that is larger than the bucket", () => {
  const limits = new RateLimits([{ methods: "*", perSecond: 10, burst: 5 }], 0, noSpread);
  assert.equal(limits.readyAtMs(0, "eth_getCode", 50), 0);
  limits.take(0, "eth_getCode", 50);
  assert.equal(limits.readyAtMs(0, "eth_getCode", 1), 4_600);
});

Deno.test("RateLimits pauses for as long as the node asks, else for a second that doubles, at most a minute", () => {
  const asked = new RateLimits([], 0, noSpread);
  asked.limited(0, "eth_getCode", 7_000);
  assert.equal(asked.pausedUntilMs("eth_getCode"), 7_000);
  const silent = new RateLimits([], 0, noSpread);
  const pauses: number[] = [];
  for (let nowMs = 0, time = 0; time < 8; time++) {
    silent.limited(nowMs, "eth_getCode", undefined);
    pauses.push(silent.pausedUntilMs("eth_getCode") - nowMs);
    nowMs = silent.pausedUntilMs("eth_getCode");
  }
  assert.deepEqual(pauses, [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
  const long = new RateLimits([], 0, noSpread);
  long.limited(0, "eth_getCode", 3_600_000);
  assert.equal(long.pausedUntilMs("eth_getCode"), 60_000);
});

Deno.test("RateLimits takes refusals during a pause for one", () => {
  const limits = new RateLimits([], 0, noSpread);
  limits.limited(0, "eth_getCode", undefined);
  limits.limited(500, "eth_getCode", undefined);
  assert.equal(limits.pausedUntilMs("eth_getCode"), 1_000);
});

Deno.test("RateLimits pauses the rule's methods only", () => {
  const limits = new RateLimits([RULE], 0, noSpread);
  limits.limited(0, "debug_traceTransaction", 5_000);
  assert.ok(limits.pausedUntilMs("eth_getCode") < 0);
  assert.equal(limits.pausedUntilMs("debug_traceBlockByHash"), 5_000);
});

Deno.test("RateLimits learns 0.7 of what was sent, still lets calls through, and grows back", () => {
  const limits = new RateLimits([], 0, noSpread);
  for (let call = 0; call < 100; call++) limits.take(10 * call, "eth_getCode", 1);
  limits.passed(0, "eth_getCode");
  limits.limited(999, "eth_getCode", undefined);
  assert.equal(limits.tightest()!.learned, true);
  assert.ok(Math.abs(limits.tightest()!.perSecond - 70) < 2, String(limits.tightest()!.perSecond));
  // Far below the use of before: what was taken leaves no debt that would keep every call away.
  const first = through(limits, "eth_getCode", 2_000, 8_900);
  assert.ok(first >= 620 && first <= 700, String(first));
  through(limits, "eth_getCode", 10_900, 1_000);
  assert.ok(limits.tightest()!.perSecond > 70);
});

Deno.test("RateLimits grows only while it is used, and forgets after ten minutes without a refusal", () => {
  const limits = new RateLimits([], 0, noSpread);
  for (let call = 0; call < 100; call++) limits.take(10 * call, "eth_getCode", 1);
  limits.passed(0, "eth_getCode");
  limits.limited(1_000, "eth_getCode", undefined);
  const learned = limits.tightest()!.perSecond;
  for (let nowMs = 2_000; nowMs < 600_000; nowMs += 1_000) limits.readyAtMs(nowMs, "eth_getCode", 1);
  assert.equal(limits.tightest()!.perSecond, learned);
  limits.readyAtMs(601_001, "eth_getCode", 1);
  assert.equal(limits.tightest(), undefined);
});

Deno.test("RateLimits never learns less than it needs to find out more", () => {
  const limits = new RateLimits([], 0, noSpread);
  for (let nowMs = 0, time = 0; time < 20; time++) {
    limits.passed(nowMs, "eth_getCode");
    limits.limited(nowMs, "eth_getCode", undefined);
    nowMs = limits.pausedUntilMs("eth_getCode") + 1;
  }
  assert.equal(limits.tightest()!.perSecond, 0.5);
  limits.reset();
  assert.equal(limits.tightest(), undefined);
});

Deno.test("RateLimits learns no rate from a node that takes nothing for a while, and pauses for longer", () => {
  const limits = new RateLimits([], 0, noSpread);
  const send = (nowMs: number) => limits.take(nowMs, "eth_getCode", 1);
  for (let call = 0; call < 20; call++) send(50 * call);
  limits.passed(900, "eth_getCode");
  limits.limited(1_000, "eth_getCode", undefined);
  const learned = limits.tightest()!.perSecond;
  assert.ok(learned > 12 && learned <= 14, String(learned));
  send(2_000);
  limits.passed(950, "eth_getCode"); // it was sent before the pause
  limits.limited(2_001, "eth_getCode", undefined);
  assert.equal(limits.tightest()!.perSecond, learned);
  assert.equal(limits.pausedUntilMs("eth_getCode"), 4_001);
  send(4_001);
  limits.passed(4_001, "eth_getCode");
  limits.limited(4_500, "eth_getCode", undefined);
  assert.ok(limits.tightest()!.perSecond < learned);
  assert.equal(limits.pausedUntilMs("eth_getCode"), 5_500, "the last pause was long enough");
});

Deno.test("RateLimits stays near a limit that is there, and soon leaves one that is not", () => {
  /** Requests and refusals in twenty minutes of a node that takes `perSecond`, and nothing for 3 s of each `moodMs`. */
  const run = (perSecond: number, moodMs: number) => {
    const limits = new RateLimits([], 0, noSpread);
    let [passed, refused, tokens] = [0, 0, perSecond];
    for (let nowMs = 0; nowMs < 1_200_000; nowMs += 5) {
      tokens = Math.min(perSecond, tokens + 5 * perSecond / 1000);
      if (nowMs % 50 > 0 || limits.readyAtMs(nowMs, "eth_getCode", 1) > nowMs) continue; // asked for 20 a second
      limits.take(nowMs, "eth_getCode", 1);
      if (tokens >= 1 && nowMs % moodMs >= 3_000) {
        tokens--;
        passed++;
        limits.passed(nowMs, "eth_getCode");
      } else {
        refused++;
        limits.limited(nowMs, "eth_getCode", undefined);
      }
    }
    return { perSecond: passed / 1_200, refused };
  };
  const limited = run(10, Infinity);
  assert.ok(limited.perSecond > 8 && limited.refused < 120, JSON.stringify(limited));
  const moody = run(1_000, 40_000);
  assert.ok(moody.perSecond > 15, JSON.stringify(moody));
});
