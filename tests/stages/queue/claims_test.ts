import assert from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import { Claims } from "../../../src/stages/queue/claims.ts";
import { MemoryNetwork, MemoryQueue } from "../../../src/stages/queue/memory.ts";
import type { Lease, QueueOptions } from "../../../src/stages/queue/port.ts";
import { fixedRandom, OPTIONS } from "../../contracts/work_queue_backends.ts";
import { elected, planOf } from "../../contracts/work_queue_contract.ts";
import { FakeClock } from "./fake_clock.ts";

const never = new AbortController().signal;

/** Networks of one process, each with tasks of one transaction. */
async function withQueues(
  tasks: Readonly<Record<string, number>>,
  test: (queues: readonly MemoryQueue[], clock: FakeClock) => Promise<void>,
  options: QueueOptions = OPTIONS,
): Promise<void> {
  const clock = new FakeClock(1_700_000_000_000);
  const queues: MemoryQueue[] = [];
  try {
    for (const [network, count] of Object.entries(tasks)) {
      const state = new MemoryNetwork(network, options, clock, 0);
      const queue = new MemoryQueue(state, network, "c", options, clock, fixedRandom());
      queues.push(queue);
      const ranges = Array.from({ length: count }, (_, first) => ({ first, last: first }));
      if (count > 0) await queue.enqueue(planOf(1, count, { ranges }), await elected(queue));
    }
    await test(queues, clock);
  } finally {
    await Promise.all(queues.map((queue) => queue.close()));
  }
}

async function take(claims: Claims, count: number): Promise<Lease[]> {
  const leases = await Promise.all(Array.from({ length: count }, () => claims.next(never)));
  return leases.map((lease) => lease!);
}

function networks(leases: readonly Lease[]): Record<string, number> {
  return Object.fromEntries(
    [...Map.groupBy(leases, ({ task }) => task.network)].map(([name, group]) => [name, group.length]),
  );
}

/** A queue whose claims wait until they are answered. */
function slowly(queue: MemoryQueue) {
  const answers: PromiseWithResolvers<void>[] = [];
  const asked: number[] = [];
  const slow = new Proxy(queue, {
    get(target, name) {
      if (name !== "fetch") return Reflect.get(target, name, target);
      return async (free: number) => {
        asked.push(free);
        const answer = Promise.withResolvers<void>();
        answers.push(answer);
        await answer.promise;
        return await target.fetch(free);
      };
    },
  });
  return { asked, answers, slow };
}

Deno.test("lanes are shared fairly by the networks of a process, however much one of them has to do", () =>
  withQueues({ busy: 5_000, calm: 300 }, async (queues) => {
    const claims = new Claims(queues, () => Infinity, 2);
    const claimed: Lease[] = [];
    const lane = async () => {
      while (claimed.length < 500) {
        const lease = (await claims.next(never))!;
        claimed.push(lease);
        await lease.settle({ outcome: "done" });
      }
    };
    await Promise.all(Array.from({ length: 8 }, lane));
    const { calm } = networks(claimed);
    assert.ok(calm! >= 200 && calm! <= 300, `${calm} of ${claimed.length} claims`);
  }));

Deno.test("an idle network costs the others nothing", () =>
  withQueues({ idle: 0, busy: 20 }, async (queues) => {
    const claims = new Claims(queues, () => Infinity, 2);
    assert.deepEqual(networks(await take(claims, 20)), { busy: 20 });
  }));

Deno.test("nothing is claimed for a network beyond its capacity", () =>
  withQueues({ one: 20, two: 20 }, async (queues) => {
    const claims = new Claims(queues, (network) => network === "one" ? 0 : Infinity, 2);
    assert.deepEqual(networks(await take(claims, 6)), { two: 6 });
    assert.equal((await queues[0]!.stats()).classes.process_forwards.inFlight, 0);
  }));

