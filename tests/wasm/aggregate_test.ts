/** Section 9: a summary row per frame, a row per opcode of a frame, and how they add up. */
import assert from "node:assert/strict";
import { callContext, Feeder, Kept } from "./feeder.ts";

const feeder = await Feeder.open();
const SUMS = [
  "opcode_count",
  "error_count",
  "gas",
  "gas_cumulative",
  "memory_expansion_gas",
  "memory_words_sum_before",
  "memory_words_sum_after",
  "memory_words_sq_sum_before",
  "memory_words_sq_sum_after",
  "cold_access_count",
] as const;

/** A call of a frame that expands its memory, loads a slot twice and halts. */
function nested(): Kept {
  const kept = new Kept();
  const gas = 50_000n;
  feeder.begin(callContext({ gasUsed: 21_000n + 3n + 2n + 2_600n + gas + 3n }), kept)
    .feed({ op: "PUSH1", stack: [0n, 0n, 0n, 0n, 0xabcden, gas], cost: 3n })
    .feed({ op: "POP", stack: [0n, 0n, 0n, 0n, 0xabcden, gas, 1n], cost: 2n })
    .feed({ op: "STATICCALL", stack: [0n, 0n, 0n, 0n, 0xabcden, gas], cost: 2_600n + gas })
    .enter(gas)
    .feed({ op: "MSTORE", stack: [7n, 7n, 1n, 64n], cost: 3n + 9n })
    .feed({ op: "SLOAD", stack: [7n, 7n], cost: 2_100n })
    .feed({ op: "POP", stack: [7n, 0n], cost: 2n })
    .feed({ op: "SLOAD", stack: [7n], cost: 100n })
    .feed({ op: "INVALID", stack: [0n] })
    .leave(0n)
    .feed({ op: "PUSH1", stack: [0n], cost: 3n }, { op: "STOP", stack: [0n, 1n] }).end();
  return kept;
}

Deno.test("opcode rows of a frame add up to its summary, and frames to the root", () => {
  const kept = nested();
  assert.equal(kept.record!.verdict, "proved", kept.record!.detail);
  const rows = kept.rows("frames");
  assert.equal(rows.length, kept.record!.aggregateRows);
  for (const frame of [0, 1]) {
    const own = rows.filter(({ call_frame_id }) => call_frame_id === frame);
    const summary = own.find(({ operation }) => operation === "")!;
    const opcodes = own.filter(({ operation }) => operation !== "");
    for (const column of SUMS) {
      assert.equal(opcodes.reduce((sum, row) => sum + Number(row[column]), 0), summary[column], `${frame} ${column}`);
    }
  }
  const summaries = rows.filter(({ operation }) => operation === "");
  const root = summaries.find(({ call_frame_id }) => call_frame_id === 0)!;
  assert.equal(summaries.reduce((sum, { gas }) => sum + Number(gas), 0), root.gas_cumulative);
  assert.equal(root.gas_cumulative, kept.record!.rootGas);
  const structlogs = kept.rows("structlogs");
  assert.equal(summaries.reduce((sum, row) => sum + Number(row.opcode_count), 0), structlogs.length);
  assert.equal(structlogs.reduce((sum, { gas_self }) => sum + Number(gas_self), 0), root.gas_cumulative);
});

Deno.test("memory, cold accesses and errors stand where they happened", () => {
  const rows = nested().rows("frames");
  const row = (frame: number, operation: string) =>
    rows.find((each) => each.call_frame_id === frame && each.operation === operation)!;
  const store = row(1, "MSTORE");
  assert.deepEqual(
    [store.memory_words_sum_before, store.memory_words_sum_after, store.memory_words_sq_sum_after],
    [0, 3, 9],
  );
  assert.equal(store.memory_expansion_gas, 9);
  assert.deepEqual([row(1, "SLOAD").opcode_count, row(1, "SLOAD").cold_access_count], [2, 1]);
  assert.deepEqual([row(0, "STATICCALL").cold_access_count, row(0, "STATICCALL").gas], [1, 2_600]);
  assert.deepEqual([row(1, "INVALID").error_count, row(1, "").error_count, row(0, "").error_count], [1, 1, 0]);
  const halting = 50_000 - 12 - 2_100 - 2 - 100;
  assert.equal(row(1, "INVALID").gas, halting);
  assert.deepEqual([row(1, "").min_depth, row(1, "").max_depth, row(1, "POP").min_depth], [1, 1, 2]);
});

Deno.test("the root's summary alone has intrinsic gas and the refund", () => {
  const rows = nested().rows("frames");
  for (const { operation, call_frame_id, intrinsic_gas, gas_refund } of rows) {
    const isRoot = operation === "" && call_frame_id === 0;
    assert.deepEqual([intrinsic_gas, gas_refund], [isRoot ? 21_000 : null, 0]);
  }
  const empty = new Kept();
  feeder.begin(callContext({ gasUsed: 21_000n }), empty).end();
  const [only, ...others] = empty.rows("frames");
  assert.deepEqual(others, []);
  assert.deepEqual([only!.opcode_count, only!.gas, only!.intrinsic_gas, only!.operation], [0, 0, 21_000, ""]);
});
