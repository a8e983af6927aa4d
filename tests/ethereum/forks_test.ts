import assert from "node:assert/strict";
import { ACTIVATIONS, forkByName, forkOfBlock, FORKS, isActive } from "../../src/ethereum/forks.ts";

Deno.test("forkByName() reads names in any spelling and those of forks without rules of their own", () => {
  for (const fork of FORKS) assert.equal(forkByName(fork), fork);
  assert.equal(forkByName("Spurious Dragon"), "spuriousdragon");
  assert.equal(forkByName("BPO5"), "osaka");
  assert.equal(forkByName("paris"), "london");
  assert.equal(forkByName("Muir-Glacier"), "istanbul");
  assert.equal(forkByName("constantinople"), "petersburg");
  assert.equal(forkByName("toString"), undefined);
  assert.equal(forkByName("glamsterdam"), undefined);
});

Deno.test("isActive() holds for a fork itself and for all before it", () => {
  assert.ok(isActive("prague", "prague"));
  assert.ok(isActive("prague", "byzantium"));
  assert.ok(!isActive("berlin", "london"));
});

Deno.test("forkOfBlock() compares numbers before Shanghai and timestamps from it on", () => {
  const mainnet = (number: number, timestamp = 0) => forkOfBlock({ number, timestamp }, { chainId: 1 });
  assert.equal(mainnet(2_674_999), "frontier");
  assert.equal(mainnet(2_675_000), "spuriousdragon");
  assert.equal(mainnet(12_244_000), "berlin");
  assert.equal(mainnet(15_537_394, 1_663_224_179), "london");
  assert.equal(mainnet(17_034_869, 1_681_338_454), "london");
  assert.equal(mainnet(17_034_870, 1_681_338_455), "shanghai");
  assert.equal(mainnet(22_431_084, 1_746_612_311), "prague");
  assert.equal(mainnet(24_000_000, 1_764_798_551), "osaka");
});

Deno.test("forkOfBlock() takes the first source that answers", () => {
  const block = { number: 20_000_000, timestamp: 1_715_000_000 };
  assert.equal(forkOfBlock(block, { given: "berlin", configured: { osaka: 0 }, chainId: 1 }), "berlin");
  assert.equal(forkOfBlock(block, { configured: { osaka: 0 }, chainId: 1, node: "prague" }), "osaka");
  assert.equal(forkOfBlock(block, { chainId: 1, node: "prague" }), "cancun");
  assert.equal(forkOfBlock(block, { chainId: 31_337, node: "Prague" }), "prague");
  assert.equal(forkOfBlock(block, { chainId: 31_337 }), undefined);
  assert.equal(forkOfBlock(block, {}), undefined);
});

Deno.test("ACTIVATIONS names known forks only, in order", () => {
  for (const activations of ACTIVATIONS.values()) {
    const forks = Object.keys(activations).map((name) => forkByName(name));
    assert.ok(!forks.includes(undefined));
    const order = forks.map((fork) => FORKS.indexOf(fork!));
    assert.deepEqual(order, [...order].sort((a, b) => a - b));
  }
});
