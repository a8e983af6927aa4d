import assert from "node:assert/strict";
import { chaos, patched } from "./queue_chaos.ts";

Deno.test("killed, stopped and set back, the queue loses no task, completes no block early and repeats no token", async () => {
  const { wrong, blocks, kills } = await chaos({ processes: 3, acts: 16, seed: 4_711, patienceMs: 90_000 });
  assert.deepEqual(wrong, {
    incomplete: 0,
    early: 0,
    tokenDecreases: 0,
    staleTaken: 0,
    rows: 0,
    left: 0,
    ended: 0,
    noisy: 0,
  });
  assert.ok(blocks > 10 && kills > 3, `${blocks} blocks, ${kills} kills`);
});

Deno.test("what the controls of the chaos break is still there to be broken", async () => {
  assert.deepEqual([...(await patched("counter")).keys()], ["prelude.lua"]);
  assert.deepEqual([...(await patched("stale_settlement")).keys()], ["prelude.lua", "end.lua", "heartbeat.lua"]);
});
