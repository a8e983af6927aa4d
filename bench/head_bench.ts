/**
 * From a head to durable rows: blocks of 200 small transactions on the dev chain, processed with the default
 * configuration into the embedded engine. A block's time runs from the end of its mining until the engine has the
 * published record of every one of its transactions, which is written after their rows; the look-up that finds out is
 * part of it. Figures are lines `name<TAB>value<TAB>unit`; progress goes to stderr.
 */
import { ask, NETWORK, openStore, startProcessor } from "../tests/system/stack.ts";
import { Counter } from "../tests/system/counter.ts";
import { openChain } from "../tests/embedded/open_chain.ts";
import { figure, say } from "./figures.ts";

const TRANSACTIONS = 200;
const WARM_UP = 5;
const ROUNDS = 40;
/** A look costs the engine some milliseconds: the fewer, the less it disturbs. */
const LOOK_EVERY_MS = 25;
/** Steps of a transaction's loop: about 220 structlogs. */
const STEPS = 30;

/** Nearest rank. */
function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]!;
}

async function main(): Promise<void> {
  await using chain = await openChain();
  await using store = await openStore();
  const counter = await Counter.deploy(chain.httpUrl);

  await using processor = await startProcessor({
    nodes: [{ name: "anvil", url: chain.httpUrl, ws: chain.wsUrl }],
    clickhouse: store.section,
  });

  async function recorded(blockNumber: number): Promise<number> {
    const [row] = await store.query<{ records: string }>(
      "SELECT uniqExact(transaction_hash) AS records FROM execution_transaction_trace WHERE meta_network_name = {network:String} AND block_number = {number:UInt64} AND published = 1 AND verdict != 'open'",
      { network: NETWORK, number: blockNumber },
    );
    return Number(row!.records);
  }

  async function untilRecorded(blockNumber: number, transactions: number): Promise<void> {
    const endMs = performance.now() + 60_000;
    while (await recorded(blockNumber) < transactions) {
      if (performance.now() > endMs) throw new Error(`Cannot wait longer for block ${blockNumber}\n${processor.log()}`);
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    }
  }

  await untilRecorded(1, 1);
  const times: number[] = [];
  for (let round = 0; round < WARM_UP + ROUNDS; round++) {
    for (let sent = 0; sent < TRANSACTIONS; sent++) await counter.send(STEPS);
    await ask(chain.httpUrl, "evm_mine", []);
    const minedMs = performance.now();
    await untilRecorded(2 + round, TRANSACTIONS);
    const ms = performance.now() - minedMs;
    if (round >= WARM_UP) times.push(ms);
    if (round % 10 === 9) say(`${round + 1} blocks, the last in ${ms.toFixed(0)} ms`);
  }

  figure("head_to_durable_p50_ms", quantile(times, 0.5).toFixed(0), "ms");
  figure("head_to_durable_p95_ms", quantile(times, 0.95).toFixed(0), "ms");
  say(
    `${ROUNDS} blocks of ${TRANSACTIONS} transactions; fastest ${Math.min(...times).toFixed(0)} ms, slowest ${
      Math.max(...times).toFixed(0)
    } ms`,
  );
}

await main();
Deno.exit(0); // the engine that tests share runs until its process ends
