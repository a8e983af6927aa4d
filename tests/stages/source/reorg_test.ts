import assert from "node:assert/strict";
import fc from "fast-check";
import type { BlockHeader } from "../../../src/stages/source/chain.ts";
import { leftBlocks, outvoted, ReorgTooDeepError, upheld } from "../../../src/stages/source/reorg.ts";

function header(number: number, hash: string): BlockHeader {
  return { number, hash, parentHash: "", timestamp: 0, gasUsed: 0, transactions: 0 };
}

/** Our chain and the node's, as hashes by number; they part at `parting`. */
function reads(ours: readonly string[], canonical: readonly string[], keptUpTo = -1) {
  return {
    network: "dev",
    ours: (number: number) => Promise.resolve(ours[number] === undefined ? [] : [ours[number]]),
    canonical: (number: number) =>
      Promise.resolve(canonical[number] === undefined ? undefined : header(number, canonical[number])),
    outvoted: (number: number) => Promise.resolve(number > keptUpTo),
  };
}

Deno.test("leftBlocks() is empty where our block is canonical", async () => {
  assert.deepEqual(await leftBlocks(2, 10, reads(["a", "b", "c"], ["a", "b", "c"])), []);
});

Deno.test("leftBlocks() finds every block above the common ancestor, lowest first", async () => {
  assert.deepEqual(await leftBlocks(3, 10, reads(["a", "b", "c", "d"], ["a", "b", "C", "D"])), [
    { blockNumber: 2, blockHash: "c" },
    { blockNumber: 3, blockHash: "d" },
  ]);
});

Deno.test("leftBlocks() counts a block that the shorter chain does not have as left", async () => {
  assert.deepEqual(await leftBlocks(2, 10, reads(["a", "b", "c"], ["a", "B"])), [
    { blockNumber: 1, blockHash: "b" },
    { blockNumber: 2, blockHash: "c" },
  ]);
});

Deno.test("leftBlocks() stops at the end of what we have", async () => {
  const ours = [undefined, undefined, "c", "d"] as unknown as string[];
  assert.equal((await leftBlocks(3, 10, reads(ours, ["a", "b", "C", "D"]))).length, 2);
});

Deno.test("leftBlocks() refuses a reorg deeper than maxDepth, naming both hashes", async () => {
  await assert.rejects(leftBlocks(3, 2, reads(["a", "b", "c", "d"], ["A", "B", "C", "D"])), (error: unknown) => {
    assert.ok(error instanceof ReorgTooDeepError);
    assert.match(error.message, /block 1 was b and is B/);
    return true;
  });
});

Deno.test("leftBlocks() leaves what most nodes keep to, whatever one of them says, however deep", async () => {
  const [ours, strange] = [["a", "b", "c", "d"], ["A", "B", "C", "D"]];
  assert.deepEqual(await leftBlocks(3, 2, reads(ours, strange, 3)), []);
  assert.deepEqual(await leftBlocks(3, 2, reads(ours, strange, 2)), [{ blockNumber: 3, blockHash: "d" }]);
});

Deno.test("outvoted() takes more nodes for another block than for ours", () => {
  const cases: readonly [readonly string[], boolean][] = [
    [["x"], true],
    [["x", "a"], false],
    [["x", "a", "x"], true],
    [["x", "a", "a"], false],
    [["x", "y", "b"], true],
    [["a"], false],
    [[], false],
  ];
  for (const [hashes, expected] of cases) assert.equal(outvoted(["a", "b"], hashes), expected, hashes.join(" "));
});

Deno.test("upheld() takes more nodes for a block than for others", () => {
  const cases: readonly [readonly string[], boolean][] = [
    [["a"], true],
    [["a", "x"], false],
    [["a", "x", "a"], true],
    [["a", "x", "y"], false],
    [["x"], false],
    [[], false],
  ];
  for (const [hashes, expected] of cases) assert.equal(upheld("a", hashes), expected, hashes.join(" "));
});

Deno.test("leftBlocks() finds exactly the numbers above the parting", async () => {
  await fc.assert(fc.asyncProperty(fc.integer({ min: 1, max: 30 }), fc.nat(30), async (length, at) => {
    const parting = Math.min(at, length);
    const ours = Array.from({ length }, (_, number) => `o${number < parting ? "" : "x"}${number}`);
    const canonical = Array.from({ length: length + 3 }, (_, number) => `o${number < parting ? "" : "y"}${number}`);
    const left = await leftBlocks(length - 1, 100, reads(ours, canonical));
    assert.deepEqual(
      left.map((block) => block.blockNumber),
      Array.from({ length: length - parting }, (_, index) => parting + index),
    );
  }));
});
