import assert from "node:assert/strict";
import { SpareMemory } from "../../../src/stages/sink/spare_memory.ts";

const KB = 1024;

Deno.test("SpareMemory hands a buffer that was given back to the next one that fits into it", () => {
  const memory = new SpareMemory(1000 * KB);
  const first = memory.take(128 * KB);
  memory.giveBack(first.subarray(0, 40));
  assert.notEqual(memory.take(129 * KB).buffer, first.buffer);
  assert.equal(memory.take(90 * KB).buffer, first.buffer);
  assert.notEqual(memory.take(90 * KB).buffer, first.buffer);
});

Deno.test("SpareMemory takes the buffer that fits best, and none that is twice too large", () => {
  const memory = new SpareMemory(10_000 * KB);
  const [large, fitting, small] = [memory.take(400 * KB), memory.take(256 * KB), memory.take(96 * KB)];
  for (const buffer of [large, fitting, small]) memory.giveBack(buffer);
  assert.equal(memory.take(250 * KB).buffer, fitting.buffer);
  assert.equal(memory.take(250 * KB).buffer, large.buffer);
  assert.ok(memory.take(40 * KB).byteLength < 96 * KB);
  assert.equal(memory.take(70 * KB).buffer, small.buffer);
});

Deno.test("SpareMemory gives what is of about the same size the same buffer", () => {
  const memory = new SpareMemory(10_000 * KB);
  const first = memory.take(801 * KB);
  assert.ok(first.byteLength >= 801 * KB && first.byteLength <= 901 * KB);
  memory.giveBack(first);
  assert.equal(memory.take(819 * KB).buffer, first.buffer);
});

Deno.test("SpareMemory keeps no more than its bytes, of the last that came back, and nothing small", () => {
  const memory = new SpareMemory(300 * KB);
  const buffers = [128 * KB, 256 * KB, 10].map((bytes) => memory.take(bytes));
  for (const buffer of buffers) memory.giveBack(buffer);
  assert.equal(memory.bytes, 256 * KB);
  assert.notEqual(memory.take(128 * KB).buffer, buffers[0]!.buffer);
  assert.notEqual(memory.take(10).buffer, buffers[2]!.buffer);
  memory.giveBack(buffers[1]!);
  assert.equal(memory.bytes, 256 * KB);
  assert.equal(memory.take(200 * KB).buffer, buffers[1]!.buffer);
  assert.equal(memory.bytes, 0);
});
