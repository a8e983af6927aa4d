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
  heartbeatMs: 500 * HOUR_MS,
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
  /** The next millisecond, so that two steps never share one. */
  tick(): Promise<void>;
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
  const random = fixedRandom();
  try {
    await test({
      open: () => {
        const queue = new MemoryQueue(state, NETWORK, `c${queues.length}`, options, clock, random);
        queues.push(queue);
        return Promise.resolve(queue);
      },
      crash: (queue) => queue.close(),
      pass: (ms) => {
        clock.advance(ms);
        return Promise.resolve();
      },
      tick: () => {
        clock.advance(1);
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
  await withRedisBackends((backend) => test(backend(NETWORK)), options);
}

/** One server for many queues, each a network of its own. */
export async function withRedisBackends(
  test: (backend: (network: string) => Backend) => Promise<void>,
  options: QueueOptions = OPTIONS,
): Promise<void> {
  await withRedis(async (server) => {
    const processes: WorkQueues[] = [];
    let random: Random = fixedRandom();
    try {
      await test((network) => {
        random = fixedRandom();
        const prefix = `${PREFIX}:{${network}}:`;
        let opened = 0;
        return {
          open: async () => {
            processes[opened] ??= redisQueues(
              { url: server.url, prefix: PREFIX, replicas: 0 },
              options,
              () => random(),
            );
            return await (processes[opened++] as WorkQueues).open(network);
          },
          crash: (queue) => queue.close(),
          pass: (ms) => passInRedis(server.inspect, prefix, ms),
          tick: () => nextMillisecond(server.inspect),
          redis: { client: server.inspect, prefix },
        };
      });
    } finally {
      await Promise.all(processes.map((queues) => queues.close()));
    }
  });
}

/**
 * Makes everything older, instead of waiting; the server's clock itself is not touched. Pending entries stay with whoever
 * holds them, and keep their delivery counts.
 */
const PASS = `
local prefix, ms = KEYS[1], tonumber(ARGV[1])
for _, key in ipairs(redis.call('KEYS', (string.gsub(prefix, '[{}]', '\\\\%0')) .. '*')) do
  local name = string.sub(key, #prefix + 1)
  if string.sub(name, 1, 2) == 's:' or name == 'blocks' then
    local group = name == 'blocks' and 'ledger' or 'workers'
    local pending = redis.pcall('XPENDING', key, group, '-', '+', 10000)
    for _, item in ipairs(pending.err and {} or pending) do
      redis.call('XCLAIM', key, group, item[2], 0, item[1], 'IDLE', item[3] + ms, 'JUSTID')
    end
  end
  local left = redis.call('PTTL', key)
  if left > ms then redis.call('PEXPIRE', key, left - ms) elseif left >= 0 then redis.call('DEL', key) end
end
local delayed = redis.call('ZRANGE', prefix .. 'd', 0, -1)
for _, id in ipairs(delayed) do redis.call('ZINCRBY', prefix .. 'd', -ms, id) end
local at = redis.call('HGET', prefix .. 'meta', 'rate_at')
if at then redis.call('HSET', prefix .. 'meta', 'rate_at', string.format('%.0f', at - ms * 1000)) end
`;

/** See {@linkcode PASS}. */
export async function passInRedis(redis: Redis, prefix: string, ms: number): Promise<void> {
  await nextMillisecond(redis);
  await redis.eval(PASS, 1, prefix, ms);
}

/** Two steps never share a millisecond, as they do not in the other backend. */
export async function nextMillisecond(redis: Redis): Promise<void> {
  const begin = await redis.time();
  const stamp = (time: unknown[]) => `${time[0]} ${Math.floor(Number(time[1]) / 1000)}`;
  while (stamp(await redis.time()) === stamp(begin)) { /* a round trip is a tenth of a millisecond */ }
}
