/** A second signal: who asked twice is not kept waiting, and others need not wait for the leases. */
import assert from "node:assert/strict";
import { withRedis } from "../stages/queue/with_redis.ts";
import { endlessNode } from "./endless_node.ts";
import { NETWORK, openStore, PATIENCE_MS, startProcessor, until } from "./stack.ts";

const PREFIX = `abort:{${NETWORK}}:`;

Deno.test("a second SIGINT hands back what is in hand, resigns, leaves nothing behind and exits with 130", () =>
  withRedis(async (redis) => {
    await using node = endlessNode(1e12);
    await using store = await openStore();
    await using processor = await startProcessor({
      nodes: [{ name: "endless", url: node.url }],
      clickhouse: store.section,
      network: { forks: { osaka: 0 } },
      rest: {
        queue: { url: redis.url, prefix: "abort", lease: "1h", heartbeat: "1s" },
        work: { workers: 1, lanes: 2, drain: "1h" },
      },
    });
    const { log } = processor;
    await until("the trace", PATIENCE_MS, () => Promise.resolve(node.sentBytes() > 0), log);
    Deno.kill(processor.pid, "SIGINT");
    await until("the drain", PATIENCE_MS, () => Promise.resolve(/draining: nothing more is claimed/.test(log())), log);
    assert.equal((await redis.inspect.xpending(`${PREFIX}s:pf`, "workers") as [number])[0], 1, "it goes on");
    assert.equal(await processor.end("SIGINT"), 130, log());

    assert.match(log(), /tasks in hand are handed back unfinished.* tasks=1 left=0/);
    assert.match(log(), /stopped/);
    assert.doesNotMatch(log(), / ERROR |task failed/, "what was aborted did not fail");
    const [, packed] = await redis.inspect.hgetall(`${PREFIX}dt`).then((found) => Object.entries(found)[0] ?? []);
    assert.match(
      packed ?? "",
      /^pf trace 1 0x\w+ 0 0 1 \d+ \S+ 0-0$/,
      "no attempt and no recovery used, one delivery known",
    );
    assert.equal((await redis.inspect.xpending(`${PREFIX}s:pf`, "workers") as [number])[0], 0, "no lease is left");
    assert.deepEqual(await redis.inspect.keys(`${PREFIX}leader:*`), []);
    const places = Object.values(await redis.inspect.hgetall(`${PREFIX}u`));
    assert.deepEqual(places.map((place) => place.split(" ")[0]), ["delayed"]);
  }));
