/** Claims a task, says so, and waits to be killed. Arguments: URL of Redis, options of the queue as JSON. */
import { redisQueues } from "../src/stages/queue/redis_streams.ts";
import { NETWORK, PREFIX } from "./queue_way.ts";

const [url, options] = Deno.args as [string, string];
const queues = redisQueues({ url, prefix: PREFIX, replicas: 0 }, JSON.parse(options), Math.random);
const queue = await queues.open(NETWORK);
while ((await queue.fetch(1)).length === 0) await queue.idle(new AbortController().signal);
Deno.stdout.writeSync(new TextEncoder().encode("claimed\n"));
