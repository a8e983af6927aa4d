import assert from "node:assert/strict";
import { of } from "rxjs";
import { BlockCache } from "../../src/pipeline/block_cache.ts";
import { EvidenceStore } from "../../src/pipeline/evidence.ts";
import { Prediction } from "../../src/pipeline/plan.ts";
import type { JobResults, RunningJob, TraceJob } from "../../src/pipeline/trace_job.ts";
import { work, type WorkNetwork } from "../../src/pipeline/work.ts";
import type { Capacity, Lease, LeaseAsk, RequestAsk } from "../../src/rpc/port.ts";
import { MemoryNetwork, MemoryQueue } from "../../src/stages/queue/memory.ts";
import { Chain } from "../../src/stages/source/chain.ts";
import { subscribe } from "../../src/telemetry/emit.ts";
import type { PipelineEvent } from "../../src/telemetry/events.ts";
import { fixedRandom, OPTIONS } from "../contracts/work_queue_backends.ts";
import { settled } from "../rpc/virtual_clock.ts";
import { FakeClock } from "../stages/queue/fake_clock.ts";
import { MadeUpChain, MadeUpPool } from "./made_up_chain.ts";

const NETWORK = "testnet";

/** A node that can trace, and grants every lease. */
class TracingPool extends MadeUpPool {
  readonly capacity = of({ class: "trace", available: true, free: 10 } as unknown as Capacity);
  readonly asks: LeaseAsk[] = [];

  /** @param moved The node took the block over, and has its transactions in another one. */
  constructor(chain: MadeUpChain, readonly moved: boolean) {
    super(chain);
  }

  lease(ask: LeaseAsk): Promise<Lease> {
    this.asks.push(ask);
    const node = { name: "first", clientVersion: "Geth/v1.17.10" } as Lease["node"];
    const { moved } = this;
    const lease = { node, signal: new AbortController().signal, endByMs: Infinity, moved, report: () => {} };
    return Promise.resolve({ ...lease, [Symbol.dispose]: () => {} });
  }

  override request<T>(method: string, params: readonly unknown[], ask: RequestAsk<T>): Promise<T> {
    if (method !== "eth_getTransactionReceipt") return super.request(method, params, ask);
    return Promise.resolve(ask.decode({ blockHash: `0x${"9".repeat(64)}` }));
  }

  isOutage(): Promise<boolean> {
    return Promise.resolve(false);
  }
}

/** A job whose two moments are the test's to choose. */
class Job implements RunningJob {
  readonly #accepted = Promise.withResolvers<void>();
  readonly #results = Promise.withResolvers<JobResults>();
  readonly accepted = this.#accepted.promise;
  readonly results = this.#results.promise;

  constructor(readonly job: TraceJob, readonly signal: AbortSignal) {}

  get indices(): number[] {
    return this.job.transactions.map(({ index }) => index);
  }

  accept(): void {
    this.#accepted.resolve();
  }

  store(): void {
    this.#accepted.resolve();
    const stored = { verdict: "proved", published: true, structlogRows: 1, aggregateRows: 1, bytes: 1 } as const;
    const facts = { verdict: "proved", identity: "", detail: "", structlogs: 1, bytes: 1 } as const;
    this.#results.resolve({
      transactions: this.job.transactions.map(({ index, start }) => ({
        ...facts,
        index,
        transactionHash: start.transactionHash,
        stored: { ...stored, settled: "durable" },
      })),
    });
  }
}

/** One network whose block 1 has three transactions, each a task, and lanes whose jobs the test ends. */
class Bench implements AsyncDisposable {
  readonly queue: MemoryQueue;
  readonly jobs: Job[] = [];
  readonly events: PipelineEvent[] = [];
  readonly drain = new AbortController();
  readonly abort = new AbortController();
  readonly #chain = new MadeUpChain(1, 3);
  readonly pool: TracingPool;
  readonly #reading = subscribe((event) => void this.events.push(event));
  #changed = Promise.withResolvers<void>();
  ended: Promise<void> = Promise.resolve();

