/** What every backend of the queue promises: one test a guarantee. */
import assert from "node:assert/strict";
import {
  type BlockPlan,
  type BlockRef,
  type Failure,
  type Lease,
  LeaseLostError,
  type Mode,
  modeOf,
  NotLeaderError,
  type Office,
  type QueueOptions,
  type TaskClass,
  taskId,
  type WorkQueue,
} from "../../src/stages/queue/port.ts";
import { type Backend, everyClass, OPTIONS, type WithBackend } from "./work_queue_backends.ts";

const FAILURE: Failure = { code: "node_failed", message: "the node said no" };
const HOUR_MS = 3_600_000;

export function blockRef(number: number, fork = "a"): BlockRef {
  return { blockNumber: number, blockHash: `0x${fork.repeat(8)}${number.toString(16).padStart(56, "0")}` };
}

/** A block of `total` transactions in one range, unless told otherwise. */
export function planOf(number: number, total: number, change: Partial<BlockPlan> = {}): BlockPlan {
  const ranges = total === 0 ? [] : [{ first: 0, last: total - 1 }];
  return { ...blockRef(number), kind: "trace", class: "process_forwards", total, ranges, ...change };
}

export async function elected(queue: WorkQueue, mode: Mode = "forwards"): Promise<Office> {
  const office = await queue.lead(mode, "leader");
  assert.ok(office !== undefined, "nobody else leads");
  return office;
}

async function only(leases: Promise<readonly Lease[]>): Promise<Lease> {
  const [lease, ...others] = await leases;
  assert.ok(lease !== undefined, "a lease");
  assert.deepEqual(others, []);
  return lease;
}

/** Completions that are there, confirmed. */
async function told(queue: WorkQueue): Promise<string[]> {
  const { completions } = await queue.stats();
  const found = completions === 0 ? [] : await queue.completions(100, new AbortController().signal);
  await queue.confirm(found);
  return found.map(({ kind, blockNumber, state, total }) => `${kind} ${blockNumber} ${state} ${total}`);
}

async function waitingTasks(queue: WorkQueue): Promise<number> {
  const { classes } = await queue.stats();
  return Object.values(classes).reduce((sum, { waiting }) => sum + waiting, 0);
}

