import assert from "node:assert/strict";
import fc from "fast-check";
import { firstValueFrom, take, toArray } from "rxjs";
import { looks } from "../../src/pipeline/discover.ts";
import { Repair } from "../../src/pipeline/repair.ts";
import { processRequest } from "../../src/pipeline/requests.ts";
import { LedgerUnavailableError } from "../../src/stages/gate/ledger.ts";
import { Limiter } from "../../src/stages/gate/limiter.ts";
import { ReorgTooDeepError } from "../../src/stages/source/reorg.ts";
import { marbles } from "../flow/marbles.ts";
import { numbers, SIGNAL, World } from "./discover_world.ts";
import { MadeUpChain } from "./made_up_chain.ts";

Deno.test("looks() at once, at each head, and by time", () => {
  marbles(({ hot, expectObservable }, scheduler) => {
    const heads = hot<number>("--a-b 1000ms c", { a: 7, b: 8, c: 9 });
    const expected = "         t-a-b 995ms t 4ms c";
    expectObservable(looks(heads, 500, scheduler), "1010ms !").toBe(expected, { t: undefined, a: 7, b: 8, c: 9 });
  });
});

Deno.test("looks() by time alone where no head is heard of, no faster than the blocks come", () => {
  marbles(({ hot, expectObservable }, scheduler) => {
    expectObservable(looks(hot<number>("-"), 3_000, scheduler), "6100ms !").toBe("t 2999ms t 2999ms t", {
      t: undefined,
    });
  });
});

Deno.test("an empty ledger begins at startBlock, else at the head, else below it by the confirmations", async () => {
  for (
    const [options, expected] of [
      [{ startBlock: 4 }, [4, 5, 6, 7, 8, 9, 10]],
      [{}, [10]],
      [{ confirmations: 3 }, [7]],
      [{ confirmations: 3, startBlock: 5 }, [5, 6, 7]],
      [{ startBlock: 12 }, []],
    ] as const
  ) {
    await using world = new World(new MadeUpChain(10), options);
    assert.deepEqual(await world.follow(await world.leader()), expected);
  }
});

Deno.test("a leader goes on where the ledger ends, and accepts each block once, with its parent", async () => {
  await using world = new World(new MadeUpChain(20), { startBlock: 3 });
  await world.follow(await world.leader(), 9);
  assert.deepEqual(await world.follow(await world.leader()), numbers(10, 20));
  const leader = await world.leader();
  assert.deepEqual(await world.follow(leader), []);
  world.chain.mine(40);
  assert.deepEqual(await world.follow(leader), numbers(21, 60));
  const rows = await world.live();
  assert.deepEqual(rows.map((row) => row.blockHash), world.chain.hashes(3));
  assert.deepEqual(rows.map((row) => row.parentHash), world.chain.hashes(2).slice(0, -1));
});

Deno.test("a head that no node has yet is waited for, none is jumped over", async () => {
  await using world = new World(new MadeUpChain(10), { startBlock: 3 });
  world.chain.unknown.add(6);
  const leader = await world.leader();
  assert.deepEqual(await world.follow(leader), [3, 4, 5]);
  world.chain.unknown.clear();
  assert.deepEqual(await world.follow(leader), numbers(6, 10));
});

Deno.test("a ledger that cannot be read is an error, never an empty ledger", async () => {
  await using world = new World(new MadeUpChain(10), { startBlock: 3 });
  await world.follow(await world.leader(), 5);
  const bounds = world.ledger.bounds.bind(world.ledger);
  world.ledger.bounds = () => Promise.reject(new LedgerUnavailableError("Cannot read the ledger: away"));
  const leader = await world.leader();
  await assert.rejects(world.follow(leader), LedgerUnavailableError);
  assert.equal((await world.live()).length, 3);
  world.ledger.bounds = bounds;
  assert.deepEqual(await world.follow(leader), numbers(6, 10));
});

Deno.test("rows that vanish from the top of the ledger are done again", async () => {
  await using world = new World(new MadeUpChain(10), { startBlock: 3 });
  const leader = await world.leader();
  await world.follow(leader, 8);
  world.ledger.delete((row) => row.blockNumber >= 7);
  assert.deepEqual(await world.follow(leader), [7, 8, 9, 10]);
});

