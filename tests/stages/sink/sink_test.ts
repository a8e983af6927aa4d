import assert from "node:assert/strict";
import { executionBlockTable } from "../../../src/stages/encode/execution_block.ts";
import { executionTransactionTraceTable } from "../../../src/stages/encode/execution_transaction_trace.ts";
import { structlogTable } from "../../../src/stages/encode/structlog.ts";
import { structlogAggTable } from "../../../src/stages/encode/structlog_agg.ts";
import {
  SinkClosedError,
  StorageRejectedError,
  StorageUnavailableError,
  SupersededError,
} from "../../../src/stages/sink/errors.ts";
import type { SinkOptions, SpillOperation, SpillPort } from "../../../src/stages/sink/port.ts";
import { openSink } from "../../../src/stages/sink/sink.ts";
import { subscribe } from "../../../src/telemetry/emit.ts";
import type { PipelineEvent } from "../../../src/telemetry/events.ts";
import { afterCollection } from "../../garbage.ts";
import { frameColumns, frameRow, hash, OPERATIONS } from "../encode/columns.ts";
import { blockRow } from "../encode/rows.ts";
import { attemptStart, CLOSE, OPTIONS, proof, structlogs, trace, VIOLATED } from "./attempts.ts";
import { type Fate, ScriptedStorage } from "./scripted_storage.ts";

const OUTAGE = { fail: new StorageUnavailableError("Cannot reach the server") } satisfies Fate;
const RECORDS = executionTransactionTraceTable.name;

/** A spill that keeps operations in a list. */
class ListSpill implements SpillPort {
  readonly operations: SpillOperation[] = [];
  readonly durable: PromiseWithResolvers<void>[] = [];
  drainedCalls = 0;
  backlogBytes = 0;
  #waiting: { count: number; resolve: () => void }[] = [];

  /** Resolves when `count` operations have come. */
  count(count: number): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push({ count, resolve });
      this.#tell();
    });
  }

  #tell(): void {
    for (const { count, resolve } of this.#waiting) if (this.operations.length >= count) resolve();
  }

  append(operation: SpillOperation) {
    const durable = Promise.withResolvers<void>();
    durable.promise.catch(() => {});
    this.operations.push(operation);
    this.durable.push(durable);
    this.#tell();
    return { spilled: Promise.resolve(), durable: durable.promise };
  }

  drained(): Promise<void> {
    this.drainedCalls++;
    return Promise.resolve();
  }

  drainedOrAway(): Promise<void> {
    return this.drained();
  }

  room(): Promise<void> {
    return Promise.resolve();
  }
}

function open(options: Partial<SinkOptions> = {}, spill?: SpillPort) {
  const storage = new ScriptedStorage();
  return { storage, sink: openSink({ ...OPTIONS, ...options }, storage, spill) };
}

function versions(storage: ScriptedStorage, table: string): unknown[] {
  return storage.memory.final(table).map((row) => row.row_version);
}

Deno.test("a proved trace is stored: rows first, then its record, then the lease may settle", async () => {
  const { storage, sink } = open();
  const { accepted, durable } = await trace(sink, 0, { rows: 3 });
  await accepted;
  const outcome = await durable;
  assert.deepEqual(outcome, {
    verdict: "proved",
    published: true,
    structlogRows: 3,
    aggregateRows: 2,
    bytes: outcome.bytes,
    settled: "durable",
  });
  assert.ok(outcome.bytes > 0);
  const inserts = storage.calls.filter((call) => call.startsWith("insert"));
  assert.deepEqual(inserts.slice(0, 2).sort(), [
    `insert ${structlogTable.name} 3`,
    `insert ${structlogAggTable.name} 2`,
  ]);
  assert.deepEqual(inserts.slice(2), [`insert ${RECORDS} 1`]);
  const [record] = storage.memory.final(RECORDS);
  assert.equal(record!.verdict, "proved");
  assert.equal(record!.published, 1);
  assert.equal(record!.structlog_rows, 3);
  assert.deepEqual(record!.tables, ["structlog", "structlog_agg"]);
});

