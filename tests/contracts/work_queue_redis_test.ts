/** What only Redis can do wrong: one test for every trap that was met, each failing without its cure. */
import assert from "node:assert/strict";
import type { Lease, QueueOptions, WorkQueue, WorkQueues } from "../../src/stages/queue/port.ts";
import { QueueFullError, taskId } from "../../src/stages/queue/port.ts";
import { newClient, type RedisTarget, runScript, script } from "../../src/stages/queue/redis_connection.ts";
import { redisQueues } from "../../src/stages/queue/redis_streams.ts";
import gcText from "../../src/stages/queue/scripts/gc.lua" with { type: "text" };
import heartbeatText from "../../src/stages/queue/scripts/heartbeat.lua" with { type: "text" };
import { subscribe } from "../../src/telemetry/emit.ts";
import type { PipelineEvent } from "../../src/telemetry/events.ts";
import { type RedisServer, withRedis } from "../stages/queue/with_redis.ts";
import { CuttingProxy } from "./cutting_proxy.ts";
import { fixedRandom, OPTIONS } from "./work_queue_backends.ts";
import { elected, planOf } from "./work_queue_contract.ts";

const NETWORK = "testnet";
const PREFIX = `test:{${NETWORK}}:`;
const FAILURE = { code: "failed", message: "it failed" };
/** Real times, as short as a shared machine allows. */
const QUICK: QueueOptions = {
  ...OPTIONS,
  leaseMs: 1_000,
  heartbeatMs: 100,
  reclaimMs: 100,
  stallTimeoutMs: 60_000,
  backoffBaseMs: 10,
  backoffMaxMs: 20,
};

function target(port: number, change: Partial<RedisTarget> = {}): RedisTarget {
  return { url: `redis://127.0.0.1:${port}`, prefix: "test", replicas: 0, ...change };
}

async function withQueue(
  server: RedisServer,
  test: (queue: WorkQueue, queues: WorkQueues) => Promise<void>,
  options: QueueOptions = OPTIONS,
  port = server.port,
): Promise<void> {
  const queues = redisQueues(target(port), options, fixedRandom());
  try {
    await test(await queues.open(NETWORK), queues);
  } finally {
    await queues.close();
  }
}

async function only(leases: Promise<readonly Lease[]>): Promise<Lease> {
  const found = await leases;
  assert.equal(found.length, 1);
  return found[0] as Lease;
}

/** Waits for what another thread or the server does: a machine may be slow, and only a defect never comes to it. */
async function eventually(fact: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 6_000; tries++) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.fail(`never came true: ${fact}`);
}

async function listening<T>(test: (events: readonly PipelineEvent[]) => Promise<T>): Promise<T> {
  const events: PipelineEvent[] = [];
  using _reader = subscribe((event) => events.push(event));
  return await test(events);
}

/** Runs `test` on a monotonic clock that is a minute ahead. */
async function aMinuteLater(test: () => Promise<void>): Promise<void> {
  const { now } = performance;
  performance.now = () => now.call(performance) + 60_000;
  try {
    await test();
  } finally {
    performance.now = now;
  }
}

function singles(count: number): { first: number; last: number }[] {
  return Array.from({ length: count }, (_, first) => ({ first, last: first }));
}

Deno.test("redis: deliveries whose answer was lost are handed back after the reconnect, at no one's cost", () =>
  withRedis(async (server) => {
    await using proxy = new CuttingProxy(server.port);
    await withQueue(
      server,
      async (queue) => {
        await queue.fetch(1); // so that the server knows the script
        await queue.enqueue(planOf(1, 2, { ranges: singles(2) }), await elected(queue));
        proxy.cutAfter(PREFIX);
        const second = await only(queue.fetch(1));
        assert.equal(proxy.cuts, 1);
        assert.equal(second.task.first, 1, "the fetch ran twice");
        await eventually("handed back", async () => (await queue.stats()).classes.process_forwards.waiting === 1);
        const first = await only(queue.fetch(9));
        assert.deepEqual([first.task.first, first.task.attempts, first.task.recoveries], [0, 0, 0]);
        assert.equal(await first.settle({ outcome: "done" }), "settled");
        assert.equal(await second.settle({ outcome: "done" }), "settled", "what is in hand is not handed back");
      },
      OPTIONS,
      proxy.port,
    );
  }));

