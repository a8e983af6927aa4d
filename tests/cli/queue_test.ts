import assert from "node:assert/strict";
import { invoke } from "../../src/cli/command.ts";
import { command } from "../../src/cli/queue.ts";
import { TASK_CLASSES, taskId, type WorkQueue } from "../../src/stages/queue/port.ts";
import { redisQueues } from "../../src/stages/queue/redis_streams.ts";
import { fixedRandom, OPTIONS } from "../contracts/work_queue_backends.ts";
import { elected, planOf } from "../contracts/work_queue_contract.ts";
import { withRedis } from "../stages/queue/with_redis.ts";
import { outcomeOf } from "./world.ts";

const FAILURE = { code: "trace_missing", message: "no node has the state of block 7" };

interface World {
  run(...args: string[]): ReturnType<typeof outcomeOf>;
  readonly queue: WorkQueue;
  readonly url: string;
}

async function configured(url: string, networks: readonly string[], test: (path: string) => Promise<void>) {
  const path = await Deno.makeTempFile({ suffix: ".yaml" });
  try {
    const nodes = [{ name: "node", url: "http://127.0.0.1:8545" }];
    await Deno.writeTextFile(
      path,
      JSON.stringify({
        networks: networks.map((name, index) => ({ name, chainId: index + 1, nodes })),
        queue: { url, prefix: "test" },
      }),
    );
    await test(path);
  } finally {
    await Deno.remove(path);
  }
}

/** A queue in Redis with a dead letter, and the command beside it. */
function withWorld(test: (world: World) => Promise<void>, networks = ["one"]): Promise<void> {
  return withRedis((server) =>
    configured(server.url, networks, async (path) => {
      const queues = redisQueues({ url: server.url, prefix: "test", replicas: 0 }, OPTIONS, fixedRandom());
      try {
        await test({
          run: (...args) => outcomeOf((io) => invoke(command, [...args, "--config", path], io)),
          queue: await queues.open(networks[0]!),
          url: server.url,
        });
      } finally {
        await queues.close();
      }
    })
  );
}

/** Two transactions of block 7 are dead, one waits. */
async function twoDead(queue: WorkQueue): Promise<string[]> {
  const ranges = [0, 1, 2].map((index) => ({ first: index, last: index }));
  await queue.enqueue(planOf(7, 3, { ranges }), await elected(queue));
  for (const lease of await queue.fetch(2)) await lease.settle({ outcome: "dead", failure: FAILURE });
  return (await queue.deadLetters(9)).map(({ id }) => id);
}

Deno.test("queue stats prints depths of every class, as text and as JSON", () =>
  withWorld(async ({ run, queue }) => {
    await twoDead(queue);
    await queue.limit(5);
    const text = await run("stats");
    assert.deepEqual([text.code, text.stderr], [0, []]);
    assert.match(text.stdout, /^one\n {2}class +waiting +in flight +oldest wait\n/);
    assert.match(text.stdout, /\n {2}process_forwards +1 +0 +\d+ (ms|s)\n/);
    assert.match(text.stdout, /\n {2}delayed 0, dead letters 2\n/);
    assert.match(text.stdout, /\n {2}limit 5 a second\n/);
    const json = JSON.parse((await run("stats", "--json")).stdout);
    assert.deepEqual([json.network, json.dead, json.classes.process_forwards.waiting], ["one", 2, 1]);
  }));

Deno.test("queue dead lists, shows, replays and drops", () =>
  withWorld(async ({ run, queue }) => {
    assert.equal((await run("dead", "ls")).stdout, "one: 0 dead letters\n");
    const [first, second] = await twoDead(queue) as [string, string];
    const listed = (await run("dead", "ls")).stdout.split("\n");
    assert.equal(listed[0], "one: 2 dead letters");
    assert.match(listed[2]!, new RegExp(`^ {2}${first} +trace:7:\\w+:0-0 +1 +0 {2}trace_missing$`));
    assert.match((await run("dead", "ls", "--limit", "1")).stdout, /and 1 more/);
    const lines = (await run("dead", "ls", "--json")).stdout.trim().split("\n").map((line) => JSON.parse(line));
    assert.deepEqual(lines.map(({ id }) => id), [first, second]);

    const shown = await run("dead", "show", first);
    assert.match(shown.stdout, /trace_missing\n.*no node has the state of block 7/s);
    assert.equal(JSON.parse((await run("dead", "show", first, "--json")).stdout).failure.message, FAILURE.message);
    const unknown = await run("dead", "show", "1-1");
    assert.equal(unknown.code, 1);
    assert.match(unknown.stderr[0]!, /^Cannot find dead letter 1-1 of one/);

    assert.equal((await run("dead", "replay", first)).stdout, "one: 1 replayed\n");
    const back = await queue.fetch(9);
    assert.deepEqual(back.map(({ task }) => taskId(task).split(":").at(-1)).sort(), ["0-0", "2-2"]);
    const again = await run("dead", "replay", first, second);
    assert.deepEqual([again.code, again.stdout], [1, "one: 1 replayed\n"]);
    assert.match(again.stderr[0]!, /^Cannot find 1 of these ids/);
  }));

