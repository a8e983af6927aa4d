import assert from "node:assert/strict";
import {
  NotVerifiableYetError,
  StoredDifferenceError,
  type VerifyNetwork,
  verifyStored,
} from "../../src/pipeline/verify.ts";
import { readRequest } from "../../src/pipeline/requests.ts";
import { structlogTable } from "../../src/stages/encode/structlog.ts";
import { executionTransactionTraceTable } from "../../src/stages/encode/execution_transaction_trace.ts";
import { structlogAggTable } from "../../src/stages/encode/structlog_agg.ts";
import type { Lease } from "../../src/stages/queue/port.ts";
import { subscribe } from "../../src/telemetry/emit.ts";
import type { PipelineEvent } from "../../src/telemetry/events.ts";
import { hash } from "../stages/encode/columns.ts";
import { recordRow } from "../stages/encode/rows.ts";
import { LEASE_MS, NETWORK, type StoredWorld, storedWorld, TRACED, versionBefore } from "./stored_world.ts";

const HOUR_MS = 3_600_000;
const BLOCK = 100;

function networkOf(world: StoredWorld): VerifyNetwork {
  return {
    name: NETWORK,
    queue: world.queue,
    ledger: world.ledger,
    processors: { trace: TRACED },
    tables: ["structlog", "structlog_agg"],
    database: world.storage,
    rounds: 2,
    leaseMs: LEASE_MS,
  };
}

/** A complete block of two stored transactions. */
async function completeBlock(world: StoredWorld): Promise<number> {
  const version = versionBefore(world, HOUR_MS);
  await world.store(BLOCK, 0, version);
  await world.store(BLOCK, 1, version);
  await world.enter(BLOCK, "complete");
  return version;
}

/** Deletes rows of the structlog table behind the sink's back. */
function loseRows(world: StoredWorld, index: number): Promise<void> {
  return world.storage.execute(
    `DELETE FROM ${structlogTable.name} WHERE transaction_hash = {hash:String} AND index = 3`,
    { hash: hash(BLOCK * 1000 + index) },
  );
}

/** The lease of the same task after so many failures. */
function afterFailures(lease: Lease, attempts: number): Lease {
  const { token, firstDelivery, signal, progress, ended } = lease;
  return {
    ...{ token, firstDelivery, signal, progress, ended },
    task: { ...lease.task, attempts },
    moved: () => lease.moved(),
    waiting: () => lease.waiting(),
    settle: (settlement) => lease.settle(settlement),
  };
}

async function failureOf(lease: Lease, world: StoredWorld): Promise<unknown> {
  return await verifyStored(lease, networkOf(world)).then(() => undefined, (error) => error);
}

Deno.test("verifyStored() finds complete blocks in order and tells the ledger how many rows it found", async () => {
  await using world = await storedWorld();
  await completeBlock(world);
  const lease = await world.verification(BLOCK, 2);
  const events: PipelineEvent[] = [];
  using _ = subscribe((event) => void events.push(event));
  const agreeing = await verifyStored(lease, networkOf(world));
  assert.deepEqual(agreeing.map(({ index, node }) => [index, node]), [[0, "a"], [1, "a"]]);
  assert.deepEqual(
    events.flatMap((event) => event.kind === "rows_verified" ? [[event.result, event.transactions]] : []),
    [["agrees", 2]],
  );
  const rows = await world.ledger.between(BLOCK, BLOCK);
  const [counted] = await world.rows(
    `SELECT (SELECT count() FROM ${structlogTable.name} FINAL) AS structlogs, (SELECT count() FROM ${structlogAggTable.name} FINAL) AS aggregates`,
  );
  assert.deepEqual(
    rows.map((row) => [row.processor, row.state, row.storedRows, row.verifiedMs !== undefined]),
    [
      ["transaction_structlog", "complete", Number(counted!.structlogs), true],
      ["transaction_structlog_agg", "complete", Number(counted!.aggregates), true],
    ],
  );
});

