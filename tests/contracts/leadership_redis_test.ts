/** Leadership on a real Redis: what the fencing tokens and the time to live are there for. */
import assert from "node:assert/strict";
import { map, Observable, startWith, switchMap } from "rxjs";
import { leaderGate } from "../../src/flow/leader_gate.ts";
import { leadership } from "../../src/stages/gate/leadership.ts";
import { NotLeaderError, type Office, type QueueOptions } from "../../src/stages/queue/port.ts";
import { redisQueues } from "../../src/stages/queue/redis_streams.ts";
import { terms } from "../stages/gate/terms.ts";
import { withRedis } from "../stages/queue/with_redis.ts";
import { fixedRandom, OPTIONS } from "./work_queue_backends.ts";
import { planOf } from "./work_queue_contract.ts";

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!await holds()) await new Promise((resolve) => setTimeout(resolve, 5));
}

const QUICK: QueueOptions = { ...OPTIONS, leaderTtlMs: 5_000 };
const EVERY = { renewMs: 20, ttlMs: QUICK.leaderTtlMs };

Deno.test("two leaders on one Redis: one at a time, with a token that only grows; the deposed one enqueues nothing", () =>
  withRedis(async (server) => {
    const target = { url: server.url, prefix: "test", replicas: 0 };
    const processes = [redisQueues(target, QUICK, fixedRandom()), redisQueues(target, QUICK, fixedRandom())] as const;
    const [a, b] = await Promise.all(processes.map((queues) => queues.open("testnet")));
    const one = terms(leadership(a!, "forwards", "a", EVERY));
    await one.until(() => one.seen.length === 2);
    const two = terms(leadership(b!, "forwards", "b", EVERY));
    const other = terms(leadership(b!, "backwards", "b", EVERY));
    await other.until(() => other.seen.length === 2);
    assert.deepEqual(two.seen, [undefined], "each direction has a leader of its own, and no second");

    one.subscription.unsubscribe(); // a shutdown resigns: nobody waits for the time to live
    await two.until(() => two.seen.length === 2);
    const [first, second] = [one.seen[1]!, two.seen[1]!];
    assert.ok(second > first);
    await assert.rejects(
      a!.enqueue(planOf(1, 1), { mode: "forwards", holder: "a", token: first }),
      (error) => error instanceof NotLeaderError && error.release,
    );
    assert.equal((await a!.stats()).open.forwards, 0);

    // The key runs out under the leader, as after a pause that outlasts it, and a third takes it.
    await server.inspect.set("test:{testnet}:leader:forwards", `${second + 5}:c`, "PX", 50);
    await server.inspect.set("test:{testnet}:fence:forwards", String(second + 5));
    await two.until(() => two.seen.length === 4);
    assert.equal(two.seen[2], undefined);
    assert.ok(two.seen[3]! > second + 5);

    two.subscription.unsubscribe();
    other.subscription.unsubscribe();
    await until(async () => (await server.inspect.keys("test:{testnet}:leader:*")).length === 0);
    await Promise.all(processes.map((queues) => queues.close()));
  }));

Deno.test("leaderGate() on Redis unsubscribes its source with the office, and begins it anew after a reconnection", () =>
  withRedis(async (server) => {
    const queues = redisQueues({ url: server.url, prefix: "test", replicas: 0 }, QUICK, fixedRandom());
    const queue = await queues.open("testnet");
    const log: string[] = [];
    const reconnections = new Observable<void>((subscriber) => {
      const listening = queue.onReconnect(() => subscriber.next());
      return () => listening[Symbol.dispose]();
    });
    const work = leadership(queue, "forwards", "me", EVERY).pipe(
      switchMap(({ office }) => reconnections.pipe(startWith(undefined), map(() => office))),
      leaderGate((office: Office | undefined) => office, () =>
        new Observable<never>(() => {
          log.push("begin");
          return () => log.push("end");
        })),
    );
    const subscription = work.subscribe();
    await until(() => log.length === 1);
    await server.inspect.set("test:{testnet}:leader:forwards", "1:other", "PX", 3_600_000);
    await until(() => log.length === 2);
    await server.inspect.del("test:{testnet}:leader:forwards");
    await until(() => log.length === 3);
    await server.down();
    await server.up(); // without a file of its own: everything is forgotten
    await until(() => log.length >= 5);
    assert.deepEqual(log.slice(0, 5), ["begin", "end", "begin", "end", "begin"]);
    subscription.unsubscribe();
    assert.equal(log.at(-1), "end");
    await until(async () => (await server.inspect.keys("test:{testnet}:leader:*")).length === 0);
    await queues.close();
  }));
