/** Three processes with the roles split among them share a Redis, a chain and a store, and nothing else. */
import assert from "node:assert/strict";
import { Workload, WORKLOAD_BLOCKS } from "../../src/embedded/workload.ts";
import { openChain } from "../embedded/open_chain.ts";
import { withRedis } from "../stages/queue/with_redis.ts";
import { assertExact } from "./exact.ts";
import { NETWORK, openStore, PATIENCE_MS, startProcessor, until } from "./stack.ts";

Deno.test("three processes with split roles, one of them killed midway, leave exactly the right rows", () =>
  withRedis(async (redis) => {
    await using chain = await openChain();
    await using store = await openStore();
    const workload = new Workload({ url: chain.httpUrl, seed: 21 });
    for await (const block of workload.mine(1, WORKLOAD_BLOCKS)) assert.ok(block.transactions.length > 0);
    const start = (roles: readonly string[]) =>
      startProcessor({
        nodes: [{ name: "anvil", url: chain.httpUrl, ws: chain.wsUrl }],
        clickhouse: store.section,
        rest: {
          roles,
          queue: { url: redis.url, prefix: "scale", lease: "3s", heartbeat: "1s", reclaim: "1s", recoveries: 100 },
          work: { workers: 1, lanes: 2 },
        },
      });
    const complete = async () => {
      const [row] = await store.query<{ blocks: string }>(
        "SELECT uniqExact(block_number) AS blocks FROM execution_block FINAL WHERE meta_network_name = {network:String} AND state = 'complete' AND processor = 'transaction_structlog'",
        { network: NETWORK },
      );
      return Number(row!.blocks);
    };
    await using leader = await start(["discover"]);
    await using worker = await start(["work"]);
    const log = () => `${leader.log()}\n${worker.log()}`;
    {
      await using victim = await start(["work"]);
      await until("some blocks", PATIENCE_MS, async () => await complete() >= 3, log);
      await victim.end("SIGKILL");
    }
    await using successor = await start(["work"]);
    await until("every block", PATIENCE_MS, async () => await complete() === WORKLOAD_BLOCKS, log);
    assert.ok(await assertExact(store, chain.httpUrl, 1, WORKLOAD_BLOCKS) > 100_000);
    for (const processor of [successor, worker, leader]) {
      assert.equal(await processor.end("SIGTERM"), 0, processor.log());
    }
    const keys = await redis.inspect.keys(`scale:{${NETWORK}}:leader:*`);
    assert.deepEqual(keys, [], "the leader resigns when it is drained");
  }));

Deno.test("a process whose Redis is away waits for it, says so, and ends when it is told to", () =>
  withRedis(async (redis) => {
    await using store = await openStore();
    await redis.down();
    {
      await using processor = await startProcessor({
        nodes: [{ name: "nowhere", url: "http://127.0.0.1:65000" }],
        clickhouse: store.section,
        rest: { queue: { url: redis.url } },
      });
      const { log } = processor;
      await until("the outage", PATIENCE_MS, () => Promise.resolve(/queue is unreachable, waiting/.test(log())), log);
      assert.equal(await processor.end("SIGTERM"), 0, log());
      assert.equal(log().match(/queue is unreachable/g)?.length, 1, log());
    }
    await redis.up();
  }));
