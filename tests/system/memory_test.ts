/** A reply that is larger than the memory that the processor may use. */
import assert from "node:assert/strict";
import { endlessNode } from "./endless_node.ts";
import { peakBytes } from "../embedded/process_status.ts";
import { NETWORK, openStore, PATIENCE_MS, startProcessor, until } from "./stack.ts";

const REPLY_BYTES = 2e9;
const PEAK_BYTES = 400e6;

Deno.test("a reply of 2 GB is decoded, proved and stored below 400 MB", async () => {
  await using node = endlessNode(REPLY_BYTES);
  await using store = await openStore();
  await using processor = await startProcessor({
    nodes: [{ name: "endless", url: node.url, timeouts: { trace: "10m" } }],
    clickhouse: store.section,
    network: { forks: { osaka: 0 }, processors: ["transaction_structlog", "transaction_structlog_agg"] },
    rest: { work: { workers: 1, lanes: 1 } },
  });
  const records =
    "SELECT verdict, structlog_rows AS rows, bytes FROM execution_transaction_trace FINAL WHERE meta_network_name = {network:String} AND published = 1";
  let found: { verdict: string; rows: string; bytes: string }[] = [];
  await until("the record", PATIENCE_MS, async () => {
    found = await store.query(records, { network: NETWORK });
    return found.length > 0;
  }, processor.log);
  const peak = await peakBytes(processor.pid);
  assert.deepEqual([found[0]!.verdict, Number(found[0]!.rows)], ["proved", node.structlogs]);
  assert.ok(Number(found[0]!.bytes) >= REPLY_BYTES * 0.99);
  const [stored] = await store.query<{ rows: string; indices: string }>(
    "SELECT count() AS rows, uniq(index) AS indices FROM canonical_execution_transaction_structlog WHERE meta_network_name = {network:String}",
    { network: NETWORK },
  );
  assert.equal(Number(stored!.rows), node.structlogs);
  assert.ok(peak < PEAK_BYTES, `peak of the processor: ${Math.round(peak / 1e6)} MB`);
});