Deno.test("redis: every step that ran twice has the effect of one", () =>
  withRedis(async (server) => {
    await using proxy = new CuttingProxy(server.port);
    const queues = redisQueues(target(proxy.port), OPTIONS, fixedRandom());
    await everyStep(await queues.open("warm"), (step) => step()); // so that the server knows the scripts
    const steps = await everyStep(await queues.open(NETWORK), (step) => {
      proxy.cutAfter(PREFIX);
      return step();
    });
    assert.equal(proxy.cuts, steps);
    await queues.close();
  }));

/** Every step that writes, each by `run`. @returns how many. */
async function everyStep(queue: WorkQueue, run: <T>(step: () => Promise<T>) => Promise<T>): Promise<number> {
  let steps = 0;
  const again = <T>(step: () => Promise<T>): Promise<T> => {
    steps++;
    return run(step);
  };
  const office = await again(() => queue.lead("forwards", "leader"));
  assert.ok(office !== undefined, "its own term");
  for (const number of [1, 2, 3, 4]) await again(() => queue.enqueue(planOf(number, 2), office));
  await again(() => queue.request({ key: "k", body: "" }));
  const leases = await queue.fetch(9);
  assert.equal(leases.length, 4, "each is there once");
  const [done, failed, dead, split] = leases as [Lease, Lease, Lease, Lease];
  const verdicts = [
    await again(() => done.settle({ outcome: "done" })),
    await again(() => failed.settle({ outcome: "fail", failure: FAILURE })),
    await again(() => dead.settle({ outcome: "dead", failure: FAILURE })),
    await again(() =>
      split.settle({ outcome: "split", done: [{ first: 0, last: 0 }], rest: [{ first: 1, last: 1 }], failure: FAILURE })
    ),
  ];
  assert.deepEqual(verdicts, ["settled", "settled", "settled", "settled"]);
  const stats = await queue.stats();
  assert.deepEqual([stats.delayed, stats.dead, stats.completions, stats.requests], [2, 1, 2, 1]);
  assert.deepEqual([stats.counters.retried, stats.counters.split, stats.counters.dead], [1, 1, 1]);
  const [letter] = await queue.deadLetters(9);
  await again(() => queue.replay([letter?.id ?? ""]));
  assert.equal((await queue.fetch(9)).length, 1);
  const told = await queue.completions(9, new AbortController().signal);
  await again(() => queue.confirm(told));
  assert.equal((await queue.stats()).completions, 0);
  await again(() => queue.renew(office));
  await again(() => queue.resign(office));
  return steps;
}

Deno.test("redis: away at the start and killed later, everything waits, says so, and goes on at once", () =>
  withRedis(async (server) => {
    await server.down();
    await listening(async (events) => {
      const said = (kind: string) => events.filter((event) => event.kind === kind).length;
      const queues = redisQueues(target(server.port), OPTIONS, fixedRandom());
      const opening = queues.open(NETWORK);
      await eventually("said so", () => said("queue_unreachable") === 1);
      await server.up();
      const queue = await opening;
      assert.equal(said("queue_reachable"), 1);
      let reconnects = 0;
      using _listener = queue.onReconnect(() => reconnects++);
      await server.down();
      const call = queue.stats();
      await eventually("said so", () => said("queue_unreachable") === 2);
      await new Promise((resolve) => setTimeout(resolve, 2_000)); // several tries to connect
      assert.equal(said("queue_unreachable"), 2, "once for each outage");
      await aMinuteLater(() => eventually("said so again", () => said("queue_unreachable") === 3));
      await server.up();
      await call;
      assert.deepEqual([said("queue_reachable"), reconnects], [2, 1]);
      await queues.close();
    });
  }));