Deno.test("a lane that waits gets work when it arrives, and leaves when it is drained", () =>
  withQueues({ one: 0 }, async ([queue]) => {
    const claims = new Claims([queue!], () => Infinity, 2);
    const drain = new AbortController();
    const waiting = claims.next(never);
    const leaving = claims.next(drain.signal);
    drain.abort();
    assert.equal(await leaving, undefined);
    await queue!.enqueue(planOf(1, 1), await elected(queue!));
    assert.equal((await waiting)!.task.blockNumber, 1);
    assert.equal(await claims.next(drain.signal), undefined, "nothing is claimed after the drain");
  }));

Deno.test("a task that was in crashes runs while nothing else does", () =>
  withQueues({ one: 3 }, async ([queue], clock) => {
    for (let crashes = 0; crashes < 2; crashes++) {
      const [suspect] = await queue!.fetch(1);
      assert.equal(suspect!.task.recoveries, crashes);
      clock.advance(OPTIONS.leaseMs + 1); // its owner is gone
    }
    const claims = new Claims([queue!], () => Infinity, 2);
    const asked = [claims.next(never), claims.next(never), claims.next(never)];
    const alone: number[] = [];
    await Promise.all(asked.map(async (next) => {
      const lease = (await next)!;
      if (lease.task.recoveries >= 2) alone.push((await queue!.stats()).classes.process_forwards.inFlight);
      await lease.settle({ outcome: "done" });
    }));
    assert.deepEqual(alone, [1]);
  }, { ...OPTIONS, maxRecoveries: 5 }));

Deno.test("a task that waits to run alone does not stand still, and goes back with its crashes when the lanes drain", () =>
  withQueues({ one: 2 }, async ([queue], clock) => {
    for (let crashes = 0; crashes < 2; crashes++) {
      await queue!.fetch(1);
      clock.advance(OPTIONS.leaseMs + 1); // its owner is gone
    }
    const claims = new Claims([queue!], () => Infinity, 2);
    const drain = new AbortController();
    const [running, ...waiting] = [1, 2].map(() => claims.next(drain.signal));
    assert.equal((await running)!.task.recoveries, 0);
    const inFlight = async () => (await queue!.stats()).classes.process_forwards.inFlight;
    clock.advance(3 * OPTIONS.stallTimeoutMs);
    queue!.beat();
    assert.equal(await inFlight(), 1, "what runs here does not move");
    drain.abort();
    assert.deepEqual(await Promise.all(waiting), [undefined]);
    assert.equal(await inFlight(), 0);
    const released = (await queue!.fetch(2)).find(({ task }) => task.recoveries > 0);
    assert.equal(released?.task.recoveries, 2);
  }, { ...OPTIONS, maxRecoveries: 5 }));

for (const lanes of [400, 128]) {
  Deno.test(`where ${lanes} lanes wait a second claim is under way before the first has brought anything, and no third`, () =>
    withQueues({ one: 500 }, async ([queue]) => {
      const { asked, answers, slow } = slowly(queue!);
      const claims = new Claims([slow], () => Infinity, 2);
      const taken = take(claims, lanes);
      while (answers.length < 2) await setImmediate();
      for (let turns = 0; turns < 10; turns++) await setImmediate();
      assert.equal(asked.length, 2);
      assert.ok(asked[0]! + asked[1]! <= lanes);
      let served = 0;
      void taken.then(() => served = lanes);
      for (let next = 0; served < lanes;) {
        if (next < answers.length) answers[next++]!.resolve();
        await setImmediate();
      }
      assert.equal((await taken).length, lanes);
      assert.equal((await queue!.stats()).classes.process_forwards.inFlight, lanes, "no more than there are lanes");
    }));
}

Deno.test("few lanes claim together", () =>
  withQueues({ one: 500 }, async ([queue]) => {
    const { asked, answers, slow } = slowly(queue!);
    const taken = take(new Claims([slow], () => Infinity, 2), 64);
    while (answers.length < 1) await setImmediate();
    for (let turns = 0; turns < 10; turns++) await setImmediate();
    assert.deepEqual(asked, [64]);
    answers[0]!.resolve();
    assert.equal((await taken).length, 64);
  }));
