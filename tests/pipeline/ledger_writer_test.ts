import assert from "node:assert/strict";
import { firstValueFrom } from "rxjs";
import { writeLedger } from "../../src/pipeline/ledger_writer.ts";
import { LedgerUnavailableError } from "../../src/stages/gate/ledger.ts";
import { QueueFullError } from "../../src/stages/queue/port.ts";
import { SIGNAL, World } from "./discover_world.ts";
import { MadeUpChain } from "./made_up_chain.ts";

const failure = { code: "made_up", message: "never" };

Deno.test("a block becomes complete with what its records say, in every processor of its kind", async () => {
  const processors = {
    trace: ["transaction_structlog", "transaction_structlog_agg"],
    simple: ["transaction_simple"],
  } as const;
  await using world = new World(new MadeUpChain(3, 4), { startBlock: 3, processors });
  await world.follow(await world.leader());
  await world.work();
  const rows = (await world.live()).map((row) => [row.processor, row.state, row.expectedRows, row.dead]);
  assert.deepEqual(rows.sort(), [
    ["transaction_simple", "complete", 4, 0],
    ["transaction_structlog", "complete", 40, 0],
    ["transaction_structlog_agg", "complete", 4, 0],
  ]);
  assert.equal(world.seen("block_finished").length, 2, "once a kind");
});

Deno.test("the simple table of a block may be complete while its traces are not", async () => {
  const processors = { trace: ["transaction_structlog"], simple: ["transaction_simple"] } as const;
  await using world = new World(new MadeUpChain(3), { startBlock: 3, processors });
  await world.follow(await world.leader());
  await world.work((task) => task.kind === "trace" ? { outcome: "dead", failure } : { outcome: "done" });
  assert.deepEqual((await world.live()).map((row) => [row.processor, row.state, row.dead]).sort(), [
    ["transaction_simple", "complete", 0],
    ["transaction_structlog", "stuck", 2],
  ]);
});

Deno.test("a stuck block becomes complete when its dead letters are replayed and done, and is to be verified anew", async () => {
  await using world = new World(new MadeUpChain(3), { startBlock: 3 });
  await world.follow(await world.leader());
  await world.work(() => ({ outcome: "dead", failure }));
  const [stuck] = await world.live();
  assert.deepEqual([stuck!.state, stuck!.dead, stuck!.attempts], ["stuck", 2, 1]);
  await world.ledger.write([{ ...stuck!, verifiedMs: 7, completedMs: 5 }]);
  assert.equal(await world.queue.replay((await world.queue.deadLetters(10)).map(({ id }) => id)), 1);
  await world.work();
  const [row] = await world.live();
  assert.deepEqual([row!.state, row!.dead, row!.attempts, row!.verifiedMs], ["complete", 0, 2, undefined]);
  assert.ok(row!.completedMs! > 5, "when it became complete, not when it became stuck");
});

Deno.test("a completion that is told twice changes nothing the second time, and never makes a block less than complete", async () => {
  await using world = new World(new MadeUpChain(3), { startBlock: 3 });
  const leader = await world.leader();
  await world.follow(leader);
  await world.work();
  const [first] = await world.live();
  await leader.reconcile(SIGNAL);
  const [row] = await world.live();
  await world.queue.enqueue({
    kind: "trace",
    class: "process_forwards",
    blockNumber: row!.blockNumber,
    blockHash: row!.blockHash,
    total: 2,
    ranges: [{ first: 0, last: 1 }],
  }, await world.office("forwards"));
  await world.tellLedger();
  const [again] = await world.live();
  assert.deepEqual(again, first);
});

Deno.test("a block without transactions completes by itself", async () => {
  await using world = new World(new MadeUpChain(3, 0), { startBlock: 1 });
  await world.follow(await world.leader());
  assert.deepEqual(await world.work(), []);
  assert.deepEqual((await world.live()).map((row) => row.state), ["complete", "complete", "complete"]);
  assert.ok((await world.live()).every((row) => row.verifiedMs !== undefined), "there is nothing to verify");
});

Deno.test("a completion of a block that has left the chain leaves the ledger as it is", async () => {
  await using world = new World(new MadeUpChain(3), { startBlock: 3 });
  const leader = await world.leader();
  await world.follow(leader);
  for (const lease of await world.queue.fetch(10)) await lease.settle({ outcome: "done" });
  world.chain.reorg(1, 1);
  await world.follow(leader);
  await world.tellLedger();
  assert.deepEqual((await world.ledger.between(3, 3)).map((row) => row.state).sort(), ["accepted", "orphaned"]);
});

Deno.test("a queue that cannot be asked for completions now is asked again", async () => {
  await using world = new World(new MadeUpChain(3), { startBlock: 3 });
  await world.follow(await world.leader());
  for (const lease of await world.queue.fetch(10)) await lease.settle({ outcome: "done" });
  const { completions } = world.queue;
  world.queue.completions = () => {
    world.queue.completions = completions;
    return Promise.reject(new QueueFullError("testnet"));
  };
  await firstValueFrom(writeLedger(world.network));
  assert.deepEqual((await world.live()).map((row) => row.state), ["complete"]);
  assert.deepEqual(world.seen("discover_failed").map((event) => event.code), ["queue_full"]);
});

Deno.test("a ledger that cannot be written keeps the completion until it can", async () => {
  await using world = new World(new MadeUpChain(3), { startBlock: 3 });
  await world.follow(await world.leader());
  for (const lease of await world.queue.fetch(10)) await lease.settle({ outcome: "done" });
  const { write } = world.ledger;
  world.ledger.write = () => {
    world.ledger.write = write;
    return Promise.reject(new LedgerUnavailableError("Cannot write the ledger: away"));
  };
  await firstValueFrom(writeLedger(world.network));
  assert.deepEqual((await world.live()).map((row) => row.state), ["complete"]);
  assert.deepEqual(world.seen("discover_failed").map((event) => [event.direction, event.code]), [
    ["ledger", "ledger_unavailable"],
  ]);
});