Deno.test("redis: what is closed while Redis is away ends, and what it asked is refused", () =>
  withRedis(async (server) => {
    const queues = redisQueues(target(server.port), QUICK, fixedRandom());
    const queue = await queues.open(NETWORK);
    await queue.enqueue(planOf(1, 2, { ranges: singles(2) }), await elected(queue));
    const [first, second] = await queue.fetch(2) as [Lease, Lease];
    await listening(async (events) => {
      await server.down();
      await eventually("noticed", () => events.some(({ kind }) => kind === "queue_unreachable"));
      const asked = [first.settle({ outcome: "done" }), queue.stats()].map((call) =>
        assert.rejects(call, { name: "QueueClosedError", code: "queue_closed" })
      );
      await queues.close();
      await Promise.all(asked);
      assert.equal(second.signal.aborted, true);
    });
    await server.up();
  }));

Deno.test("redis: no two tries to connect are further apart than half a second", () => {
  const { retryStrategy } = newClient(target(1)).options;
  for (let times = 1; times < 1_000; times++) assert.ok(Number(retryStrategy?.(times)) <= 500);
});

Deno.test("redis: forgotten scripts are sent again", () =>
  withRedis((server) =>
    withQueue(server, async (queue) => {
      const office = await elected(queue);
      await server.inspect.script("FLUSH");
      const [receipt, leases] = await Promise.all([queue.enqueue(planOf(1, 1), office), queue.fetch(1)]);
      assert.equal(receipt.enqueued, 1);
      await server.inspect.script("FLUSH");
      const lease = leases[0] ?? await only(queue.fetch(1));
      assert.equal(await lease.settle({ outcome: "done" }), "settled");
    })
  ));

Deno.test("redis: a process needs the network to Redis, and to read its worker", () =>
  withRedis(async (server) => {
    const program = `
      import { redisQueues } from ${JSON.stringify(import.meta.resolve("../../src/stages/queue/redis_streams.ts"))};
      const queues = redisQueues(${JSON.stringify(target(server.port))}, ${JSON.stringify(OPTIONS)}, Math.random);
      const queue = await queues.open("testnet");
      await queue.fetch(1);
      await queues.close();
      await Deno.stdout.write(new TextEncoder().encode("done"));`;
    const directory = await Deno.makeTempDir();
    try {
      await Deno.writeTextFile(`${directory}/program.ts`, program);
      const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: [
          ...["run", "--no-check", "--no-lock", "--no-prompt", "--ignore-env"],
          ...[`--allow-net=127.0.0.1:${server.port}`, `--allow-read=${new URL("../../src", import.meta.url).pathname}`],
          ...["--config", new URL("../../deno.json", import.meta.url).pathname, `${directory}/program.ts`],
        ],
        stdin: "null",
      }).output();
      assert.equal(new TextDecoder().decode(stdout), "done", new TextDecoder().decode(stderr));
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  }));

Deno.test("redis: the heartbeat of a deposed owner does not steal the task back", () =>
  withRedis((server) =>
    withQueue(server, async (queue) => {
      await queue.enqueue(planOf(1, 1), await elected(queue));
      const lease = await only(queue.fetch(1));
      const [pending] = await pendingOf(server);
      const client = newClient(target(server.port));
      try {
        const beat = (token: number) =>
          runScript(client, target(server.port), script(heartbeatText), NETWORK, [
            ...[0, "thief", token, taskId(lease.task)],
          ]);
        assert.deepEqual(await beat(lease.token - 1), [String(lease.token - 1)]);
        assert.equal((await pendingOf(server))[0]?.[1], pending?.[1], "the owner is the same");
        assert.deepEqual(await beat(lease.token), []);
      } finally {
        client.disconnect();
      }
    })
  ));

/** Entry, consumer, idle and deliveries of what is pending in the class process forwards. */
async function pendingOf(server: RedisServer): Promise<[string, string, number, number][]> {
  return await server.inspect.xpending(`${PREFIX}s:pf`, "workers", "-", "+", 100) as [string, string, number, number][];
}

