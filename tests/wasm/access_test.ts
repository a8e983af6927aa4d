/** Section 5: cold and warm accesses, the journal, and the cap of the sets. */
import assert from "node:assert/strict";
import { callContext, CALLEE, Feeder, GAS_LIMIT, Kept } from "./feeder.ts";

const feeder = await Feeder.open();
const MAX_ENTRIES = 262_144;

function coldCounts(kept: Kept): Record<string, unknown> {
  return Object.fromEntries(
    kept.rows("frames").filter(({ operation, cold_access_count }) => operation !== "" && cold_access_count !== 0)
      .map((row) => [`${row.call_frame_id} ${row.operation}`, row.cold_access_count]),
  );
}

/** SLOAD of a slot that holds 0. */
function sload(slot: bigint, isCold: boolean) {
  return [
    { op: "PUSH32", cost: 3n },
    { op: "SLOAD", stack: [slot], cost: isCold ? 2_100n : 100n },
    { op: "POP", stack: [0n], cost: 2n },
  ];
}

Deno.test("a slot and an account are cold once, and what the access list names never", () => {
  const listed = "0x00000000000000000000000000000000000000aa";
  const accessList = [{ address: listed, storageKeys: [] }, {
    address: CALLEE,
    storageKeys: [`0x${"7".padStart(64, "0")}`],
  }];
  const kept = new Kept();
  feeder.begin(callContext({ transaction: { accessList } }), kept).feed(
    ...sload(7n, false).map((fed, at) => at === 0 ? { ...fed, gas: GAS_LIMIT - 21_000n - 4_800n - 1_900n } : fed),
    ...sload(8n, true),
    ...sload(8n, false),
    { op: "PUSH20", cost: 3n },
    { op: "BALANCE", stack: [0xaan], cost: 100n },
    { op: "BALANCE", stack: [0xbbn], cost: 2_600n },
    { op: "BALANCE", stack: [0xbbn], cost: 100n },
    { op: "STOP", stack: [0n] },
  ).end();
  assert.deepEqual(coldCounts(kept), { "0 SLOAD": 1, "0 BALANCE": 1 });
  assert.deepEqual(kept.record!.violations.map(({ identity }) => identity), ["R3"]);
});

Deno.test("an access charged as warm that cannot be, or as cold that cannot be, violates A1", () => {
  for (const [first, second] of [[false, false], [true, true]] as const) {
    const kept = new Kept(false);
    feeder.begin(callContext({}), kept).feed(...sload(8n, first), ...sload(8n, second), { op: "STOP" }).end();
    assert.ok(kept.record!.violations.some(({ identity }) => identity === "A1"));
  }
});

Deno.test("what a reverted frame made warm is cold again, what a successful one did stays warm", () => {
  for (const isReverted of [true, false]) {
    const kept = new Kept();
    const callee = BigInt(CALLEE) + 1n;
    const end = isReverted ? "REVERT" : "STOP";
    feeder.begin(callContext({}), kept)
      .feed({ op: "STATICCALL", stack: [0n, 0n, 0n, 0n, callee, 10_000n], cost: 2_600n + 10_000n })
      .enter(10_000n).feed({ op: "PUSH20", cost: 3n }, { op: "BALANCE", stack: [0xbbn], cost: 2_600n })
      .feed({ op: end, stack: [0n, 0n] }).leave(10_000n - 2_603n)
      .feed({ op: "BALANCE", stack: [0xbbn], cost: isReverted ? 2_600n : 100n }, { op: "STOP", stack: [0n] }).end();
    assert.deepEqual(
      kept.record!.violations.filter(({ identity }) => identity === "A1"),
      [],
    );
    assert.equal(coldCounts(kept)["0 BALANCE"], isReverted ? 1 : undefined);
  }
});

Deno.test("above the cap of the sets gas alone decides", () => {
  const kept = new Kept(false);
  feeder.begin(callContext({}), kept);
  for (let slot = 0n; slot < MAX_ENTRIES + 100; slot++) feeder.feed(...sload(slot, true));
  feeder.feed(...sload(5n, false), ...sload(BigInt(MAX_ENTRIES) + 50n, false), { op: "STOP" }).end();
  assert.deepEqual(kept.record!.notes, ["access sets capped"]);
  assert.ok(!kept.record!.violations.some(({ identity }) => identity === "A1"));
  const rows = 3 * (MAX_ENTRIES + 102) + 1;
  assert.equal(kept.record!.rows, rows);
  assert.equal(kept.blocks.structlogs.reduce((sum, count) => sum + count), rows);

  const after = new Kept(false);
  feeder.begin(callContext({}), after).feed(...sload(5n, true), { op: "STOP" }).end();
  assert.deepEqual(after.record!.notes, []);
  assert.ok(!after.record!.violations.some(({ identity }) => identity === "A1"));
});