Deno.test("nothing enters beyond the limiter, nor while it does not know", async () => {
  const answers: (number | undefined)[] = [undefined, 6, 9];
  const clock = { now: 0 };
  const limiter = new Limiter(
    { refreshMs: 6_000, maxAgeMs: 60_000 },
    () => Promise.resolve(answers.shift()),
    () => clock.now,
  );
  await using world = new World(new MadeUpChain(10), { startBlock: 3, limiter });
  const leader = await world.leader();
  assert.deepEqual(await world.follow(leader), []);
  assert.deepEqual(world.seen("window_closed").map((event) => event.reason), ["limiter"]);
  clock.now += 6_000;
  assert.deepEqual(await world.follow(leader), [3, 4, 5, 6]);
  clock.now += 6_000;
  assert.deepEqual(await world.follow(leader), [7, 8, 9]);
  assert.deepEqual(world.seen("window_closed").map((event) => event.reason), ["limiter", "limiter", "limiter"]);
  assert.equal(world.seen("window_opened").length, 2);
});

Deno.test("what the limiter holds back is looked at with each refresh, not with the next head", async () => {
  const answers = [undefined, 5, 5, 9, 10];
  const limiter = new Limiter({ refreshMs: 1, maxAgeMs: 60_000 }, () => Promise.resolve(answers.shift()));
  await using world = new World(new MadeUpChain(10), { startBlock: 3, limiter });
  const leader = await world.leader();
  const steps = await firstValueFrom(leader.forwards().pipe(take(3), toArray()));
  assert.deepEqual(steps.map(({ accepted }) => accepted), [[3, 4, 5], [6, 7, 8, 9], [10]]);
});

Deno.test("an empty ledger backwards begins below the limiter too", async () => {
  const limiter = new Limiter({ refreshMs: 6_000, maxAgeMs: 60_000 }, () => Promise.resolve(6), () => 0);
  await using world = new World(new MadeUpChain(10), { directions: ["backwards"], limiter, floor: 3 });
  assert.deepEqual(await world.descend(await world.leader("backwards")), [6, 5, 4, 3]);
});

Deno.test("at most maxPendingBlocks are open, whatever is made of them; a finished or stuck one lets another in", async () => {
  const processors = { trace: ["transaction_structlog"], simple: ["transaction_simple"] } as const;
  for (const options of [{}, { processors }]) {
    await using world = new World(new MadeUpChain(40), {
      startBlock: 1,
      window: { maxPendingBlocks: 4, maxQueuedTasks: 1_000 },
      ...options,
    });
    const leader = await world.leader();
    const seen: number[] = [];
    let most = 0;
    const stop = new AbortController();
    const following = leader.follow(40, stop.signal, ({ accepted }) => void seen.push(...accepted));
    const failure = { code: "made_up", message: "never" };
    while (seen.length < 40) {
      const { open } = await world.queue.stats();
      most = Math.max(most, open.forwards);
      if (open.forwards === 4) {
        await world.work((task) => task.blockNumber % 3 === 0 ? { outcome: "dead", failure } : { outcome: "done" });
      }
      await new Promise((resolve) => setTimeout(resolve));
    }
    await following;
    assert.equal(most, 4);
    assert.deepEqual(seen, numbers(1, 40));
    assert.deepEqual([...new Set(world.seen("window_closed").map((event) => event.reason))], ["blocks"]);
    assert.ok(world.seen("window_opened").length >= 2);
  }
});

Deno.test("a deep queue closes the window with its reason, and opens it again below 0.8 of the bound", async () => {
  await using world = new World(new MadeUpChain(60), {
    startBlock: 1,
    window: { maxPendingBlocks: 1_000, maxQueuedTasks: 16 },
  });
  const leader = await world.leader();
  const seen: number[] = [];
  const stop = new AbortController();
  const following = leader.follow(60, stop.signal, ({ accepted }) => void seen.push(...accepted));
  const closed = () => world.seen("window_closed").map((event) => event.reason);
  while (closed().length === 0) await new Promise((resolve) => setTimeout(resolve));
  assert.deepEqual(closed(), ["queue"]);
  assert.equal(seen.length, 16);
  await world.queue.fetch(3);
  const looks = () => world.seen("window_pending").length;
  const before = looks();
  while (looks() < before + 2) await new Promise((resolve) => setTimeout(resolve));
  assert.equal(world.seen("window_opened").length, 1, "opened once, at the begin; 13 of 16 tasks wait: closed");
  await world.queue.fetch(1);
  while (closed().length === 1) await new Promise((resolve) => setTimeout(resolve));
  assert.deepEqual(seen, numbers(1, 32), "12 of 16 wait: open, until it is deep again");
  assert.deepEqual([closed(), world.seen("window_opened").length], [["queue", "queue"], 2]);
  stop.abort();
  await following;
});