Deno.test("small transactions of several lanes share an insert for each table, and one look-up of records", async () => {
  const { storage, sink } = open();
  const submissions = await Promise.all(Array.from({ length: 50 }, (_, i) => trace(sink, i)));
  await Promise.all(submissions.map(({ durable }) => durable));
  assert.deepEqual(
    storage.calls.toSorted(),
    [
      `insert ${structlogTable.name} 150`,
      `insert ${structlogAggTable.name} 100`,
      `insert ${RECORDS} 50`,
      "records",
    ].toSorted(),
  );
});

Deno.test("a record waits for those of attempts whose rows are under way, and shares their insert", async () => {
  const { storage, sink } = open({ lingerMs: 3_600_000 });
  const slow = Promise.withResolvers<void>();
  storage.decide = (call) => call === `insert ${structlogTable.name} 7` ? { wait: slow.promise } : "done";
  const first = await trace(sink, 0, { rows: 3, start: { tables: ["structlog"] } });
  await storage.called(`insert ${structlogTable.name} 3`);
  const second = await trace(sink, 1, { rows: 7, start: { tables: ["structlog"] } });
  await storage.called(`insert ${structlogTable.name} 7`);
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setTimeout(resolve));
  slow.resolve();
  await Promise.all([first.durable, second.durable]);
  assert.deepEqual(storage.calls.filter((call) => call.startsWith(`insert ${RECORDS}`)), [`insert ${RECORDS} 2`]);
});

Deno.test("a record does not wait for rows longer than it lingers", async () => {
  const { storage, sink } = open();
  const released = Promise.withResolvers<void>();
  storage.decide = (call) => call === `insert ${structlogTable.name} 7` ? { wait: released.promise } : "done";
  const slow = await trace(sink, 1, { rows: 7, start: { tables: ["structlog"] } });
  await storage.called(`insert ${structlogTable.name} 7`);
  await (await trace(sink, 0, { rows: 3, start: { tables: ["structlog"] } })).durable;
  released.resolve();
  await slow.durable;
  assert.equal(storage.memory.final(RECORDS).length, 2);
});

Deno.test("transactions of two partitions are two inserts", async () => {
  const { storage, sink } = open();
  const far = { blockNumber: 201_600, tables: ["structlog"] as const };
  const submissions = [
    await trace(sink, 0, { start: { tables: ["structlog"] } }),
    await trace(sink, 1, { start: far }),
  ];
  await Promise.all(submissions.map(({ durable }) => durable));
  const inserts = storage.calls.filter((call) => call.startsWith(`insert ${structlogTable.name}`));
  assert.deepEqual(inserts, [`insert ${structlogTable.name} 3`, `insert ${structlogTable.name} 3`]);
});

Deno.test("only the enabled tables are filled, and the record says which", async () => {
  const { storage, sink } = open();
  await (await trace(sink, 0, { start: { tables: ["structlog_agg"] } })).durable;
  assert.equal(storage.memory.final(structlogTable.name).length, 0);
  assert.equal(storage.memory.final(structlogAggTable.name).length, 2);
  const [record] = storage.memory.final(RECORDS);
  assert.deepEqual([record!.structlogs, record!.structlog_rows, record!.tables], [3, 0, ["structlog_agg"]]);
});

Deno.test("a violated trace within the hold enters no table, and its record says why", async () => {
  const { storage, sink } = open();
  const outcome = await (await trace(sink, 0, { record: VIOLATED })).durable;
  assert.equal(outcome.published, false);
  assert.equal(outcome.structlogRows, 0);
  assert.equal(storage.memory.final(structlogTable.name).length, 0);
  assert.equal(storage.memory.counts(structlogTable.name).inserts, 0);
  const [record] = storage.memory.final(RECORDS);
  assert.deepEqual(
    [record!.verdict, record!.identity, record!.published, record!.structlog_rows, record!.structlog_checksum],
    ["violated", "R3", 0, 0, 0],
  );
  assert.deepEqual(record!.violations, ["R3 at 4: gas used"]);
});

Deno.test("a violated trace is published under the other policies, with its verdict", async () => {
  for (const policy of ["record", "off"] as const) {
    const { storage, sink } = open();
    const outcome = await (await trace(sink, 0, { record: VIOLATED, close: { policy } })).durable;
    assert.equal(outcome.published, true);
    assert.equal(storage.memory.final(structlogTable.name).length, 3);
    assert.equal(storage.memory.final(RECORDS)[0]!.verdict, "violated");
  }
});

