import assert from "node:assert/strict";
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
