/** This side of the queue bench: what is measured of our queue, on any Redis. */
import { lastValueFrom } from "rxjs";
import { lanes } from "../src/flow/lanes.ts";
import { Claims } from "../src/stages/queue/claims.ts";
import type { Lease, Office, QueueOptions, WorkQueue } from "../src/stages/queue/port.ts";
import { redisQueues } from "../src/stages/queue/redis_streams.ts";
import { everyClass, OPTIONS } from "../tests/contracts/work_queue_backends.ts";

export const NETWORK = "bench";
export const PREFIX = "bench";

/** The defaults of the configuration, as far as they matter here. */
export const BENCH_OPTIONS: QueueOptions = {
  ...OPTIONS,
  leaseMs: 30_000,
  heartbeatMs: 10_000,
  reclaimMs: 5_000,
  leaderTtlMs: 10_000,
  backoffBaseMs: 1_000,
  inFlight: everyClass(1_000),
};

/** A queue that leads, closed by `await using`. */
export async function openQueue(url: string, options = BENCH_OPTIONS) {
  const queues = redisQueues({ url, prefix: PREFIX, replicas: 0 }, options, Math.random);
  const queue = await queues.open(NETWORK);
  return { queue, [Symbol.asyncDispose]: () => queues.close() };
}

/** Takes the office, waiting for an earlier term to run out. */
export async function elected(queue: WorkQueue): Promise<Office> {
  while (true) {
    const office = await queue.lead("forwards", "bench");
    if (office !== undefined) return office;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Enqueues one block of `tasks` tasks of one transaction. */
export async function enqueueBlock(queue: WorkQueue, office: Office, number: number, tasks: number): Promise<void> {
  await queue.enqueue({
    kind: "trace",
    class: "process_forwards",
    blockNumber: number,
    blockHash: `0x${number.toString(16).padStart(64, "0")}`,
    total: tasks,
    ranges: Array.from({ length: tasks }, (_, first) => ({ first, last: first })),
  }, office);
}

/** @returns milliseconds. */
export async function enqueue(queue: WorkQueue, tasks: number, batch: number): Promise<number> {
  const office = await elected(queue);
  const began = performance.now();
  for (let number = 0; number < tasks / batch; number++) await enqueueBlock(queue, office, number, batch);
  return performance.now() - began;
}

/** Does nothing with every task, through the lanes of the product, until all are settled. @returns milliseconds. */
export async function drain(queue: WorkQueue, tasks: number, concurrency: number): Promise<number> {
  const claims = new Claims([queue], () => Infinity, Infinity);
  const over = new AbortController();
  let left = tasks;
  const settled = Promise.withResolvers<void>();
  const turn = async (): Promise<never[]> => {
    const lease = await claims.next(over.signal);
    void lease?.settle({ outcome: "done" }).then(() => --left > 0 || settled.resolve(), settled.reject);
    return [];
  };
  const began = performance.now();
  const running = lastValueFrom(lanes(concurrency, turn, over.signal), { defaultValue: undefined });
  await settled.promise;
  const ms = performance.now() - began;
  over.abort();
  await running;
  return ms;
}

/** From an enqueue to its task in an idle lane. @returns milliseconds of each sample. */
export async function latency(queue: WorkQueue, samples: number): Promise<number[]> {
  const office = await elected(queue);
  const claims = new Claims([queue], () => Infinity, Infinity);
  const found: number[] = [];
  for (let number = 0; number < samples; number++) {
    const waiting = claims.next(new AbortController().signal);
    await new Promise((resolve) => setTimeout(resolve, 5));
    const began = performance.now();
    const claimed = waiting.then((lease) => ({ lease: lease as Lease, ms: performance.now() - began }));
    await enqueueBlock(queue, office, 1_000_000 + number, 1);
    const { lease, ms } = await claimed;
    found.push(ms);
    await lease.settle({ outcome: "done" });
  }
  return found;
}
