/** Which adapter a queue has: by the scheme of its URL. */
import { systemClock } from "./clock.ts";
import { memoryQueues } from "./memory.ts";
import type { QueueOptions, WorkQueues } from "./port.ts";
import type { RedisTarget } from "./redis_connection.ts";

/** URL of the queue that lives and dies with its process. */
export const MEMORY_URL = "memory:";

/**
 * Opens the queues of a process.
 *
 * @param firstToken Largest `row_version` of a network's records: delivery tokens of a queue without memory go on from it.
 */
export async function openWorkQueues(
  target: RedisTarget,
  options: QueueOptions,
  firstToken: (network: string) => Promise<number>,
): Promise<WorkQueues> {
  if (target.url === MEMORY_URL) return memoryQueues(options, systemClock, Math.random, firstToken);
  const { redisQueues } = await import("./redis_streams.ts");
  return redisQueues(target, options, Math.random);
}
