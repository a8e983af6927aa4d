/** ClickHouse goes away in the middle of inserts of the assembled pipeline, while the chain goes on, and comes back. */
import assert from "node:assert/strict";
import { Workload } from "../../src/embedded/workload.ts";
import { openClickHouse } from "../../src/stages/sink/clickhouse.ts";
import { applySchema } from "../../src/stages/sink/schema.ts";
import { openChain } from "../embedded/open_chain.ts";
import { freshEngine } from "../embedded/shared_engine.ts";
import { assertExact } from "./exact.ts";
import { hangingStore } from "./hanging_store.ts";
import { peakBytes } from "../embedded/process_status.ts";
import { ANY_PORT, listening, metric, NETWORK, startProcessor, until } from "./stack.ts";

const MIB = 1_048_576;
const MEMORY_BYTES = 16 * MIB;
const HOLD_BYTES = 2 * MIB;
const BATCH_BYTES = 2 * MIB;
/** Blocks before the absence, and after it; all others are mined during it. */
const BEFORE = 6;
const AFTER = 2;
const OPEN = 2;

/** What was seen. */
export interface AbsentStore {
  readonly structlogs: number;
  /** Breakers opened, at least this often as seen by looking. */
  readonly opened: number;
  readonly mostBytes: number;
  readonly peakBytes: number;
}

/** ClickHouse is away for `awayMs` while a chain of `blocks` blocks is mined. Each wait may take `withinMs`. */
export async function absentStore(awayMs: number, blocks: number, withinMs: number): Promise<AbsentStore> {
  await using chain = await openChain();
  await using fresh = await freshEngine();
  const { url, user, password, database } = fresh.engine;
  const clickhouse = openClickHouse({ url, user, password, database, settings: {}, requestTimeoutMs: 60_000 });
  await applySchema(clickhouse, { appliedBy: "test" });
  const store = {
    section: { url, user, password, database },
    query: <T>(sql: string, params: Readonly<Record<string, unknown>> = {}) => clickhouse.query<T>(sql, params),
    [Symbol.asyncDispose]: () => clickhouse.close(),
  };
  const workload = new Workload({ url: chain.httpUrl, seed: 11 });
  const mine = async (from: number, to: number) => {
    for await (const block of workload.mine(from, to)) assert.ok(block.transactions.length > 0);
  };
  const complete = async () => {
    const [row] = await store.query<{ blocks: string }>(
      "SELECT uniqExact(block_number) AS blocks FROM execution_block FINAL WHERE meta_network_name = {network:String} AND state = 'complete'",
      { network: NETWORK },
    );
    return Number(row!.blocks);
  };
  await mine(1, BEFORE);
  await using door = hangingStore(url);
  await using processor = await startProcessor({
    nodes: [{ name: "anvil", url: chain.httpUrl, ws: chain.wsUrl }],
    clickhouse: { ...store.section, url: door.url },
    rest: {
      work: { workers: 1, lanes: 2 },
      sink: {
        memoryBytes: `${MEMORY_BYTES}B`,
        holdBytes: `${HOLD_BYTES}B`,
        bytes: `${BATCH_BYTES}B`,
        breaker: { reset: "500ms" },
        retry: { max: "1s" },
        spill: { after: "2s" },
      },
      telemetry: { address: ANY_PORT },
    },
  });
  const telemetry = await listening("telemetry", processor.log);
  await until("inserts", withinMs, () => Promise.resolve(door.hanging() > 0), processor.log);
  await fresh.engine.stop();
  door.open();
  const backMs = performance.now() + awayMs;
  let [opened, mostBytes, mined] = [0, 0, BEFORE];
  await until("the absence", withinMs, async () => {
    if (mined < blocks - AFTER) await mine(++mined, mined);
    const text = await (await fetch(`${telemetry}/metrics`)).text();
    if (metric(text, "sink_breaker_state") >= OPEN) opened++;
    mostBytes = Math.max(mostBytes, metric(text, "sink_accepted_bytes") + metric(text, "sink_held_bytes"));
    return performance.now() > backMs && opened > 0;
  }, processor.log);
  await fresh.engine.restart();

  await mine(mined + 1, mined + AFTER);
  await until("every block", withinMs, async () => await complete() === mined + AFTER, processor.log);
  await until("closed breakers", withinMs, async () => {
    const text = await (await fetch(`${telemetry}/metrics`)).text();
    return metric(text, "sink_breaker_state") === 0 && metric(text, "sink_spill_backlog_bytes") === 0;
  }, processor.log);
  assert.ok(
    mostBytes > 0 && mostBytes <= MEMORY_BYTES + 2 * (HOLD_BYTES + BATCH_BYTES),
    `${mostBytes} bytes in memory`,
  );
  assert.match(processor.log(), /ClickHouse does not answer/);
  assert.match(processor.log(), /ClickHouse answers again/);
  assert.doesNotMatch(processor.log(), /trying again .*code=storage_unavailable/);
  const structlogs = await assertExact(store, chain.httpUrl, 1, mined + AFTER);
  const peak = await peakBytes(processor.pid);
  await clickhouse.close();
  return { structlogs, opened, mostBytes, peakBytes: peak };
}
