import assert from "node:assert/strict";
import { Leader } from "../../src/pipeline/discover.ts";
import { Repair, waitingTasks } from "../../src/pipeline/repair.ts";
import { RpcFailure } from "../../src/rpc/failure.ts";
import { processRequest } from "../../src/pipeline/requests.ts";
import { numbers, SIGNAL, World, type WorldOptions } from "./discover_world.ts";
import { MadeUpChain } from "./made_up_chain.ts";

const HOUR_MS = 3_600_000;
const STRUCTLOG = "transaction_structlog";

/** A world with blocks 1 to 20, all complete, and its repair. */
async function repaired(options: WorldOptions = {}) {
  const world = new World(new MadeUpChain(20), { startBlock: 1, ...options });
  const leader = await world.leader();
  await world.follow(leader);
  await world.work();
  const clock = { now: 0 };
  return {
    world,
    leader,
    clock,
    repair: new Repair(world.network, "forwards", await world.office("forwards"), () => clock.now),
  };
}

/** Removes rows as an operator's DELETE would. */
function remove(world: World, gone: (blockNumber: number, processor: string) => boolean): void {
  const rows = world.ledger.delete(({ blockNumber, processor }) => gone(blockNumber, processor));
  assert.ok(rows > 0);
}

Deno.test("scan() finds numbers that are missing in the ledger, a batch at a time, and has them processed as repair", async () => {
  const { world, clock, repair } = await repaired({
    repair: {
      intervalMs: 1,
      batch: 3,
      staleMs: HOUR_MS,
      reconcileMs: HOUR_MS,
    },
  });
  await using _world = world;
  remove(world, (number) => number >= 5 && number <= 8);
  assert.equal(await repair.scan(SIGNAL), 3);
  const tasks = await world.work();
  assert.deepEqual(tasks.map((task) => [task.blockNumber, task.class]), [
    [5, "reprocess_forwards"],
    [6, "reprocess_forwards"],
    [7, "reprocess_forwards"],
  ]);
  assert.equal(await repair.scan(SIGNAL), 1);
  await world.work();
  // The queue remembers these blocks as complete, and tells it again when it is asked to process them.
  await repair.reconcile(SIGNAL);
  clock.now += HOUR_MS;
  assert.equal(await repair.reconcile(SIGNAL), 4);
  await world.tellLedger();
  assert.deepEqual(await world.states(), world.chain.hashes(1).map((hash, index) => [index + 1, hash, "complete"]));
  assert.equal(await repair.scan(SIGNAL), 0);
  assert.deepEqual(world.seen("gap_repaired").map((event) => [event.reason, event.blocks]), [["missing", 3], [
    "missing",
    1,
  ]]);
});

Deno.test("scan() takes no block from a node on a fork: its parent is not ours, and most nodes do not have it", async () => {
  const { world, repair } = await repaired();
  await using _world = world;
  remove(world, (number) => number >= 5 && number <= 8);
  const strange = world.chain.branch(3);
  strange.mine(20);
  world.pool.chains = { strange, one: world.chain, other: world.chain };
  assert.equal(await repair.scan(SIGNAL), 0);
  assert.equal((await world.live()).length, 16);
  world.pool.chains = { one: world.chain, strange, other: world.chain };
  assert.equal(await repair.scan(SIGNAL), 4);
  assert.deepEqual((await world.live()).map((row) => row.blockHash), world.chain.hashes(1));
});

Deno.test("scan() looks back as far as it is told, and without a bound to the lowest stored block", async () => {
  const limited = { intervalMs: 1, batch: 9, staleMs: HOUR_MS, reconcileMs: HOUR_MS } as const;
  const { world, repair } = await repaired({ repair: { ...limited, lookBack: 5 } });
  await using _world = world;
  remove(world, (number) => number === 3 || number === 17);
  assert.equal(await repair.scan(SIGNAL), 1);
  assert.deepEqual((await world.work()).map((task) => task.blockNumber), [17]);
  const unlimited = { ...world.network, repair: { ...limited } };
  assert.equal(await new Repair(unlimited, "forwards", await world.office("forwards"), () => 0).scan(SIGNAL), 1);
  assert.deepEqual((await world.work()).map((task) => task.blockNumber), [3]);
});

