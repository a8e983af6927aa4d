import assert from "node:assert/strict";
import { intrinsicGas } from "../../src/ethereum/intrinsic.ts";

const PLAIN = { input: "", creation: false, accessListAddresses: 0, accessListKeys: 0, authorisations: 0 };

Deno.test("intrinsicGas() of a plain transfer is 21000", () => {
  assert.deepEqual(intrinsicGas("cancun", PLAIN), { intrinsic: 21_000, floor: 0 });
  assert.deepEqual(intrinsicGas("prague", PLAIN), { intrinsic: 21_000, floor: 21_000 });
});

Deno.test("intrinsicGas() prices zero and other bytes of the input, cheaper from Istanbul on", () => {
  const transaction = { ...PLAIN, input: "00ff0a0000" };
  assert.equal(intrinsicGas("petersburg", transaction).intrinsic, 21_000 + 3 * 4 + 2 * 68);
  assert.equal(intrinsicGas("istanbul", transaction).intrinsic, 21_000 + 3 * 4 + 2 * 16);
  assert.equal(intrinsicGas("prague", transaction).floor, 21_000 + 10 * (3 + 4 * 2));
});

Deno.test("intrinsicGas() charges words of init code from Shanghai on", () => {
  const transaction = { ...PLAIN, creation: true, input: "ff".repeat(33) };
  assert.equal(intrinsicGas("london", transaction).intrinsic, 21_000 + 33 * 16 + 32_000);
  assert.equal(intrinsicGas("shanghai", transaction).intrinsic, 21_000 + 33 * 16 + 32_000 + 2 * 2);
});

Deno.test("intrinsicGas() charges access lists and authorisations by entry", () => {
  const transaction = { ...PLAIN, accessListAddresses: 2, accessListKeys: 3, authorisations: 4 };
  assert.equal(intrinsicGas("prague", transaction).intrinsic, 21_000 + 2 * 2_400 + 3 * 1_900 + 4 * 25_000);
});
