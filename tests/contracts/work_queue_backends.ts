/** The backends of the queue as the contract sees them: processes that open it, crash, and time that passes. */
import type { Redis } from "ioredis";
import { MemoryNetwork, MemoryQueue } from "../../src/stages/queue/memory.ts";
import type { QueueOptions, Random, WorkQueue, WorkQueues } from "../../src/stages/queue/port.ts";
import { TASK_CLASSES, type TaskClass } from "../../src/stages/queue/port.ts";
import { redisQueues } from "../../src/stages/queue/redis_streams.ts";
import { FakeClock } from "../stages/queue/fake_clock.ts";
import { withRedis } from "../stages/queue/with_redis.ts";

export const NETWORK = "testnet";
const PREFIX = "test";
const START_MS = 1_700_000_000_000;
const HOUR_MS = 3_600_000;

/** Times so large that the milliseconds which a real server takes do not matter. */
export const OPTIONS: QueueOptions = {
  leaseMs: 2 * HOUR_MS,
  heartbeatMs: 20_000_000,
  reclaimMs: 0,
  stallTimeoutMs: 1000 * HOUR_MS,
  maxAttempts: 3,
  maxRecoveries: 2,
  aloneAfterRecoveries: 2,
  backoffBaseMs: HOUR_MS,
  backoffMaxMs: 4 * HOUR_MS,
  leaderTtlMs: HOUR_MS,
  keepCompleteMs: 100 * HOUR_MS,
  weights: {
    reprocess_forwards: 20,
    reprocess_backwards: 15,
    process_forwards: 10,
    process_backwards: 5,
    verify_forwards: 1,
    verify_backwards: 1,
  },
  inFlight: everyClass(1000),
  ackBatch: 200,
};

/** The same number for every class. */
export function everyClass(value: number): Record<TaskClass, number> {
  return Object.fromEntries(TASK_CLASSES.map((name) => [name, value])) as Record<TaskClass, number>;
}

/** One queue as several processes see it. */
export interface Backend {
  /** A process of its own. */
  open(): Promise<WorkQueue>;
  /** The process is gone; its leases are not. */
  crash(queue: WorkQueue): Promise<void>;
  /** Time passes for leases, delays, terms and memories. */
  pass(ms: number): Promise<void>;
  /** Keys of Redis, to look into it. */
  readonly redis?: { readonly client: Redis; readonly prefix: string };
}

/** Runs `test` on a new backend, and closes what it opened. */
export type WithBackend = (test: (backend: Backend) => Promise<void>, options?: QueueOptions) => Promise<void>;

/** A random source that always gives the same sequence. */
export function fixedRandom(): Random {
  let state = 42;
  return () => {
    state = (state * 16807) % 2147483647;
    return state / 2147483647;
  };
}

export async function withMemoryBackend(
  test: (backend: Backend) => Promise<void>,
  options: QueueOptions = OPTIONS,
): Promise<void> {
  const clock = new FakeClock(START_MS);
  const state = new MemoryNetwork(NETWORK, options, clock, 0);
  const queues: MemoryQueue[] = [];
  try {
    await test({
      open: () => {
        const queue = new MemoryQueue(state, NETWORK, `c${queues.length}`, options, clock, fixedRandom());
        queues.push(queue);
        return Promise.resolve(queue);
      },
      crash: (queue) => queue.close(),
      pass: (ms) => {
        clock.advance(ms);
        return Promise.resolve();
      },
    });
  } finally {
    await Promise.all(queues.map((queue) => queue.close()));
  }
}

export async function withRedisBackend(
  test: (backend: Backend) => Promise<void>,
  options: QueueOptions = OPTIONS,
): Promise<void> {
  await withRedis(async (server) => {
    const processes: WorkQueues[] = [];
    const prefix = `${PREFIX}:{${NETWORK}}:`;
    try {
      await test({
        open: async () => {
          const queues = redisQueues({ url: server.url, prefix: PREFIX, replicas: 0 }, options, fixedRandom());
          processes.push(queues);
          return await queues.open(NETWORK);
        },
        crash: (queue) => queue.close(),
        pass: (ms) => passInRedis(server.inspect, prefix, ms),
        redis: { client: server.inspect, prefix },
      });
    } finally {
      await Promise.all(processes.map((queues) => queues.close()));
    }
  });
}

/** Makes everything `ms` older, instead of waiting. The server's clock itself is not touched. */
export async function passInRedis(redis: Redis, prefix: string, ms: number): Promise<void> {
  await nextMillisecond(redis);
  for (const key of await redis.keys(`${prefix}*`)) {
    const name = key.slice(prefix.length);
    if (name.startsWith("s:") || name === "blocks") await age(redis, key, name === "blocks" ? "ledger" : "workers", ms);
    const left = await redis.pttl(key);
    if (left > ms) await redis.pexpire(key, left - ms);
    else if (left >= 0) await redis.del(key);
  }
  const delayed = await redis.zrange(`${prefix}d`, 0, "-1", "WITHSCORES");
  for (let index = 0; index < delayed.length; index += 2) {
    await redis.zincrby(`${prefix}d`, -ms, delayed[index] as string);
  }
  const rateAt = await redis.hget(`${prefix}meta`, "rate_at");
  if (rateAt !== null) await redis.hset(`${prefix}meta`, "rate_at", String(Number(rateAt) - ms * 1000));
}

/** Pending entries grow older by whoever holds them; their delivery counts stay. */
export async function age(redis: Redis, key: string, group: string, ms: number): Promise<void> {
  const pending = await redis.xpending(key, group, "-", "+", 10_000).catch(() => []) as [string, string, number][];
  for (const [id, consumer, idle] of pending) {
    await redis.call("XCLAIM", key, group, consumer, "0", id, "IDLE", String(idle + ms), "JUSTID");
  }
}

/** Two steps never share a millisecond, as they do not in the other backend. */
export async function nextMillisecond(redis: Redis): Promise<void> {
  const begin = await redis.time();
  const stamp = (time: unknown[]) => `${time[0]} ${Math.floor(Number(time[1]) / 1000)}`;
  while (stamp(await redis.time()) === stamp(begin)) { /* a round trip is a tenth of a millisecond */ }
}
