import assert from "node:assert/strict";
import { hexOfBytes } from "../../src/ethereum/hex.ts";
import { rlp, type RlpItem } from "../../src/ethereum/rlp.ts";

function encoded(item: RlpItem): string {
  return hexOfBytes(rlp(item));
}

function text(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}

Deno.test("rlp() encodes the examples of the specification", () => {
  assert.equal(encoded(text("dog")), "83646f67");
  assert.equal(encoded([text("cat"), text("dog")]), "c88363617483646f67");
  assert.equal(encoded(text("")), "80");
  assert.equal(encoded([]), "c0");
  assert.equal(encoded(Uint8Array.of(0)), "00");
  assert.equal(encoded(Uint8Array.of(15)), "0f");
  assert.equal(encoded(Uint8Array.of(4, 0)), "820400");
  assert.equal(encoded([[], [[]], [[], [[]]]]), "c7c0c1c0c3c0c1c0");
  const long = "Lorem ipsum dolor sit amet, consectetur adipisicing elit";
  assert.equal(encoded(text(long)), "b838" + hexOfBytes(text(long)));
});

Deno.test("rlp() writes the length of long items in as many bytes as it needs", () => {
  assert.ok(encoded(new Uint8Array(55)).startsWith("b7"));
  assert.ok(encoded(new Uint8Array(256)).startsWith("b90100"));
  assert.ok(encoded([new Uint8Array(65_536)]).startsWith("fa010004ba010000"));
});