  constructor(moved = false) {
    this.pool = new TracingPool(this.#chain, moved);
    const clock = new FakeClock(1_700_000_000_000);
    this.queue = new MemoryQueue(
      new MemoryNetwork(NETWORK, OPTIONS, clock, 0),
      NETWORK,
      "test",
      OPTIONS,
      clock,
      fixedRandom(),
    );
  }

  async begin(lanes: number): Promise<void> {
    const { hash } = this.#chain.block(1);
    const office = (await this.queue.lead("forwards", "test"))!;
    await this.queue.enqueue({
      kind: "trace",
      class: "process_forwards",
      blockNumber: 1,
      blockHash: hash,
      total: 3,
      ranges: [0, 1, 2].map((index) => ({ first: index, last: index })),
    }, office);
    const { pool } = this;
    const network: WorkNetwork = {
      name: NETWORK,
      chainId: 1,
      pool,
      queue: this.queue,
      blocks: new BlockCache(new Chain(pool)),
      prediction: new Prediction(),
      tables: ["structlog"],
      nodeFork: () => Promise.resolve(undefined),
      others: {},
    };
    const process = {
      workers: { lanes, run: (job: TraceJob, signal: AbortSignal) => this.#run(job, signal) },
      ready: () => Promise.resolve(),
      aloneAfterRecoveries: 2,
      evidence: new EvidenceStore("nowhere", 0),
      policy: "enforce",
      trace: { method: "auto", blockStructlogs: 1_000, returnData: false },
      evidenceBytes: 0,
    } as const;
    this.ended = new Promise((resolve, reject) => {
      work(new Map([[NETWORK, network]]), process, { drain: this.drain.signal, abort: this.abort.signal })
        .subscribe({ complete: resolve, error: reject });
    });
  }

  /** The job of this number, once it has begun. */
  async job(number: number): Promise<Job> {
    while (this.jobs.length < number) await this.#changed.promise;
    return this.jobs[number - 1]!;
  }

  async inFlight(): Promise<number> {
    return (await this.queue.stats()).classes.process_forwards.inFlight;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#reading[Symbol.dispose]();
    await this.queue.close();
  }

  #run(job: TraceJob, signal: AbortSignal): Job {
    const running = new Job(job, signal);
    this.jobs.push(running);
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
    return running;
  }
}

Deno.test("work() frees a lane when the sink has the rows, and settles when they are durable", async () => {
  await using bench = new Bench();
  await bench.begin(1);
  const first = await bench.job(1);
  assert.deepEqual([bench.jobs.length, await bench.inFlight()], [1, 1], "one lane, one claim");
  first.accept();
  const second = await bench.job(2);
  assert.equal(await bench.inFlight(), 2, "the first is not settled yet");
  for (const job of [first, second, await (second.accept(), bench.job(3))]) job.store();
  bench.drain.abort();
  await bench.ended;
  assert.equal(await bench.inFlight(), 0);
  assert.equal((await bench.queue.stats()).completions, 1, "the block is complete");
});

Deno.test("work() tells the pool which transaction it traces: a small one is the probe of its node", async () => {
  await using bench = new Bench();
  await bench.begin(1);
  const first = await bench.job(1);
  const { need, deadlineMs, waitUntilMs } = bench.pool.asks[0]!;
  assert.equal(need.transactionHash, first.job.transactions[0]!.start.transactionHash);
  assert.deepEqual([deadlineMs, Number.isFinite(waitUntilMs)], [Infinity, true], "only the node bounds a trace's time");
  bench.drain.abort();
  first.store();
  await bench.ended;
});

Deno.test("work() traces nothing on a node that has the transaction in another block, no attempt used", async () => {
  await using bench = new Bench(true);
  await bench.begin(1);
  const outcomes = () => bench.events.filter((event) => event.kind === "task_settled").map(({ outcome }) => outcome);
  while (outcomes().length < 3) await settled();
  bench.drain.abort();
  await bench.ended;
  assert.deepEqual(outcomes(), ["release", "release", "release"]);
  assert.equal(bench.jobs.length, 0);
});

Deno.test("work() that is drained claims nothing more, and ends when what it has is durable", async () => {
  await using bench = new Bench();
  await bench.begin(2);
  const jobs = [await bench.job(1), await bench.job(2)];
  bench.drain.abort();
  let ended = false;
  void bench.ended.then(() => ended = true);
  for (const job of jobs) job.accept();
  jobs[0]!.store();
  assert.equal(await bench.inFlight() > 0 && !ended, true, "one is not durable");
  jobs[1]!.store();
  await bench.ended;
  const { classes: { process_forwards: { waiting, inFlight } } } = await bench.queue.stats();
  assert.deepEqual([bench.jobs.length, waiting, inFlight], [2, 1, 0]);
});

Deno.test("work() that is aborted hands back what is in hand, no attempt used, and waits for no job", async () => {
  await using bench = new Bench();
  await bench.begin(2);
  const jobs = [await bench.job(1), await bench.job(2)];
  jobs[0]!.accept(); // its rows are in the sink, and will never be durable
  await bench.job(3);
  bench.drain.abort();
  bench.abort.abort();
  await bench.ended;
  assert.deepEqual(jobs.map(({ signal }) => signal.aborted), [true, true]);
  assert.deepEqual(bench.events.find(({ kind }) => kind === "work_aborted"), {
    kind: "work_aborted",
    tasks: 3,
    left: 0,
  });
  const again = await bench.queue.fetch(9);
  assert.deepEqual(again.map(({ task: { attempts, recoveries } }) => [attempts, recoveries]), Array(3).fill([0, 0]));
  assert.deepEqual(again.map(({ firstDelivery }) => firstDelivery), [false, false, false], "their rows may be there");
});
