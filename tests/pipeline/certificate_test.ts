import assert from "node:assert/strict";
import { certify } from "../../src/pipeline/certificate.ts";
import type { LedgerState } from "../../src/stages/gate/ledger.ts";
import { hash } from "../stages/encode/columns.ts";
import { NETWORK, type StoredWorld, storedWorld, TRACED } from "./stored_world.ts";

const VERIFIED = { verifiedMs: 1_800_000_000_500, storedRows: 10, expectedRows: 10 };

async function certificate(world: StoredWorld, from: number, to: number, verified = true) {
  return await certify({ network: NETWORK, processors: TRACED, from, to, verified }, world.storage);
}

/** Ranges of the first processor as `from-to condition`. */
async function ranges(world: StoredWorld, from: number, to: number): Promise<string[]> {
  const { processors } = await certificate(world, from, to);
  assert.deepEqual(processors[0]!.ranges, processors[1]!.ranges);
  return processors[0]!.ranges.map((range) => `${range.from}-${range.to} ${range.condition}`);
}

async function enterAll(world: StoredWorld, numbers: readonly number[], state: LedgerState = "complete") {
  for (const number of numbers) await world.enter(number, state, VERIFIED);
}

Deno.test("certify() of blocks that are all verified has one range and nothing amiss", async () => {
  await using world = await storedWorld();
  await enterAll(world, [5, 6, 7, 8]);
  const found = await certificate(world, 5, 8);
  assert.equal(found.ok, true);
  assert.deepEqual(found.processors.map(({ processor }) => processor), TRACED);
  assert.deepEqual(found.processors[0]!.ranges, [
    {
      from: 5,
      to: 8,
      condition: "complete",
      transactions: 8,
      expectedRows: 40,
      storedRows: 40,
      dead: 0,
      violated: 0,
    },
  ]);
});

Deno.test("certify() names gaps below, inside and above what is stored", async () => {
  await using world = await storedWorld();
  await enterAll(world, [5, 6, 9]);
  assert.deepEqual(await ranges(world, 3, 11), [
    "3-4 missing",
    "5-6 complete",
    "7-8 missing",
    "9-9 complete",
    "10-11 missing",
  ]);
  const found = await certificate(world, 3, 11);
  assert.deepEqual([found.ok, found.processors[0]!.blocks.missing, found.processors[0]!.blocks.complete], [
    false,
    6,
    3,
  ]);
});

Deno.test("certify() asks for a long range in parts, and says it as one", async () => {
  await using world = await storedWorld();
  await enterAll(world, [999_999, 1_000_000, 1_000_001, 2_000_002]);
  assert.deepEqual(await ranges(world, 0, 2_500_000), [
    "0-999998 missing",
    "999999-1000001 complete",
    "1000002-2000001 missing",
    "2000002-2000002 complete",
    "2000003-2500000 missing",
  ]);
  const [first] = (await certificate(world, 999_999, 1_000_001)).processors;
  assert.deepEqual(first!.ranges.map(({ transactions, storedRows }) => [transactions, storedRows]), [[6, 30]]);
});

Deno.test("certify() of an empty ledger says that everything is missing", async () => {
  await using world = await storedWorld();
  assert.deepEqual(await ranges(world, 0, 1_000_000), ["0-1000000 missing"]);
});

Deno.test("certify() tells stuck, open, violated and unverified blocks from complete ones", async () => {
  await using world = await storedWorld();
  await enterAll(world, [1, 6]);
  await world.enter(2, "stuck", { dead: 2, verifiedMs: 1 });
  await world.enter(3, "accepted");
  await world.enter(4, "complete", { ...VERIFIED, violated: 1 });
  await world.enter(5, "complete");
  assert.deepEqual(await ranges(world, 1, 6), [
    "1-1 complete",
    "2-2 stuck",
    "3-3 open",
    "4-4 violated",
    "5-5 unverified",
    "6-6 complete",
  ]);
  assert.equal((await certificate(world, 5, 6)).ok, false);
  assert.equal((await certificate(world, 5, 6, false)).ok, true, "where nothing is verified, nothing is amiss");
  assert.equal((await certificate(world, 4, 4, false)).ok, false);
});

Deno.test("certify() follows a stuck block that was replayed to its end", async () => {
  await using world = await storedWorld();
  await world.enter(2, "stuck", { dead: 1 });
  assert.deepEqual(await ranges(world, 2, 2), ["2-2 stuck"]);
  await world.enter(2, "complete", { ...VERIFIED, version: 1_900_000_000_000 });
  assert.deepEqual(await ranges(world, 2, 2), ["2-2 complete"]);
});

Deno.test("certify() follows a reorg: the orphan alone is missing, beside its replacement it does not count", async () => {
  await using world = await storedWorld();
  await enterAll(world, [1, 2, 3]);
  await world.enter(2, "orphaned", { version: 1_900_000_000_000 });
  assert.deepEqual(await ranges(world, 1, 3), ["1-1 complete", "2-2 missing", "3-3 complete"]);
  await world.enter(2, "accepted", { blockHash: hash(22) });
  assert.deepEqual(await ranges(world, 1, 3), ["1-1 complete", "2-2 open", "3-3 complete"]);
  await world.enter(2, "complete", { ...VERIFIED, blockHash: hash(22), version: 1_900_000_000_000 });
  assert.deepEqual(await ranges(world, 1, 3), ["1-3 complete"]);
});

Deno.test("certify() names a number of which two blocks claim to be of the chain", async () => {
  await using world = await storedWorld();
  await enterAll(world, [1, 2]);
  await world.enter(2, "complete", { ...VERIFIED, blockHash: hash(22) });
  assert.deepEqual(await ranges(world, 1, 2), ["1-1 complete", "2-2 forked"]);
  assert.equal((await certificate(world, 1, 2)).ok, false);
});