/** The one pending entry is this old now, with its owner and its count. */
async function agePending(server: RedisServer, idleMs: number): Promise<void> {
  const [pending] = await pendingOf(server);
  assert.ok(pending !== undefined);
  const [entry, consumer] = pending;
  await server.inspect.call(
    "XCLAIM",
    `${PREFIX}s:pf`,
    "workers",
    consumer,
    "0",
    entry,
    "IDLE",
    String(idleMs),
    "JUSTID",
  );
}

Deno.test("redis: three leases of synchronous work on the main thread cost no lease", () =>
  withRedis((server) =>
    withQueue(server, async (queue) => {
      await queue.enqueue(planOf(1, 1), await elected(queue));
      const lease = await only(queue.fetch(1));
      await agePending(server, QUICK.leaseMs);
      await eventually("beats", async () => ((await pendingOf(server))[0]?.[2] ?? Infinity) < QUICK.leaseMs);
      const until = performance.now() + 3 * QUICK.leaseMs;
      while (performance.now() < until) lease.moved();
      // Asked from another process while this event loop has not turned yet.
      const { stdout } = new Deno.Command("redis-cli", {
        args: ["-p", String(server.port), "XPENDING", `${PREFIX}s:pf`, "workers", "-", "+", "10"],
      }).outputSync();
      const [, , idle] = new TextDecoder().decode(stdout).trim().split("\n");
      assert.ok(Number(idle) < QUICK.leaseMs, `renewed ${idle} ms ago`);
      assert.equal(lease.signal.aborted, false);
      assert.equal(await lease.settle({ outcome: "done" }), "settled");
    }, QUICK)
  ));

Deno.test("redis: a lease that stands still is given up at no cost, one that waits or moves is kept", () =>
  withRedis((server) =>
    withQueue(server, async (queue) => {
      await queue.enqueue(planOf(1, 3, { ranges: singles(3) }), await elected(queue));
      const [still, waits, moves] = await queue.fetch(3) as [Lease, Lease, Lease];
      const timer = setInterval(() => moves.moved(), 20);
      try {
        using _waiting = waits.waiting();
        await still.ended;
        assert.equal(still.signal.reason.reason, "stalled");
        assert.equal(await still.settle({ outcome: "done" }), "stale");
        await eventually("back", async () => (await queue.stats()).delayed === 1);
        const again = await only(queue.fetch(9));
        assert.deepEqual([again.task.first, again.task.attempts, again.task.recoveries], [0, 0, 0]);
        assert.equal(again.firstDelivery, false);
        assert.deepEqual([waits.signal.aborted, moves.signal.aborted], [false, false]);
      } finally {
        clearInterval(timer);
      }
    }, { ...QUICK, leaseMs: OPTIONS.leaseMs, stallTimeoutMs: 2_000 })
  ));

Deno.test("redis: a lease taken over while its owner was stopped aborts the owner's work", () =>
  withRedis((server) =>
    withQueue(server, (slow) =>
      withQueue(server, async (quick) => {
        await slow.enqueue(planOf(1, 1), await elected(slow));
        const lease = await only(slow.fetch(1));
        let taken: Lease | undefined;
        await eventually("taken over between two beats", async () => {
          await agePending(server, 3_600_000);
          [taken] = await quick.fetch(1);
          return taken !== undefined;
        });
        await lease.ended;
        assert.equal(lease.signal.reason.reason, "taken_over");
        assert.equal(await taken!.settle({ outcome: "done" }), "settled");
      }, { ...QUICK, reclaimMs: 0, heartbeatMs: 60_000 }), { ...QUICK, leaseMs: 3_600_000, heartbeatMs: 300 })
  ));