Deno.test("scan() repairs what one processor lacks for that processor alone", async () => {
  const { world, repair } = await repaired({ processors: { trace: [STRUCTLOG], simple: ["transaction_simple"] } });
  await using _world = world;
  remove(world, (number, processor) => number === 4 && processor === "transaction_simple");
  assert.equal(await repair.scan(SIGNAL), 1);
  assert.deepEqual((await world.work()).map((task) => [task.kind, task.blockNumber]), [["simple", 4]]);
});

Deno.test("scan() enqueues a block again that stands still, is less eager each time, and leaves tasks alone that wait", async () => {
  const { world, leader } = await repaired();
  await using _world = world;
  world.chain.mine(2);
  await world.follow(leader);
  await using again = new World(world.chain, { startBlock: 1 });
  await again.ledger.write(await world.live());
  const clock = { now: 0 };
  const repair = new Repair(again.network, "forwards", await again.office("forwards"), () => clock.now);
  let offers = 0;
  const { enqueue } = again.queue;
  again.queue.enqueue = (...plan) => {
    offers++;
    return enqueue.apply(again.queue, plan);
  };
  const scans: [number, number][] = [];
  for (const passedMs of [0, 599_000, 1_000, 600_000, 600_000, 1_200_000, 1_200_000]) {
    clock.now += passedMs;
    offers = 0;
    scans.push([await repair.scan(SIGNAL), offers]);
  }
  assert.deepEqual(scans, [[0, 0], [0, 0], [2, 2], [0, 0], [0, 2], [0, 0], [0, 2]]);
  assert.equal((await again.queue.stats()).classes.reprocess_forwards.waiting, 2);
  assert.deepEqual(again.seen("gap_repaired").map((event) => [event.reason, event.blocks]), [["stale", 2]]);
});

Deno.test("scan() counts from the last transaction that was stored, not from the acceptance", async () => {
  const { world, leader, clock, repair } = await repaired();
  await using _world = world;
  world.chain.mine(1);
  await world.follow(leader);
  const lost = await world.queue.fetch(10);
  await lost[0]!.settle({ outcome: "orphaned" });
  const { number: blockNumber, hash: blockHash } = world.chain.block(21);
  let transactions = 0;
  world.ledger.records = () =>
    Promise.resolve([{ blockNumber, blockHash, transactions, structlogRows: 0, aggregateRows: 0, violated: 0 }]);
  for (; transactions < 5; transactions++) {
    assert.equal(await repair.scan(SIGNAL), 0);
    clock.now += 599_000;
  }
  transactions--;
  assert.equal(await repair.scan(SIGNAL), 0, "599 s after the last one");
  clock.now += 1_000;
  assert.equal(await repair.scan(SIGNAL), 1);
});

Deno.test("scan() leaves a block alone that is finished while it is looked at", async () => {
  const { world, leader, clock, repair } = await repaired();
  await using _world = world;
  world.chain.mine(1);
  await world.follow(leader);
  await repair.scan(SIGNAL);
  clock.now += HOUR_MS;
  const { records } = world.ledger;
  world.ledger.records = async (blocks) => {
    world.ledger.records = records;
    const before = await records.call(world.ledger, blocks);
    await world.work();
    return before;
  };
  assert.equal(await repair.scan(SIGNAL), 0);
  assert.equal((await world.queue.stats()).classes.reprocess_forwards.waiting, 0);
});

Deno.test("scan() has finished blocks verified whose verification the queue forgot, and no others", async () => {
  const { world } = await repaired({ verifyDelayMs: 1_000 });
  await using _world = world;
  await using again = new World(world.chain, { startBlock: 1, verifyDelayMs: 1_000 });
  await again.ledger.write(await world.live());
  const later = Date.now() + HOUR_MS;
  const repair = new Repair(again.network, "forwards", await again.office("forwards"), () => later);
  assert.equal(await repair.scan(SIGNAL), 20);
  assert.equal(await repair.scan(SIGNAL), 0, "planned now");
  const failure = { code: "made_up", message: "never" };
  const tasks = await again.work(({ blockNumber }) =>
    blockNumber === 5 ? { outcome: "dead", failure } : { outcome: "done" }
  );
  assert.deepEqual([...new Set(tasks.map((task) => task.class))], ["verify_forwards"]);
  const done = (await again.live()).filter(({ blockNumber }) => blockNumber !== 5);
  await again.ledger.write(done.map((row) => ({ ...row, verifiedMs: later })));
  assert.equal(await repair.scan(SIGNAL), 0, "a dead letter stays one");
  assert.deepEqual(again.seen("gap_repaired").map((event) => [event.reason, event.blocks]), [["unverified", 20]]);
});

