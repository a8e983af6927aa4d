/**
 * A store that takes nothing: what the assembled pipeline has in hand stays within its bounds, a process that has to
 * end puts it on disk, and nothing is lost.
 */
import assert from "node:assert/strict";
import { Workload } from "../../src/embedded/workload.ts";
import { inspectSpill } from "../../src/stages/sink/spill_inspect.ts";
import { openChain } from "../embedded/open_chain.ts";
import { assertExact } from "./exact.ts";
import { hangingStore } from "./hanging_store.ts";
import { ANY_PORT, listening, metric, NETWORK, openStore, PATIENCE_MS, startProcessor, until } from "./stack.ts";

const BLOCKS = 12;
const WINDOW = 4;
const LANES = 2;
const MEMORY_BYTES = 512 * 1024;
const SPILL_BYTES = 64 * 1024 * 1024;
/** A structlog is at most this many times larger in the reply than as an encoded row. */
const JSON_PER_ROW_BYTE = 8;

Deno.test("with a sink that never completes, tasks, blocks and bytes in hand stay within their bounds", async () => {
  await using chain = await openChain();
  await using store = await openStore();
  await using door = hangingStore(store.section.url);
  const workload = new Workload({ url: chain.httpUrl, seed: 9 });
  let largestReply = 0;
  for await (const block of workload.mine(1, BLOCKS)) {
    const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "debug_traceBlockByHash", params: [block.hash, {}] });
    const reply = await fetch(chain.httpUrl, { method: "POST", headers: { "content-type": "application/json" }, body });
    largestReply = Math.max(largestReply, (await reply.arrayBuffer()).byteLength);
  }
  await using processor = await startProcessor({
    nodes: [{ name: "anvil", url: chain.httpUrl, ws: chain.wsUrl }],
    clickhouse: { ...store.section, url: door.url },
    network: { window: { maxPendingBlocks: WINDOW } },
    rest: {
      work: { workers: 1, lanes: LANES, drain: "500ms" },
      sink: {
        drain: "500ms",
        memoryBytes: `${2 * MEMORY_BYTES}B`,
        holdBytes: `${MEMORY_BYTES / 2}B`,
        spill: { maxBytes: `${SPILL_BYTES}B`, segmentBytes: `${SPILL_BYTES / 4}B`, after: "1h" },
      },
      telemetry: { address: ANY_PORT },
    },
  });
  const telemetry = await listening("telemetry", processor.log);
  const read = async () => await (await fetch(`${telemetry}/metrics`)).text();
  await until("hanging inserts", PATIENCE_MS, () => Promise.resolve(door.hanging() > 0), processor.log);
  let text = "";
  let still = 0;
  for (let bytes = -1; still < 20;) {
    text = await read();
    const now = metric(text, "trace_bytes_total");
    still = now === bytes ? still + 1 : 0;
    bytes = now;
    assert.ok(metric(text, "work_lanes_busy") <= LANES);
    assert.ok(metric(text, "gate_window_pending_blocks") <= WINDOW);
    assert.ok(metric(text, "discover_blocks_accepted_total") <= WINDOW);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.equal(metric(text, "work_tasks_settled_total"), 0);
  // What was claimed while memory was free, and one more reply for each lane that overflowed to disk: only claiming waits.
  const budget = MEMORY_BYTES * JSON_PER_ROW_BYTE + LANES * largestReply;
  assert.ok(
    metric(text, "trace_bytes_total") <= budget,
    `${metric(text, "trace_bytes_total")} bytes read, ${budget} allowed`,
  );

  assert.equal(await processor.end("SIGTERM"), 0, processor.log());
  let records = 0;
  for await (const { operations, damaged } of inspectSpill(`${processor.directory}/spill`)) {
    records += operations.record;
    assert.deepEqual(damaged, []);
  }
  assert.ok(records > 0, "what was accepted waits on disk with its record");
  door.open();
  await processor.again();
  const complete =
    "SELECT uniqExact(block_number) AS blocks FROM execution_block FINAL WHERE meta_network_name = {network:String} AND state = 'complete'";
  await until("every block", PATIENCE_MS, async () => {
    const [row] = await store.query<{ blocks: string }>(complete, { network: NETWORK });
    return Number(row!.blocks) === BLOCKS;
  }, processor.log);
  assert.ok(await assertExact(store, chain.httpUrl, 1, BLOCKS) > 0);
});