Deno.test("redis: consumers that are gone are swept, one with pending entries never", () =>
  withRedis((server) =>
    withQueue(server, async (queue) => {
      const sweep = async () => {
        const client = newClient(target(server.port));
        try {
          return await runScript(client, target(server.port), script(gcText), NETWORK, [0, -1]);
        } finally {
          client.disconnect();
        }
      };
      await queue.enqueue(planOf(1, 1), await elected(queue));
      const lease = await only(queue.fetch(1));
      assert.equal(await sweep(), 0);
      assert.equal((await pendingOf(server)).length, 1);
      assert.equal(await lease.settle({ outcome: "done" }), "settled");
      assert.equal(await sweep(), 1);
    })
  ));

Deno.test("redis: nothing is left of what is done", () =>
  withRedis((server) =>
    withQueue(server, async (queue) => {
      const office = await elected(queue);
      for (let number = 0; number < 20; number++) {
        await queue.enqueue(planOf(number, 3, { ranges: singles(3) }), office);
      }
      for (const lease of await queue.fetch(100)) {
        await lease.settle(lease.task.first === 1 ? { outcome: "fail", failure: FAILURE } : { outcome: "done" });
      }
      await eventually("retried", async () => {
        for (const lease of await queue.fetch(100)) await lease.settle({ outcome: "done" });
        const { delayed, completions } = await queue.stats();
        return delayed === 0 && completions === 20;
      });
      await queue.confirm(await queue.completions(100, new AbortController().signal));
      await queue.resign(office);
      for (const key of ["s:pf", "blocks"]) {
        assert.equal(await server.inspect.xlen(`${PREFIX}${key}`), 0, key);
        const group = key === "blocks" ? "ledger" : "workers";
        assert.equal((await server.inspect.xpending(`${PREFIX}${key}`, group) as [number])[0], 0, `pending in ${key}`);
      }
      const left = (await server.inspect.keys(`${PREFIX}*`)).map((key) => key.slice(PREFIX.length));
      const lasting = left.filter((key) => !/^[bm]:/.test(key)).sort();
      assert.deepEqual(lasting, ["bell", "blocks", "fence:forwards", "fence:task", "meta", "s:pf", "stats"].sort());
      for (const key of left.filter((name) => /^[bm]:/.test(name))) {
        assert.ok(await server.inspect.pttl(`${PREFIX}${key}`) > 0, `${key} expires`);
      }
    }, QUICK)
  ));

Deno.test("redis: a group that is gone is made again, and misses nothing that came before it", () =>
  withRedis((server) =>
    withQueue(server, async (queue) => {
      const office = await elected(queue);
      await queue.enqueue(planOf(1, 2, { ranges: singles(2) }), office);
      await queue.enqueue(planOf(2, 0), office);
      await server.inspect.xgroup("DESTROY", `${PREFIX}s:pf`, "workers");
      assert.equal((await queue.fetch(9)).length, 2);
      assert.equal((await queue.completions(9, new AbortController().signal)).length, 1);
    })
  ));

Deno.test("redis: a stream that is gone is filled again by the next enqueue", () =>
  withRedis((server) =>
    withQueue(server, async (queue) => {
      const office = await elected(queue);
      await queue.enqueue(planOf(1, 2, { ranges: singles(2) }), office);
      await server.inspect.del(`${PREFIX}s:pf`);
      assert.deepEqual(await queue.fetch(9), []);
      const { enqueued, duplicate } = await queue.enqueue(planOf(1, 2, { ranges: singles(2) }), office);
      assert.deepEqual([enqueued, duplicate], [2, 0]);
      assert.equal((await queue.fetch(9)).length, 2);
    })
  ));

Deno.test("redis: FLUSHALL under waiting processes ends no one; the leader's next round brings all back", () =>
  withRedis((server) =>
    withQueue(server, async (queue) => {
      const end = new AbortController();
      await queue.enqueue(planOf(1, 1), await elected(queue));
      const lost = await only(queue.fetch(1));
      const completions = queue.completions(9, end.signal);
      await server.inspect.del(`${PREFIX}bell`);
      const idle = queue.idle(end.signal);
      await eventually("both wait", async () =>
        (await server.clients()).filter((line) => / flags=b/.test(line)).length === 2);
      await server.inspect.flushall();
      assert.equal(await lost.settle({ outcome: "done" }), "stale");
      const office = await queue.lead("forwards", "leader");
      assert.ok(office !== undefined);
      assert.equal((await queue.enqueue(planOf(1, 1), office)).enqueued, 1);
      await idle;
      const again = await only(queue.fetch(1));
      assert.ok(again.token > lost.token, "tokens grow also then");
      assert.equal(await again.settle({ outcome: "done" }), "settled");
      assert.equal((await completions).length, 1);
    }, { ...OPTIONS, reclaimMs: 60_000 })
  ));

