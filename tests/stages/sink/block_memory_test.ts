import assert from "node:assert/strict";
import { BlockMemory } from "../../../src/stages/sink/block_memory.ts";

Deno.test("BlockMemory hands a buffer that was given back to the next block that fits into it", () => {
  const memory = new BlockMemory(2);
  const first = memory.take(100);
  memory.giveBack(first.subarray(0, 40));
  assert.notEqual(memory.take(101).buffer, first.buffer);
  assert.equal(memory.take(60).buffer, first.buffer);
  assert.notEqual(memory.take(60).buffer, first.buffer);
});

Deno.test("BlockMemory keeps no more than its count, and of those the largest", () => {
  const memory = new BlockMemory(2);
  const blocks = [10, 30, 20].map((bytes) => memory.take(bytes));
  for (const block of blocks) memory.giveBack(block);
  const kept = new Set(blocks.slice(1).map(({ buffer }) => buffer));
  assert.deepEqual(new Set([memory.take(1).buffer, memory.take(1).buffer]), kept);
  assert.equal(memory.take(1).byteLength, 1);
});
