/** The column blocks: what happens when one is full. */
import assert from "node:assert/strict";
import { OversizedTraceError } from "../../src/stages/decode/oversized.ts";
import { AGG_ROWS, BLOCK_PATHS, BLOCK_ROWS, MAX_FRAMES, RETURN_DATA_CAPACITY } from "../../wasm/layout.ts";
import { callContext, CALLEE, Feeder, Kept } from "./feeder.ts";

const feeder = await Feeder.open();
const ANY_GAS = 2n ** 256n - 1n;

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0);
}

/** Opens frames down to a depth, each after `before` cheap structlogs. */
function descend(depth: number, before: number): void {
  while (feeder.depth < depth) {
    for (let at = 0; at < before; at++) feeder.feed({ op: "JUMPDEST", cost: 1n });
    const given = feeder.gas - 100n;
    const most = given - given / 64n;
    feeder.feed({ op: "DELEGATECALL", stack: [0n, 0n, 0n, 0n, BigInt(CALLEE), ANY_GAS], cost: 100n + most }).enter(
      most,
    );
  }
}

Deno.test("a block of rows leaves when it is full, and the last one at the end", () => {
  const kept = new Kept();
  feeder.begin(callContext({}), kept);
  for (let row = 0; row < 2 * BLOCK_ROWS + 5; row++) feeder.feed({ op: "JUMPDEST", cost: 1n });
  feeder.feed({ op: "STOP" }).end();
  assert.deepEqual(kept.blocks.structlogs, [BLOCK_ROWS, BLOCK_ROWS, 6]);
  assert.deepEqual(
    kept.rows("structlogs").map(({ index }) => index),
    Array.from({ length: 2 * BLOCK_ROWS + 6 }, (_, i) => i),
  );
});

Deno.test("one structlog can close a thousand frames: aggregate rows leave in between", () => {
  const kept = new Kept();
  feeder.begin(callContext({}), kept);
  descend(1_001, 3);
  feeder.feed({ op: "JUMPDEST", cost: 1n }, { op: "STOP", depth: 1, stack: [1n], pc: 99, gas: 5n }).end();
  const frames = kept.rows("frames");
  assert.equal(frames.filter(({ operation }) => operation === "").length, 1_001);
  assert.ok(kept.blocks.frames.length > 1);
  assert.ok(kept.blocks.frames.every((rows) => rows <= AGG_ROWS));
  assert.equal(kept.record!.aggregateRows, sum(kept.blocks.frames));
  const deepest = frames.find(({ call_frame_id }) => call_frame_id === 1_000)!;
  assert.deepEqual(deepest.call_frame_path, Array.from({ length: 1_001 }, (_, id) => id));
  assert.equal(deepest.parent_call_frame_id, 999);
});

Deno.test("a block leaves when its paths are full", () => {
  const kept = new Kept();
  feeder.begin(callContext({}), kept);
  descend(1_025, 0);
  for (let row = 0; row < 2_000; row++) feeder.feed({ op: "JUMPDEST", cost: 0n });
  feeder.feed({ op: "STOP" }).end();
  const most = Math.floor(BLOCK_PATHS / 1_025);
  assert.ok(kept.blocks.structlogs.length > 2 && kept.blocks.structlogs.slice(0, -1).every((rows) => rows <= 2 * most));
  const rows = kept.rows("structlogs");
  assert.equal(rows.length, 1_024 + 2_001);
  assert.ok(rows.every(({ depth, call_frame_path }) => (call_frame_path as number[]).length === depth));
});

Deno.test("more open frames than the EVM allows violate F5 and open none", () => {
  const kept = new Kept(false);
  feeder.begin(callContext({}), kept);
  descend(MAX_FRAMES + 50, 0);
  feeder.feed({ op: "STOP" }).end();
  assert.ok(kept.record!.violations.some(({ identity, detail }) => identity === "F5" && /beyond/.test(detail)));
  assert.equal(kept.record!.rows, MAX_FRAMES + 50);
});

Deno.test("return data and errors of waiting structlogs survive those of their frames", () => {
  const kept = new Kept();
  feeder.begin(callContext({}), kept);
  const texts = ["aa".repeat(5), "bb".repeat(300), "cc".repeat(70_000)];
  for (const text of texts) {
    feeder.feed({
      op: "STATICCALL",
      stack: [0n, 0n, 0n, 0n, BigInt(CALLEE) + 1n, 1_000n],
      cost: 1_100n,
      returnData: text,
      error: `error ${text.length}`,
    }).enter(1_000n);
  }
  feeder.feed({ op: "STOP", returnData: "dd" }).end();
  const rows = kept.rows("structlogs").sort((a, b) => (a.index as number) - (b.index as number));
  assert.deepEqual(rows.map(({ return_data }) => return_data), [...texts, "dd"]);
  assert.deepEqual(rows.map(({ error }) => error), [...texts.map((text) => `error ${text.length}`), null]);
});

Deno.test("a block leaves before the room for texts is used up, and its nulls are nulls again", () => {
  const kept = new Kept();
  feeder.begin(callContext({}), kept);
  const long = "0123456789abcdef".repeat(RETURN_DATA_CAPACITY / 64);
  for (let row = 0; row < 6; row++) feeder.feed({ op: "JUMPDEST", cost: 1n, returnData: long });
  for (let row = 0; row < 6; row++) feeder.feed({ op: "JUMPDEST", cost: 1n });
  feeder.feed({ op: "STOP" }).end();
  assert.ok(kept.blocks.structlogs.length > 1);
  const rows = kept.rows("structlogs");
  assert.deepEqual(rows.map(({ return_data }) => return_data === long), rows.map(({ index }) => (index as number) < 6));
  assert.ok(rows.slice(6).every(({ return_data }) => return_data === null));
});

Deno.test("texts of waiting structlogs that fit nowhere end the trace with their size", () => {
  feeder.begin(callContext({}), new Kept(false));
  const long = "ab".repeat(RETURN_DATA_CAPACITY / 4);
  const wait = () =>
    feeder.feed({
      op: "STATICCALL",
      stack: [0n, 0n, 0n, 0n, BigInt(CALLEE) + 1n, 1_000n],
      cost: 1_100n,
      returnData: long,
    }).enter(1_000n);
  wait();
  assert.throws(() => {
    wait();
    wait();
  }, OversizedTraceError);
  const after = new Kept();
  feeder.begin(callContext({ gasUsed: 21_001n }), after).feed({ op: "JUMPDEST", cost: 1n }, { op: "STOP" }).end();
  assert.equal(after.record!.verdict, "proved");
  assert.ok(after.rows("structlogs").every(({ return_data }) => return_data === null));
});

Deno.test("names of undefined opcodes are stored as printed, each transaction's own", () => {
  const kept = new Kept();
  feeder.begin(callContext({ status: "0x0" }), kept).feed({ op: "opcode 0xc not defined" }).end({ failed: true });
  assert.equal(kept.rows("structlogs")[0]!.operation, "opcode 0xc not defined");
  assert.ok(kept.rows("frames").some(({ operation }) => operation === "opcode 0xc not defined"));
  const other = new Kept();
  feeder.begin(callContext({ status: "0x0" }), other).feed({ op: "Unknown" }).end({ failed: true });
  assert.equal(other.rows("structlogs")[0]!.operation, "Unknown");
});