Deno.test("redis: a server that a failover made a replica is left for the one that takes writes", () =>
  withRedis((server) =>
    withQueue(server, async (queue) => {
      const office = await elected(queue);
      let reconnects = 0;
      using _listener = queue.onReconnect(() => reconnects++);
      await server.inspect.replicaof("127.0.0.1", 1);
      const enqueuing = queue.enqueue(planOf(1, 1), office);
      await eventually("it looks for another", () => reconnects > 0);
      await server.inspect.replicaof("NO", "ONE");
      assert.equal((await enqueuing).enqueued, 1);
      assert.equal(await (await only(queue.fetch(9))).settle({ outcome: "done" }), "settled");
    })
  ));

Deno.test("redis: nobody leads before as many replicas as are configured have the token", () =>
  withRedis((server) =>
    withRedis(async (replica) => {
      const queues = redisQueues(target(server.port, { replicas: 1 }), { ...OPTIONS, leaderTtlMs: 400 }, fixedRandom());
      const queue = await queues.open(NETWORK);
      assert.equal(await queue.lead("forwards", "leader"), undefined);
      assert.equal(await server.inspect.exists(`${PREFIX}leader:forwards`), 0, "another may try");
      await replica.inspect.replicaof("127.0.0.1", server.port);
      let token = 0;
      await eventually("it leads", async () => (token = (await queue.lead("forwards", "leader"))?.token ?? 0) > 0);
      assert.equal(await replica.inspect.get(`${PREFIX}fence:forwards`), String(token));
      await queues.close();
      await replica.inspect.replicaof("NO", "ONE");
    }), ["--appendonly", "no", "--repl-diskless-sync-delay", "0"]));

Deno.test("redis: a fence that went back does not make tokens go back", () =>
  withRedis((server) =>
    withQueue(server, async (queue) => {
      const office = await elected(queue);
      await queue.enqueue(planOf(1, 2, { ranges: singles(2) }), office);
      const first = await only(queue.fetch(1));
      await server.inspect.del(`${PREFIX}fence:task`, `${PREFIX}fence:forwards`);
      const second = await only(queue.fetch(1));
      assert.ok(second.token > first.token);
      await queue.resign(office);
      const next = await elected(queue);
      assert.ok(next.token > office.token);
    })
  ));

Deno.test("redis: a clock that went back an hour stops neither leases nor delays nor elections", () =>
  withRedis((server) =>
    withQueue(server, async (queue) => {
      const hourMs = 3_600_000;
      await queue.enqueue(planOf(1, 2, { ranges: singles(2) }), await elected(queue));
      const [kept, delayed] = await queue.fetch(2) as [Lease, Lease];
      await delayed.settle({ outcome: "release", delayMs: 0 });
      await agePending(server, 600_000);
      // What was now an hour of the clock ago: the largest time seen, a due time, the end of a term.
      const [seconds, microseconds] = (await server.inspect.time()).map(Number) as [number, number];
      await server.inspect.hset(`${PREFIX}meta`, "clock", String((seconds + 3600) * 1e6 + microseconds));
      await server.inspect.zincrby(`${PREFIX}d`, hourMs - 100, taskId(delayed.task));
      await server.inspect.pexpire(`${PREFIX}leader:forwards`, 2 * hourMs);
      await listening(async (events) => {
        const back = await only(queue.fetch(9));
        assert.equal(back.task.first, 1, "the delay is over");
        assert.ok(events.some(({ kind }) => kind === "queue_clock_went_back"));
      });
      const [, , idle, times] = (await pendingOf(server))[0] ?? [];
      assert.ok(idle !== undefined && idle < 600_000, `idle begins anew: ${idle}`);
      assert.equal(times, 1, "that is no delivery");
      assert.equal((await queue.stats()).counters.clock_went_back, 1);
      assert.ok(await queue.lead("forwards", "another") !== undefined, "a term of an hour is none");
      assert.equal(await kept.settle({ outcome: "done" }), "settled");
    }, { ...OPTIONS, leaseMs: 700_000 })
  ));

