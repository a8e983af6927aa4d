/**
 * Everything that can be killed is, at random and again and again, while a chain grows: a leader, a worker, Redis and
 * the engine. In the end nothing is missing, nothing is there twice, and the certificate says so.
 */
import assert from "node:assert/strict";
import { openChain } from "../embedded/open_chain.ts";
import { sharedEngine } from "../embedded/shared_engine.ts";
import { withRedis } from "../stages/queue/with_redis.ts";
import { Counter, headOf } from "./counter.ts";
import { assertExact } from "./exact.ts";
import { completeBlocks, unverifiedBlocks } from "./ledger_look.ts";
import { openStore, PATIENCE_MS, type Processor, runMain, startProcessor, until, untilNone } from "./stack.ts";

/** Time between two kills. */
const KILL_EVERY_MS = 5_000;
/** Time between two blocks. */
const BLOCK_EVERY_MS = 600;

/** Numbers in [0, 1) from a seed, so that a run can be repeated. */
function random(seed: number): () => number {
  let state = seed % 2_147_483_647 || 1;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Runs it for `durationMs`, then waits until all is settled. */
export async function killRun(durationMs: number, seed: number): Promise<void> {
  await withRedis(async (redis) => {
    await using chain = await openChain();
    await using store = await openStore();
    const url = chain.httpUrl;
    const counter = await Counter.deploy(url);
    const draw = random(seed);
    const config = {
      nodes: [{ name: "anvil", url, ws: chain.wsUrl }],
      clickhouse: store.section,
      network: {
        gaps: { interval: "5s", stale: "20s" },
        verify: { delay: "2s" },
        window: { maxPendingBlocks: 16 },
      },
      rest: {
        queue: {
          url: redis.url,
          lease: "6s",
          heartbeat: "2s",
          reclaim: "1s",
          reconcile: "3s",
          leader: { ttl: "3s", renew: "800ms" },
          backoff: { base: "200ms", max: "2s" },
          recoveries: 1_000,
          attempts: 50,
        },
        work: { workers: 1 },
      },
    };
    const processors: Processor[] = [await startProcessor(config), await startProcessor(config)];
    try {
      const endMs = performance.now() + durationMs;
      const killed: Record<string, number> = {};
      const restart = async (index: number) => {
        await processors[index]![Symbol.asyncDispose]();
        processors[index] = await startProcessor(config);
      };
      const victims: Record<string, () => Promise<void>> = {
        "first processor": () => restart(0),
        "second processor": () => restart(1),
        redis: async () => {
          await redis.down();
          await pause(1_000 * draw());
          await redis.up();
        },
        engine: async () => {
          Deno.kill(sharedEngine.pid, "SIGKILL");
          await pause(1_000 * draw());
          await sharedEngine.restart();
        },
      };
      const names = Object.keys(victims);
      const killing = (async () => {
        while (performance.now() < endMs) {
          await pause(KILL_EVERY_MS * (0.5 + draw()));
          const name = names[Math.floor(draw() * names.length)]!;
          await victims[name]!();
          killed[name] = (killed[name] ?? 0) + 1;
        }
      })();
      const mining = (async () => {
        while (performance.now() < endMs) {
          await counter.mine(1, 1 + Math.floor(4 * draw()));
          await pause(BLOCK_EVERY_MS);
        }
      })();
      await Promise.all([killing, mining]);
      assert.ok(Object.values(killed).reduce((sum, count) => sum + count, 0) >= 2, "something was killed");
      const head = await headOf(url);
      const logs = () => `${JSON.stringify(killed)}\n${processors.map((processor) => processor.log()).join("\n---\n")}`;
      await untilNone("blocks to complete", async () => head - await completeBlocks(store, 1, head), logs);
      await untilNone("blocks to verify", () => unverifiedBlocks(store, 1, head), logs);
      let certificate = "";
      await until("a clean certificate", PATIENCE_MS, async () => {
        const { code, output } = await runMain(processors[0]!.file, ["verify", "--from", "1", "--to", String(head)]);
        certificate = output;
        return code === 0;
      }, () => `${certificate}\n${logs()}`);
      await assertExact(store, url, 1, head);
      for (const processor of processors) assert.equal(await processor.end("SIGTERM"), 0, processor.log());
    } finally {
      for (const processor of processors) await processor[Symbol.asyncDispose]();
    }
  }, ["--appendonly", "yes", "--appendfsync", "everysec"]);
}
