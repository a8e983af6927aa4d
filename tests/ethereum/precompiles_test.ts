import assert from "node:assert/strict";
import { discount, precompilePrice, precompiles } from "../../src/ethereum/precompiles.ts";
import type { Fork } from "../../src/ethereum/forks.ts";

function addresses(fork: Fork): number[] {
  return precompiles(fork).map(({ address }) => address);
}

function word(value: bigint | number): string {
  return BigInt(value).toString(16).padStart(64, "0");
}

Deno.test("precompiles() grows from fork to fork", () => {
  assert.deepEqual(addresses("spuriousdragon"), [1, 2, 3, 4]);
  assert.deepEqual(addresses("byzantium"), [1, 2, 3, 4, 5, 6, 7, 8]);
  assert.deepEqual(addresses("istanbul"), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
  assert.deepEqual(addresses("cancun").at(-1), 0x0a);
  assert.deepEqual(addresses("prague").at(-1), 0x11);
  assert.deepEqual(addresses("osaka").at(-1), 0x100);
});

Deno.test("precompilePrice() prices by the length of the input", () => {
  assert.equal(precompilePrice("berlin", 1, ""), 3_000n);
  assert.equal(precompilePrice("berlin", 2, "00".repeat(33)), 60n + 12n * 2n);
  assert.equal(precompilePrice("berlin", 3, "00".repeat(32)), 720n);
  assert.equal(precompilePrice("berlin", 4, "00"), 18n);
  assert.equal(precompilePrice("byzantium", 6, ""), 500n);
  assert.equal(precompilePrice("istanbul", 7, ""), 6_000n);
  assert.equal(precompilePrice("byzantium", 8, "00".repeat(192)), 180_000n);
  assert.equal(precompilePrice("istanbul", 8, "00".repeat(384)), 45_000n + 2n * 34_000n);
  assert.equal(precompilePrice("osaka", 0x100, "00".repeat(160)), 6_900n);
  assert.equal(precompilePrice("prague", 0x0f, "00".repeat(384)), 37_700n + 32_600n);
});

Deno.test("precompilePrice() gives nothing for an address that is no precompile yet", () => {
  assert.equal(precompilePrice("petersburg", 9, ""), undefined);
  assert.equal(precompilePrice("cancun", 0x0b, ""), undefined);
  assert.equal(precompilePrice("prague", 0x100, ""), undefined);
  assert.equal(precompilePrice("prague", 0, ""), undefined);
});

Deno.test("precompilePrice() discounts many pairs of a multi-scalar multiplication", () => {
  assert.equal(precompilePrice("prague", 0x0c, ""), 0n);
  assert.equal(precompilePrice("prague", 0x0c, "00".repeat(160)), 12_000n);
  assert.equal(precompilePrice("prague", 0x0c, "00".repeat(320)), 12_000n * 2n * 949n / 1_000n);
  assert.equal(precompilePrice("prague", 0x0e, "00".repeat(288 * 3)), 22_500n * 3n * 923n / 1_000n);
  assert.equal(discount("g1", 128), 519);
  assert.equal(discount("g1", 5_000), 519);
  assert.equal(discount("g2", 5_000), 524);
});

Deno.test("precompilePrice() reads the rounds of blake2f", () => {
  assert.equal(precompilePrice("istanbul", 9, "0000000c" + "00".repeat(209)), 12n);
  assert.equal(precompilePrice("istanbul", 9, "0000000c"), 0n);
});

Deno.test("precompilePrice() of modexp follows EIP-198, EIP-2565 and EIP-7883", () => {
  // Lengths 1, 32, 32 with exponent 2^255 - 1: the first example of EIP-198, and what the later EIPs make of it.
  const exponent = (1n << 255n) - 1n;
  const first = word(1) + word(32) + word(32) + "03" + word(exponent) + word(1n << 200n);
  assert.equal(precompilePrice("byzantium", 5, first), 32n * 32n * 254n / 20n);
  assert.equal(precompilePrice("berlin", 5, first), 16n * 254n / 3n);
  assert.equal(precompilePrice("osaka", 5, first), 16n * 254n);
  const small = word(1) + word(1) + word(1) + "030205";
  assert.equal(precompilePrice("byzantium", 5, small), 0n);
  assert.equal(precompilePrice("berlin", 5, small), 200n);
  assert.equal(precompilePrice("osaka", 5, small), 500n);
  const wide = word(256) + word(256) + word(256) + "ff".repeat(768);
  const beyond = 8n * 224n + 255n;
  assert.equal(precompilePrice("berlin", 5, wide), 32n ** 2n * beyond / 3n);
  assert.equal(precompilePrice("osaka", 5, wide), 2n * 32n ** 2n * (16n * 224n + 255n));
  assert.equal(precompilePrice("byzantium", 5, wide), (256n * 256n / 4n + 96n * 256n - 3_072n) * beyond / 20n);
});
