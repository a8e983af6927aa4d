/**
 * Memory and Redis agree: the same steps, in any order and from several processes, have the same answers on both. And
 * whatever the steps are, the promises hold: tokens grow, no block is complete before its last transaction is done.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import {
  type Lease,
  type Office,
  type Settlement,
  TASK_CLASSES,
  type TaskClass,
  taskId,
  type TransactionRange,
  type WorkQueue,
} from "../../src/stages/queue/port.ts";
import { type Backend, withMemoryBackend, withRedisBackends } from "./work_queue_backends.ts";
import { blockRef } from "./work_queue_contract.ts";

const HOUR_MS = 3_600_000;
const PROCESSES = 2;
const BLOCKS = 3;
const TRANSACTIONS = 12;
const FAILURE = { code: "failed", message: "it failed" };
/** Each run is a network of its own, and neither a server nor its processes forget one. */
const RUNS_PER_SERVER = 200;

type Step =
  | { readonly do: "enqueue"; readonly block: number; readonly class: TaskClass; readonly cuts: readonly number[] }
  | { readonly do: "fetch"; readonly process: number; readonly free: number }
  | { readonly do: "settle"; readonly process: number; readonly lease: number; readonly how: Settlement["outcome"] }
  | { readonly do: "crash"; readonly process: number }
  | { readonly do: "pass"; readonly hours: number }
  | { readonly do: "orphan"; readonly block: number }
  | { readonly do: "replay" }
  | { readonly do: "drop" }
  | { readonly do: "pause"; readonly class: TaskClass }
  | { readonly do: "resume"; readonly class: TaskClass }
  | { readonly do: "elect" }
  | { readonly do: "confirm" };

const block = fc.nat(BLOCKS - 1);
const process = fc.nat(PROCESSES - 1);
const forwards = fc.constantFrom(...TASK_CLASSES.filter((name) => name.endsWith("_forwards")));

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("enqueue" as const),
      block,
      class: forwards,
      cuts: fc.uniqueArray(fc.integer({ min: 1, max: TRANSACTIONS - 1 }), { maxLength: 3 }),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant("fetch" as const), process, free: fc.integer({ min: 1, max: 6 }) }),
  },
  {
    weight: 10,
    arbitrary: fc.record({
      do: fc.constant("settle" as const),
      process,
      lease: fc.nat(5),
      how: fc.constantFrom("done", "done", "done", "split", "fail", "release", "dead", "orphaned"),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("crash" as const), process }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("pass" as const), hours: fc.integer({ min: 1, max: 5 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("orphan" as const), block }) },
  { weight: 1, arbitrary: fc.constant({ do: "replay" as const }) },
  { weight: 1, arbitrary: fc.constant({ do: "drop" as const }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("pause" as const), class: forwards }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("resume" as const), class: forwards }) },
  { weight: 1, arbitrary: fc.constant({ do: "elect" as const }) },
  { weight: 2, arbitrary: fc.constant({ do: "confirm" as const }) },
);

function rangesOf(cuts: readonly number[]): TransactionRange[] {
  const ends = [...[...cuts].sort((a, b) => a - b), TRANSACTIONS];
  return ends.map((end, index) => ({ first: index === 0 ? 0 : ends[index - 1] as number, last: end - 1 }));
}

function settlementOf(how: Settlement["outcome"], { first, last }: TransactionRange): Settlement {
  switch (how) {
    case "fail":
    case "dead":
      return { outcome: how, failure: { ...FAILURE, node: `node-${first}` } };
    case "release":
      return { outcome: how, delayMs: HOUR_MS };
    case "split": {
      const middle = Math.floor((first + last) / 2);
      const rest = middle < last ? [{ first: middle + 1, last }] : [{ first, last }];
      return { outcome: how, done: middle < last ? [{ first, last: middle }] : [], rest, failure: FAILURE };
    }
    case "done":
    case "orphaned":
      return { outcome: how };
  }
}

/** What a step did: its answer, and the figures after it. */
type Played = Readonly<Record<string, unknown>>;

/** Runs steps, and keeps what was answered and what must hold. */
class Player {
  readonly #backend: Backend;
  readonly #queues: WorkQueue[] = [];
  readonly #leases: Lease[][] = [];
  /** Transactions that were settled as done, by kind and block hash. */
  readonly #done = new Map<string, Set<number>>();
  #office: Office | undefined;
  #terms = 0;
  #lastToken = 0;

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  async begin(): Promise<void> {
    for (let index = 0; index < PROCESSES; index++) {
      this.#queues.push(await this.#backend.open());
      this.#leases.push([]);
    }
    await this.#elect();
  }