Deno.test("redis: at its limit of memory Redis takes every settlement and no enqueue", () =>
  withRedis((server) =>
    withQueue(server, async (queue) => {
      const office = await elected(queue);
      const ranges = [...singles(6), { first: 6, last: 9 }];
      await queue.enqueue(planOf(1, 10, { ranges, verifyDelayMs: 0 }), office);
      await (await only(queue.fetch(1))).settle({ outcome: "release", delayMs: 0 });
      const leases = await queue.fetch(5);
      await server.inspect.config("SET", "maxmemory", "1");
      await assert.rejects(queue.enqueue(planOf(2, 1), office), QueueFullError);
      const [a, b, c, d, e] = leases as [Lease, Lease, Lease, Lease, Lease];
      assert.equal(await a.settle({ outcome: "done" }), "settled");
      assert.equal(await b.settle({ outcome: "fail", failure: FAILURE }), "settled");
      assert.equal(await c.settle({ outcome: "dead", failure: FAILURE }), "settled");
      assert.equal(await d.settle({ outcome: "release", delayMs: 0 }), "settled");
      const rest = await queue.fetch(9);
      assert.ok(rest.length >= 2, "work goes on");
      for (const lease of [e, ...rest]) assert.equal(await lease.settle({ outcome: "done" }), "settled");
      await server.inspect.config("SET", "maxmemory", "0");
      assert.equal((await queue.enqueue(planOf(2, 1), office)).enqueued, 1);
    })
  ));

Deno.test("redis: a wrong password and a missing right are named, the password is not", () =>
  withRedis(async (server) => {
    const refused = async (url: string, expected: RegExp) => {
      const queues = redisQueues(target(server.port, { url }), OPTIONS, fixedRandom());
      await assert.rejects(
        (async () => {
          const queue = await queues.open(NETWORK);
          await queue.lead("forwards", "x");
          await queue.fetch(1);
        })(),
        (error: Error & { code?: string }) => {
          assert.equal(error.code, "queue_access");
          assert.match(error.message, expected);
          assert.doesNotMatch(error.message, /secret/);
          return true;
        },
      );
      await queues.close();
    };
    await server.inspect.acl("SETUSER", "limited", "on", ">secret", "~*", "+@connection", "+info");
    await server.inspect.acl("SETUSER", "foreign", "on", ">secret", "~other:*", "+@all");
    const at = `127.0.0.1:${server.port}`;
    await refused(`redis://limited:secret-wrong@${at}`, /user "limited".*WRONGPASS.*password in queue\.url/);
    await refused(`redis://limited:secret@${at}`, /user "limited".*evalsha.*\+@scripting/);
    await refused(`redis://foreign:secret@${at}`, /user "foreign".*~<prefix>/);
    await server.inspect.acl("SETUSER", "allowed", "on", ">secret", "~test:*", ...RIGHTS);
    await withQueueAs(`redis://allowed:secret@${at}`, async (queue) => {
      await queue.enqueue(planOf(1, 1), await elected(queue));
      await queue.idle(AbortSignal.timeout(50));
      assert.equal(await (await only(queue.fetch(1))).settle({ outcome: "done" }), "settled");
      assert.equal((await queue.completions(1, new AbortController().signal)).length, 1);
    });
  }));

/** As the text of the error says. */
const RIGHTS = ["+@read", "+@write", "+@scripting", "+@blocking", "+@connection", "+time", "+info", "+wait"];

