/** Reorgs on a real chain while it is processed: what is stored in the end is what a fresh run on the final chain stores. */
import assert from "node:assert/strict";
import { openChain } from "../embedded/open_chain.ts";
import { Counter, hashAt, headOf } from "./counter.ts";
import { assertExact } from "./exact.ts";
import { completeBlocks, fingerprint, statesOf, strayRows } from "./ledger_look.ts";
import { ask, NETWORK, openStore, PATIENCE_MS, startProcessor, until } from "./stack.ts";

/** Short, so that the second removal of orphaned rows comes within the test. */
const QUEUE = { lease: "3s", heartbeat: "1s", reclaim: "1s" };
const TRANSACTIONS = 3;

Deno.test("reorgs of depth 1, 3 and 20 during processing leave what a fresh run on the final chain stores", async () => {
  await using chain = await openChain();
  await using store = await openStore();
  const url = chain.httpUrl;
  const counter = await Counter.deploy(url);
  const config = {
    nodes: [{ name: "anvil", url, ws: chain.wsUrl }],
    network: { processors: ["transaction_structlog", "transaction_structlog_agg", "transaction_simple"] },
    rest: { queue: QUEUE },
  };
  const left: string[] = [];
  {
    await using processor = await startProcessor({ ...config, clickhouse: store.section });
    /** The lowest block of the fork is stored, the newest has just been accepted. */
    const inTheMiddle = async (lowest: string, newest: string) => {
      const stored = async () => (await statesOf(store, lowest)).every((state) => state === "complete");
      await until(
        `${newest} accepted`,
        PATIENCE_MS,
        async () => (await statesOf(store, newest)).length > 0,
        processor.log,
      );
      await until(`${lowest} stored`, PATIENCE_MS, stored, processor.log);
    };
    await counter.mine(2, TRANSACTIONS);
    for (const depth of [1, 3, 20]) {
      const snapshot = await ask<string>(url, "evm_snapshot", []);
      await counter.mine(depth, TRANSACTIONS);
      const head = await headOf(url);
      for (let number = head - depth + 1; number <= head; number++) left.push(await hashAt(url, number));
      await inTheMiddle(left.at(-depth)!, left.at(-1)!);
      assert.equal(await ask<boolean>(url, "evm_revert", [snapshot]), true);
      await counter.mine(depth + 1, TRANSACTIONS);
    }
    for (const depth of [1, 3]) {
      const head = await headOf(url);
      for (let number = head - depth + 1; number <= head; number++) left.push(await hashAt(url, number));
      await inTheMiddle(left.at(-depth)!, left.at(-1)!);
      const transactions = Array.from({ length: depth }, (_, block) => [counter.request(11 + block), block]);
      await ask(url, "anvil_reorg", [depth, transactions]);
      await counter.mine(1, TRANSACTIONS);
    }
    const head = await headOf(url);
    const canonical: string[] = [];
    for (let number = 0; number <= head; number++) canonical.push(await hashAt(url, number));
    assert.ok(left.every((hash) => !canonical.includes(hash)), "the chain did reorganise");
    await until("every block", PATIENCE_MS, async () => await completeBlocks(store, 1, head) === head, processor.log);
    await until(
      "orphaned rows removed",
      PATIENCE_MS,
      async () => await strayRows(store, canonical) === 0,
      processor.log,
    );
    assert.match(processor.log(), /removed the rows/);
    await assertExact(store, url, 1, head);
    for (const hash of [left[0]!, left[1]!, left.at(-1)!]) {
      assert.deepEqual(await statesOf(store, hash), ["orphaned", "orphaned", "orphaned"]);
    }
    assert.equal(await processor.end("SIGTERM"), 0, processor.log());
  }
  await using fresh = await openStore();
  await using processor = await startProcessor({ ...config, clickhouse: fresh.section });
  const head = await headOf(url);
  await until("a fresh run", PATIENCE_MS, async () => await completeBlocks(fresh, 1, head) === head, processor.log);
  assert.deepEqual(await fingerprint(store), await fingerprint(fresh));
});

Deno.test("a reorg deeper than reorg.maxDepth stops its network with both hashes, and no other", async () => {
  await using steady = await openChain();
  await using deep = await openChain();
  await using store = await openStore();
  const counter = await Counter.deploy(steady.httpUrl);
  const other = await Counter.deploy(deep.httpUrl);
  const snapshot = await ask<string>(deep.httpUrl, "evm_snapshot", []);
  await counter.mine(5, 1);
  await other.mine(5, 1);
  const networkOf = (name: string, url: string) => ({
    ...{ name, chainId: 31_337, blockTime: "1s", startBlock: 1, nodes: [{ name: `${name}-node`, url }] },
    reorg: { maxDepth: 2 },
  });
  await using processor = await startProcessor({
    nodes: [],
    clickhouse: store.section,
    rest: { networks: [networkOf(NETWORK, steady.httpUrl), networkOf("deep", deep.httpUrl)] },
  });
  const states = async () =>
    await store.query<{ state: string; blocks: string }>(
      "SELECT state, uniqExact(block_number) AS blocks FROM execution_block FINAL WHERE meta_network_name = 'deep' GROUP BY state",
    );
  const finished = async () =>
    (await states()).some(({ state, blocks }) => state === "complete" && Number(blocks) === 6);
  await until(
    "both networks",
    PATIENCE_MS,
    async () => await completeBlocks(store, 1, 6) === 6 && await finished(),
    () => {
      return processor.log();
    },
  );
  await ask(deep.httpUrl, "evm_revert", [snapshot]);
  await other.mine(7, 1);
  await until(
    "the end of one network",
    PATIENCE_MS,
    () => Promise.resolve(/this network stops/.test(processor.log())),
    () => {
      return processor.log();
    },
  );
  assert.match(processor.log(), /this network stops.* oldHash=0x[0-9a-f]{64} newHash=0x[0-9a-f]{64}/);
  await counter.mine(4, 1);
  await until("the other network", PATIENCE_MS, async () => await completeBlocks(store, 1, 10) === 10, processor.log);
  assert.deepEqual((await states()).map(({ state, blocks }) => [state, Number(blocks)]), [["complete", 6]]);
  assert.equal(await processor.end("SIGTERM"), 0, processor.log());
});
