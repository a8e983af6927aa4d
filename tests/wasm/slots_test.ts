/** Section 8.4: values of slots and the recomputed refund counter. */
import assert from "node:assert/strict";
import { callContext, CALLEE, type Fed, Feeder, Kept } from "./feeder.ts";

const feeder = await Feeder.open();

/** A client that prints no refund counter. */
const SILENT = "Nethermind/v1.25.4";

function sstore(slot: bigint, value: bigint, cost: bigint): Fed[] {
  return [
    { op: "PUSH32", cost: 3n },
    { op: "PUSH32", stack: [value], cost: 3n },
    { op: "SSTORE", stack: [value, slot], cost },
  ];
}

function sload(slot: bigint, value: bigint, cost: bigint): Fed[] {
  return [
    { op: "PUSH32", cost: 3n },
    { op: "SLOAD", stack: [slot], cost },
    { op: "POP", stack: [value], cost: 2n },
  ];
}

/** Runs the structlogs as a whole transaction whose receipt says what `refund` leaves. */
function run(structlogs: readonly Fed[], refund: bigint): Kept {
  const kept = new Kept(false);
  const used = structlogs.reduce((sum, { cost = 0n }) => sum + cost, 21_000n);
  const applied = refund < used / 5n ? refund : used / 5n;
  feeder.begin(callContext({ client: SILENT, gasUsed: used - applied }), kept).feed(...structlogs, { op: "STOP" })
    .end();
  return kept;
}

Deno.test("the refund of a cleared slot follows from its operands", () => {
  const { record } = run([...sload(1n, 9n, 2_100n), ...sstore(1n, 0n, 2_900n)], 4_800n);
  assert.deepEqual([record!.verdict, record!.refundSource, record!.refundCounter], ["proved", "operands", 4_800]);
});

Deno.test("a cleared slot that gets its value back gives the clearing up and restores", () => {
  const { record } = run([...sload(1n, 9n, 2_100n), ...sstore(1n, 0n, 2_900n), ...sstore(1n, 9n, 100n)], 2_800n);
  assert.deepEqual([record!.verdict, record!.refundCounter], ["proved", 2_800]);
});

Deno.test("a slot that was zero and becomes zero again restores the price of the first write", () => {
  const { record } = run([...sstore(1n, 5n, 22_100n), ...sstore(1n, 0n, 100n)], 19_900n);
  assert.deepEqual([record!.verdict, record!.refundCounter], ["proved", 19_900]);
});

Deno.test("a slot that was never read leaves an interval", () => {
  const { record } = run([...sstore(1n, 5n, 5_000n), ...sstore(1n, 6n, 100n)], 0n);
  assert.deepEqual([record!.verdict, record!.refundSource, record!.refundCounter], ["bounded", "interval", undefined]);
  const outside = run([...sstore(1n, 5n, 5_000n), ...sstore(1n, 6n, 100n)], 2_900n);
  assert.equal(outside.record!.verdict, "violated");
});

Deno.test("a value that the slot cannot hold, or a cost that its values exclude, violates V1", () => {
  const cases = [
    [...sload(1n, 9n, 2_100n), ...sload(1n, 8n, 100n)],
    [...sstore(1n, 5n, 22_100n), ...sload(1n, 6n, 100n)],
    [...sload(1n, 0n, 2_100n), ...sstore(1n, 5n, 2_900n)],
    [...sload(1n, 9n, 2_100n), ...sstore(1n, 5n, 20_000n)],
    [...sload(1n, 9n, 2_100n), ...sstore(1n, 5n, 100n)],
    [...sload(1n, 9n, 2_100n), ...sstore(1n, 5n, 2_900n), ...sstore(1n, 6n, 2_900n)],
  ];
  for (const structlogs of cases) {
    const { record } = run(structlogs, 0n);
    assert.ok(record!.violations.some(({ identity }) => identity === "V1"), JSON.stringify(record!.violations));
  }
});

Deno.test("a reverted frame takes its writes back, what was learned about earlier values stays", () => {
  const kept = new Kept(false);
  feeder.begin(callContext({ client: SILENT }), kept)
    .feed(...sload(1n, 9n, 2_100n))
    .feed({ op: "DELEGATECALL", stack: [0n, 0n, 0n, 0n, BigInt(CALLEE), 90_000n], cost: 90_100n }).enter(90_000n)
    .feed(...sstore(1n, 4n, 2_900n), ...sload(2n, 7n, 2_100n), ...sstore(2n, 0n, 2_900n), {
      op: "REVERT",
      stack: [0n, 0n],
    })
    .leave(90_000n - 2_906n - 2_105n - 2_906n)
    .feed({ op: "POP", stack: [0n], cost: 2n }, ...sload(1n, 9n, 100n), ...sload(2n, 7n, 2_100n), { op: "STOP" }).end();
  // The words below the operands are left out, so K1 sees wrong heights; the receipt is none.
  const others = kept.record!.violations.filter(({ identity }) => identity !== "R3" && identity !== "K1");
  assert.deepEqual(others, []);
  assert.equal(kept.record!.refundCounter, 0);
});

Deno.test("more earlier values than there is room for end the conclusions from values, with a note", () => {
  const kept = new Kept(false);
  feeder.begin(callContext({}), kept);
  const slots = 700n;
  for (let depth = 0; depth < 200; depth++) {
    for (let slot = 0n; slot < slots; slot++) feeder.feed(...sstore(slot, 1n, depth === 0 ? 2_200n : 100n));
    const given = feeder.gas - 100n;
    const most = given - given / 64n;
    feeder.feed({ op: "DELEGATECALL", stack: [0n, 0n, 0n, 0n, BigInt(CALLEE), 2n ** 256n - 1n], cost: 100n + most })
      .enter(most);
  }
  feeder.feed({ op: "STOP" }).end();
  assert.deepEqual(kept.record!.notes, ["slot values capped"]);
  assert.ok(!kept.record!.violations.some(({ identity }) => identity === "V1"));
});
