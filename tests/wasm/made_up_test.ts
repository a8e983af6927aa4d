/** Section 1.6: structlogs of clients that print a STOP where no opcode executes. */
import assert from "node:assert/strict";
import { callContext, CALLEE, Feeder, GAS_LIMIT, Kept } from "./feeder.ts";

const feeder = await Feeder.open();
const OLD_BESU = "besu/v25.1.0";

function operations(kept: Kept): unknown[] {
  return kept.rows("structlogs").map(({ index, operation, call_frame_id }) => [index, operation, call_frame_id]);
}

/** A call of an account without code, with the STOP that old Besu prints for it. */
function emptyCall(gas: bigint) {
  return [
    { op: "STATICCALL", stack: [0n, 0n, 0n, 0n, BigInt(CALLEE) + 1n, 100n], cost: 2_700n },
    { op: "STOP", stack: [], depth: 2, pc: 0, gas: 100n },
    { op: "POP", stack: [1n], cost: 2n, gas: gas - 2_600n, pc: 1 },
  ];
}

Deno.test("old Besu's STOP behind a call is dropped when the frame goes on", () => {
  const kept = new Kept();
  feeder.begin(callContext({ client: OLD_BESU }), kept).feed(...emptyCall(GAS_LIMIT - 21_000n), { op: "STOP" }).end();
  assert.deepEqual(operations(kept), [[0, "STATICCALL", 0], [1, "POP", 0], [2, "STOP", 0]]);
  assert.equal(kept.record!.frames, 2);
  assert.deepEqual(kept.record!.notes, ["made-up STOP structlogs dropped: 1"]);
});

Deno.test("the same STOP of a client that makes nothing up opens a frame", () => {
  const kept = new Kept();
  feeder.begin(callContext({}), kept).feed(...emptyCall(GAS_LIMIT - 21_000n), { op: "STOP" }).end();
  assert.deepEqual(operations(kept).length, 4);
  assert.deepEqual(kept.record!.notes, []);
});

Deno.test("a STOP behind which its frame goes on is kept, with what it carried", () => {
  const kept = new Kept();
  feeder.begin(callContext({ client: OLD_BESU }), kept).feed(
    { op: "STATICCALL", stack: [0n, 0n, 0n, 0n, BigInt(CALLEE) + 1n, 100n], cost: 2_700n },
    { op: "STOP", depth: 2, pc: 0, gas: 100n, returnData: "abcd", error: "odd" },
    { op: "ADDRESS", depth: 2, pc: 1, gas: 100n, cost: 2n, returnData: "ef" },
    { op: "STOP", depth: 2, pc: 2, gas: 98n, stack: [1n] },
  ).end();
  const rows = kept.rows("structlogs");
  const stop = rows.find(({ index }) => index === 1)!;
  assert.deepEqual([stop.operation, stop.return_data, stop.error], ["STOP", "abcd", "odd"]);
  const next = rows.find(({ index }) => index === 2)!;
  assert.deepEqual([next.operation, next.return_data, next.error], ["ADDRESS", "ef", null]);
});

Deno.test("the only STOP of old Besu's reply is a transfer, and one that more structlogs follow is not", () => {
  const transfer = new Kept();
  feeder.begin(callContext({ client: OLD_BESU, gasUsed: 21_000n }), transfer).feed({ op: "STOP" }).end();
  assert.deepEqual([transfer.record!.verdict, transfer.record!.rows, transfer.record!.outcome], ["proved", 0, "empty"]);
  const other = new Kept();
  feeder.begin(callContext({ client: OLD_BESU }), other).feed({ op: "STOP" }, { op: "STOP" }).end();
  assert.equal(other.record!.rows, 2);
});

Deno.test("revm's STOP behind a create without init code is dropped, behind one with init code it is not", () => {
  for (const [size, rows] of [[0n, 3], [1n, 4]] as const) {
    const kept = new Kept();
    const gas = GAS_LIMIT - 21_000n;
    feeder.begin(callContext({ client: "anvil/v1.7.1" }), kept).feed(
      { op: "CREATE", stack: [size, 0n, 0n], cost: 32_000n, refund: 0n },
      { op: "STOP", depth: 2, pc: 0, gas: 100n, refund: 0n },
      { op: "POP", stack: [0xcen], cost: 2n, gas: gas - 32_000n, pc: 1, refund: 0n },
      { op: "STOP", refund: 0n },
    ).end();
    assert.equal(kept.rows("structlogs").length, rows);
  }
});
