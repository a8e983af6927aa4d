/**
 * A reply from a node that cuts what is not read to its end in time, and a store that takes a tenth of what the node
 * gives. What is allowed follows the node's own pace, so that it is a tenth on any machine.
 */
import assert from "node:assert/strict";
import { endlessNode } from "./endless_node.ts";
import { pacedStore } from "./paced_store.ts";
import { peakBytes } from "../embedded/process_status.ts";
import { ANY_PORT, listening, metric, NETWORK, openStore, startProcessor, until } from "./stack.ts";

/** As geth's server. */
const CUT_AFTER_MS = 30_000;
const SLOWER = 10;
const MIB = 1_048_576;
const MEMORY_BYTES = 32 * MIB;
const BATCH_BYTES = 4 * MIB;
/** A structlog of the reply, about. */
const STRUCTLOG_BYTES = 145;

/** What was seen. */
export interface LongReply {
  readonly structlogs: number;
  readonly readMs: number;
  readonly storedMs: number;
  readonly spilledBytes: number;
  readonly peakBytes: number;
}

/**
 * About `structlogs` structlogs.
 *
 * @param after The store's pace once the reply has ended: still a tenth, or its own.
 * @param withinMs Limit of each wait.
 */
export async function longReply(structlogs: number, after: "tenth" | "own", withinMs: number): Promise<LongReply> {
  await using node = endlessNode(structlogs * STRUCTLOG_BYTES, { words: 1, cutAfterMs: CUT_AFTER_MS });
  await using store = await openStore();
  let storedAtEnd: number | undefined;
  const allowed = () => {
    const reply = node.replies[0];
    if (reply === undefined) return 0;
    if (reply.endedMs === undefined) return reply.structlogs / SLOWER;
    storedAtEnd ??= paced.rows();
    if (after === "own") return Infinity;
    const [readMs, passedMs] = [reply.endedMs - reply.startedMs, performance.now() - reply.startedMs];
    return (reply.structlogs / SLOWER) * (passedMs / readMs);
  };
  await using paced = pacedStore(store.section.url, allowed);
  await using processor = await startProcessor({
    nodes: [{ name: "endless", url: node.url }],
    clickhouse: { ...store.section, url: paced.url },
    network: { forks: { osaka: 0 }, processors: ["transaction_structlog"] },
    rest: {
      work: { workers: 1, lanes: 1 },
      sink: { memoryBytes: `${MEMORY_BYTES}B`, holdBytes: "2MiB", bytes: `${BATCH_BYTES}B`, rows: 50_000 },
      telemetry: { address: ANY_PORT },
    },
  });
  const telemetry = await listening("telemetry", processor.log);
  let mostBytes = 0;
  let text = "";
  const look = async () => {
    text = await (await fetch(`${telemetry}/metrics`)).text();
    mostBytes = Math.max(mostBytes, metric(text, "sink_accepted_bytes") + metric(text, "sink_held_bytes"));
  };
  await until("the end of the reply", withinMs, async () => {
    const [reply] = node.replies;
    if (reply?.endedMs === undefined && reply?.cut !== true) {
      if (reply !== undefined) await look();
      return false;
    }
    storedAtEnd ??= paced.rows();
    return true;
  }, processor.log);
  const [reply] = node.replies;
  assert.equal(reply!.cut, false, "the reply was cut");
  assert.ok(
    storedAtEnd !== undefined && storedAtEnd < node.structlogs / 2,
    `${storedAtEnd} of ${node.structlogs} rows were stored at its end`,
  );
  let found: { verdict: string; rows: string }[] = [];
  await until("the record", withinMs, async () => {
    await look();
    found = await store.query(
      "SELECT verdict, structlog_rows AS rows FROM execution_transaction_trace FINAL WHERE meta_network_name = {network:String} AND published = 1",
      { network: NETWORK },
    );
    return found.length > 0;
  }, processor.log);
  const storedMs = performance.now() - reply!.startedMs;
  assert.deepEqual(found.map(({ verdict, rows }) => [verdict, Number(rows)]), [["proved", node.structlogs]]);
  const [stored] = await store.query<{ rows: string; indexes: string }>(
    "SELECT count() AS rows, uniqExact(index) AS indexes FROM canonical_execution_transaction_structlog FINAL WHERE meta_network_name = {network:String}",
    { network: NETWORK },
  );
  assert.deepEqual([Number(stored!.rows), Number(stored!.indexes)], [node.structlogs, node.structlogs]);
  assert.equal(node.replies.length, 1, "the trace was asked for once");
  const spilledBytes = metric(text, "sink_spill_appended_bytes_total");
  assert.ok(spilledBytes > 0);
  assert.ok(mostBytes > 0 && mostBytes <= MEMORY_BYTES + 2 * BATCH_BYTES, `${mostBytes} bytes in memory`);
  return {
    structlogs: node.structlogs,
    readMs: reply!.endedMs! - reply!.startedMs,
    storedMs,
    spilledBytes,
    peakBytes: await peakBytes(processor.pid),
  };
}