Deno.test("verifyStored() asks for a block that lacks a row once, waits, and gives up after the rounds with what it found", async () => {
  await using world = await storedWorld();
  let version = await completeBlock(world);
  await loseRows(world, 1);
  const lease = await world.verification(BLOCK, 2);
  const first = await failureOf(lease, world);
  assert.ok(first instanceof StoredDifferenceError);
  assert.equal(first.disposition, "retry");
  assert.match(first.message, new RegExp(`transaction 1 ${hash(BLOCK * 1000 + 1)}: structlog: \\d+ rows are stored`));
  const requests = await world.queue.requests(world.office, 10);
  assert.equal(requests.length, 1);
  assert.deepEqual(readRequest(requests[0]!.body), { blocks: [BLOCK], processors: TRACED, class: "reprocess" });

  const again = afterFailures(lease, 1);
  const waiting = await failureOf(again, world);
  assert.ok(waiting instanceof NotVerifiableYetError);
  assert.deepEqual([waiting.release, waiting.releaseMs], [true, LEASE_MS]);
  assert.equal((await world.queue.requests(world.office, 10)).length, 1);

  // Processed again, and it differs again: the next round.
  version++;
  await world.store(BLOCK, 0, version);
  await world.store(BLOCK, 1, version);
  await loseRows(world, 1);
  assert.equal((await failureOf(again, world) as StoredDifferenceError).disposition, "retry");
  assert.equal((await world.queue.requests(world.office, 10)).length, 2);

  const last = await failureOf(afterFailures(lease, 2), world) as StoredDifferenceError;
  assert.equal(last.disposition, "dead");
  assert.match(last.message, /structlog: \d+ rows are stored, \d+ are recorded/);
  assert.ok((await world.ledger.between(BLOCK, BLOCK)).every((row) => row.verifiedMs === undefined));

  // Processed again, well.
  await world.store(BLOCK, 1, version + 1);
  assert.equal((await verifyStored(lease, networkOf(world))).length, 2);
});

Deno.test("verifyStored() sees a changed cell though the number of rows is right", async () => {
  await using world = await storedWorld();
  await completeBlock(world);
  const lease = await world.verification(BLOCK, 2);
  await world.storage.execute(
    `INSERT INTO ${structlogTable.name} SELECT * REPLACE (gas + 1 AS gas) FROM ${structlogTable.name} FINAL
     WHERE transaction_hash = {hash:String} AND index = 5`,
    { hash: hash(BLOCK * 1000) },
  );
  assert.match(String(await failureOf(lease, world)), /transaction 0 .*: structlog: the checksum of the rows is \d+/);
});

Deno.test("verifyStored() removes rows that no record names, once none can come", async () => {
  await using world = await storedWorld();
  const version = await completeBlock(world);
  // Of a transaction that has no record, and of a violated one: left by a process that was killed.
  await world.store(BLOCK, 7, version);
  await world.storage.execute(
    `DELETE FROM ${executionTransactionTraceTable.name} WHERE transaction_hash = {hash:String}`,
    { hash: hash(BLOCK * 1000 + 7) },
  );
  const lease = await world.verification(BLOCK, 2);
  const events: PipelineEvent[] = [];
  using _ = subscribe((event) => void events.push(event));
  await verifyStored(lease, networkOf(world));
  assert.deepEqual(
    events.flatMap((event) => event.kind === "rows_verified" ? [[event.result, event.transactions]] : []),
    [["removed_unrecorded", 1], ["agrees", 2]],
  );
  for (const { name } of [structlogTable, structlogAggTable]) {
    const left = await world.rows(`SELECT uniqExact(transaction_hash) AS transactions FROM ${name} FINAL`);
    assert.equal(Number(left[0]!.transactions), 2, name);
  }
});