Deno.test("a trace longer than the hold streams behind an open record, and closes it", async () => {
  const { storage, sink } = open({ holdBytes: 10_000, rows: 300 });
  const outcome = await (await trace(sink, 0, { rows: 2000 })).durable;
  assert.equal(outcome.structlogRows, 2000);
  assert.equal(storage.memory.final(structlogTable.name).length, 2000);
  const firstRows = storage.calls.findIndex((call) => call.startsWith(`insert ${structlogTable.name}`));
  const firstRecord = storage.calls.findIndex((call) => call.startsWith(`insert ${RECORDS}`));
  assert.ok(firstRecord < firstRows, "the open record goes first");
  assert.equal(storage.memory.counts(RECORDS).inserts, 2);
  assert.equal(storage.memory.final(RECORDS)[0]!.verdict, "proved");
  assert.ok(storage.mostInFlight <= 2 * 2, `${storage.mostInFlight}`);
});

Deno.test("no row of a streaming trace is sent before its open record is stored", async () => {
  const { storage, sink } = open({ holdBytes: 10_000, rows: 300 });
  const gate = Promise.withResolvers<void>();
  storage.decide = (call) => call.startsWith(`insert ${RECORDS}`) ? { wait: gate.promise } : "done";
  const submission = await trace(sink, 0, { rows: 1000 });
  await storage.called(`insert ${RECORDS}`);
  assert.equal(storage.calls.some((call) => call.startsWith(`insert ${structlogTable.name}`)), false);
  gate.resolve();
  await submission.durable;
  assert.equal(storage.memory.final(structlogTable.name).length, 1000);
});

Deno.test("a violated trace longer than the hold leaves no row, and its record says so", async () => {
  const { storage, sink } = open({ holdBytes: 10_000, rows: 300 });
  const outcome = await (await trace(sink, 0, { rows: 2000, record: VIOLATED })).durable;
  assert.equal(outcome.published, false);
  assert.ok(storage.memory.counts(structlogTable.name).rows >= 2000, "rows had been streamed");
  assert.equal(storage.memory.final(structlogTable.name).length, 0);
  assert.equal(storage.memory.final(structlogAggTable.name).length, 0);
  const [record] = storage.memory.final(RECORDS);
  assert.deepEqual([record!.verdict, record!.structlog_rows], ["violated", 0]);
});

Deno.test("an aborted attempt leaves no row: held ones are dropped, streamed ones removed", async () => {
  for (const rows of [3, 2000]) {
    const { storage, sink } = open({ holdBytes: 10_000, rows: 300 });
    const attempt = sink.open(attemptStart(0));
    attempt.structlogs(structlogs(0, rows), OPERATIONS);
    await attempt.abort("cut");
    await attempt.abort("cut again");
    assert.equal(storage.memory.final(structlogTable.name).length, 0);
    const records = storage.memory.final(RECORDS);
    assert.deepEqual(records.map((record) => record.verdict), rows === 3 ? [] : ["open"]);
    assert.equal(sink.inHand.heldBytes, 0);
  }
});

Deno.test("an attempt takes nothing after its end", async () => {
  const { sink } = open();
  const attempt = sink.open(attemptStart(0));
  await attempt.abort("cut");
  assert.throws(() => attempt.structlogs(structlogs(0, 1), OPERATIONS), /has ended/);
  assert.throws(() => attempt.finish(proof(0, 0), CLOSE), /twice/);
});

Deno.test("rows that do not add up to the record are not stored", async () => {
  const { storage, sink } = open();
  const { accepted, durable } = await trace(sink, 0, { rows: 3, record: { rows: 4 } });
  await assert.rejects(accepted, /current count is 3, its record says 4/);
  await assert.rejects(durable, /current count is 3, its record says 4/);
  assert.deepEqual(storage.calls, []);
});

Deno.test("a shorter newer attempt leaves no surplus of the older one", async () => {
  const { storage, sink } = open();
  await (await trace(sink, 0, { rows: 9, start: { rowVersion: 10 } })).durable;
  await (await trace(sink, 0, { rows: 5, start: { rowVersion: 11 } })).durable;
  assert.deepEqual(versions(storage, structlogTable.name), [11, 11, 11, 11, 11]);
});