  async end(): Promise<void> {
    for (const queue of this.#queues) await queue.close();
  }

  /** @param expected What the other backend made of it: how long an answer is waited for depends on it. */
  async play(step: Step, expected?: Played): Promise<Played> {
    await this.#backend.tick();
    const first = this.#queues[0] as WorkQueue;
    const answer = await this.#answer(step, first, expected?.answer).catch((error: Error) => error.name);
    const stats = await first.stats();
    const { waiting, inFlight } = Object.values(stats.classes).reduce(
      (sum, depth) => ({ waiting: sum.waiting + depth.waiting, inFlight: sum.inFlight + depth.inFlight }),
      { waiting: 0, inFlight: 0 },
    );
    const { delayed, dead, open, stuck, completions, counters } = stats;
    return { answer, waiting, inFlight, delayed, dead, open, stuck, completions, counters };
  }

  async #answer(step: Step, first: WorkQueue, expected: unknown): Promise<unknown> {
    switch (step.do) {
      case "enqueue": {
        const ranges = rangesOf(step.cuts);
        const office = this.#office as Office;
        const ref = blockRef(step.block);
        const verify = step.class === "verify_forwards";
        const kind = verify ? "verify" : "trace";
        const delay = verify ? {} : { verifyDelayMs: HOUR_MS };
        return await first.enqueue({ ...ref, kind, class: step.class, total: TRANSACTIONS, ranges, ...delay }, office);
      }
      case "fetch": {
        const leases = await (this.#queues[step.process] as WorkQueue).fetch(step.free);
        assert.ok(leases.length <= step.free, "never more than is free");
        for (const { token } of leases) {
          assert.ok(token > this.#lastToken, "tokens grow");
          this.#lastToken = token;
        }
        (this.#leases[step.process] as Lease[]).push(...leases);
        return leases.map(({ task, firstDelivery }) => [
          taskId(task),
          task.class,
          task.attempts,
          task.recoveries,
          task.failedNodes,
          firstDelivery,
        ]);
      }
      case "settle": {
        const leases = this.#leases[step.process] as Lease[];
        const [lease] = leases.splice(step.lease, 1);
        if (lease === undefined) return "nothing";
        const settlement = settlementOf(step.how, lease.task);
        const verdict = await lease.settle(settlement);
        if (verdict === "settled") this.#remember(lease, settlement);
        return verdict;
      }
      case "crash": {
        await this.#backend.crash(this.#queues[step.process] as WorkQueue);
        this.#leases[step.process] = [];
        this.#queues[step.process] = await this.#backend.open();
        return undefined;
      }
      case "pass":
        return await this.#backend.pass(step.hours * HOUR_MS);
      case "orphan": {
        const ref = blockRef(step.block);
        return await first.orphan(ref, this.#office as Office);
      }
      case "replay":
        return await first.replay((await first.deadLetters(100)).map(({ id }) => id));
      case "drop":
        return await first.drop((await first.deadLetters(1)).map(({ id }) => id));
      case "pause":
        return await first.pause([step.class]);
      case "resume":
        return await first.resume([step.class]);
      case "elect":
        return await this.#elect();
      case "confirm":
        return await this.#confirm(first, expected);
    }
  }

  async #elect(): Promise<boolean> {
    const office = await (this.#queues[0] as WorkQueue).lead("forwards", `leader-${this.#terms++}`);
    this.#office = office ?? this.#office;
    return office !== undefined;
  }

  async #confirm(queue: WorkQueue, expected: unknown): Promise<unknown> {
    if ((await queue.stats()).completions === 0) return [];
    const end = new AbortController();
    // Some may be with a process that crashed: then nothing comes, and what comes although it should not comes soon.
    const comes = Array.isArray(expected) && expected.length > 0;
    const timer = setTimeout(() => end.abort(), comes ? 60_000 : 20);
    const found = await queue.completions(100, end.signal);
    clearTimeout(timer);
    await queue.confirm(found);
    for (const { kind, blockHash, state, total } of found) {
      const done = this.#done.get(`${kind} ${blockHash}`)?.size ?? 0;
      if (state === "complete" && kind === "trace") assert.equal(done, total, "never complete early");
    }
    return found.map((
      { kind, class: taskClass, blockNumber, state, total },
    ) => [kind, taskClass, blockNumber, state, total]);
  }

  #remember({ task }: Lease, settlement: Settlement): void {
    const key = `${task.kind} ${task.blockHash}`;
    const done = this.#done.get(key) ?? new Set();
    this.#done.set(key, done);
    const ranges = settlement.outcome === "done" ? [task] : settlement.outcome === "split" ? settlement.done : [];
    for (const { first, last } of ranges) for (let index = first; index <= last; index++) done.add(index);
  }
}

/** Plays the same steps on both and compares every answer. */
async function agree(steps: readonly Step[], redis: Backend): Promise<void> {
  await withMemoryBackend(async (memory) => {
    const players = [new Player(memory), new Player(redis)] as const;
    for (const player of players) await player.begin();
    for (const [index, next] of steps.entries()) {
      const expected = await players[0].play(next);
      const actual = await players[1].play(next, expected);
      assert.deepEqual(actual, expected, `step ${index}, ${JSON.stringify(next)}`);
    }
    for (const player of players) await player.end();
  });
}

/** Runs the comparison on random steps. */
export async function modelRuns(numRuns: number): Promise<void> {
  const steps = fc.array(step, { minLength: 20, maxLength: 60, size: "max" });
  for (let left = numRuns; left > 0; left -= RUNS_PER_SERVER) {
    let network = 0;
    await withRedisBackends(async (backend) => {
      const property = fc.asyncProperty(steps, (played) => agree(played, backend(`network-${network++}`)));
      await fc.assert(property, { numRuns: Math.min(left, RUNS_PER_SERVER) });
    });
  }
}