Deno.test("scan() comes to every unverified block, though the lowest wait for their verification", async () => {
  const { world } = await repaired();
  await using _world = world;
  const rules = { intervalMs: 1, batch: 7, staleMs: HOUR_MS, reconcileMs: HOUR_MS };
  await using again = new World(world.chain, { startBlock: 1, verifyDelayMs: 1_000, repair: rules });
  await again.ledger.write(await world.live());
  const later = Date.now() + 2 * HOUR_MS;
  const repair = new Repair(again.network, "forwards", await again.office("forwards"), () => later);
  const planned: number[] = [];
  for (let round = 0; round < 4; round++) planned.push(await repair.scan(SIGNAL));
  assert.deepEqual(planned, [7, 7, 6, 0]);
});

Deno.test("reconcile() gives the queue back what it lost, when the block has stood still for long enough", async () => {
  const { world, leader, clock, repair } = await repaired();
  await using _world = world;
  world.chain.mine(1);
  await world.follow(leader);
  await world.queue.fetch(10);
  world.queue.enqueue({
    ...{ kind: "trace", class: "process_forwards", total: 2, ranges: [] },
    ...{ blockNumber: 21, blockHash: world.chain.block(21).hash },
  }, await world.office("forwards"));
  assert.equal(await repair.reconcile(SIGNAL), 0);
  clock.now += 60_000;
  assert.equal(await repair.reconcile(SIGNAL), 1);
});

Deno.test("reconcile() puts the block of the chain in the place of one that left it unnoticed", async () => {
  const { world, leader, clock, repair } = await repaired();
  await using _world = world;
  world.chain.mine(1);
  await world.follow(leader);
  await world.work(() => ({ outcome: "orphaned" }));
  const old = world.chain.block(21).hash;
  world.chain.reorg(1, 1);
  await repair.reconcile(SIGNAL);
  clock.now += 60_000;
  assert.equal(await repair.reconcile(SIGNAL), 1);
  await world.work();
  assert.deepEqual((await world.states()).at(-1), [21, world.chain.block(21).hash, "complete"]);
  assert.deepEqual(world.orphans, [{ blockNumber: 21, blockHash: old }]);
});

Deno.test("answer() does again what is asked for, once per key, and leaves complete blocks complete", async () => {
  const { world, repair } = await repaired();
  await using _world = world;
  const request = processRequest("key", { blocks: [4, 6], processors: [STRUCTLOG], class: "reprocess" });
  assert.equal(await world.queue.request(request), true);
  assert.equal(await world.queue.request(request), false);
  assert.equal(await repair.answer(SIGNAL), 1);
  assert.deepEqual((await world.live()).filter((row) => row.state !== "complete"), []);
  assert.deepEqual((await world.work()).map((task) => [task.blockNumber, task.class]), [
    [4, "reprocess_forwards"],
    [6, "reprocess_forwards"],
  ]);
  assert.deepEqual((await world.live()).filter((row) => row.state !== "complete"), []);
  assert.equal(await repair.answer(SIGNAL), 0);
  assert.deepEqual(world.seen("request_answered").map(({ key, blocks, refused }) => [key, blocks, refused]), [[
    "key",
    2,
    "",
  ]]);
});

Deno.test("answer() has blocks verified anew that are processed again", async () => {
  const { world } = await repaired({ verifyDelayMs: HOUR_MS });
  await using _world = world;
  world.clock.advance(HOUR_MS);
  assert.equal((await world.work()).length, 20, "verified as planned");
  await world.ledger.write((await world.live()).map((row) => ({ ...row, verifiedMs: 7, completedMs: 5 })));
  const repair = new Repair(world.network, "forwards", await world.office("forwards"), Date.now);
  const ask = (key: string, block: number, purpose: "process" | "reprocess") =>
    world.queue.request(processRequest(key, { blocks: [block], processors: [STRUCTLOG], class: purpose }));
  await ask("again", 4, "reprocess");
  await ask("done", 5, "process");
  await repair.answer(SIGNAL);
  const anew = (await world.live()).filter((row) => row.verifiedMs === undefined);
  assert.deepEqual(anew.map((row) => [row.blockNumber, row.state]), [[4, "complete"]]);
  assert.ok(anew[0]!.completedMs! > 5, "a scan leaves it the time it needs");
  assert.deepEqual((await world.work()).map((task) => [task.kind, task.blockNumber]), [["trace", 4]]);
  world.clock.advance(HOUR_MS);
  assert.deepEqual((await world.work()).map((task) => [task.kind, task.blockNumber]), [["verify", 4]]);
});