Deno.test("rows that no record names are removed by the next delivery of the task", async () => {
  const { storage, sink } = open({ holdBytes: 1000 });
  // The process dies between rows and record: the rows are there, the record is not.
  storage.decide = (call) =>
    call.startsWith(`insert ${RECORDS}`) ? { fail: new StorageRejectedError("killed") } : "done";
  const attempt = sink.open(attemptStart(0, { rowVersion: 10, tables: ["structlog"] }));
  attempt.structlogs(structlogs(0, 4), OPERATIONS);
  await assert.rejects(attempt.finish(proof(4, 2), CLOSE).durable, StorageRejectedError);
  storage.decide = () => "done";
  await (await trace(sink, 0, { rows: 3, start: { rowVersion: 11, firstDelivery: false } })).durable;
  assert.deepEqual(versions(storage, structlogTable.name), [11, 11, 11]);
});

Deno.test("the first delivery of a transaction without a record looks for no surplus", async () => {
  const { storage, sink } = open();
  await (await trace(sink, 0)).durable;
  assert.equal(storage.calls.some((call) => call.startsWith("surplus")), false);
});

Deno.test("rows that share a batch with those of an attempt that was overtaken are stored", async () => {
  const { storage, sink } = open({ holdBytes: 10_000 });
  await (await trace(sink, 0, { rows: 2, start: { rowVersion: 20 } })).durable;
  using _lane = sink.expect();
  const late = trace(sink, 0, { rows: 900, start: { rowVersion: 10, tables: ["structlog"] } });
  const other = trace(sink, 1, { rows: 5, start: { tables: ["structlog"] } });
  await assert.rejects((await late).durable, SupersededError);
  assert.equal((await (await other).durable).structlogRows, 5);
  assert.deepEqual(versions(storage, structlogTable.name).toSorted(), [10, 10, 10, 10, 10, 20, 20]);
});

Deno.test("an attempt that a newer record overtook stores nothing and says so", async () => {
  const { storage, sink } = open();
  await (await trace(sink, 0, { rows: 2, start: { rowVersion: 20 } })).durable;
  const late = await trace(sink, 0, { rows: 5, start: { rowVersion: 10 } });
  await assert.rejects(late.durable, SupersededError);
  assert.deepEqual(versions(storage, structlogTable.name), [20, 20]);
  assert.deepEqual(versions(storage, RECORDS), [20]);
});

Deno.test("an outage is waited out with the identical bytes, and counts as one insert", async () => {
  const { storage, sink } = open();
  let failures = 5;
  storage.decide = () => failures-- > 0 ? OUTAGE : "done";
  await (await trace(sink, 0, { rows: 4 })).durable;
  assert.equal(storage.memory.counts(structlogTable.name).inserts, 1);
});

Deno.test("an answer lost after the commit leaves exactly the rows", async () => {
  const { storage, sink } = open();
  let losses = 4;
  storage.decide = () => losses-- > 0 ? { lost: new StorageUnavailableError("Cannot read the answer") } : "done";
  await (await trace(sink, 0, { rows: 4 })).durable;
  assert.equal(storage.memory.final(structlogTable.name).length, 4);
  assert.ok(storage.memory.counts(structlogTable.name).inserts >= 1);
  assert.equal(storage.memory.final(RECORDS).length, 1);
});

Deno.test("a batch refused for its data is dead for its transactions, and the rest goes on", async () => {
  const { storage, sink } = open();
  storage.decide = (call) =>
    call.startsWith(`insert ${structlogTable.name}`) ? { fail: new StorageRejectedError("code 53") } : "done";
  await assert.rejects((await trace(sink, 0)).durable, (error) => error instanceof StorageRejectedError);
  storage.decide = () => "done";
  await (await trace(sink, 1)).durable;
  assert.deepEqual(storage.memory.final(RECORDS).map((record) => record.transaction_hash), [hash(1001)]);
});

