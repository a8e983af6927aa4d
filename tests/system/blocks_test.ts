/** Which blocks are processed when, on a real chain: both directions, gaps, nodes that do not know, tasks that fail. */
import assert from "node:assert/strict";
import { openChain } from "../embedded/open_chain.ts";
import { withRedis } from "../stages/queue/with_redis.ts";
import { Counter, hashAt, headOf } from "./counter.ts";
import { assertExact } from "./exact.ts";
import { completeBlocks, statesOf, strayRows } from "./ledger_look.ts";
import { ask, NETWORK, openStore, PATIENCE_MS, type Processor, runMain, startProcessor, until } from "./stack.ts";
import { tamperingNode } from "./tampering_node.ts";

type Store = Awaited<ReturnType<typeof openStore>>;

async function untilComplete(store: Store, from: number, to: number, processor: Processor): Promise<void> {
  await until(
    `blocks ${from} to ${to}`,
    PATIENCE_MS,
    async () => await completeBlocks(store, from, to) === to - from + 1,
    processor.log,
  );
}

/** Of blocks `from` to `to`: how many records, and between which versions they are. */
async function recordVersions(
  store: Store,
  from: number,
  to: number,
): Promise<{ readonly records: number; readonly lowest: bigint; readonly highest: bigint }> {
  const [row] = await store.query<{ records: string; lowest: string; highest: string }>(
    `SELECT count() AS records, toString(min(row_version)) AS lowest, toString(max(row_version)) AS highest
     FROM execution_transaction_trace FINAL
     WHERE meta_network_name = {network:String} AND block_number BETWEEN {from:UInt64} AND {to:UInt64}`,
    { network: NETWORK, from, to },
  );
  return { records: Number(row!.records), lowest: BigInt(row!.lowest), highest: BigInt(row!.highest) };
}

Deno.test("forwards from the head and backwards to genesis at once leave no block out; deleted blocks are found and done again", async () => {
  await using chain = await openChain();
  await using store = await openStore();
  const url = chain.httpUrl;
  const counter = await Counter.deploy(url);
  await counter.mine(30, 2);
  const config = {
    nodes: [{ name: "anvil", url, ws: chain.wsUrl }],
    clickhouse: store.section,
    network: {
      mode: "both",
      startBlock: 25,
      window: { maxPendingBlocks: 6 },
      gaps: { interval: "1s", lookBack: "unlimited" },
    },
    rest: { queue: { reconcile: "1s" } },
  };
  await using processor = await startProcessor(config);
  await until("a first block", PATIENCE_MS, async () => await completeBlocks(store, 20, 40) > 0, processor.log);
  await counter.mine(6, 2);
  const head = await headOf(url);
  await untilComplete(store, 0, head, processor);
  await assertExact(store, url, 0, head);
  const directions = await store.query<{ direction: string; first: string; last: string }>(
    "SELECT direction, min(block_number) AS first, max(block_number) AS last FROM execution_block FINAL WHERE meta_network_name = {network:String} GROUP BY direction ORDER BY direction",
    { network: NETWORK },
  );
  assert.deepEqual(directions.map((row) => [row.direction, Number(row.first), Number(row.last)]), [
    ["backwards", 0, 24],
    ["forwards", 25, head],
  ]);
  const before = await recordVersions(store, 9, 12);
  // The ledger last: from then on the blocks are done again, and no delete may meet what that stores.
  for (const table of ["canonical_execution_transaction_structlog", "execution_transaction_trace", "execution_block"]) {
    await store.execute(
      `DELETE FROM ${table} WHERE meta_network_name = {network:String} AND block_number BETWEEN 9 AND 12`,
      { network: NETWORK },
    );
  }
  await until(
    "records of blocks 9 to 12 anew",
    PATIENCE_MS,
    async () => {
      const { records, lowest } = await recordVersions(store, 9, 12);
      return records === before.records && lowest > before.highest;
    },
    processor.log,
  );
  await untilComplete(store, 9, 12, processor);
  await assertExact(store, url, 0, head);
  assert.match(processor.log(), /enqueued blocks again/);
});

Deno.test("processors are enabled one by one: each fills its table alone", async () => {
  await using chain = await openChain();
  const url = chain.httpUrl;
  const counter = await Counter.deploy(url);
  await counter.mine(3, 4);
  const head = await headOf(url);
  const tables = {
    transaction_structlog: "canonical_execution_transaction_structlog",
    transaction_structlog_agg: "canonical_execution_transaction_structlog_agg",
    transaction_simple: "execution_transaction",
  };
  for (const processor of Object.keys(tables)) {
    await using store = await openStore();
    await using running = await startProcessor({
      nodes: [{ name: "anvil", url }],
      clickhouse: store.section,
      network: { processors: [processor] },
    });
    await untilComplete(store, 1, head, running);
    for (const [name, table] of Object.entries(tables)) {
      const [row] = await store.query<{ transactions: string }>(
        `SELECT uniqExact(${
          name === "transaction_simple" ? "hash" : "transaction_hash"
        }) AS transactions FROM ${table}`,
      );
      assert.equal(Number(row!.transactions), name === processor ? 13 : 0, `${name} with ${processor} alone`);
    }
    if (processor === "transaction_simple") await assertTransactions(store, url, head);
  }
});