Deno.test("answer() processes a long range as the queue has room, and blocks below the lowest too", async () => {
  const { world, repair } = await repaired({
    startBlock: 18,
    repair: {
      intervalMs: 1,
      batch: 3,
      staleMs: HOUR_MS,
      reconcileMs: HOUR_MS,
    },
  });
  await using _world = world;
  await world.queue.request(
    processRequest("range", { blocks: { from: 2, to: 19 }, processors: [STRUCTLOG], class: "process" }),
  );
  await repair.answer(SIGNAL);
  const tasks = await world.work();
  assert.deepEqual(tasks.map((task) => task.blockNumber), numbers(2, 17), "what is complete is not done again");
  assert.equal((await world.live()).length, 19);
});

Deno.test("answer() leaves out what no node has now, does the others once each, and asks nothing about what is not reached", async () => {
  const { world, repair } = await repaired();
  await using _world = world;
  world.chain.unknown.add(6);
  const ask = { processors: [STRUCTLOG], class: "reprocess" } as const;
  await world.queue.request(processRequest("list", { ...ask, blocks: [7, 2, 5, 6, 5, 19, 21, 90_000] }));
  await world.queue.request(processRequest("range", { ...ask, blocks: { from: 12, to: 90_000 } }));
  const { stats } = world.queue;
  let looks = 0;
  world.queue.stats = () => {
    looks++;
    return stats.call(world.queue);
  };
  assert.equal(await repair.answer(SIGNAL), 2);
  assert.equal(looks, 3 + 1, "runs of blocks");
  world.queue.stats = stats;
  const answered = world.seen("request_answered").map(({ key, blocks }) => [key, blocks]);
  assert.deepEqual(answered, [["range", 9], ["list", 4]], "the one with fewer runs first");
  const done = (await world.work()).map((task) => task.blockNumber).sort((a, b) => a - b);
  assert.deepEqual(done, [2, 5, 7, ...numbers(12, 20)], "19 was in the queue");
});

Deno.test("answer() leaves the head room in the window and in the queue, however long a request is", async () => {
  await using world = new World(new MadeUpChain(200), { startBlock: 150 });
  await world.follow(await world.leader());
  await world.work();
  const network = { ...world.network, window: { maxPendingBlocks: 4, maxQueuedTasks: 40 } };
  const office = await world.office("forwards");
  const repair = new Repair(network, "forwards", office, Date.now);
  const ask = { blocks: { from: 1, to: 140 }, processors: [STRUCTLOG], class: "reprocess" } as const;
  await world.queue.request(processRequest("long", ask));
  let done = false;
  const answering = repair.answer(SIGNAL).then(() => done = true);
  const waiting = async () => (await world.queue.stats()).classes.reprocess_forwards.waiting;
  while (await waiting() < 20) await new Promise((resolve) => setTimeout(resolve));
  world.chain.mine(2);
  assert.deepEqual(await world.follow(new Leader(network, "forwards", office)), [201, 202]);
  assert.ok(await waiting() < 20 + 16, "half of the queue, and what is accepted at a time");
  while (!done) {
    await world.work();
    await new Promise((resolve) => setTimeout(resolve));
  }
  await answering;
  assert.deepEqual(world.seen("request_answered").map(({ blocks }) => blocks), [140]);
});

Deno.test("answer() does not let a short request wait for the end of a long one", async () => {
  await using world = new World(new MadeUpChain(200), { startBlock: 150 });
  await world.follow(await world.leader());
  await world.work();
  const network = { ...world.network, window: { maxPendingBlocks: 1_000, maxQueuedTasks: 60 } };
  const repair = new Repair(network, "forwards", await world.office("forwards"), Date.now);
  const ask = (key: string, from: number, to: number) =>
    world.queue.request(
      processRequest(key, { blocks: { from, to }, processors: [STRUCTLOG], class: "reprocess" }),
    );
  await ask("long", 1, 140);
  await ask("short", 145, 146);
  let done = false;
  const answering = repair.answer(SIGNAL).then(() => done = true);
  while ((await world.queue.stats()).classes.reprocess_forwards.waiting < 30) {
    await new Promise((resolve) => setTimeout(resolve));
  }
  await ask("late", 148, 148);
  while (!done) {
    await world.work();
    await new Promise((resolve) => setTimeout(resolve));
  }
  await answering;
  const answered = world.seen("request_answered").map(({ key, blocks }) => [key, blocks]);
  assert.deepEqual(answered, [["short", 2], ["late", 1], ["long", 140]]);
});