Deno.test("the breaker opens after consecutive failures, lets a probe through, and closes", async () => {
  const states: string[] = [];
  using _reader = subscribe((event) => {
    if (event.kind === "storage_breaker_changed") states.push(`${event.wasClosed ? "closed to " : ""}${event.state}`);
  });
  const { storage, sink } = open({ breaker: { failures: 3, halfOpenAfterMs: 5 } });
  let failures = 3;
  storage.decide = () => failures-- > 0 ? OUTAGE : "done";
  await (await trace(sink, 0, { start: { tables: ["structlog"] } })).durable;
  assert.deepEqual(states, ["closed to closed", "closed to open", "half_open", "closed"]);
});

Deno.test("an outage beyond its limit sends rows and record to the spill, in order", async () => {
  const spill = new ListSpill();
  const { storage, sink } = open({ spillAfterMs: 3 }, spill);
  storage.decide = () => OUTAGE;
  const { accepted, durable } = await trace(sink, 0, { start: { tables: ["structlog"] } });
  await accepted;
  await spill.count(1);
  assert.equal(spill.operations[0]!.kind, "insert");
  spill.durable[0]!.resolve();
  await spill.count(3);
  assert.deepEqual(spill.operations.slice(1).map(({ kind }) => kind), ["surplus", "record"]);
  for (const { resolve } of spill.durable) resolve();
  assert.equal((await durable).settled, "durable");
});

Deno.test("settleOn spilled settles on the fsync, and the record follows the rows into the spill", async () => {
  const spill = new ListSpill();
  const { storage, sink } = open({ spillAfterMs: 3, settleOn: "spilled" }, spill);
  let rowsFail = true;
  storage.decide = () => rowsFail ? OUTAGE : "done";
  const { durable } = await trace(sink, 0, { start: { tables: ["structlog"] } });
  await spill.count(1);
  rowsFail = false;
  assert.equal((await durable).settled, "spilled");
  assert.deepEqual(spill.operations.map(({ kind }) => kind), ["insert", "surplus", "record"]);
  assert.equal(storage.memory.final(RECORDS).length, 0);
});

Deno.test("settleOn spilled removes a violated trace behind its rows that are in the spill", async () => {
  const spill = new ListSpill();
  const { storage, sink } = open({ spillAfterMs: 0, settleOn: "spilled", holdBytes: 10_000 }, spill);
  let away = true;
  storage.decide = () => away ? OUTAGE : "done";
  const attempt = sink.open(attemptStart(0, { tables: ["structlog"] }));
  attempt.structlogs(structlogs(0, 500), OPERATIONS);
  await spill.count(2);
  away = false;
  assert.equal((await attempt.finish(proof(500, 2, VIOLATED), CLOSE).durable).settled, "spilled");
  assert.deepEqual(spill.operations.map(({ kind }) => kind), ["record", "insert", "delete", "record"]);
  assert.equal(storage.calls.some((call) => call.startsWith("delete")), false);
});

Deno.test("a reply that has begun overflows to the spill at its own pace while storage stands still", async () => {
  const spill = new ListSpill();
  const { storage, sink } = open({ holdBytes: 10_000, memoryBytes: 60_000, bytes: 20_000, rows: 200 }, spill);
  storage.decide = () => ({ wait: new Promise(() => {}) });
  const attempt = sink.open(attemptStart(0, { tables: ["structlog"] }));
  let most = 0;
  for (let from = 0; from < 20_000; from += 100) {
    attempt.structlogs(structlogs(from, from + 100), OPERATIONS);
    await attempt.room();
    most = Math.max(most, sink.inHand.acceptedBytes + sink.inHand.heldBytes);
  }
  assert.ok(most <= 100_000, `${most} bytes in memory`);
  const kinds = spill.operations.map(({ kind }) => kind);
  assert.deepEqual(kinds.slice(0, 2), ["record", "insert"], "the open record before the first rows");
  assert.ok(kinds.length > 20);
});