Deno.test("two directions have windows of their own", async () => {
  const window = { maxPendingBlocks: 3, maxQueuedTasks: 1_000 };
  await using world = new World(new MadeUpChain(20), { directions: ["forwards", "backwards"], window });
  const forwards = await world.leader("forwards");
  assert.deepEqual(await world.follow(forwards), [20]);
  const backwards = await world.leader("backwards");
  const stop = new AbortController();
  const seen: number[] = [];
  const descending = backwards.descend(stop.signal, ({ accepted }) => void seen.push(...accepted));
  while (world.seen("window_closed").length === 0) await new Promise((resolve) => setTimeout(resolve));
  assert.deepEqual(seen, [19, 18, 17]);
  world.chain.mine(2);
  assert.deepEqual(await world.follow(forwards), [21, 22], "the head goes on while the backfill's window is closed");
  stop.abort();
  await descending;
});

Deno.test("a term that begins enqueues every open block again, what is still there once", async () => {
  await using world = new World(new MadeUpChain(10), { startBlock: 1 });
  await world.follow(await world.leader(), 6);
  await world.work((task) =>
    task.blockNumber <= 2 ? { outcome: "done" } : { outcome: "release", delayMs: 10 * 3_600_000 }
  );
  const again = new World(world.chain, { startBlock: 1 });
  await using _again = again;
  await again.ledger.write(await world.live());
  assert.equal(await (await again.leader()).reconcile(SIGNAL), 4, "a queue that forgot everything");
  assert.equal((await again.queue.stats()).classes.process_forwards.waiting, 4);
  assert.equal(await (await again.leader()).reconcile(SIGNAL), 4);
  assert.equal((await again.queue.stats()).classes.process_forwards.waiting, 4, "a queue that forgot nothing");
});

Deno.test("who leads forwards alone takes over what an earlier run left open backwards, to its verification", async () => {
  await using before = new World(new MadeUpChain(10), { directions: ["forwards", "backwards"], floor: 5 });
  const forwards = await before.leader();
  await before.follow(forwards);
  await before.descend(await before.leader("backwards"));
  assert.equal(await forwards.reconcile(SIGNAL), 1, "with both directions each leader has its own");
  const rows = await before.live();
  for (const directions of [["forwards"], ["backwards"]] as const) {
    await using world = new World(before.chain, { directions, floor: 5, verifyDelayMs: 1_000 });
    await world.ledger.write(rows);
    const leader = await world.leader(directions[0]);
    assert.equal(await leader.reconcile(SIGNAL), 6);
    await world.work();
    assert.deepEqual(await world.states(), before.chain.hashes(5).map((hash, index) => [index + 5, hash, "complete"]));
    await using later = new World(before.chain, { directions, verifyDelayMs: 1_000 });
    await later.ledger.write(await world.live());
    const repair = new Repair(later.network, directions[0], await later.office(directions[0]), () => Date.now() + 1e9);
    assert.equal(await repair.scan(SIGNAL), 6, "none is verified");
  }
});

Deno.test("what a processor left open that is not configured any more holds neither checkpoint nor reconciliation up", async () => {
  const simple = { simple: ["transaction_simple"] } as const;
  await using before = new World(new MadeUpChain(4), { startBlock: 1, processors: simple });
  await before.follow(await before.leader());
  await using world = new World(before.chain, { startBlock: 1 });
  await world.ledger.write(await before.live());
  await world.ledger.write(
    (await before.live()).map((row) => ({ ...row, processor: "transaction_structlog", state: "complete" })),
  );
  world.chain.mine(1);
  const leader = await world.leader();
  assert.equal(await leader.reconcile(SIGNAL), 0);
  assert.deepEqual(await world.follow(leader), [5]);
  await world.work();
  await leader.tellCheckpoint();
  assert.deepEqual(world.seen("checkpoint").map((event) => event.blockNumber), [5]);
});

