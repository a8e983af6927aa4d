import assert from "node:assert/strict";
import { type MemoryArea, opcodeNames, OPCODES, storedName } from "../../src/ethereum/opcodes.ts";

function opcode(name: string) {
  const found = OPCODES.find((candidate) => candidate.name === name);
  assert.ok(found, name);
  return found;
}

Deno.test("OPCODES has each byte and each name once, in the order of the bytes", () => {
  const bytes = OPCODES.map(({ byte }) => byte);
  assert.deepEqual(bytes, [...new Set(bytes)].sort((a, b) => a - b));
  assert.equal(new Set(OPCODES.map(({ name }) => name)).size, OPCODES.length);
  assert.equal(OPCODES.length, 150);
});

Deno.test("OPCODES numbers the families of PUSH, DUP, SWAP and LOG by their byte", () => {
  assert.deepEqual([opcode("PUSH1").byte, opcode("PUSH32").byte, opcode("PUSH32").immediate], [0x60, 0x7f, 32]);
  assert.deepEqual([opcode("DUP16").byte, opcode("DUP16").pops, opcode("DUP16").pushes], [0x8f, 16, 17]);
  assert.deepEqual([opcode("SWAP16").byte, opcode("SWAP16").pops, opcode("SWAP16").pushes], [0x9f, 17, 17]);
  assert.deepEqual([opcode("LOG4").byte, opcode("LOG4").pops, opcode("LOG4").gas], [0xa4, 6, 1_875]);
  assert.deepEqual([opcode("PUSH0").byte, opcode("PUSH0").immediate, opcode("PUSH0").gas], [0x5f, 0, 2]);
});

Deno.test("OPCODES names operands of memory inside what the opcode pops", () => {
  const positions = (area: MemoryArea) => "size" in area ? [area.offset, area.size] : [area.offset];
  for (const { name, memory, pops } of OPCODES) {
    for (const position of memory.flatMap(positions)) assert.ok(position < pops, name);
  }
});

Deno.test("opcodeNames knows the names that clients use for the same opcode", () => {
  assert.equal(opcodeNames.get("SHA3"), 0x20);
  assert.equal(opcodeNames.get("KECCAK256"), 0x20);
  assert.equal(opcodeNames.get("SUICIDE"), 0xff);
  for (const name of ["DIFFICULTY", "RANDOM", "PREVRANDOM", "PREVRANDAO"]) assert.equal(opcodeNames.get(name), 0x44);
  assert.equal(opcodeNames.get("INVALID"), undefined);
});

Deno.test("storedName() keeps the name that existing tables hold for PREVRANDAO", () => {
  assert.equal(storedName(opcode("PREVRANDAO")), "DIFFICULTY");
  assert.equal(storedName(opcode("KECCAK256")), "KECCAK256");
});
