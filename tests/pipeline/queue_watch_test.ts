import assert from "node:assert/strict";
import { watchQueue } from "../../src/pipeline/queue_watch.ts";
import { QueueFullError } from "../../src/stages/queue/port.ts";
import { MadeUpChain } from "./made_up_chain.ts";
import { World } from "./discover_world.ts";

Deno.test("watchQueue() tells depths and sees to the configured limit, also after it was lost or the queue failed", async () => {
  await using world = new World(new MadeUpChain(3));
  await world.follow(await world.leader());
  const changed = { look: Promise.withResolvers<void>() };
  const calls: (number | undefined)[] = [];
  let failures = 1;
  const watched = watchQueue(
    {
      network: world.network.name,
      stats: () => failures-- > 0 ? Promise.reject(new QueueFullError("testnet")) : world.queue.stats(),
      limit: async (perSecond) => {
        calls.push(perSecond);
        await world.queue.limit(perSecond);
        changed.look.resolve();
        changed.look = Promise.withResolvers();
      },
    },
    50,
    1,
  );
  const subscription = watched.subscribe();
  while (calls.length < 1) await changed.look.promise;
  assert.equal((await world.queue.stats()).limitPerSecond, 50);
  await world.queue.limit(undefined); // as a backend that lost its last second
  while (calls.length < 2) await changed.look.promise;
  subscription.unsubscribe();
  assert.deepEqual(calls, [50, 50]);
  const [depths] = world.seen("queue_depths");
  assert.deepEqual([depths?.open["forwards"], depths?.classes["process_forwards"]?.waiting], [1, 1]);
  assert.deepEqual(world.seen("discover_failed").map(({ direction, code }) => [direction, code]), [[
    "queue",
    "queue_full",
  ]]);
});