Deno.test("full batches that wait for their insert lose and repeat nothing, in storage and in the overflow", async () => {
  const spill = new ListSpill();
  const { storage, sink } = open({ rows: 100, inFlight: 1, memoryBytes: 40_000 }, spill);
  const begin = Promise.withResolvers<void>();
  storage.decide = (call) => call.startsWith(`insert ${structlogTable.name}`) ? { wait: begin.promise } : "done";
  const submissions = [];
  for (let i = 0; i < 30; i++) {
    submissions.push(await trace(sink, i, { rows: 40 + i, start: { tables: ["structlog"] } }));
  }
  const inserts = spill.operations.filter((operation) => operation.kind === "insert");
  assert.ok(inserts.length > 3 && inserts.length < 15, `${inserts.length} blocks overflowed`);
  begin.resolve();
  for (const { block } of inserts) await storage.memory.insert(block, new AbortController().signal);
  for (const { resolve } of spill.durable) resolve();
  const rows = (await Promise.all(submissions.map(({ durable }) => durable))).map(({ structlogRows }) => structlogRows);
  assert.deepEqual(rows, Array.from({ length: 30 }, (_, i) => 40 + i));
  const perTransaction = Map.groupBy(storage.memory.final(structlogTable.name), (row) => row.transaction_hash);
  assert.deepEqual([...perTransaction.values()].map(({ length }) => length).sort((a, b) => a - b), rows);
});

/** A spill that forgets what it has taken, as one on disk does. */
class ForgetfulSpill extends ListSpill {
  bytes = 0;

  override append(operation: SpillOperation) {
    if ("block" in operation) this.bytes += operation.block.bytes.length;
    const appended = super.append(operation);
    this.operations.pop();
    return appended;
  }
}

for (
  const [what, fate] of [
    ["overflows", (until: Promise<void>) => ({ wait: until })],
    ["spills in an outage", () => OUTAGE],
  ] satisfies [string, (until: Promise<void>) => Fate][]
) {
  Deno.test(`what ${what} is no longer in memory while it waits to be durable`, async () => {
    const spill = new ForgetfulSpill();
    const { storage, sink } = open(
      { holdBytes: 10_000, memoryBytes: 200_000, bytes: 100_000, rows: 1e6, spillAfterMs: 0 },
      spill,
    );
    const end = Promise.withResolvers<void>();
    storage.decide = (call) => call.startsWith(`insert ${structlogTable.name}`) ? fate(end.promise) : "done";
    const attempt = sink.open(attemptStart(0, { tables: ["structlog"] }));
    const columns = structlogs(0, 500);
    const beforeBytes = Deno.memoryUsage().external;
    while (spill.bytes < 20_000_000) {
      attempt.structlogs(columns, OPERATIONS);
      await attempt.room();
    }
    const more = () => Deno.memoryUsage().external - beforeBytes;
    assert.ok(await afterCollection(() => more() < 4_000_000), `${more()} bytes more than before`);
    assert.ok(spill.durable.length > 100);
    storage.decide = () => "done";
    end.resolve();
    for (const { resolve } of spill.durable) resolve();
    await attempt.abort("enough");
  });
}

Deno.test("claiming waits for memory and for the overflow", async () => {
  const spill = new ListSpill();
  const { sink } = open({}, spill);
  await sink.ready(new AbortController().signal);
  assert.equal(spill.drainedCalls, 1);
  const abort = new AbortController();
  abort.abort(new Error("enough"));
  const full = open({ memoryBytes: 10, holdBytes: 1, spillAfterMs: 1e9 });
  const gate = Promise.withResolvers<void>();
  full.storage.decide = () => ({ wait: gate.promise });
  const { durable } = await trace(full.sink, 0, { rows: 0 });
  assert.notEqual(full.sink.inHand.acceptedBytes, 0);
  await assert.rejects(full.sink.ready(abort.signal), /enough/);
  const ready = full.sink.ready(new AbortController().signal);
  gate.resolve();
  await ready;
  await durable;
});

Deno.test("drain flushes what is there, and takes nothing more", async () => {
  const { storage, sink } = open({ lingerMs: 1e6 });
  using _lane = sink.expect();
  const { durable } = await trace(sink, 0);
  await sink.drain(1000);
  await durable;
  assert.equal(storage.memory.final(RECORDS).length, 1);
  assert.throws(() => sink.open(attemptStart(1)), SinkClosedError);
});

Deno.test("drain spills what cannot be flushed within its deadline", async () => {
  const spill = new ListSpill();
  const { storage, sink } = open({ spillAfterMs: 1e9 }, spill);
  storage.decide = () => ({ wait: new Promise(() => {}) });
  const { durable } = await trace(sink, 0, { start: { tables: ["structlog"] } });
  await sink.drain(20);
  await assert.rejects(durable, SinkClosedError);
  assert.deepEqual(spill.operations.map(({ kind }) => kind), ["insert", "surplus", "record"]);
});