Deno.test("verifyStored() leaves young rows without a record alone and comes back", async () => {
  await using world = await storedWorld();
  await completeBlock(world);
  await world.store(BLOCK, 7, versionBefore(world, LEASE_MS));
  await world.storage.execute(
    `DELETE FROM ${executionTransactionTraceTable.name} WHERE transaction_hash = {hash:String}`,
    { hash: hash(BLOCK * 1000 + 7) },
  );
  const lease = await world.verification(BLOCK, 2);
  assert.ok(await failureOf(lease, world) instanceof NotVerifiableYetError);
  const left = await world.rows(`SELECT uniqExact(transaction_hash) AS transactions FROM ${structlogTable.name} FINAL`);
  assert.equal(Number(left[0]!.transactions), 3);
});

Deno.test("verifyStored() never deletes rows of an attempt whose record is open", async () => {
  await using world = await storedWorld();
  const version = await completeBlock(world);
  const newer = version + 1;
  await world.store(BLOCK, 1, newer);
  const key = { network: NETWORK, blockNumber: BLOCK, blockHash: hash(BLOCK), transactionHash: hash(BLOCK * 1000 + 1) };
  const open = recordRow({ ...key, rowVersion: newer }, {
    transaction_index: 1,
    verdict: "open",
    published: 0,
    structlog_rows: 0,
    agg_rows: 0,
  });
  await world.sink.insertRows(executionTransactionTraceTable, [open]);
  const lease = await world.verification(BLOCK, 2);
  assert.match(String(await failureOf(lease, world)), /transaction 1 .*: its record is open/);
  const left = await world.rows(`SELECT uniqExact(transaction_hash) AS transactions FROM ${structlogTable.name} FINAL`);
  assert.equal(Number(left[0]!.transactions), 2);
});

Deno.test("verifyStored() waits for a block in work, not for a processor that is gone, and forgets one that left the chain", async () => {
  await using world = await storedWorld();
  await completeBlock(world);
  const lease = await world.verification(BLOCK, 2);
  const [row] = await world.ledger.between(BLOCK, BLOCK);
  await world.ledger.write([{ ...row!, processor: "transaction_simple", state: "accepted" }]);
  assert.equal((await verifyStored(lease, networkOf(world))).length, 2);
  await world.enter(BLOCK, "accepted", { version: world.clock.now() + 1 });
  assert.ok(await failureOf(lease, world) instanceof NotVerifiableYetError);
  await world.enter(BLOCK, "orphaned", { version: world.clock.now() + 2 });
  assert.deepEqual(await verifyStored(lease, networkOf(world)), []);
});

Deno.test("verifyStored() takes a stuck block without the rows of its dead-lettered transactions", async () => {
  await using world = await storedWorld();
  await world.store(BLOCK, 0, versionBefore(world, HOUR_MS));
  await world.enter(BLOCK, "stuck", { dead: 1 });
  const lease = await world.verification(BLOCK, 2);
  assert.deepEqual((await verifyStored(lease, networkOf(world))).map(({ index }) => index), [0]);
  assert.ok((await world.ledger.between(BLOCK, BLOCK)).every((row) => row.state === "stuck" && row.verifiedMs! > 0));
});

Deno.test("verifyStored() counts the rows of the processor without traces", async () => {
  await using world = await storedWorld();
  await world.ledger.write([{
    network: NETWORK,
    processor: "transaction_simple",
    blockNumber: BLOCK,
    blockHash: hash(BLOCK),
    parentHash: hash(BLOCK - 1),
    state: "complete",
    direction: "forwards",
    taskCount: 1,
    transactions: 2,
    expectedRows: 2,
    storedRows: 0,
    attempts: 1,
    dead: 0,
    violated: 0,
    acceptedMs: 1,
    version: 1,
  }]);
  const lease = await world.verification(BLOCK, 2);
  const network = { ...networkOf(world), processors: { simple: ["transaction_simple"] }, tables: [] };
  await assert.rejects(
    verifyStored(lease, network),
    /execution_transaction: 0 rows are stored, the block has 2 transactions/,
  );
});
