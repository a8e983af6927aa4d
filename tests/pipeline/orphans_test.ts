import assert from "node:assert/strict";
import { Orphans } from "../../src/pipeline/orphans.ts";
import type { LedgerState } from "../../src/stages/gate/ledger.ts";
import { MemoryLedger } from "../../src/stages/gate/ledger_memory.ts";
import type { LeftBlock } from "../../src/stages/source/reorg.ts";
import { hashOf, NETWORK, row } from "../contracts/ledger_contract.ts";

const LEASE_MS = 30_000;

function forks(blocks: readonly LeftBlock[]): string {
  return blocks.map(({ blockHash }) => blockHash.slice(2, 4)).join(" ");
}

/** Block 5 left the chain; what became of fork 1's block 5 is written as the test goes. */
async function left() {
  const ledger = new MemoryLedger(NETWORK);
  const steps: string[] = [];
  const clock = { now: 1_000 };
  let version = 1;
  const orphans = new Orphans({
    network: NETWORK,
    ledger,
    processors: ["transaction_structlog", "transaction_structlog_agg"],
    leaseMs: LEASE_MS,
    now: () => clock.now,
    find: (blocks) => {
      steps.push(`find ${forks(blocks)}`);
      return Promise.resolve({
        remove: (gone) => {
          if (gone.length > 0) steps.push(`remove ${forks(gone)}`);
          return Promise.resolve(new Map(gone.map(({ blockHash }) => [blockHash, 3])));
        },
      });
    },
  });
  const write = (fork: number, state: LedgerState, processor = "transaction_structlog") =>
    ledger.write([row(5, { blockHash: hashOf(5, fork), state, processor, version: version++ })]);
  await write(0, "orphaned");
  orphans.add([{ blockNumber: 5, blockHash: hashOf(5) }]);
  return { orphans, clock, steps, write, ledger };
}

Deno.test("nothing is removed before the replacement is stored", async () => {
  const { orphans, steps, write } = await left();
  await orphans.sweep();
  await write(1, "accepted");
  await orphans.sweep();
  await write(1, "complete", "transaction_structlog_agg");
  await orphans.sweep();
  assert.deepEqual(steps, []);
  await write(1, "complete");
  await orphans.sweep();
  assert.deepEqual(steps, ["find 00", "remove 00"]);
});

Deno.test("a processor that is no longer configured holds nothing up", async () => {
  const { orphans, steps, write } = await left();
  await write(1, "accepted", "transaction_simple");
  await orphans.sweep();
  assert.deepEqual(steps, [], "nothing of the replacement is stored yet");
  await write(1, "complete");
  await orphans.sweep();
  assert.deepEqual(steps, ["find 00", "remove 00"]);
});

Deno.test("rows are removed once more after the longest lease, and then never again", async () => {
  const { orphans, steps, clock, write } = await left();
  await write(1, "complete");
  await orphans.sweep();
  clock.now += LEASE_MS - 1;
  await orphans.sweep();
  assert.equal(steps.length, 2);
  clock.now += 1;
  await orphans.sweep();
  clock.now += 10 * LEASE_MS;
  await orphans.sweep();
  assert.deepEqual(steps, ["find 00", "remove 00", "find 00", "remove 00"]);
});

Deno.test("a block that came back keeps its rows, also when it does so between look and removal", async () => {
  const early = await left();
  await early.write(0, "accepted");
  await early.orphans.sweep();
  assert.deepEqual(early.steps.filter((step) => step.startsWith("remove")), []);
  const late = await left();
  await late.write(1, "complete");
  const { between } = late.ledger;
  let reads = 0;
  late.ledger.between = async (from, to) => {
    if (++reads === 2) await late.write(0, "accepted");
    return await between.call(late.ledger, from, to);
  };
  await late.orphans.sweep();
  assert.deepEqual(late.steps, ["find 00"]);
});

Deno.test("a block whose replacement is stuck is removed: what can be stored is", async () => {
  const { orphans, steps, write } = await left();
  await write(1, "stuck");
  await orphans.sweep();
  assert.deepEqual(steps, ["find 00", "remove 00"]);
});

Deno.test("another leader goes on with what the ledger knows as orphaned", async () => {
  const { orphans, steps, write } = await left();
  const other = new Orphans(orphans.store);
  await write(1, "complete");
  await other.load(6);
  await other.sweep();
  assert.deepEqual(steps, []);
  await other.load(5);
  await other.sweep();
  assert.deepEqual(steps, ["find 00", "remove 00"]);
});

Deno.test("a removal that fails is tried again", async () => {
  const { orphans, steps, write } = await left();
  await write(1, "complete");
  const { find } = orphans.store;
  let failures = 1;
  const flaky = new Orphans({
    ...orphans.store,
    find: (blocks) => failures-- > 0 ? Promise.reject(new Error("away")) : find(blocks),
  });
  flaky.add([{ blockNumber: 5, blockHash: hashOf(5) }]);
  await assert.rejects(flaky.sweep(), /away/);
  await flaky.sweep();
  assert.deepEqual(steps, ["find 00", "remove 00"]);
});