Deno.test("rows of small tables share an insert and are durable when it resolves", async () => {
  const { storage, sink } = open();
  const rows = [1, 2, 3].map((number) => blockRow({ ...attemptStart(0), blockNumber: number }));
  await Promise.all(rows.map((row) => sink.insertRows(executionBlockTable, [row])));
  assert.deepEqual(storage.calls, [`insert ${executionBlockTable.name} 3`]);
  await sink.insertRows(executionBlockTable, []);
  assert.equal(storage.calls.length, 1);
  const networks = rows.slice(0, 2).map((row, i) => ({ ...row, meta_network_name: `network ${i}` }));
  await Promise.all(networks.map((row) => sink.insertRows(executionBlockTable, [row])));
  assert.deepEqual(storage.calls.slice(1), Array(2).fill(`insert ${executionBlockTable.name} 1`));
});

Deno.test("what is not known in time is null in the rows and right in the record", async () => {
  const { storage, sink } = open({ holdBytes: 1000 });
  const held = await trace(sink, 0, { rows: 1, record: { returnValue: "beef" } });
  await held.durable;
  const streamed = sink.open(attemptStart(1, { tables: ["structlog"], failedIsFinal: false }));
  streamed.returnValue("cafe");
  streamed.structlogs(structlogs(0, 500), OPERATIONS);
  await streamed.finish(proof(500, 2, { returnValue: "cafe", failed: true }), CLOSE).durable;
  const late = sink.open(attemptStart(2, { tables: ["structlog"] }));
  late.structlogs(structlogs(0, 500), OPERATIONS);
  late.returnValue("f00d");
  await late.finish(proof(500, 2, { returnValue: "f00d" }), CLOSE).durable;
  const values = (index: number) =>
    new Set(
      storage.memory.final(structlogTable.name)
        .filter((row) => row.transaction_hash === hash(1000 + index))
        .map((row) => row.transaction_return_value),
    );
  assert.deepEqual([0, 1, 2].map((index) => [...values(index)]), [["beef"], ["cafe"], [undefined]]);
  assert.deepEqual(storage.memory.final(RECORDS).map((record) => record.return_value), ["beef", "cafe", "f00d"]);
});

Deno.test("events tell what was inserted and stored", async () => {
  const events: PipelineEvent[] = [];
  using _reader = subscribe((event) => events.push(event));
  const { sink } = open();
  await (await trace(sink, 0)).durable;
  const inserted = events.flatMap((event) => event.kind === "rows_inserted" ? [`${event.table} ${event.rows}`] : []);
  assert.deepEqual(
    inserted.toSorted(),
    [`${RECORDS} 1`, `${structlogTable.name} 3`, `${structlogAggTable.name} 2`].toSorted(),
  );
  const [stored] = events.filter((event) => event.kind === "attempt_stored");
  assert.deepEqual(stored, { kind: "attempt_stored", network: "testnet", verdict: "proved", published: true, rows: 5 });
});

Deno.test("the gauges of what is in hand follow it up and back to nothing, without an insert too", async () => {
  const told: number[] = [];
  using _reader = subscribe((event) => {
    if (event.kind === "sink_in_hand") told.push(event.acceptedBytes + event.heldBytes);
  });
  const { storage, sink } = open();
  const gate = Promise.withResolvers<void>();
  storage.decide = () => ({ wait: gate.promise });
  const { durable } = await trace(sink, 0);
  assert.ok(told.at(-1)! > 0, "told while storage stands still");
  gate.resolve();
  await durable;
  assert.equal(told.at(-1), 0);
});

Deno.test("frames alone make an attempt: a plain transfer has no structlogs", async () => {
  const { storage, sink } = open();
  const attempt = sink.open(attemptStart(0));
  attempt.frames(frameColumns([frameRow("")], [...OPERATIONS]), OPERATIONS);
  await attempt.finish(proof(0, 1), CLOSE).durable;
  assert.equal(storage.memory.final(structlogAggTable.name).length, 1);
  assert.equal(storage.memory.counts(structlogTable.name).inserts, 0);
});