Deno.test("answer() leaves out a block that no node can read, and does the others of its run", async () => {
  const { world, repair } = await repaired();
  await using _world = world;
  const { answer } = world.chain;
  world.chain.answer = (method, params) => {
    if (method !== "eth_getBlockByNumber" || Number(params[0]) !== 9) return answer.call(world.chain, method, params);
    const said = { class: "read", method, node: "first", action: "other" } as const;
    throw new RpcFailure({ ...said, reason: "server_error", text: "corrupt", bytes: 0 }, true);
  };
  const ask = { blocks: { from: 5, to: 12 }, processors: [STRUCTLOG], class: "reprocess" } as const;
  await world.queue.request(processRequest("range", ask));
  assert.equal(await repair.answer(SIGNAL), 1);
  assert.deepEqual(world.seen("request_answered").map(({ blocks }) => blocks), [7]);
  assert.deepEqual((await world.work()).map((task) => task.blockNumber), [5, 6, 7, 8, 10, 11, 12]);
  assert.ok(world.seen("discover_failed").length > 0);
});

Deno.test("answer() lets blocks of priority process into the window alone, as the head's", async () => {
  await using world = new World(new MadeUpChain(30), { startBlock: 25 });
  await world.follow(await world.leader());
  await world.work();
  const network = { ...world.network, window: { maxPendingBlocks: 4, maxQueuedTasks: 1_000 } };
  const repair = new Repair(network, "forwards", await world.office("forwards"), Date.now);
  const ask = { blocks: { from: 1, to: 10 }, processors: [STRUCTLOG], class: "process" } as const;
  await world.queue.request(processRequest("long", ask));
  let [most, done] = [0, false];
  const answering = repair.answer(SIGNAL).then(() => done = true);
  while (!done) {
    const { open } = await world.queue.stats();
    most = Math.max(most, open.forwards);
    if (open.forwards >= 4) await world.work();
    await new Promise((resolve) => setTimeout(resolve));
  }
  await answering;
  assert.equal(most, 4);
  assert.deepEqual(world.seen("request_answered").map(({ blocks }) => blocks), [10]);
});

Deno.test("waitingTasks() of the head does not count the backfill or its verification", async () => {
  await using world = new World(new MadeUpChain(9));
  const office = await world.office("backwards");
  for (const taskClass of ["process_backwards", "verify_backwards"] as const) {
    const { number: blockNumber, hash: blockHash } = world.chain.block(3);
    const kind = taskClass === "verify_backwards" ? "verify" : "trace";
    await world.queue.enqueue({
      ...{ kind, class: taskClass, blockNumber, blockHash },
      ...{ total: 1, ranges: [{ first: 0, last: 0 }] },
    }, office);
  }
  const stats = await world.queue.stats();
  assert.deepEqual([waitingTasks(stats, "forwards"), waitingTasks(stats, "backwards")], [0, 2]);
});

Deno.test("answer() refuses what is not reached, what it does not process, and what it cannot read, and goes on", async () => {
  const { world, repair } = await repaired();
  await using _world = world;
  const ask = (key: string, blocks: number[], processor: string) =>
    world.queue.request(processRequest(key, { blocks, processors: [processor], class: "process" }));
  world.chain.mine(5);
  await ask("ahead", [23], STRUCTLOG);
  await ask("unknown", [3], "transaction_colour");
  await world.queue.request({ key: "damaged", body: "{" });
  await ask("good", [3], STRUCTLOG);
  assert.equal(await repair.answer(SIGNAL), 4);
  assert.deepEqual(world.seen("request_answered").map(({ key, refused }) => [key, refused]), [
    ["ahead", "block 20 is the highest so far, and of those below no node has one now, or the nodes do not agree"],
    ["unknown", "it names no processor of testnet: transaction_colour"],
    ["damaged", "Cannot read a request to the leader: it is not JSON"],
    ["good", ""],
  ]);
  assert.equal((await world.live()).at(-1)!.blockNumber, 20);
});