Deno.test("a completion that was lost is told again by reconciliation", async () => {
  await using world = new World(new MadeUpChain(3), { startBlock: 1 });
  const leader = await world.leader();
  await world.follow(leader);
  for (const lease of await world.queue.fetch(10)) await lease.settle({ outcome: "done" });
  await world.queue.confirm(await world.queue.completions(10, SIGNAL));
  assert.deepEqual((await world.live()).map((row) => row.state), ["accepted", "accepted", "accepted"]);
  await leader.reconcile(SIGNAL);
  await world.tellLedger();
  assert.deepEqual((await world.live()).map((row) => row.state), ["complete", "complete", "complete"]);
});

for (const depth of [1, 3, 20]) {
  Deno.test(`a reorg of depth ${depth} ends with the blocks of the new chain and drops the tasks of the old`, async () => {
    await using world = new World(new MadeUpChain(30), { startBlock: 1, reorgMaxDepth: 32 });
    const leader = await world.leader();
    await world.follow(leader);
    await world.work((task) => task.blockNumber % 2 === 0 ? { outcome: "done" } : { outcome: "release", delayMs: 1 });
    world.clock.advance(2);
    const old = world.chain.hashes(31 - depth);
    world.chain.reorg(depth, depth + 1);
    assert.deepEqual(await world.follow(leader), numbers(31 - depth, 31));
    assert.deepEqual((await world.live()).map((row) => row.blockHash), world.chain.hashes(1));
    assert.deepEqual(world.orphans.map((block) => block.blockHash), old);
    assert.deepEqual(world.seen("reorg").map((event) => [event.oldHash, event.newHash]), [
      ...old.map((hash, index) => [hash, world.chain.block(31 - depth + index).hash]),
    ]);
    assert.equal(world.seen("reorg")[0]!.depth, depth);
    const done = await world.work();
    assert.ok(done.every((task) => !old.includes(task.blockHash)));
    assert.deepEqual(await world.states(), world.chain.hashes(1).map((hash, index) => [index + 1, hash, "complete"]));
  });
}

Deno.test("another block at the height of the head is noticed without a further one", async () => {
  await using world = new World(new MadeUpChain(10), { startBlock: 5 });
  const leader = await world.leader();
  await world.follow(leader);
  world.chain.reorg(1, 1);
  assert.deepEqual(await world.follow(leader), [10]);
  assert.deepEqual((await world.live()).map((row) => row.blockHash), world.chain.hashes(5));
});

Deno.test("one node on a fork takes nothing away that the others keep, however deep its fork is", async () => {
  await using world = new World(new MadeUpChain(30), { startBlock: 5, reorgMaxDepth: 8 });
  const leader = await world.leader();
  await world.follow(leader);
  const strange = world.chain.branch(12);
  strange.mine(20);
  world.pool.chains = { strange, one: world.chain, other: world.chain };
  assert.deepEqual(await world.follow(leader), [], "its blocks are not taken either");
  const repair = new Repair(world.network, "forwards", await world.office("forwards"), Date.now);
  const ask = { blocks: [20], processors: ["transaction_structlog"], class: "reprocess" } as const;
  await world.queue.request(processRequest("ask", ask));
  await repair.answer(SIGNAL);
  assert.deepEqual(await world.states(), world.chain.hashes(5).map((hash, at) => [at + 5, hash, "accepted"]));
  assert.deepEqual([world.seen("reorg").length, world.seen("reorg_too_deep").length], [0, 0]);
  world.chain.mine(3);
  world.pool.chains = { one: world.chain, strange, other: world.chain };
  assert.deepEqual(await world.follow(leader), [31, 32, 33]);
});

