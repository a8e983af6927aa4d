import assert from "node:assert/strict";
import { Audit } from "../../src/pipeline/audit.ts";
import type { Recorded } from "../../src/pipeline/stored.ts";
import { auditSample } from "../../src/pipeline/verify.ts";
import { NodesUnavailable } from "../../src/rpc/failure.ts";
import { structlogAggTable } from "../../src/stages/encode/structlog_agg.ts";
import { structlogTable } from "../../src/stages/encode/structlog.ts";
import { StorageRejectedError } from "../../src/stages/sink/errors.ts";
import { subscribe } from "../../src/telemetry/emit.ts";
import type { PipelineEvent } from "../../src/telemetry/events.ts";
import { hash } from "../stages/encode/columns.ts";
import { OPTIONS } from "../stages/sink/attempts.ts";
import { type StoredWorld, storedWorld, versionBefore } from "./stored_world.ts";

const BLOCK = 100;
const OTHER = { node: "b", client: "Other/v2.0/linux" };

/** A stored transaction; returns its version. */
async function stored(world: StoredWorld): Promise<number> {
  const version = versionBefore(world, 3_600_000);
  await world.store(BLOCK, 0, version);
  return version;
}

/** Audits the stored transaction with the same trace. @returns rows of the audit table and events. */
async function audited(world: StoredWorld, version: number) {
  const [record] = await world.rows("SELECT structlog_rows, agg_rows FROM execution_transaction_trace FINAL");
  const target = {
    rowVersion: version,
    structlogRows: Number(record!.structlog_rows),
    aggregateRows: Number(record!.agg_rows),
  };
  const audit = new Audit(world.start(BLOCK, 0, version, OTHER), target, OPTIONS, world.storage);
  const events: PipelineEvent[] = [];
  using _ = subscribe((event) => void events.push(event));
  await world.feed(audit.sink, audit.start);
  await audit.finish(world.sink);
  const rows = await world.rows(
    "SELECT transaction_hash, row_version, node, client, differences, columns, example FROM execution_transaction_audit FINAL",
  );
  return { rows, target, told: events.filter(({ kind }) => kind === "transaction_audited") };
}

Deno.test("an audit that agrees says so in a row and in an event", async () => {
  await using world = await storedWorld();
  const version = await stored(world);
  const { rows, target, told } = await audited(world, version);
  assert.ok(target.structlogRows > 100 && target.aggregateRows > 5);
  assert.deepEqual(
    rows.map((row) => ({ ...row, row_version: Number(row.row_version), differences: Number(row.differences) })),
    [
      {
        transaction_hash: hash(BLOCK * 1000),
        row_version: version,
        node: "b",
        client: "Other/v2.0/linux",
        differences: 0,
        columns: [],
        example: "",
      },
    ],
  );
  assert.equal(told.length, 1);
  // Nothing of the audit is stored beside it.
  const [left] = await world.rows(
    `SELECT (SELECT count() FROM ${structlogTable.name}) AS rows, (SELECT count() FROM execution_transaction_trace) AS records`,
  );
  assert.deepEqual([Number(left!.rows), Number(left!.records)], [target.structlogRows, 1]);
});

Deno.test("an audit names the columns that differ, counts the cells and shows the first", async () => {
  await using world = await storedWorld();
  const version = await stored(world);
  await world.storage.execute(
    `INSERT INTO ${structlogTable.name} SELECT * REPLACE (gas + 1 AS gas, 'other' AS error) FROM ${structlogTable.name} FINAL
     WHERE index IN (5, 9)`,
    {},
  );
  await world.storage.execute(
    `INSERT INTO ${structlogAggTable.name} SELECT * REPLACE (cold_access_count + 7 AS cold_access_count)
     FROM ${structlogAggTable.name} FINAL WHERE call_frame_id = 0 AND operation = ''`,
    {},
  );
  const { rows, told } = await audited(world, version);
  assert.equal(Number(rows[0]!.differences), 5);
  assert.deepEqual(rows[0]!.columns, ["cold_access_count", "error", "gas"]);
  assert.match(
    String(rows[0]!.example),
    /^(index 5, (gas|error): stored .+, other |call_frame_id 0, operation , cold_)/,
  );
  const [event] = told;
  assert.ok(event?.kind === "transaction_audited" && event.differences === 5 && event.node === "b");
});

