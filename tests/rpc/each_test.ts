import assert from "node:assert/strict";
import * as fc from "fast-check";
import { each } from "../../src/rpc/each.ts";
import { pause } from "../../src/rpc/clock.ts";
import { settled, VirtualClock } from "./virtual_clock.ts";

Deno.test("each() keeps the order, never runs more than allowed, and counts failures", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ ms: fc.nat(50), fails: fc.boolean() }), { maxLength: 30 }),
      fc.integer({ min: 1, max: 8 }),
      async (items, concurrency) => {
        const clock = new VirtualClock();
        let [running, most] = [0, 0];
        const done = each(items, { mode: "collect", concurrency }, async ({ ms, fails }, signal, index) => {
          most = Math.max(most, ++running);
          await pause(clock, ms, signal);
          running--;
          if (fails) throw new Error(`item ${index}`);
          return index;
        });
        await clock.advance(50 * 31);
        const { results, failures } = await done;
        assert.ok(most <= concurrency);
        assert.equal(failures, items.filter(({ fails }) => fails).length);
        assert.deepEqual(
          results.map((result) => result.ok ? result.value : result.error.message),
          items.map(({ fails }, index) => fails ? `item ${index}` : index),
        );
        assert.equal(clock.pending, 0);
      },
    ),
    { numRuns: 60 },
  );
});

Deno.test("three calls of 100 ms at a time take less than two of them", async () => {
  const clock = new VirtualClock();
  const done = each([1, 2, 3], { mode: "collect", concurrency: 5 }, (item) => pause(clock, 100).then(() => item));
  await clock.advance(101);
  assert.equal(clock.pending, 0);
  assert.equal((await done).failures, 0);
});

Deno.test("each() with failFast aborts the others and throws the first failure", async () => {
  const clock = new VirtualClock();
  const begun: number[] = [];
  const aborted: number[] = [];
  const done = each([0, 1, 2, 3, 4], { mode: "failFast", concurrency: 2 }, async (item, signal) => {
    begun.push(item);
    if (item === 1) throw new Error("one");
    await pause(clock, 1_000, signal).catch((error) => {
      aborted.push(item);
      throw error;
    });
  });
  await assert.rejects(done, /^Error: one$/);
  assert.deepEqual(begun, [0, 1]);
  assert.deepEqual(aborted, [0]);
  assert.equal(clock.pending, 0);
});

Deno.test("each() ends with its caller: before, in the middle, and not after", async () => {
  const clock = new VirtualClock();
  const reason = new Error("enough");
  const before = new AbortController();
  before.abort(reason);
  const none = await each([1, 2], { mode: "collect", concurrency: 2, signal: before.signal }, () => {
    throw new Error("must not begin");
  });
  assert.deepEqual(none.results.map((result) => result.ok ? undefined : result.error), [reason, reason]);

  const middle = new AbortController();
  const done = each(
    [1, 2, 3],
    { mode: "collect", concurrency: 1, signal: middle.signal },
    (item, signal) => pause(clock, 10, signal).then(() => item),
  );
  await clock.advance(11);
  middle.abort(reason);
  const { results, failures } = await done;
  assert.deepEqual(results.map((result) => result.ok ? result.value : result.error), [1, reason, reason]);
  assert.equal(failures, 2);
  assert.equal(clock.pending, 0);

  const after = new AbortController();
  const all = await each([1], { mode: "failFast", concurrency: 1, signal: after.signal }, () => Promise.resolve(7));
  after.abort(reason);
  await settled();
  assert.deepEqual(all, { results: [{ ok: true, value: 7 }], failures: 0 });
});