Deno.test("of two nodes that disagree none is believed, until one gives way", async () => {
  await using world = new World(new MadeUpChain(10), { startBlock: 5 });
  const leader = await world.leader();
  await world.follow(leader);
  const other = world.chain.branch(8);
  other.mine(3);
  world.pool.chains = { other, one: world.chain };
  assert.deepEqual(await world.follow(leader), []);
  assert.equal(world.seen("reorg").length, 0);
  world.pool.chains = { other, one: other };
  assert.deepEqual(await world.follow(leader), [9, 10, 11]);
  assert.deepEqual((await world.live()).map((row) => row.blockHash), other.hashes(5));
});

Deno.test("nodes that disagree are asked again soon, not with the next head", async () => {
  await using world = new World(new MadeUpChain(10), { startBlock: 5 });
  const leader = await world.leader();
  await world.follow(leader);
  const other = world.chain.branch(8);
  other.mine(3);
  world.pool.chains = { other, one: world.chain };
  const { answer } = other;
  let looks = 0;
  other.answer = (method, params) => {
    if (method === "eth_blockNumber" && ++looks === 2) world.pool.chains = { other, one: other };
    return answer.call(other, method, params);
  };
  const { accepted } = await firstValueFrom(leader.forwards());
  assert.deepEqual([accepted, looks], [[9, 10, 11], 2]);
});

Deno.test("a reorg that most nodes have made is followed though one has not", async () => {
  await using world = new World(new MadeUpChain(10), { startBlock: 5 });
  const leader = await world.leader();
  await world.follow(leader);
  const late = world.chain.branch(10);
  world.chain.reorg(3, 4);
  world.pool.chains = { one: world.chain, late, other: world.chain };
  assert.deepEqual(await world.follow(leader), [8, 9, 10, 11]);
  assert.deepEqual((await world.live()).map((row) => row.blockHash), world.chain.hashes(5));
});

Deno.test("a chain that became shorter takes the blocks above it along", async () => {
  await using world = new World(new MadeUpChain(10), { startBlock: 5 });
  const leader = await world.leader();
  await world.follow(leader);
  world.chain.reorg(4, 2);
  assert.deepEqual(await world.follow(leader), [7, 8]);
  assert.deepEqual((await world.live()).map((row) => row.blockHash), world.chain.hashes(5));
});

Deno.test("a node that is behind is no reorg", async () => {
  await using world = new World(new MadeUpChain(10), { startBlock: 5 });
  const leader = await world.leader();
  await world.follow(leader);
  assert.deepEqual(await world.follow(leader, 7), []);
  assert.equal(world.seen("reorg").length, 0);
  assert.equal((await world.live()).length, 6);
});

Deno.test("a reorg of everything that is stored begins again at its lowest block, not at the head", async () => {
  await using world = new World(new MadeUpChain(10));
  const leader = await world.leader();
  await world.follow(leader);
  world.chain.mine(3);
  await world.follow(leader);
  world.chain.reorg(6, 9);
  assert.deepEqual(await world.follow(leader), numbers(10, 16));
  await using other = new World(world.chain);
  await other.ledger.write((await world.ledger.between(0, 100)).filter((row) => row.state === "orphaned"));
  assert.deepEqual(await other.follow(await other.leader()), numbers(10, 16), "and so does another leader");
});

Deno.test("a reorg that was cut short is finished by the next leader", async () => {
  await using world = new World(new MadeUpChain(10), { startBlock: 1 });
  await world.follow(await world.leader());
  world.chain.reorg(5, 6);
  const { write } = world.ledger;
  let writes = 0;
  world.ledger.write = (rows) => {
    if (++writes > 2) throw new LedgerUnavailableError("Cannot write the ledger: cut short");
    return write.call(world.ledger, rows);
  };
  await assert.rejects(world.follow(await world.leader()), LedgerUnavailableError);
  world.ledger.write = write;
  assert.deepEqual(await world.follow(await world.leader()), numbers(6, 11));
  assert.deepEqual((await world.live()).map((row) => row.blockHash), world.chain.hashes(1));
});