Deno.test("an audit counts rows that only one of both has", async () => {
  await using world = await storedWorld();
  const version = await stored(world);
  await world.storage.execute(`DELETE FROM ${structlogTable.name} WHERE index = 3`, {});
  const { rows } = await audited(world, version);
  assert.equal(Number(rows[0]!.differences), 1);
  assert.deepEqual(rows[0]!.columns, ["index"]);
  assert.equal(rows[0]!.example, "index 3: no row is stored, the other node has one");

  const audit = new Audit(
    world.start(BLOCK, 0, version, { ...OTHER, node: "c", tables: ["structlog"] }),
    {
      rowVersion: version,
      structlogRows: 100_000,
      aggregateRows: 0,
    },
    OPTIONS,
    world.storage,
  );
  await world.feed(audit.sink, audit.start);
  await audit.finish(world.sink);
  const [longer] = await world.rows(
    "SELECT differences, example FROM execution_transaction_audit FINAL WHERE node = 'c'",
  );
  assert.ok(Number(longer!.differences) > 99_000);
  assert.match(String(longer!.example), /^index 3: no row is stored/);
});

Deno.test("an audit of rows that were stored anew meanwhile says nothing", async () => {
  await using world = await storedWorld();
  const version = await stored(world);
  await world.store(BLOCK, 0, version + 5);
  const { rows, told } = await audited(world, version);
  assert.deepEqual([rows, told], [[], []]);
});

function record(index: number, changes: Partial<Recorded> = {}): Recorded {
  return {
    transactionHash: `0x${"0".repeat(56)}${(index * 0x1000_0000).toString(16).padStart(8, "0")}`,
    index,
    blockHash: hash(BLOCK),
    version: 1n,
    published: true,
    verdict: "proved",
    node: "a",
    tables: ["structlog"],
    rows: { structlog: 1n, structlog_agg: 0n },
    checksum: { structlog: 1n, structlog_agg: 0n },
    ...changes,
  };
}

Deno.test("auditSample() takes the share that the configuration says, always the same, and never the same node", async () => {
  await using world = await storedWorld();
  const lease = await world.verification(BLOCK, 16);
  const records = Array.from({ length: 16 }, (_, index) => record(index));
  const chosen = async (share: number, nodes: readonly string[]) => {
    const found: number[] = [];
    await auditSample(lease, { name: "testnet", share, nodes: () => nodes }, records, (one) => {
      found.push(one.index);
      return Promise.resolve();
    });
    return found;
  };
  assert.deepEqual(await chosen(0, ["a", "b"]), []);
  assert.deepEqual(await chosen(0.25, ["a", "b"]), [0, 1, 2, 3]);
  assert.deepEqual(await chosen(0.25, ["a", "b"]), [0, 1, 2, 3]);
  assert.deepEqual((await chosen(1, ["a", "b"])).length, 16);
  assert.deepEqual(await chosen(1, ["a"]), []);
});

Deno.test("auditSample() leaves out what no other node can trace now, and tells it; a defect ends it", async () => {
  await using world = await storedWorld();
  const lease = await world.verification(BLOCK, 2);
  const network = { name: "testnet", share: 1, nodes: () => ["a", "b"] };
  const events: PipelineEvent[] = [];
  using _ = subscribe((event) => void events.push(event));
  const done: number[] = [];
  await auditSample(lease, network, [record(0), record(1)], (one) => {
    if (one.index === 0) return Promise.reject(new NodesUnavailable("testnet", "trace", 0, new Map([["b", "down"]])));
    done.push(one.index);
    return Promise.resolve();
  });
  assert.deepEqual(done, [1]);
  const left = events.flatMap((event) => event.kind === "audit_left_out" ? [[event.transactionHash, event.code]] : []);
  assert.deepEqual(left, [[record(0).transactionHash, "nodes_unavailable"]]);
  await assert.rejects(
    auditSample(lease, network, [record(0)], () => Promise.reject(new StorageRejectedError("Cannot query"))),
    /Cannot query/,
  );
});