/** Compares the rows of `execution_transaction` with what the node answers. */
async function assertTransactions(store: Store, url: string, head: number): Promise<void> {
  const rows = await store.query<{ hash: string; position: number; gas_used: number; success: boolean; size: number }>(
    "SELECT hash, position, gas_used, success, size FROM execution_transaction FINAL ORDER BY block_number, position",
  );
  const expected: typeof rows = [];
  for (let number = 1; number <= head; number++) {
    const hex = `0x${number.toString(16)}`;
    const { transactions } = await ask<{ transactions: string[] }>(url, "eth_getBlockByNumber", [hex, false]);
    for (const [position, hash] of transactions.entries()) {
      const receipt = await ask<{ gasUsed: string; status: string }>(url, "eth_getTransactionReceipt", [hash]);
      const raw = await ask<string>(url, "eth_getRawTransactionByHash", [hash]);
      const gasUsed = Number(receipt.gasUsed);
      expected.push({ hash, position, gas_used: gasUsed, success: receipt.status === "0x1", size: raw.length / 2 - 1 });
    }
  }
  assert.deepEqual(rows, expected);
}

Deno.test("a transaction that always fails leaves its block stuck and the window open; replay finishes it", async () => {
  await withRedis(async (redis) => {
    await using chain = await openChain();
    await using store = await openStore();
    const url = chain.httpUrl;
    const counter = await Counter.deploy(url);
    await counter.mine(2, 3);
    const poisoned = await counter.send(9);
    await counter.mine(8, 3);
    let broken = true;
    await using node = tamperingNode(
      url,
      ({ method, params }) =>
        broken &&
          (method === "debug_traceBlockByHash" || (method === "debug_traceTransaction" && params[0] === poisoned))
          ? { error: { code: -32000, message: "execution aborted (made up)" } }
          : undefined,
    );
    const head = await headOf(url);
    const stuck = 4;
    await using processor = await startProcessor({
      nodes: [{ name: "tampered", url: node.url }],
      clickhouse: store.section,
      network: { window: { maxPendingBlocks: 1 }, verify: { rounds: 1 } },
      rest: {
        queue: { url: redis.url, attempts: 2, backoff: { base: "50ms", max: "100ms" } },
        trace: { method: "transaction" },
      },
    });
    const { hash } = await ask<{ hash: string }>(url, "eth_getBlockByNumber", [`0x${stuck.toString(16)}`, false]);
    await until("all but the stuck block", PATIENCE_MS, async () => {
      return await completeBlocks(store, 1, head) === head - 1 && (await statesOf(store, hash)).includes("stuck");
    }, processor.log);
    assert.deepEqual(await statesOf(store, hash), ["stuck", "stuck"]);
    const [row] = await store.query<{ dead: number }>(
      "SELECT dead FROM execution_block FINAL WHERE block_hash = {hash:String} LIMIT 1",
      { hash },
    );
    assert.equal(row!.dead, 1, "one transaction of four");
    broken = false;
    const { code, output } = await runMain(processor.file, ["queue", "dead", "replay", "--all"]);
    assert.equal(code, 0, output);
    await untilComplete(store, 1, head, processor);
    await assertExact(store, url, 1, head);
    assert.equal(await processor.end("SIGTERM"), 0, processor.log());
  });
});

Deno.test("nodes that answer null, lag behind, or are on another fork cost no block and leave no wrong row", async () => {
  await using chain = await openChain();
  await using fork = await openChain();
  await using store = await openStore();
  const url = chain.httpUrl;
  const counter = await Counter.deploy(url);
  const other = await Counter.deploy(fork.httpUrl);
  await counter.mine(8, 3);
  await other.mine(4, 2);
  let calls = 0;
  await using forgetful = tamperingNode(
    url,
    ({ method }) => method.startsWith("eth_getBlock") && ++calls % 3 === 0 ? { result: null } : undefined,
  );
  await using late = tamperingNode(url, ({ method, params }) => {
    const behind = Number(params[0]) > 5;
    return method === "eth_getBlockByNumber" && behind
      ? { result: null }
      : method === "eth_blockNumber"
      ? { result: "0x5" }
      : undefined;
  });
  const head = await headOf(url);
  await using processor = await startProcessor({
    nodes: [
      { name: "honest", url, ws: chain.wsUrl },
      { name: "forgetful", url: forgetful.url },
      { name: "late", url: late.url },
      { name: "elsewhere", url: fork.httpUrl },
    ],
    clickhouse: store.section,
  });
  await untilComplete(store, 1, head, processor);
  await counter.mine(3, 2);
  const canonical: string[] = [];
  for (let number = 0; number <= head + 3; number++) canonical.push(await hashAt(url, number));
  // The first node that answers may be the one on the fork: its blocks are taken until another node is known.
  const settled = async () =>
    await strayRows(store, canonical) === 0 && await completeBlocks(store, 1, head + 3) === head + 3;
  await until("every block, and no row of the fork", PATIENCE_MS, settled, processor.log);
  await assertExact(store, url, 1, head + 3);
  assert.ok(forgetful.tampered() + late.tampered() > 0, "the nodes were asked");
});