/** Declares the contract's tests for a backend. */
export function workQueueContract(name: string, withBackend: WithBackend): void {
  function guarantee(fact: string, test: (backend: Backend) => Promise<void>, options?: QueueOptions): void {
    Deno.test(`${name}: ${fact}`, () => withBackend(test, options));
  }

  guarantee("counts blocks that repair opened apart from those of the window, until they end", async ({ open }) => {
    const queue = await open();
    const office = await elected(queue);
    const opened = async () => (await queue.stats()).open;
    await queue.enqueue(planOf(1, 1), office);
    for (const number of [2, 3, 4]) await queue.enqueue(planOf(number, 1, { class: "reprocess_forwards" }), office);
    assert.deepEqual(await opened(), { forwards: 1, backwards: 0, repair: 3 });
    const leases = new Map((await queue.fetch(4)).map((lease) => [lease.task.blockNumber, lease]));
    await leases.get(2)!.settle({ outcome: "done" });
    await leases.get(3)!.settle({ outcome: "dead", failure: FAILURE });
    await queue.orphan(blockRef(4), office);
    await leases.get(1)!.settle({ outcome: "dead", failure: FAILURE });
    assert.deepEqual(await opened(), { forwards: 0, backwards: 0, repair: 0 });
    await queue.replay((await queue.deadLetters(1)).map(({ id }) => id));
    assert.deepEqual(await opened(), { forwards: 0, backwards: 0, repair: 1 });
    await queue.enqueue(planOf(1, 1, { class: "reprocess_forwards" }), office);
    assert.deepEqual(await opened(), { forwards: 0, backwards: 0, repair: 2 }, "what was stuck is out of the window");
  });

  guarantee("has a complete block verified anew that is reprocessed, after the delay, once", async ({ open, pass }) => {
    const queue = await open();
    const plan = (taskClass: TaskClass) => planOf(1, 2, { class: taskClass, verifyDelayMs: HOUR_MS });
    await queue.enqueue(plan("process_forwards"), await elected(queue));
    await (await only(queue.fetch(5))).settle({ outcome: "done" });
    await pass(HOUR_MS);
    await (await only(queue.fetch(5))).settle({ outcome: "done" });
    const office = await elected(queue);
    await queue.enqueue(plan("reprocess_forwards"), office);
    const processing = await only(queue.fetch(5));
    assert.equal(processing.task.class, "reprocess_forwards");
    assert.equal((await queue.enqueue(plan("reprocess_forwards"), office)).duplicate, 1);
    await processing.settle({ outcome: "done" });
    assert.equal((await queue.stats()).delayed, 1);
    await pass(HOUR_MS);
    assert.equal((await only(queue.fetch(5))).task.kind, "verify");
  });

  guarantee("has a block verified anew whose verification is done, once at a time", async ({ open }) => {
    const queue = await open();
    const office = await elected(queue);
    const plan = planOf(1, 3, { kind: "verify", class: "verify_forwards" });
    for (let round = 0; round < 2; round++) {
      assert.equal((await queue.enqueue(plan, office)).enqueued, 1);
      assert.equal((await queue.enqueue(plan, office)).duplicate, 1);
      await (await only(queue.fetch(5))).settle({ outcome: "done" });
    }
    await queue.enqueue(plan, office);
    await (await only(queue.fetch(5))).settle({ outcome: "dead", failure: FAILURE });
    assert.equal((await queue.enqueue(plan, office)).dead, 1, "a dead letter waits for a person");
  });

  guarantee("counts a block that is open for two kinds of work once, until both are done", async ({ open }) => {
    const queue = await open();
    const office = await elected(queue);
    const openBlocks = async () => (await queue.stats()).open.forwards;
    for (const number of [1, 2]) {
      for (const kind of ["trace", "simple"] as const) await queue.enqueue(planOf(number, 3, { kind }), office);
    }
    assert.equal(await openBlocks(), 2);
    const leases = await queue.fetch(4);
    const first = leases.filter(({ task }) => task.blockNumber === 1);
    await first[0]!.settle({ outcome: "done" });
    assert.equal(await openBlocks(), 2);
    await first[1]!.settle({ outcome: "done" });
    assert.equal(await openBlocks(), 1);
    await queue.orphan(blockRef(2), office);
    assert.equal(await openBlocks(), 0);
  });

  guarantee("hands a task out once, and settles it once", async ({ open }) => {
    const queue = await open();
    const office = await elected(queue);
    const receipt = await queue.enqueue(planOf(1, 3), office);
    assert.deepEqual(receipt, { state: "open", enqueued: 1, duplicate: 0, done: 0, dead: 0 });
    const lease = await only(queue.fetch(5));
    assert.equal(taskId(lease.task), "trace:1:aaaaaaaa:0-2");
    assert.equal(lease.task.network, "testnet");
    assert.equal(lease.task.class, "process_forwards");
    assert.deepEqual([lease.task.attempts, lease.task.recoveries, lease.task.failedNodes], [0, 0, []]);
    assert.equal(lease.firstDelivery, true);
    assert.deepEqual(await queue.fetch(5), []);
    assert.equal(await lease.settle({ outcome: "done" }), "settled");
    assert.equal(await lease.settle({ outcome: "dead", failure: FAILURE }), "settled", "the first settlement counts");
    await lease.ended;
    assert.equal(await waitingTasks(queue), 0);
    assert.deepEqual(await told(queue), ["trace 1 complete 3"]);
    assert.deepEqual(await told(queue), []);
  });

  guarantee("never claims more than is free", async ({ open }) => {
    const queue = await open();
    const office = await elected(queue);
    for (const taskClass of ["process_forwards", "reprocess_forwards", "verify_forwards"] as const) {
      const ranges = Array.from({ length: 20 }, (_, first) => ({ first, last: first }));
      await queue.enqueue(planOf(taskClass.length, 20, { class: taskClass, ranges }), office);
    }
    assert.equal((await queue.fetch(0)).length, 0);
    for (const free of [1, 2, 3, 7, 19]) assert.equal((await queue.fetch(free)).length, free);
    assert.equal((await queue.fetch(100)).length, 28);
  });

  guarantee("picks by weight, lends what a class does not use, and starves none", async ({ open }) => {
    const queue = await open();
    const offices = { forwards: await elected(queue), backwards: await elected(queue, "backwards") };
    const wanted = ["reprocess_forwards", "process_forwards", "process_backwards", "verify_forwards"] as const;
    const ranges = Array.from({ length: 400 }, (_, first) => ({ first, last: first }));
    for (const [number, taskClass] of wanted.entries()) {
      await queue.enqueue(planOf(number, 400, { class: taskClass, ranges }), offices[modeOf(taskClass)]);
    }
    const picks = new Map<string, number>();
    for (let claim = 0; claim < 360; claim++) {
      const { task } = await only(queue.fetch(1));
      picks.set(task.class, (picks.get(task.class) ?? 0) + 1);
    }
    const sum = 20 + 10 + 5 + 1;
    for (
      const [taskClass, weight] of [["reprocess_forwards", 20], ["process_forwards", 10], [
        "process_backwards",
        5,
      ]] as const
    ) {
      const expected = 360 * weight / sum;
      const actual = picks.get(taskClass) ?? 0;
      assert.ok(Math.abs(actual - expected) < 0.35 * expected, `${taskClass}: ${actual} picks, expected ${expected}`);
    }
    assert.ok((picks.get("verify_forwards") ?? 0) > 0, "the least is picked too");
    const rest = await queue.fetch(2000);
    assert.equal(rest.length, 1600 - 360, "all that is there is lent");
  });

  guarantee("keeps to the cap in flight of a class", async ({ open }) => {
    const queue = await open();
    const office = await elected(queue);
    const ranges = Array.from({ length: 10 }, (_, first) => ({ first, last: first }));
    await queue.enqueue(planOf(1, 10, { class: "verify_forwards", ranges }), office);
    const [first, second, ...more] = await queue.fetch(10);
    assert.ok(first !== undefined && second !== undefined);
    assert.deepEqual(more, []);
    await first.settle({ outcome: "done" });
    assert.equal((await queue.fetch(10)).length, 1);
  }, { ...OPTIONS, inFlight: { ...everyClass(1000), verify_forwards: 2 } });

  guarantee("keeps to the cap in flight of a class however many claims are under way", async ({ open }) => {
    const queue = await open();
    const office = await elected(queue);
    const ranges = Array.from({ length: 10 }, (_, first) => ({ first, last: first }));
    await queue.enqueue(planOf(1, 10, { class: "verify_forwards", ranges }), office);
    await queue.enqueue(planOf(2, 10, { ranges }), office);
    const claims = await Promise.all([1, 2, 3, 4].map(() => queue.fetch(4)));
    const classes = Map.groupBy(claims.flat(), ({ task }) => task.class);
    assert.equal(classes.get("verify_forwards")?.length, 2);
    assert.equal(classes.get("process_forwards")?.length, 10, "what is not at its cap is all claimed");
    assert.ok(claims.every((claimed) => claimed.length <= 4));
  }, { ...OPTIONS, inFlight: { ...everyClass(1000), verify_forwards: 2 } });

  guarantee("refuses enqueue, orphan and requests of who does not lead", async ({ open, pass }) => {
    const queue = await open();
    const office = await elected(queue);
    await assert.rejects(queue.enqueue(planOf(1, 1), { ...office, token: office.token - 1 }), NotLeaderError);
    await assert.rejects(queue.enqueue(planOf(1, 1), { ...office, holder: "another" }), NotLeaderError);
    await assert.rejects(queue.enqueue(planOf(1, 1), { ...office, mode: "backwards" }), NotLeaderError);
    await assert.rejects(queue.orphan(blockRef(1), { ...office, token: 1 }), NotLeaderError);
    await assert.rejects(queue.requests({ ...office, token: 1 }, 1), NotLeaderError);
    await assert.rejects(queue.answered({ ...office, token: 1 }, []), NotLeaderError);
    await pass(OPTIONS.leaderTtlMs);
    await assert.rejects(queue.enqueue(planOf(1, 1), office), NotLeaderError);
    const next = await queue.lead("forwards", "successor");
    assert.ok(next !== undefined && next.token > office.token, "tokens of terms grow");
    await assert.rejects(queue.enqueue(planOf(1, 1), office), NotLeaderError);
    assert.equal(await queue.renew(office), false);
    await queue.resign(office);
    assert.equal(
      (await queue.enqueue(planOf(1, 1), next)).enqueued,
      1,
      "a deposed leader cannot end its successor's term",
    );
  });

  guarantee("has one leader a direction, who may renew and resign", async ({ open, pass }) => {
    const [one, other] = [await open(), await open()];
    const office = await one.lead("forwards", "one");
    assert.ok(office !== undefined);
    assert.equal(await other.lead("forwards", "other"), undefined);
    assert.ok(await other.lead("backwards", "other") !== undefined, "the other direction is another office");
    assert.deepEqual(await one.lead("forwards", "one"), office, "asked twice, one term");
    await pass(OPTIONS.leaderTtlMs * 0.7);
    assert.equal(await one.renew(office), true);
    await pass(OPTIONS.leaderTtlMs * 0.7);
    assert.equal(await other.lead("forwards", "other"), undefined);
    await one.resign(office);
    assert.equal(await one.renew(office), false);
    const next = await other.lead("forwards", "other");
    assert.ok(next !== undefined && next.token > office.token);
  });

  guarantee("keeps a task unique while it waits, runs, is delayed and is dead", async ({ open }) => {
    const queue = await open();
    const office = await elected(queue);
    const again = async () => {
      const { enqueued, duplicate, dead } = await queue.enqueue(planOf(1, 1), office);
      return [enqueued, duplicate, dead];
    };
    assert.deepEqual(await again(), [1, 0, 0]);
    assert.deepEqual(await again(), [0, 1, 0], "waiting");
    const lease = await only(queue.fetch(1));
    assert.deepEqual(await again(), [0, 1, 0], "in flight");
    await lease.settle({ outcome: "release", delayMs: 0 });
    assert.deepEqual(await again(), [0, 1, 0], "delayed");
    const second = await only(queue.fetch(1));
    await second.settle({ outcome: "dead", failure: FAILURE });
    assert.deepEqual(await again(), [0, 0, 1], "dead");
    assert.equal((await queue.fetch(9)).length, 0);
  });

  guarantee("two forks of one height are two blocks", async ({ open }) => {
    const queue = await open();
    const office = await elected(queue);
    await queue.enqueue(planOf(1, 2), office);
    const receipt = await queue.enqueue(planOf(1, 2, blockRef(1, "b")), office);
    assert.equal(receipt.enqueued, 1);
    for (const lease of await queue.fetch(2)) await lease.settle({ outcome: "done" });
    assert.deepEqual(await told(queue), ["trace 1 complete 2", "trace 1 complete 2"]);
  });

  guarantee("an empty block completes at once", async ({ open }) => {
    const queue = await open();
    const office = await elected(queue);
    assert.equal((await queue.enqueue(planOf(5, 0), office)).state, "complete");
    assert.deepEqual(await told(queue), ["trace 5 complete 0"]);
    assert.deepEqual((await queue.stats()).open, { forwards: 0, backwards: 0, repair: 0 });
  });

  guarantee("a block planned in chunks does not complete before its last chunk is done", async ({ open }) => {
    const queue = await open();
    const office = await elected(queue);
    await queue.enqueue(planOf(1, 4, { ranges: [{ first: 0, last: 1 }] }), office);
    await (await only(queue.fetch(9))).settle({ outcome: "done" });
    assert.deepEqual(await told(queue), []);
    await queue.enqueue(planOf(1, 4, { ranges: [{ first: 2, last: 3 }] }), office);
    await (await only(queue.fetch(9))).settle({ outcome: "done" });
    assert.deepEqual(await told(queue), ["trace 1 complete 4"]);
  });

  guarantee("more ranges than one message holds", async ({ open }) => {
    const queue = await open();
    const office = await elected(queue);
    const ranges = Array.from({ length: 601 }, (_, first) => ({ first, last: first }));
    assert.equal((await queue.enqueue(planOf(1, 601, { ranges }), office)).enqueued, 601);
    assert.equal((await queue.enqueue(planOf(1, 601, { ranges }), office)).duplicate, 601);
    const leases = await queue.fetch(1000);
    assert.equal(leases.length, 601);
    await Promise.all(leases.map((lease) => lease.settle({ outcome: "done" })));
    assert.deepEqual(await told(queue), ["trace 1 complete 601"]);
  });

  guarantee("overlapping plans count every transaction once, and finished work is not handed out", async ({ open }) => {
    const queue = await open();
    const office = await elected(queue);
    const ranges = [{ first: 0, last: 9 }, { first: 0, last: 4 }, { first: 3, last: 12 }, { first: 9, last: 20 }];
    await queue.enqueue(planOf(1, 21, { ranges }), office);
    const leases = await queue.fetch(3);
    assert.deepEqual(leases.map(({ task }) => `${task.first}-${task.last}`), ["0-9", "0-4", "3-12"]);
    for (const lease of leases) {
      assert.equal(await lease.settle({ outcome: "done" }), "settled");
      assert.deepEqual(await told(queue), []);
    }
    await queue.enqueue(planOf(1, 21, { ranges: [{ first: 13, last: 20 }] }), office);
    const [wide, rest] = await queue.fetch(2);
    assert.ok(wide !== undefined && rest !== undefined);
    await wide.settle({ outcome: "done" });
    assert.deepEqual(await told(queue), ["trace 1 complete 21"]);
    assert.equal(await rest.settle({ outcome: "done" }), "settled");
    assert.deepEqual(await told(queue), [], "completes once");
    const receipt = await queue.enqueue(planOf(1, 21, { ranges: [{ first: 0, last: 20 }] }), office);
    assert.deepEqual([receipt.state, receipt.enqueued], ["complete", 0]);
    assert.deepEqual(await told(queue), ["trace 1 complete 21"], "told again to who asks again");
  });

  guarantee("a task whose transactions another range has done is settled without work", async ({ open }) => {
    const queue = await open();
    const office = await elected(queue);
    await queue.enqueue(planOf(1, 10, { ranges: [{ first: 0, last: 9 }, { first: 2, last: 3 }] }), office);
    const whole = await only(queue.fetch(1));
    assert.equal(whole.task.last, 9);
    await whole.settle({ outcome: "done" });
    assert.deepEqual(await queue.fetch(5), []);
    const { counters, classes } = await queue.stats();
    assert.equal(counters.skipped, 1);
    assert.equal(classes.process_forwards.waiting + classes.process_forwards.inFlight, 0);
  });

  guarantee("a plan of another size for a known block is refused", async ({ open }) => {
    const queue = await open();
    const office = await elected(queue);
    await queue.enqueue(planOf(1, 3), office);
    await assert.rejects(queue.enqueue(planOf(1, 4), office), { name: "BlockPlanError", code: "block_plan" });
  });

  guarantee("tokens grow with every delivery", async ({ open, pass }) => {
    const [one, other] = [await open(), await open()];
    const office = await elected(one);
    let last = 0;
    for (let number = 0; number < 5; number++) await one.enqueue(planOf(number, 1), office);
    const grows = ({ token }: Lease) => {
      assert.ok(token > last && Number.isSafeInteger(token), `${token} after ${last}`);
      last = token;
    };
    for (const lease of await one.fetch(5)) {
      grows(lease);
      if (lease.task.blockNumber % 2 === 0) await lease.settle({ outcome: "release", delayMs: 0 });
    }
    (await other.fetch(5)).forEach(grows);
    await pass(OPTIONS.leaseMs);
    (await other.fetch(5)).forEach(grows);
  });

  guarantee("a vanished process loses nothing: its lease runs out, the crash is counted apart", async (backend) => {
    const [dead, alive] = [await backend.open(), await backend.open()];
    await dead.enqueue(planOf(1, 2), await elected(dead));
    const lost = await only(dead.fetch(1));
    await backend.crash(dead);
    assert.ok(lost.signal.aborted);
    assert.equal(await lost.settle({ outcome: "done" }), "stale");
    await backend.pass(OPTIONS.leaseMs - 60_000);
    assert.deepEqual(await alive.fetch(1), []);
    await backend.pass(60_000);
    const lease = await only(alive.fetch(1));
    assert.deepEqual([lease.task.attempts, lease.task.recoveries, lease.firstDelivery], [0, 1, false]);
    assert.ok(lease.token > lost.token);
    assert.equal(await lease.settle({ outcome: "done" }), "settled");
    assert.deepEqual(await told(alive), ["trace 1 complete 2"]);
    assert.equal((await alive.stats()).counters.recovered, 1);
  });

  guarantee("an owner whose lease was taken over is refused, whatever it says", async (backend) => {
    const [slow, quick] = [await backend.open(), await backend.open()];
    const office = await elected(slow);
    for (const number of [1, 2, 3, 4]) await slow.enqueue(planOf(number, 2), office);
    const stale = await slow.fetch(4);
    await backend.pass(OPTIONS.leaseMs);
    const fresh = await quick.fetch(4);
    assert.equal(fresh.length, 4);
    const verdicts = await Promise.all([
      stale[0]?.settle({ outcome: "done" }),
      stale[1]?.settle({ outcome: "fail", failure: FAILURE }),
      stale[2]?.settle({ outcome: "dead", failure: FAILURE }),
      stale[3]?.settle({
        outcome: "split",
        done: [{ first: 0, last: 0 }],
        rest: [{ first: 1, last: 1 }],
        failure: FAILURE,
      }),
    ]);
    assert.deepEqual(verdicts, ["stale", "stale", "stale", "stale"]);
    assert.deepEqual(await told(quick), []);
    for (const lease of fresh) assert.equal(await lease.settle({ outcome: "done" }), "settled");
    assert.equal((await told(quick)).length, 4);
    const { counters, delayed, dead } = await quick.stats();
    assert.deepEqual([counters.stale, delayed, dead], [4, 0, 0]);
  });

  guarantee("a process that gets its own lost task again aborts the old work", async ({ open, pass }) => {
    const queue = await open();
    await queue.enqueue(planOf(1, 1), await elected(queue));
    const old = await only(queue.fetch(1));
    await pass(OPTIONS.leaseMs);
    const fresh = await only(queue.fetch(1));
    assert.ok(old.signal.aborted && old.signal.reason instanceof LeaseLostError);
    assert.equal(old.signal.reason.reason, "taken_over");
    await old.ended;
    assert.equal(await old.settle({ outcome: "done" }), "stale");
    assert.equal(await fresh.settle({ outcome: "done" }), "settled");
  });

  guarantee("a task that crashes its owners too often is dead", async (backend) => {
    const queue = await backend.open();
    await queue.enqueue(planOf(1, 1), await elected(queue));
    for (let crash = 0; crash <= OPTIONS.maxRecoveries; crash++) {
      const process = await backend.open();
      assert.equal((await only(process.fetch(1))).task.recoveries, crash);
      await backend.crash(process);
      await backend.pass(OPTIONS.leaseMs);
    }
    assert.deepEqual(await queue.fetch(1), []);
    const [letter] = await queue.deadLetters(10);
    assert.equal(letter?.failure.code, "crashed");
    assert.equal(letter?.task.recoveries, OPTIONS.maxRecoveries + 1);
    assert.deepEqual(await told(queue), ["trace 1 stuck 1"]);
  });

  guarantee("a failure comes back later and later, names the node, and is dead in the end", async ({ open, pass }) => {
    const queue = await open();
    await queue.enqueue(planOf(1, 1), await elected(queue));
    const first = await only(queue.fetch(1));
    assert.equal(await first.settle({ outcome: "fail", failure: { ...FAILURE, node: "geth, 1" } }), "settled");
    assert.deepEqual(await queue.fetch(1), []);
    assert.equal((await queue.stats()).delayed, 1);
    await pass(HOUR_MS / 2 - 60_000);
    assert.deepEqual(await queue.fetch(1), [], "at least half of the back-off");
    await pass(HOUR_MS / 2 + 60_000);
    const second = await only(queue.fetch(1));
    assert.deepEqual([second.task.attempts, second.task.recoveries], [1, 0]);
    assert.deepEqual(second.task.failedNodes, ["geth, 1"]);
    await second.settle({ outcome: "fail", failure: { ...FAILURE, node: "-" } });
    await pass(HOUR_MS - 60_000);
    assert.deepEqual(await queue.fetch(1), [], "twice as long");
    await pass(HOUR_MS + 60_000);
    const third = await only(queue.fetch(1));
    assert.deepEqual([third.task.attempts, third.task.failedNodes], [2, ["geth, 1", "-"]]);
    await third.settle({ outcome: "fail", failure: { code: "reverted", message: "it ends here" } });
    const [letter] = await queue.deadLetters(10);
    assert.deepEqual(letter?.failure, { code: "reverted", message: "it ends here" });
    assert.equal(letter?.task.attempts, 2);
    assert.deepEqual(await told(queue), ["trace 1 stuck 1"]);
    assert.equal((await queue.stats()).stuck, 1);
  });

  guarantee("release uses no attempt and no recovery", async ({ open, pass }) => {
    const queue = await open();
    await queue.enqueue(planOf(1, 1), await elected(queue));
    for (let release = 0; release < OPTIONS.maxAttempts + OPTIONS.maxRecoveries + 2; release++) {
      const lease = await only(queue.fetch(1));
      assert.deepEqual([lease.task.attempts, lease.task.recoveries], [0, 0]);
      assert.equal(lease.firstDelivery, release === 0);
      await lease.settle({ outcome: "release", delayMs: HOUR_MS });
      assert.deepEqual(await queue.fetch(1), []);
      await pass(HOUR_MS);
    }
  });

  guarantee("split keeps what is durable, and one transaction alone is dead-lettered alone", async ({ open, pass }) => {
    const queue = await open();
    await queue.enqueue(planOf(1, 8), await elected(queue));
    const lease = await only(queue.fetch(1));
    const verdict = await lease.settle({
      outcome: "split",
      done: [{ first: 0, last: 2 }],
      rest: [{ first: 3, last: 3 }, { first: 4, last: 7 }],
      failure: { ...FAILURE, node: "a" },
    });
    assert.equal(verdict, "settled");
    await pass(HOUR_MS);
    const [alone, others] = await queue.fetch(3);
    assert.ok(alone !== undefined && others !== undefined);
    assert.deepEqual([alone.task.first, alone.task.last, alone.task.attempts, alone.task.failedNodes], [3, 3, 1, [
      "a",
    ]]);
    assert.equal(alone.firstDelivery, false);
    assert.equal(await alone.settle({ outcome: "dead", failure: FAILURE }), "settled");
    assert.deepEqual(await told(queue), [], "others are open");
    await others.settle({ outcome: "done" });
    assert.deepEqual(await told(queue), ["trace 1 stuck 8"]);
    const [letter] = await queue.deadLetters(10);
    assert.deepEqual([letter?.task.first, letter?.task.last], [3, 3]);
  });

  guarantee("a range at its last attempt is halved until the one that fails is alone", async ({ open, pass }) => {
    const queue = await open();
    await queue.enqueue(planOf(1, 9), await elected(queue));
    const bad = 5;
    let claims = 0;
    while ((await queue.stats()).dead === 0) {
      await pass(4 * HOUR_MS);
      for (const lease of await queue.fetch(10)) {
        claims++;
        const fails = lease.task.first <= bad && bad <= lease.task.last;
        await lease.settle(fails ? { outcome: "fail", failure: FAILURE } : { outcome: "done" });
      }
      assert.ok(claims < 50, "ends");
    }
    await pass(4 * HOUR_MS);
    for (const lease of await queue.fetch(10)) await lease.settle({ outcome: "done" });
    const letters = await queue.deadLetters(10);
    assert.deepEqual(letters.map(({ task }) => [task.first, task.last]), [[bad, bad]]);
    assert.deepEqual(await told(queue), ["trace 1 stuck 9"]);
  });

  guarantee("replay brings a dead letter back fresh, and its block completes", async ({ open }) => {
    const queue = await open();
    const office = await elected(queue);
    await queue.enqueue(planOf(1, 2), office);
    await (await only(queue.fetch(1))).settle({ outcome: "dead", failure: FAILURE });
    assert.deepEqual(await told(queue), ["trace 1 stuck 2"]);
    const reconciled = await queue.enqueue(
      planOf(1, 2, { ranges: [{ first: 0, last: 0 }, { first: 1, last: 1 }] }),
      office,
    );
    assert.deepEqual([reconciled.state, reconciled.enqueued, reconciled.dead], ["stuck", 0, 2], "another plan neither");
    const [letter] = await queue.deadLetters(10);
    assert.ok(letter !== undefined);
    assert.deepEqual(await queue.deadLetter(letter.id), letter);
    assert.equal(await queue.replay([letter.id, "0-1"]), 1);
    assert.equal(await queue.replay([letter.id]), 0, "once");
    assert.equal(await queue.deadLetter(letter.id), undefined);
    const { stuck, open: blocks } = await queue.stats();
    assert.deepEqual([stuck, blocks.repair], [0, 1]);
    const lease = await only(queue.fetch(1));
    assert.deepEqual([lease.task.attempts, lease.firstDelivery], [0, false]);
    await lease.settle({ outcome: "done" });
    assert.deepEqual(await told(queue), ["trace 1 complete 2"]);
  });

  guarantee("drop forgets a dead letter, and the block stays stuck", async ({ open }) => {
    const queue = await open();
    const office = await elected(queue);
    await queue.enqueue(planOf(1, 2), office);
    await (await only(queue.fetch(1))).settle({ outcome: "dead", failure: FAILURE });
    const [letter] = await queue.deadLetters(10);
    assert.ok(letter !== undefined);
    assert.equal(await queue.drop([letter.id]), 1);
    const { enqueued, dead, state } = await queue.enqueue(planOf(1, 2), office);
    assert.deepEqual([enqueued, dead, state], [0, 1, "stuck"]);
    const { dead: letters, stuck } = await queue.stats();
    assert.deepEqual([letters, stuck], [0, 1]);
  });

  guarantee("dead letters are listed a page at a time", async ({ open }) => {
    const queue = await open();
    const ranges = [0, 1, 2, 3, 4].map((first) => ({ first, last: first }));
    await queue.enqueue(planOf(1, 5, { ranges }), await elected(queue));
    for (const lease of await queue.fetch(5)) await lease.settle({ outcome: "dead", failure: FAILURE });
    const first = await queue.deadLetters(3);
    const second = await queue.deadLetters(3, first[2]?.id);
    assert.deepEqual([...first, ...second].map(({ task }) => task.first), [0, 1, 2, 3, 4]);
    assert.deepEqual(await queue.deadLetters(3, second[1]?.id), []);
  });

  guarantee("reprocess passes done bits and dead letters, and counts nothing twice", async ({ open }) => {
    const queue = await open();
    const office = await elected(queue);
    await queue.enqueue(planOf(1, 3), office);
    await (await only(queue.fetch(1))).settle({ outcome: "done" });
    assert.deepEqual(await told(queue), ["trace 1 complete 3"]);
    const receipt = await queue.enqueue(planOf(1, 3, { class: "reprocess_forwards" }), office);
    assert.deepEqual([receipt.state, receipt.enqueued], ["complete", 1]);
    await (await only(queue.fetch(1))).settle({ outcome: "done" });
    assert.deepEqual(await told(queue), []);

    await queue.enqueue(planOf(2, 1), office);
    await (await only(queue.fetch(1))).settle({ outcome: "dead", failure: FAILURE });
    assert.deepEqual(await told(queue), ["trace 2 stuck 1"]);
    const back = await queue.enqueue(planOf(2, 1, { class: "reprocess_forwards" }), office);
    assert.deepEqual([back.state, back.enqueued], ["open", 1]);
    assert.equal((await queue.stats()).dead, 0);
    const lease = await only(queue.fetch(1));
    assert.equal(lease.firstDelivery, false);
    await lease.settle({ outcome: "done" });
    assert.deepEqual(await told(queue), ["trace 2 complete 1"]);
  });

  guarantee("verify follows a complete and a stuck block, after its delay", async ({ open, pass }) => {
    const queue = await open();
    const office = await elected(queue);
    await queue.enqueue(planOf(1, 3, { verifyDelayMs: HOUR_MS }), office);
    await queue.enqueue(planOf(2, 2, { verifyDelayMs: HOUR_MS }), office);
    const [one, two] = await queue.fetch(2);
    await one?.settle({ outcome: "done" });
    await two?.settle({ outcome: "dead", failure: FAILURE });
    assert.deepEqual(await told(queue), ["trace 1 complete 3", "trace 2 stuck 2"]);
    assert.deepEqual(await queue.fetch(5), []);
    await pass(HOUR_MS);
    const leases = await queue.fetch(5);
    assert.deepEqual(leases.map(({ task }) => taskId(task)), ["verify:1:aaaaaaaa:0-2", "verify:2:aaaaaaaa:0-1"]);
    assert.deepEqual(leases.map(({ task }) => task.class), ["verify_forwards", "verify_forwards"]);
    for (const lease of leases) await lease.settle({ outcome: "done" });
    assert.deepEqual(await told(queue), ["verify 1 complete 3", "verify 2 complete 2"]);
    const { open: blocks, stuck } = await queue.stats();
    assert.deepEqual([blocks, stuck], [{ forwards: 0, backwards: 0, repair: 0 }, 1]);
  });

  guarantee("an orphaned block loses its tasks wherever they are", async ({ open, pass }) => {
    const queue = await open();
    const office = await elected(queue);
    const ranges = [0, 1, 2, 3].map((first) => ({ first, last: first }));
    await queue.enqueue(planOf(1, 4, { ranges }), office);
    await queue.enqueue(planOf(11, 1), office);
    const [flying, delayed, dead] = await queue.fetch(3);
    await delayed?.settle({ outcome: "release", delayMs: HOUR_MS });
    await dead?.settle({ outcome: "dead", failure: FAILURE });
    assert.equal(await queue.orphan(blockRef(1), office), 4);
    assert.equal(await queue.orphan(blockRef(1), office), 0, "asked twice");
    assert.equal(await flying?.settle({ outcome: "done" }), "orphaned");
    await pass(2 * HOUR_MS);
    const left = await only(queue.fetch(9));
    assert.equal(left.task.blockNumber, 11);
    const stats = await queue.stats();
    assert.deepEqual([stats.delayed, stats.dead, stats.open.forwards], [0, 0, 1]);
    assert.deepEqual(await told(queue), []);
  });

  guarantee("a task that finds its block gone ends as orphaned and counts as nothing", async ({ open }) => {
    const queue = await open();
    await queue.enqueue(planOf(1, 2), await elected(queue));
    const lease = await only(queue.fetch(1));
    assert.equal(await lease.settle({ outcome: "orphaned" }), "orphaned");
    const { delayed, dead, counters } = await queue.stats();
    assert.deepEqual([delayed, dead, counters.orphaned], [0, 0, 1]);
    assert.deepEqual(await told(queue), []);
  });

  guarantee("a fork that comes back is processed anew", async ({ open }) => {
    const queue = await open();
    const office = await elected(queue);
    await queue.enqueue(planOf(1, 2), office);
    await (await only(queue.fetch(1))).settle({ outcome: "done" });
    assert.deepEqual(await told(queue), ["trace 1 complete 2"]);
    await queue.orphan(blockRef(1), office);
    const receipt = await queue.enqueue(planOf(1, 2), office);
    assert.deepEqual([receipt.state, receipt.enqueued], ["open", 1]);
    await (await only(queue.fetch(1))).settle({ outcome: "done" });
    assert.deepEqual(await told(queue), ["trace 1 complete 2"]);
  });

  guarantee("pause and resume by class", async ({ open }) => {
    const queue = await open();
    const office = await elected(queue);
    await queue.enqueue(planOf(1, 1), office);
    await queue.enqueue(planOf(2, 1, { class: "verify_forwards" }), office);
    await queue.pause(["process_forwards"]);
    assert.equal((await queue.stats()).classes.process_forwards.paused, true);
    assert.equal((await only(queue.fetch(5))).task.blockNumber, 2);
    await queue.resume(["process_forwards"]);
    assert.equal((await only(queue.fetch(5))).task.blockNumber, 1);
  });

  guarantee("a rate limit holds over time", async ({ open, pass }) => {
    const queue = await open();
    const ranges = Array.from({ length: 50 }, (_, first) => ({ first, last: first }));
    await queue.enqueue(planOf(1, 50, { ranges }), await elected(queue));
    await queue.limit(0.002);
    assert.equal((await queue.stats()).limitPerSecond, 0.002);
    assert.equal((await queue.fetch(50)).length, 1, "one at the beginning");
    assert.equal((await queue.fetch(50)).length, 0);
    await pass(500_000);
    assert.equal((await queue.fetch(50)).length, 1);
    await pass(HOUR_MS);
    assert.equal((await queue.fetch(50)).length, 1, "what was not used is not saved up");
    await queue.limit(undefined);
    assert.equal((await queue.fetch(50)).length, 47);
  });

  guarantee("requests reach the leader of their direction, once a key", async ({ open, pass }) => {
    const [asker, leader] = [await open(), await open()];
    assert.equal(await asker.request({ key: "k1", mode: "forwards", body: "{}" }), true);
    assert.equal(await asker.request({ key: "k1", mode: "forwards", body: "{}" }), false);
    assert.equal(await asker.request({ key: "k2", mode: "backwards", body: "2" }), true);
    assert.equal(await asker.request({ key: "k3", body: "3" }), true);
    const back = await elected(leader, "backwards");
    assert.deepEqual((await leader.requests(back, 10)).map(({ key }) => key), ["k2", "k3"], "nobody leads forwards");
    const office = await elected(leader);
    const forwards = await leader.requests(office, 10);
    assert.deepEqual(forwards.map(({ key, mode, body }) => [key, mode, body]), [["k1", "forwards", "{}"], [
      "k3",
      undefined,
      "3",
    ]]);
    assert.deepEqual((await leader.requests(back, 10)).map(({ key }) => key), ["k2"]);
    assert.deepEqual((await leader.requests(office, 1)).map(({ key }) => key), ["k1"]);
    await leader.answered(office, forwards);
    assert.deepEqual(await leader.requests(office, 10), []);
    assert.equal((await leader.stats()).requests, 1);
    await pass(24 * HOUR_MS);
    assert.equal(await asker.request({ key: "k1", mode: "forwards", body: "{}" }), true, "a day later it is another");
  });

  guarantee("completions that a reader took and did not confirm come again", async (backend) => {
    const [one, other] = [await backend.open(), await backend.open()];
    const signal = new AbortController().signal;
    await one.enqueue(planOf(1, 0), await elected(one));
    const [first] = await one.completions(10, signal);
    assert.equal(first?.blockNumber, 1);
    await backend.crash(one);
    await backend.pass(OPTIONS.leaseMs);
    const again = await other.completions(10, signal);
    assert.deepEqual(again, [first]);
    await other.confirm(again);
    assert.equal((await other.stats()).completions, 0);
  });

  guarantee("completions() waits, and ends with its signal", async ({ open }) => {
    const queue = await open();
    const office = await elected(queue);
    const end = new AbortController();
    const waiting = queue.completions(10, end.signal);
    await queue.enqueue(planOf(1, 0), office);
    assert.equal((await waiting)[0]?.blockNumber, 1);
    const forNothing = queue.completions(10, end.signal);
    end.abort();
    assert.deepEqual(await forNothing, []);
  });

  guarantee("idle() ends when work arrives, when a delay shortens, and with its signal", async ({ open }) => {
    const [worker, leader] = [await open(), await open()];
    const office = await elected(leader);
    const end = new AbortController();
    await worker.idle(AbortSignal.abort());
    const arrival = worker.idle(end.signal);
    await leader.enqueue(planOf(1, 1), office);
    await arrival;
    const lease = await only(worker.fetch(1));
    assert.deepEqual(await worker.fetch(1), []);
    const delay = worker.idle(end.signal);
    await lease.settle({ outcome: "release", delayMs: HOUR_MS });
    await delay;
    const aborted = worker.idle(end.signal);
    end.abort();
    await aborted;
  }, { ...OPTIONS, reclaimMs: 10_000 });

  guarantee("stats() tells what waits, runs and is open", async ({ open, pass }) => {
    const queue = await open();
    const back = await elected(queue, "backwards");
    await queue.enqueue(planOf(1, 1, { class: "process_backwards" }), back);
    await queue.enqueue(planOf(2, 1, { class: "process_backwards" }), back);
    await queue.fetch(1);
    const { classes, open: blocks } = await queue.stats();
    assert.deepEqual(
      [classes.process_backwards.waiting, classes.process_backwards.inFlight, blocks],
      [1, 1, { forwards: 0, backwards: 2, repair: 0 }],
    );
    await pass(1);
    assert.ok((await queue.stats()).classes.process_backwards.oldestWaitMs >= 0);
  });

  guarantee("close() ends waits and leases in hand", async ({ open }) => {
    const queue = await open();
    await queue.enqueue(planOf(1, 1), await elected(queue));
    const lease = await only(queue.fetch(1));
    const never = new AbortController().signal;
    const waits = [queue.completions(1, never), queue.idle(never)];
    await queue.close();
    await Promise.all(waits);
    assert.ok(lease.signal.aborted);
    assert.equal(lease.signal.reason.reason, "closed");
    assert.equal(await lease.settle({ outcome: "done" }), "stale");
  });
}