Deno.test("queue dead --all takes every letter there is", () =>
  withWorld(async ({ run, queue }) => {
    await twoDead(queue);
    assert.equal((await run("dead", "replay", "--all")).stdout, "one: 2 replayed\n");
    for (const lease of await queue.fetch(2)) await lease.settle({ outcome: "dead", failure: FAILURE });
    assert.deepEqual(JSON.parse((await run("dead", "drop", "--all", "--json")).stdout), { network: "one", drop: 2 });
    assert.equal((await queue.stats()).dead, 0);
  }));

Deno.test("queue pause and resume take the classes named, or all", () =>
  withWorld(async ({ run, queue }) => {
    await queue.enqueue(planOf(1, 1), await elected(queue));
    assert.equal(
      (await run("pause", "process_forwards", "verify_backwards")).stdout,
      "one: paused: process_forwards, verify_backwards\n",
    );
    assert.deepEqual(await queue.fetch(1), []);
    assert.equal((await run("resume", "verify_backwards")).stdout, "one: paused: process_forwards\n");
    assert.deepEqual(JSON.parse((await run("pause", "--json")).stdout).paused, TASK_CLASSES);
    assert.equal((await run("resume")).stdout, "one: nothing is paused\n");
    assert.equal((await queue.fetch(1)).length, 1);
  }));

Deno.test("queue asks for the network where ids could be of several", () =>
  withWorld(async ({ run, queue }) => {
    const [first] = await twoDead(queue);
    const refused = await run("dead", "show", first!);
    assert.equal(refused.code, 2);
    assert.match(refused.stderr[0]!, /give --network, one of one, two/);
    assert.equal((await run("dead", "show", first!, "--network", "one")).code, 0);
    assert.match((await run("stats")).stdout, /^one\n[\s\S]*\ntwo\n/);
    assert.equal((await run("stats", "--network", "three")).code, 2);
  }, ["one", "two"]));

Deno.test("queue refuses what it does not know", async () => {
  const calls: readonly (readonly [readonly string[], RegExp])[] = [
    [[], /^Cannot run "queue ": expected stats/],
    [["purge"], /^Cannot run "queue purge": expected stats/],
    [["dead", "rm"], /^Cannot run "queue dead rm"/],
    [["stats", "one"], /^Cannot take "one" after "queue stats"/],
    [["pause", "everything"], /^Cannot pause class "everything": the classes are reprocess_forwards/],
    [["dead", "show"], /^Cannot show a dead letter: expected one id/],
    [["dead", "replay"], /expected ids, or --all/],
    [["dead", "drop", "1-1", "--all"], /expected ids, or --all/],
    [["dead", "ls", "--limit", "0"], /^Cannot read --limit/],
  ];
  for (const [args, expected] of calls) {
    const { code, stderr } = await outcomeOf((io) => invoke(command, args, io));
    assert.equal(code, 2, args.join(" "));
    assert.match(stderr[0]!, expected);
  }
});

Deno.test("queue says why it cannot look into a queue", async () => {
  await configured("memory:", ["one"], async (path) => {
    const { code, stderr } = await outcomeOf((io) => invoke(command, ["stats", "--config", path], io));
    assert.equal(code, 1);
    assert.match(stderr[0]!, /current value of queue.url is memory:/);
  });
  const closed = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = closed.addr as Deno.NetAddr;
  closed.close();
  await configured(`redis://user:secret@127.0.0.1:${port}`, ["one"], async (path) => {
    const { code, stderr } = await outcomeOf((io) => invoke(command, ["stats", "--config", path], io));
    assert.equal(code, 1);
    assert.match(stderr[0]!, /^Cannot reach Redis at 127.0.0.1:\d+ within 5 s: ECONNREFUSED/);
    assert.ok(!stderr[0]!.includes("secret"));
  });
});