Deno.test("a fork that comes back is processed again", async () => {
  await using world = new World(new MadeUpChain(10), { startBlock: 6 });
  const leader = await world.leader();
  await world.follow(leader);
  await world.work();
  const first = world.chain.fork(3);
  world.chain.reorg(3, 4);
  await world.follow(leader);
  await world.work();
  world.chain.restore(first);
  world.chain.mine(3);
  assert.deepEqual(await world.follow(leader), numbers(8, 13));
  const tasks = await world.work();
  assert.ok(first.every((block) => tasks.some((task) => task.blockHash === block.hash)));
  assert.deepEqual(await world.states(), world.chain.hashes(6).map((hash, index) => [index + 6, hash, "complete"]));
});

Deno.test("a reorg deeper than maxDepth stops with both hashes, and marks nothing", async () => {
  await using world = new World(new MadeUpChain(30), { startBlock: 1, reorgMaxDepth: 8 });
  const leader = await world.leader();
  await world.follow(leader);
  world.chain.reorg(20, 21);
  await assert.rejects(world.follow(leader), ReorgTooDeepError);
  assert.equal((await world.live()).length, 30);
  assert.equal(world.orphans.length, 0);
});

Deno.test("backwards goes down to the floor, link by link, and rests", async () => {
  await using world = new World(new MadeUpChain(40), { directions: ["forwards", "backwards"], floor: 3 });
  const backwards = await world.leader("backwards");
  assert.deepEqual(await world.descend(backwards), [], "the leader forwards makes the first entry");
  await world.follow(await world.leader("forwards"));
  assert.deepEqual(await world.descend(backwards), numbers(3, 39).reverse());
  assert.deepEqual(await world.descend(backwards), []);
  assert.deepEqual((await world.live()).map((row) => row.blockHash), world.chain.hashes(3));
  assert.equal((await world.live())[0]!.direction, "backwards");
});

Deno.test("backwards reaches genesis", async () => {
  await using world = new World(new MadeUpChain(5), { directions: ["backwards"] });
  assert.deepEqual(await world.descend(await world.leader("backwards")), [5, 4, 3, 2, 1, 0]);
});

Deno.test("backwards does not jump over what lies above a block that was asked for", async () => {
  await using world = new World(new MadeUpChain(40), { directions: ["forwards", "backwards"] });
  await world.follow(await world.leader("forwards"));
  const [row] = await world.live();
  const asked = world.chain.block(12);
  await world.ledger.write([{ ...row!, blockNumber: 12, blockHash: asked.hash, parentHash: asked.parentHash }]);
  const backwards = await world.leader("backwards");
  await world.descend(backwards);
  assert.deepEqual((await world.live()).map((one) => one.blockHash), world.chain.hashes(0));
});

Deno.test("backwards replaces its lowest block when that is not on the chain, and leaves the others to the leader forwards", async () => {
  await using world = new World(new MadeUpChain(10), { directions: ["forwards", "backwards"], floor: 2 });
  const forwards = await world.leader("forwards");
  await world.follow(forwards);
  world.chain.reorg(3, 4);
  const backwards = await world.leader("backwards");
  assert.deepEqual(await world.descend(backwards), []);
  assert.deepEqual(world.seen("reorg").map((event) => event.blockNumber), [10]);
  assert.deepEqual(await world.follow(forwards), [11]);
  assert.deepEqual(await world.descend(backwards), numbers(2, 9).reverse());
  assert.deepEqual((await world.live()).map((row) => row.blockHash), world.chain.hashes(2));
});

Deno.test("a block that a node on a fork put below the backfill does not end it", async () => {
  await using world = new World(new MadeUpChain(40), { directions: ["forwards", "backwards"], floor: 8 });
  await world.follow(await world.leader("forwards"));
  const strange = world.chain.branch(5);
  strange.mine(30);
  const [row] = await world.live();
  const asked = strange.block(23);
  await world.ledger.write([{ ...row!, blockNumber: 23, blockHash: asked.hash, parentHash: asked.parentHash }]);
  const backwards = await world.leader("backwards");
  const accepted: number[] = [];
  for (let turn = 0; turn < 3; turn++) accepted.push(...await world.descend(backwards));
  assert.deepEqual(accepted, [...numbers(24, 39).reverse(), ...numbers(8, 22).reverse()]);
  assert.deepEqual((await world.live()).map((one) => one.blockHash), world.chain.hashes(8));
  assert.deepEqual(world.orphans, [{ blockNumber: 23, blockHash: asked.hash }]);
});

