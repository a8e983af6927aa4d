/** The processor alone is interrupted, killed and cut off while chain and database stay. */
import assert from "node:assert/strict";
import { Workload, WORKLOAD_BLOCKS } from "../../src/embedded/workload.ts";
import { openChain } from "../embedded/open_chain.ts";
import { assertExact } from "./exact.ts";
import { cuttingProxy } from "./cutting_proxy.ts";
import { NETWORK, openStore, PATIENCE_MS, startProcessor, until } from "./stack.ts";

const HALF = WORKLOAD_BLOCKS / 2;

type Store = Awaited<ReturnType<typeof openStore>>;

async function completeBlocks(store: Store): Promise<number> {
  const [row] = await store.query<{ blocks: string }>(
    "SELECT uniqExact(block_number) AS blocks FROM execution_block FINAL WHERE meta_network_name = {network:String} AND state = 'complete' AND processor = 'transaction_structlog'",
    { network: NETWORK },
  );
  return Number(row!.blocks);
}

async function mine(url: string, from: number, to: number, workload: Workload): Promise<void> {
  for await (const block of workload.mine(from, to)) assert.ok(block.transactions.length > 0, url);
}

Deno.test("a processor that is drained and then killed midway leaves exactly the right rows after its restart", async () => {
  await using chain = await openChain();
  await using store = await openStore();
  const workload = new Workload({ url: chain.httpUrl, seed: 7 });
  // Each half when its processor needs it: whoever is faster than this test must not leave the next one without work.
  await mine(chain.httpUrl, 1, HALF, workload);
  const config = { nodes: [{ name: "anvil", url: chain.httpUrl, ws: chain.wsUrl }], clickhouse: store.section };
  {
    await using processor = await startProcessor(config);
    await until("some blocks", PATIENCE_MS, async () => await completeBlocks(store) >= 3, processor.log);
    assert.equal(await processor.end("SIGINT"), 0, processor.log());
  }
  const drained = await completeBlocks(store);
  assert.ok(drained >= 3);
  await mine(chain.httpUrl, HALF + 1, WORKLOAD_BLOCKS, workload);
  {
    await using processor = await startProcessor(config);
    await until("more blocks", PATIENCE_MS, async () => await completeBlocks(store) > drained, processor.log);
    await processor.end("SIGKILL");
  }
  {
    await using processor = await startProcessor(config);
    await until("every block", PATIENCE_MS, async () => await completeBlocks(store) === WORKLOAD_BLOCKS, processor.log);
    assert.equal(await processor.end("SIGTERM"), 0, processor.log());
  }
  assert.ok(await assertExact(store, chain.httpUrl, 1, WORKLOAD_BLOCKS) > 100_000);
});

Deno.test("a WebSocket that is cut midway costs no block", async () => {
  await using chain = await openChain();
  await using store = await openStore();
  await using proxy = cuttingProxy(new URL(chain.wsUrl));
  const workload = new Workload({ url: chain.httpUrl, seed: 8 });
  await mine(chain.httpUrl, 1, 2, workload);
  await using processor = await startProcessor({
    nodes: [{ name: "anvil", url: chain.httpUrl, ws: proxy.url }],
    clickhouse: store.section,
  });
  await until("the first blocks", PATIENCE_MS, async () => await completeBlocks(store) === 2, processor.log);
  for (let block = 3; block <= 8; block++) {
    await mine(chain.httpUrl, block, block, workload);
    if (block !== 4 && block !== 6) continue;
    await until("the socket", PATIENCE_MS, () => Promise.resolve(proxy.connections() > 0), processor.log);
    assert.ok(proxy.cut() > 0);
  }
  await until("every block", PATIENCE_MS, async () => await completeBlocks(store) === 8, processor.log);
  assert.ok(await assertExact(store, chain.httpUrl, 1, 8) > 0);
});
