import assert from "node:assert/strict";
import fc from "fast-check";
import {
  addressNumber,
  addressText,
  bytesOfHex,
  bytesOfNumber,
  hexDigits,
  hexOfBytes,
  quantity,
} from "../../src/ethereum/hex.ts";

Deno.test("quantity() reads hex texts, decimal texts and safe integers, and nothing else", () => {
  assert.equal(quantity("0x10"), 16n);
  assert.equal(quantity("10"), 10n);
  assert.equal(quantity(10), 10n);
  assert.equal(quantity("0xffffffffffffffff"), 2n ** 64n - 1n);
  for (const other of ["", "0x", "-1", "1e3", " 1", 1.5, -1, 2 ** 53, null, undefined, {}, true]) {
    assert.equal(quantity(other), undefined);
  }
});

Deno.test("hexDigits() takes 0x off and wants whole bytes", () => {
  assert.equal(hexDigits("0xABcd"), "abcd");
  assert.equal(hexDigits("abcd"), "abcd");
  assert.equal(hexDigits("0x"), "");
  assert.equal(hexDigits("0xabc"), undefined);
  assert.equal(hexDigits("0xzz"), undefined);
  assert.equal(hexDigits(12), undefined);
});

Deno.test("addressText() undoes addressNumber()", () => {
  fc.assert(fc.property(fc.bigInt({ min: 0n, max: 2n ** 160n - 1n }), (address) => {
    assert.equal(addressNumber(addressText(address)), address);
  }));
  assert.equal(addressNumber("0x12"), undefined);
  assert.equal(addressNumber(null), undefined);
});

Deno.test("bytesOfNumber() gives big-endian bytes without leading zeros", () => {
  fc.assert(fc.property(fc.bigInt({ min: 1n, max: 2n ** 256n - 1n }), (value) => {
    const bytes = bytesOfNumber(value);
    assert.notEqual(bytes[0], 0);
    assert.equal(BigInt(`0x${hexOfBytes(bytes)}`), value);
  }));
  assert.deepEqual(bytesOfNumber(0n), new Uint8Array(0));
  assert.deepEqual(bytesOfHex("0aff"), Uint8Array.of(10, 255));
});