Deno.test("redis: what a process ends itself is told as no outage, whether Redis is there or not", () =>
  withRedis(async (server) => {
    for (const away of [false, true]) {
      await listening(async (events) => {
        const queues = redisQueues(target(server.port), QUICK, fixedRandom());
        const queue = await queues.open(NETWORK);
        await queue.enqueue(planOf(away ? 2 : 1, 1), await elected(queue));
        await only(queue.fetch(1));
        if (away) {
          await server.down();
          await eventually("away", () => events.some(({ kind }) => kind === "queue_unreachable"));
        }
        const said = (): number =>
          events.filter(({ kind }) => kind === "queue_unreachable" || kind === "queue_heartbeat_failed").length;
        const before = said();
        await queues.close();
        assert.equal(said(), before);
        if (away) await server.up();
      });
    }
  }));

async function withQueueAs(url: string, test: (queue: WorkQueue) => Promise<void>): Promise<void> {
  const queues = redisQueues({ url, prefix: "test", replicas: 0 }, OPTIONS, fixedRandom());
  try {
    await test(await queues.open(NETWORK));
  } finally {
    await queues.close();
  }
}

Deno.test("redis: settings that lose work are told", () =>
  withRedis((server) =>
    listening(async (events) => {
      await server.inspect.config("SET", "maxmemory-policy", "allkeys-lru");
      await withQueue(server, () => Promise.resolve());
      const told = events.flatMap((event) => event.kind === "queue_unsafe" ? [event.setting] : []);
      assert.deepEqual(told, ["maxmemory-policy", "appendonly"]);
    })
  ));

Deno.test("redis: all keys of a network are in one slot of a cluster", () =>
  withRedis(async (server) => {
    await server.inspect.call("CLUSTER", "ADDSLOTSRANGE", "0", "16383");
    await eventually("cluster is up", async () =>
      String(await server.inspect.call("CLUSTER", "INFO")).includes("state:ok"));
    await withQueue(server, async (queue) => {
      const office = await elected(queue);
      await queue.enqueue(planOf(1, 2, { ranges: singles(2), verifyDelayMs: 0 }), office);
      const [a, b] = await queue.fetch(2) as [Lease, Lease];
      await a.settle({ outcome: "done" });
      await b.settle({ outcome: "dead", failure: FAILURE });
      assert.equal(
        await queue.replay((await queue.deadLetters(9)).map(({ id }) =>
          id
        )),
        1,
      );
      for (const lease of await queue.fetch(9)) await lease.settle({ outcome: "done" });
      assert.ok((await queue.completions(9, new AbortController().signal)).length > 0);
      await queue.orphan(planOf(1, 2), office);
      const slots = new Set<number>();
      for (const key of await server.inspect.keys("*")) {
        slots.add(await server.inspect.cluster("KEYSLOT", key) as number);
      }
      assert.equal(slots.size, 1);
    });
  }, ["--cluster-enabled", "yes"]));

Deno.test("redis: one ring wakes one process, which rings for the next when there is more", () =>
  withRedis((server) =>
    withQueue(server, (one) =>
      withQueue(server, async (other) => {
        const end = new AbortController();
        const woken: string[] = [];
        const waits = [["one", one], ["other", other]] as const;
        const idle = waits.map(async ([name, queue]) => {
          await queue.idle(end.signal);
          woken.push(name);
          return queue;
        });
        await eventually(
          "both wait",
          async () => (await server.clients()).filter((line) => / flags=b/.test(line)).length === 2,
        );
        await one.enqueue(planOf(1, 2, { ranges: singles(2) }), await elected(one));
        const first = await Promise.race(idle);
        assert.equal(woken.length, 1);
        assert.equal((await first.fetch(1)).length, 1);
        const [, second] = await Promise.all(idle);
        assert.equal((await second?.fetch(1) ?? await first.fetch(1)).length <= 1, true);
        assert.equal(woken.length, 2);
      }, { ...OPTIONS, reclaimMs: 60_000 }), { ...OPTIONS, reclaimMs: 60_000 })
  ));
