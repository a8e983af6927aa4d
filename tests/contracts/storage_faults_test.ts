import assert from "node:assert/strict";
import { executionTransactionTraceTable } from "../../src/stages/encode/execution_transaction_trace.ts";
import { structlogTable } from "../../src/stages/encode/structlog.ts";
import { StorageRejectedError } from "../../src/stages/sink/errors.ts";
import { openSink } from "../../src/stages/sink/sink.ts";
import { attemptStart, CLOSE, OPTIONS, proof, structlogs, trace, VIOLATED } from "../stages/sink/attempts.ts";
import { OPERATIONS } from "../stages/encode/columns.ts";
import { CuttingProxy } from "./cutting_proxy.ts";
import { clickHouseAt, openEngineStorage, rowsAt } from "./storage_backends.ts";
import {
  absentEngine,
  Acknowledged,
  assertExact,
  FAULT_OPTIONS,
  killedEngine,
  largeDisk,
  smallDisk,
  writer,
} from "./storage_faults.ts";

Deno.test("an engine killed 10 times mid-insert loses nothing that was acknowledged, and shows every row once", async () => {
  const acknowledged = await killedEngine(10);
  assert.ok(acknowledged.rows.size >= 10, `${acknowledged.rows.size} transactions`);
});

Deno.test("an absent engine stops claims, not memory: the breaker opens and closes, nothing is lost", async () => {
  await using disk = await largeDisk();
  const { breaker, mostBytes } = await absentEngine(
    500,
    { settleOn: "durable" },
    disk,
    ({ breaker, spilledBytes }) => breaker.includes("open") && spilledBytes > 0,
  );
  assert.equal(breaker.at(-1), "closed");
  assert.ok(mostBytes <= FAULT_OPTIONS.memoryBytes + 2 * FAULT_OPTIONS.holdBytes, `${mostBytes} bytes`);
});

Deno.test("settleOn spilled goes on through an absence, and everything is replayed", async () => {
  await using disk = await largeDisk();
  const options = { settleOn: "spilled", memoryBytes: 500_000 } as const;
  await absentEngine(500, options, disk, ({ spilledBytes }) => spilledBytes > 2 * options.memoryBytes);
});

Deno.test("a full disk under the spill stops claims, and loses nothing", async () => {
  await using disk = await smallDisk();
  const { acknowledged, full } = await absentEngine(0, { settleOn: "spilled" }, disk, ({ full }) => full > 0);
  assert.ok(full > 0);
  assert.ok(acknowledged.released > 0, "what did not fit was given back");
});

Deno.test("an answer that is cut off after the commit leaves exactly the rows", async () => {
  await using engine = await openEngineStorage();
  await using proxy = new CuttingProxy(Number(new URL(engine.address.url).port));
  const storage = clickHouseAt({ ...engine.address, url: `http://127.0.0.1:${proxy.port}` });
  const sink = openSink({ ...FAULT_OPTIONS, spillAfterMs: 1e9 }, storage);
  const acknowledged = new Acknowledged();
  let written = 0;
  for (const text of [`INSERT+INTO+${structlogTable.name}`, `INSERT+INTO+${executionTransactionTraceTable.name}`]) {
    proxy.cutAfter(text);
    const until = written + 5;
    await writer(sink, written, 1, () => written++ >= until, acknowledged);
    written = until + 1;
  }
  assert.equal(proxy.cuts, 2);
  await assertExact(engine.address, acknowledged);
});

Deno.test("on the engine: rows that the server refuses are dead with its words, and the next ones are stored", async () => {
  await using engine = await openEngineStorage();
  const { transactionHash } = attemptStart(0);
  await engine.storage.execute(
    `ALTER TABLE ${structlogTable.name} ADD CONSTRAINT other CHECK transaction_hash != {hash:String}`,
    { hash: transactionHash },
  );
  const sink = openSink(OPTIONS, engine.storage);
  await assert.rejects((await trace(sink, 0)).durable, (error) => {
    assert.ok(error instanceof StorageRejectedError, String(error));
    assert.equal(error.serverCode, 469);
    assert.match(error.message, /VIOLATED_CONSTRAINT.*`other`/);
    return true;
  });
  assert.equal((await (await trace(sink, 1)).durable).published, true);
  const records = await engine.visible(executionTransactionTraceTable.name);
  assert.deepEqual(records.map((row) => row.transaction_hash), [attemptStart(1).transactionHash]);
});

Deno.test("on the engine: a violated trace longer than the hold leaves no row, a shorter re-trace no surplus", async () => {
  await using engine = await openEngineStorage();
  const sink = openSink({ ...OPTIONS, holdBytes: 10_000, rows: 300 }, engine.storage);
  const outcome = await (await trace(sink, 0, { rows: 2000, record: VIOLATED })).durable;
  assert.equal(outcome.published, false);
  assert.deepEqual(await engine.visible(structlogTable.name), []);
  assert.deepEqual((await engine.visible(executionTransactionTraceTable.name)).map((row) => row.verdict), ["violated"]);
  for (const [rows, rowVersion] of [[2000, 20], [1500, 21], [10, 22]] as const) {
    await (await trace(sink, 0, { rows, start: { rowVersion, firstDelivery: false } })).durable;
    const versions = (await engine.visible(structlogTable.name)).map((row) => row.row_version);
    assert.deepEqual([versions.length, new Set(versions)], [rows, new Set([rowVersion])]);
  }
  const published = await rowsAt(
    engine.address,
    `SELECT count() AS rows FROM ${structlogTable.name}_published(network = 'testnet', from_block = 100, to_block = 100)`,
  );
  assert.equal(published[0]!.rows, 10);
});

Deno.test("on the engine: rows of a process that was killed before its record are not published, and are replaced", async () => {
  await using engine = await openEngineStorage();
  const published = async () =>
    (await rowsAt(
      engine.address,
      `SELECT index, row_version FROM ${structlogTable.name}_published(network = 'testnet', from_block = 1, to_block = 999)`,
    )).map((row) => row.row_version);
  const dying = openSink({ ...OPTIONS, holdBytes: 1000 }, engine.storage);
  const attempt = dying.open(attemptStart(0, { rowVersion: 10, tables: ["structlog"] }));
  attempt.structlogs(structlogs(0, 500), OPERATIONS);
  await dying.drain(10_000); // The rows are there, the record never comes.
  assert.equal((await engine.visible(structlogTable.name)).length, 500);
  assert.deepEqual(await published(), []);
  const next = openSink(OPTIONS, engine.storage);
  const again = next.open(attemptStart(0, { rowVersion: 11, tables: ["structlog"], firstDelivery: false }));
  again.structlogs(structlogs(0, 3), OPERATIONS);
  await again.finish(proof(3, 2), CLOSE).durable;
  assert.deepEqual(await published(), [11, 11, 11]);
  assert.equal((await engine.visible(structlogTable.name)).length, 3);
});
