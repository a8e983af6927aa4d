import assert from "node:assert/strict";
import { Intake } from "../../src/pipeline/intake.ts";
import { equalGasRanges } from "../../src/pipeline/plan.ts";
import { RpcFailure } from "../../src/rpc/failure.ts";
import { SIGNAL, World } from "./discover_world.ts";
import { MadeUpChain } from "./made_up_chain.ts";

Deno.test("a block whose structlogs fit is one task, a larger one several of equal gas, cut alike each time", async () => {
  const gas = Array.from({ length: 10 }, () => 21_000);
  for (const [taskStructlogs, count] of [[1e6, 1], [1_500, 3], [10, 10]] as const) {
    await using world = new World(new MadeUpChain(4, 10), { startBlock: 4, taskStructlogs });
    const leader = await world.leader();
    await world.follow(leader);
    const ranges = equalGasRanges(gas, count);
    const waiting = async () => (await world.queue.stats()).classes.process_forwards.waiting;
    assert.equal(await waiting(), ranges.length);
    for (let block = 0; block < 50; block++) world.network.prediction.learn(1, 1_000);
    await leader.reconcile(SIGNAL);
    assert.equal(await waiting(), ranges.length, "what was learned since does not cut it anew");
    const tasks = await world.work();
    assert.deepEqual(tasks.map(({ first, last }) => ({ first, last })), ranges);
    assert.deepEqual((await world.live()).map((row) => [row.state, row.taskCount]), [["complete", count]]);
  }
});

Deno.test("an open block that no node knows any more does not stop reconciliation of the others", async () => {
  await using world = new World(new MadeUpChain(6, 10), { startBlock: 4, taskStructlogs: 1_500 });
  await world.follow(await world.leader());
  world.chain.unknown.add(5);
  await using again = new World(world.chain, { startBlock: 4, taskStructlogs: 1_500 });
  await again.ledger.write(await world.live());
  assert.equal(await (await again.leader()).reconcile(SIGNAL), 3);
  assert.deepEqual([...new Set((await again.work()).map((task) => task.blockNumber))], [4, 6]);
});

Deno.test("an open block whose receipts no node can read does not stop reconciliation of the others, nor their repair", async () => {
  await using world = new World(new MadeUpChain(6, 10), { startBlock: 4, taskStructlogs: 1_500 });
  await world.follow(await world.leader());
  const { answer } = world.chain;
  const unreadable = world.chain.block(4).hash;
  world.chain.answer = (method, params) => {
    if (method !== "eth_getBlockReceipts" || params[0] !== unreadable) return answer.call(world.chain, method, params);
    const said = { class: "receipts", method, node: "first", action: "other" } as const;
    throw new RpcFailure({ ...said, reason: "server_error", text: "corrupt", bytes: 0 }, true);
  };
  await using again = new World(world.chain, { startBlock: 4, taskStructlogs: 1_500 });
  await again.ledger.write(await world.live());
  const leader = await again.leader();
  assert.equal(await leader.reconcile(SIGNAL), 3);
  assert.deepEqual(again.seen("discover_failed").map(({ code }) => code), ["rpc_failure"]);
  assert.deepEqual([...new Set((await again.work()).map((task) => task.blockNumber))], [5, 6]);
  assert.deepEqual((await again.states()).map(([number, , state]) => [number, state]), [[4, "accepted"], [
    5,
    "complete",
  ], [6, "complete"]]);
});

Deno.test("a block enters the ledger before the queue, and once: a crash between the two is healed", async () => {
  await using world = new World(new MadeUpChain(6), { startBlock: 6 });
  const { enqueue } = world.queue;
  world.queue.enqueue = () => Promise.reject(new Error("crashed"));
  const leader = await world.leader();
  await assert.rejects(world.follow(leader), /crashed/);
  assert.deepEqual((await world.live()).map((row) => row.state), ["accepted"]);
  world.queue.enqueue = enqueue;
  await leader.reconcile(SIGNAL);
  await world.work();
  assert.deepEqual((await world.live()).map((row) => [row.state, row.blockHash]), [[
    "complete",
    world.chain.block(6).hash,
  ]]);
});

Deno.test("blocks that are stuck in the queue and open in the ledger become stuck there too", async () => {
  await using world = new World(new MadeUpChain(6), { startBlock: 6 });
  const leader = await world.leader();
  await world.follow(leader);
  const failure = { code: "made_up", message: "never" };
  for (const lease of await world.queue.fetch(10)) await lease.settle({ outcome: "dead", failure });
  await world.queue.confirm(await world.queue.completions(10, SIGNAL));
  const [row] = await world.live();
  await new Intake(world.network, "forwards", await world.office("forwards")).again(row!, SIGNAL);
  assert.deepEqual((await world.live()).map(({ state, dead }) => [state, dead]), [["stuck", 2]]);
});

Deno.test("every processor of a network has a row, and a task for each kind of work", async () => {
  const processors = {
    trace: ["transaction_structlog", "transaction_structlog_agg"],
    simple: ["transaction_simple"],
  } as const;
  await using world = new World(new MadeUpChain(3), { startBlock: 3, processors, verifyDelayMs: 1_000 });
  await world.follow(await world.leader());
  assert.deepEqual((await world.live()).map((row) => row.processor).sort(), [
    "transaction_simple",
    "transaction_structlog",
    "transaction_structlog_agg",
  ]);
  assert.deepEqual((await world.work()).map((task) => task.kind).sort(), ["simple", "trace"]);
  world.clock.advance(1_000);
  assert.deepEqual((await world.work()).map((task) => [task.kind, task.class]), [["verify", "verify_forwards"]]);
});