Deno.test("backwards alone follows a reorg itself", async () => {
  await using world = new World(new MadeUpChain(10), { directions: ["backwards"], floor: 9 });
  const leader = await world.leader("backwards");
  await world.descend(leader);
  world.chain.reorg(4, 5);
  await using again = new World(world.chain, { directions: ["backwards"], floor: 2 });
  await again.ledger.write(await world.live());
  const backwards = await again.leader("backwards");
  assert.deepEqual(await again.descend(backwards), []);
  assert.deepEqual(await again.descend(backwards), numbers(2, 11).reverse());
  assert.deepEqual((await again.live()).map((row) => row.blockHash), again.chain.hashes(2));
});

Deno.test("the checkpoint is below what is open, stuck blocks do not hold it, and the distance is to the head", async () => {
  await using world = new World(new MadeUpChain(20), { startBlock: 1 });
  const leader = await world.leader();
  await world.follow(leader, 12);
  const failure = { code: "made_up", message: "never" };
  await world.work(({ blockNumber }) =>
    blockNumber === 3
      ? { outcome: "dead", failure }
      : blockNumber === 9
      ? { outcome: "release", delayMs: 3_600_000 }
      : { outcome: "done" }
  );
  await leader.tellCheckpoint();
  world.clock.advance(3_600_000);
  const stand = await world.queue.lead("forwards", "test");
  assert.ok(stand !== undefined);
  await world.work();
  await leader.tellCheckpoint();
  assert.deepEqual(world.seen("checkpoint").map((event) => [event.blockNumber, event.distance]), [[8, 4], [12, 0]]);
});

Deno.test("the checkpoint backwards is above what is open, and the distance is to the floor", async () => {
  await using world = new World(new MadeUpChain(20), { directions: ["backwards"], floor: 5 });
  const leader = await world.leader("backwards");
  await world.descend(leader);
  await world.work(({ blockNumber }) =>
    blockNumber === 9 ? { outcome: "release", delayMs: 3_600_000 } : { outcome: "done" }
  );
  await leader.tellCheckpoint();
  world.clock.advance(3_600_000);
  await world.work();
  await leader.tellCheckpoint();
  assert.deepEqual(world.seen("checkpoint").map((event) => [event.blockNumber, event.distance]), [[10, 5], [5, 0]]);
});

/** One thing that happens to the chain, the work or the leader. */
type Step =
  | { readonly kind: "mine"; readonly count: number }
  | { readonly kind: "reorg"; readonly depth: number; readonly count: number }
  | { readonly kind: "follow" }
  | { readonly kind: "work" }
  | { readonly kind: "elect" };

const step = fc.oneof(
  fc.record({ kind: fc.constant("mine" as const), count: fc.integer({ min: 1, max: 20 }) }),
  fc.record({
    kind: fc.constant("reorg" as const),
    depth: fc.integer({ min: 1, max: 6 }),
    count: fc.integer({ min: 1, max: 9 }),
  }),
  fc.record({ kind: fc.constantFrom("follow" as const, "work" as const, "elect" as const) }),
);

Deno.test("whatever the chain does, and whoever leads, the ledger ends as the chain, every block complete once", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps: readonly Step[]) => {
      await using world = new World(new MadeUpChain(20), { startBlock: 10, reorgMaxDepth: 200 });
      let leader = await world.leader();
      for (const one of steps) {
        if (one.kind === "mine") world.chain.mine(one.count);
        if (one.kind === "reorg") world.chain.reorg(Math.min(one.depth, world.chain.head - 10), one.count);
        if (one.kind === "follow") await world.follow(leader);
        if (one.kind === "work") await world.work();
        if (one.kind === "elect") leader = await world.leader();
      }
      world.chain.mine(1);
      await world.follow(leader);
      await world.follow(leader);
      await world.work();
      assert.deepEqual(
        await world.states(),
        world.chain.hashes(10).map((hash, index) => [index + 10, hash, "complete"]),
      );
      const { open, stuck, classes } = await world.queue.stats();
      assert.deepEqual([open.forwards, stuck, classes.process_forwards.waiting], [0, 0, 0]);
    }),
    { numRuns: 60 },
  );
});
