import assert from "node:assert/strict";
import { executionBlockTable } from "../../../src/stages/encode/execution_block.ts";
import { executionTransactionTraceTable } from "../../../src/stages/encode/execution_transaction_trace.ts";
import { structlogTable } from "../../../src/stages/encode/structlog.ts";
import {
  SinkClosedError,
  SpillDamagedError,
  SpillFormatError,
  SpillFullError,
  StorageRejectedError,
  StorageUnavailableError,
} from "../../../src/stages/sink/errors.ts";
import type { SpillOperation } from "../../../src/stages/sink/port.ts";
import { openSpill, type Spill, type SpillOptions } from "../../../src/stages/sink/spill.ts";
import { HEAD_BYTES, MAGIC } from "../../../src/stages/sink/spill_format.ts";
import { segmentNames } from "../../../src/stages/sink/spill_segment.ts";
import { subscribe } from "../../../src/telemetry/emit.ts";
import type { PipelineEvent } from "../../../src/telemetry/events.ts";
import { attemptKey, structlogs } from "../../contracts/storage_contract.ts";
import { afterCollection } from "../../garbage.ts";
import { blockRow, recordRow } from "../encode/rows.ts";
import { ScriptedStorage } from "./scripted_storage.ts";

const OPTIONS: Omit<SpillOptions, "directory"> = {
  isolate: "main",
  maxBytes: 10_000_000,
  segmentBytes: 100_000,
  recheckMs: 1,
  retry: { initialDelayMs: 1, maxDelayMs: 2 },
  breaker: { failures: 1000, halfOpenAfterMs: 1 },
};
const SIGNAL = new AbortController().signal;
const RECORDS = executionTransactionTraceTable.name;

/** A directory that is removed, and a storage. */
class Place implements AsyncDisposable {
  readonly storage = new ScriptedStorage();
  readonly events: PipelineEvent[] = [];
  readonly #reader = subscribe((event) => this.events.push(event));

  private constructor(readonly directory: string) {}

  static async make(): Promise<Place> {
    return new Place(await Deno.makeTempDir({ prefix: "spill-" }));
  }

  open(options: Partial<SpillOptions> = {}): Promise<Spill> {
    return openSpill({ ...OPTIONS, directory: this.directory, ...options }, this.storage);
  }

  kinds(): string[] {
    return this.events.map(({ kind }) => kind).filter((kind) => kind !== "spill_backlog");
  }

  async segment(at: number): Promise<string> {
    return `${this.directory}/${(await segmentNames(this.directory)).at(at)}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#reader[Symbol.dispose]();
    await Deno.remove(this.directory, { recursive: true });
  }
}

function insert(index: number, version = 7, rows = 3): SpillOperation {
  const key = attemptKey(index, version);
  return { kind: "insert", block: structlogs(key, rows), attempts: [key] };
}

function record(index: number, version = 7, changes: Parameters<typeof recordRow>[1] = {}): SpillOperation {
  const key = attemptKey(index, version);
  return { kind: "record", block: executionTransactionTraceTable.encode([recordRow(key, changes)]), attempts: [key] };
}

function stored(storage: ScriptedStorage): string[] {
  return storage.memory.final(structlogTable.name).map((row) =>
    `${String(row.transaction_hash).slice(-3)} ${row.row_version}`
  );
}

async function append(spill: Spill, ...operations: SpillOperation[]): Promise<void> {
  await Promise.all(operations.map((operation) => spill.append(operation).spilled));
}

Deno.test("the spill replays in order, tells both moments, and leaves no file", async () => {
  await using place = await Place.make();
  await using spill = await place.open();
  const [rows, close] = [spill.append(insert(0)), spill.append(record(0))];
  await rows.spilled;
  assert.ok(spill.backlogBytes > 0);
  assert.equal(place.storage.calls.length, 0);
  spill.start();
  await Promise.all([rows.durable, close.durable]);
  await spill.drained(SIGNAL);
  assert.equal(place.storage.memory.final(structlogTable.name).length, 3);
  assert.deepEqual(
    place.storage.calls.filter((call) => call.startsWith("insert")),
    [`insert ${structlogTable.name} 3`, `insert ${RECORDS} 1`],
  );
  assert.deepEqual(await segmentNames(place.directory), []);
  assert.equal(spill.backlogBytes, 0);
});

Deno.test("the spill replays after a restart what an earlier process left", async () => {
  await using place = await Place.make();
  {
    await using spill = await place.open();
    await append(spill, insert(0), record(0), insert(1, 7, 900), record(1), insert(2));
  }
  assert.equal(place.storage.calls.length, 0);
  await using again = await place.open();
  assert.ok(again.backlogBytes > 0);
  again.start();
  await again.drained(SIGNAL);
  assert.equal(place.storage.memory.final(structlogTable.name).length, 3 + 900 + 3);
  assert.equal(place.storage.memory.final(RECORDS).length, 2);
});

Deno.test("the spill rolls segments and removes each one that is replayed", async () => {
  await using place = await Place.make();
  await using spill = await place.open({ segmentBytes: 10_000 });
  for (let i = 0; i < 8; i++) await append(spill, insert(i, 7, 60));
  assert.ok((await segmentNames(place.directory)).length > 3);
  spill.start();
  await spill.drained(SIGNAL);
  assert.equal(place.storage.memory.final(structlogTable.name).length, 8 * 60);
});

Deno.test("the spill waits for storage, and takes more meanwhile", async () => {
  await using place = await Place.make();
  await using spill = await place.open();
  let away = 5;
  place.storage.decide = () => away-- > 0 ? { fail: new StorageUnavailableError("away") } : "done";
  spill.start();
  const first = spill.append(insert(0));
  await first.spilled;
  const second = spill.append(insert(1));
  await Promise.all([first.durable, second.durable]);
  assert.deepEqual(stored(place.storage).length, 6);
});

Deno.test("the spill does not hold in memory what is on disk", async () => {
  await using place = await Place.make();
  await using spill = await place.open();
  const left: WeakRef<SpillOperation>[] = [];
  const put = (index: number) => {
    const operation = insert(index);
    left.push(new WeakRef(operation));
    return spill.append(operation);
  };
  const appended = [put(0), put(1), put(2)];
  await Promise.all(appended.map(({ spilled }) => spilled));
  assert.ok(await afterCollection(() => left.every((operation) => operation.deref() === undefined)));
  spill.start();
  await Promise.all(appended.map(({ durable }) => durable));
  assert.equal(stored(place.storage).length, 9);
});

Deno.test("drainedOrAway() waits for a replay that goes on, and not for one that cannot", async () => {
  await using place = await Place.make();
  await using spill = await place.open();
  const [asked, answer] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  place.storage.decide = (call) => {
    if (call !== "orphaned") return "done";
    asked.resolve();
    return { wait: answer.promise };
  };
  spill.start();
  await spill.append(insert(0)).spilled;
  await asked.promise;
  let passed = false;
  const claim = spill.drainedOrAway(SIGNAL).then(() => passed = true);
  await Promise.resolve();
  assert.equal(passed, false);
  place.storage.decide = () => ({ fail: new StorageUnavailableError("away") });
  answer.resolve();
  await claim;
  assert.ok(spill.backlogBytes > 0);
  place.storage.decide = () => "done";
  await spill.drained(SIGNAL);
  await spill.drainedOrAway(SIGNAL);
});

Deno.test("a torn tail is cut: every proper prefix of a segment replays whole records only", async () => {
  await using place = await Place.make();
  {
    await using spill = await place.open();
    await append(spill, insert(0, 7, 1));
    await append(spill, insert(1, 7, 1));
  }
  const path = await place.segment(0);
  const whole = await Deno.readFile(path);
  const firstEnd = MAGIC.length + HEAD_BYTES + new DataView(whole.buffer).getUint32(MAGIC.length, true);
  for (
    const length of [1, 7, 8, 9, 20, firstEnd - 1, firstEnd, firstEnd + 5, firstEnd + HEAD_BYTES, whole.length - 1]
  ) {
    await using cut = await Place.make();
    await Deno.writeFile(`${cut.directory}/0000000001.spill`, whole.subarray(0, length));
    await using spill = await cut.open();
    spill.start();
    await spill.drained(SIGNAL);
    assert.equal(stored(cut.storage).length, length >= firstEnd ? 1 : 0, `${length}`);
    const torn = cut.kinds().filter((kind) => kind === "spill_tail_cut").length;
    assert.equal(torn, length === firstEnd || length === MAGIC.length ? 0 : 1, `${length}`);
    assert.equal(cut.kinds().includes("spill_quarantined"), false, `${length}`);
  }
});

Deno.test("a file that grew before its bytes came is a torn tail too", async () => {
  await using place = await Place.make();
  {
    await using spill = await place.open();
    await append(spill, insert(0));
  }
  await Deno.writeFile(await place.segment(0), new Uint8Array(100_000), { append: true });
  await using spill = await place.open();
  spill.start();
  await spill.drained(SIGNAL);
  assert.equal(stored(place.storage).length, 3);
  assert.deepEqual(place.kinds().filter((kind) => kind === "spill_tail_cut").length, 1);
});

Deno.test("a damaged record is quarantined and reported, and the others are replayed", async () => {
  await using place = await Place.make();
  {
    await using spill = await place.open();
    await append(spill, insert(0));
    await append(spill, insert(1));
    await append(spill, insert(2));
  }
  const path = await place.segment(0);
  const bytes = await Deno.readFile(path);
  const second = MAGIC.length + HEAD_BYTES + new DataView(bytes.buffer).getUint32(MAGIC.length, true);
  bytes[second + HEAD_BYTES + 40]! ^= 1;
  await Deno.writeFile(path, bytes);
  await using spill = await place.open();
  spill.start();
  await spill.drained(SIGNAL);
  assert.deepEqual([...new Set(stored(place.storage))].length, 2);
  const [event] = place.events.filter((event) => event.kind === "spill_quarantined");
  assert.ok(event?.kind === "spill_quarantined");
  assert.equal(event.offset, second);
  const kept = await Deno.readFile(`${place.directory}/quarantine/0000000001-${second}.record`);
  assert.deepEqual(kept, bytes.slice(second, second + kept.length));
});

Deno.test("a file that is no segment is put aside", async () => {
  await using place = await Place.make();
  await Deno.writeTextFile(`${place.directory}/0000000003.spill`, "something else");
  await using spill = await place.open();
  spill.start();
  const { durable } = spill.append(insert(0));
  await durable;
  assert.ok(place.kinds().includes("spill_quarantined"));
  assert.equal(await Deno.readTextFile(`${place.directory}/quarantine/0000000003.spill`), "something else");
});

Deno.test("a record that storage refuses is quarantined, its owner is told, and the rest goes on", async () => {
  await using place = await Place.make();
  await using spill = await place.open();
  place.storage.decide = (call) =>
    call === `insert ${structlogTable.name} 4` ? { fail: new StorageRejectedError("code 53") } : "done";
  spill.start();
  const [bad, good] = [spill.append(insert(0, 7, 4)), spill.append(insert(1))];
  await assert.rejects(bad.durable, StorageRejectedError);
  await good.durable;
  assert.equal(stored(place.storage).length, 3);
});

Deno.test("beyond its bound the spill refuses, has room again when it has drained, and loses nothing", async () => {
  await using place = await Place.make();
  await using spill = await place.open({ maxBytes: 20_000 });
  const all = Array.from({ length: 12 }, (_, i) => ({ i, ...spill.append(insert(i, 7, 20)) }));
  const taken = await Promise.allSettled(all.map(({ spilled }) => spilled));
  const refused = taken.filter((result) => result.status === "rejected");
  assert.ok(refused.length > 0 && refused.length < 12, `${refused.length}`);
  for (const { reason } of refused) assert.ok(reason instanceof SpillFullError && reason.release);
  assert.ok(place.kinds().includes("spill_full"));
  const room = spill.room(SIGNAL);
  spill.start();
  await room;
  await spill.drained(SIGNAL);
  assert.equal(new Set(stored(place.storage)).size, 12 - refused.length);
  await spill.append(insert(50)).durable;
});

/** Every write to a file fails half done, as on a full disk, until the result is disposed of. */
function fullDisk(): Disposable {
  const write = Deno.FsFile.prototype.write;
  Deno.FsFile.prototype.write = async function (bytes) {
    await write.call(this, bytes.subarray(0, bytes.length >> 1));
    throw new Error("No space left on device (os error 28)");
  };
  return { [Symbol.dispose]: () => void (Deno.FsFile.prototype.write = write) };
}

Deno.test("a full disk refuses what it cannot hold, keeps what it acknowledged, and has room again later", async () => {
  await using place = await Place.make();
  await using spill = await place.open();
  await append(spill, insert(0));
  const before = spill.backlogBytes;
  {
    using _full = fullDisk();
    for (const _ of [1, 2]) await assert.rejects(spill.append(insert(1)).spilled, SpillFullError);
  }
  assert.equal(spill.backlogBytes, before);
  assert.equal((await Deno.stat(await place.segment(0))).size, before);
  await assert.rejects(spill.room(AbortSignal.abort(new Error("enough"))), /enough/);
  await spill.room(SIGNAL);
  assert.deepEqual(place.kinds().slice(-2), ["spill_full", "spill_has_room"]);
  spill.start();
  await spill.append(insert(2)).durable;
  assert.equal(stored(place.storage).length, 6);
});

Deno.test("a disk that is full when a segment begins leaves no headless segment behind", async () => {
  await using place = await Place.make();
  await using spill = await place.open({ segmentBytes: 1 });
  await append(spill, insert(0));
  {
    using _full = fullDisk();
    await assert.rejects(spill.append(insert(1)).spilled, SpillFullError);
  }
  await append(spill, insert(2));
  spill.start();
  await spill.drained(SIGNAL);
  assert.equal(stored(place.storage).length, 6);
  assert.equal(place.kinds().includes("spill_quarantined"), false);
});

Deno.test("owners of what was damaged on disk are told, and of what can no longer be told apart", async () => {
  await using place = await Place.make();
  await using spill = await place.open();
  const appended = [0, 1, 2].map((index) => spill.append(insert(index)));
  await Promise.all(appended.map(({ spilled }) => spilled));
  const path = await place.segment(0);
  const bytes = await Deno.readFile(path);
  const second = MAGIC.length + HEAD_BYTES + new DataView(bytes.buffer).getUint32(MAGIC.length, true);
  bytes[second]! ^= 1;
  await Deno.writeFile(path, bytes);
  spill.start();
  await appended[0]!.durable;
  for (const { durable } of appended.slice(1)) {
    await assert.rejects(durable, (error) => error instanceof SpillDamagedError && error.release);
  }
});

Deno.test("a record whose rows were refused is left out: it would publish rows that are not there", async () => {
  await using place = await Place.make();
  place.storage.decide = (call) =>
    call === `insert ${structlogTable.name} 4` ? { fail: new StorageRejectedError("code 53") } : "done";
  await using spill = await place.open();
  spill.start();
  await append(spill, insert(0, 7, 4), insert(1), record(0), record(1));
  await spill.drained(SIGNAL);
  const [bad, good] = [attemptKey(0, 7), attemptKey(1, 7)];
  assert.deepEqual(place.storage.memory.final(RECORDS).map((row) => row.transaction_hash), [good.transactionHash]);
  assert.notEqual(bad.transactionHash, good.transactionHash);
  const reasons = place.events.flatMap((event) => event.kind === "spill_skipped" ? [event.reason] : []);
  assert.deepEqual(reasons, ["refused"]);
});

Deno.test("ten thousand refused attempts are remembered, and no more", async () => {
  await using place = await Place.make();
  place.storage.decide = (call) =>
    call === `insert ${structlogTable.name} 4` ? { fail: new StorageRejectedError("code 53") } : "done";
  await using spill = await place.open({ maxBytes: 100_000_000 });
  spill.start();
  const attempts = Array.from({ length: 10_001 }, (_, index) => attemptKey(index, 7));
  await append(spill, { kind: "insert", block: structlogs(attempts[0]!, 4), attempts });
  await append(spill, record(0), record(1), record(10_000));
  await spill.drained(SIGNAL);
  const written = place.storage.memory.final(RECORDS).map((row) => row.transaction_hash);
  assert.deepEqual(written, [attempts[0]!.transactionHash]);
});

Deno.test("rows that came through the spill count as inserted", async () => {
  await using place = await Place.make();
  await using spill = await place.open();
  spill.start();
  await Promise.all([insert(0), record(0)].map((operation) => spill.append(operation).durable));
  const inserted = place.events.flatMap((event) =>
    event.kind === "rows_inserted" ? [[event.table, event.rows, event.reason]] : []
  );
  assert.deepEqual(inserted, [[structlogTable.name, 3, "replay"], [RECORDS, 1, "replay"]]);
});

Deno.test("attempts of orphaned blocks are left out and reported", async () => {
  await using place = await Place.make();
  const orphan = attemptKey(0, 7);
  await place.storage.insert(executionBlockTable.encode([blockRow(orphan, { state: "orphaned" })]), SIGNAL);
  await using spill = await place.open();
  spill.start();
  await Promise.all([spill.append(insert(0)).durable, spill.append(record(0)).durable]);
  assert.deepEqual(stored(place.storage), []);
  assert.equal(place.storage.memory.final(RECORDS).length, 0);
  const skipped = place.events.filter((event) => event.kind === "spill_skipped");
  assert.deepEqual(skipped.map((event) => event.kind === "spill_skipped" ? event.reason : ""), [
    "orphaned",
    "orphaned",
  ]);
});

Deno.test("attempts older than their transaction's record are left out, even out of a shared block", async () => {
  await using place = await Place.make();
  const newer = attemptKey(0, 9);
  await place.storage.insert(structlogs(newer, 2), SIGNAL);
  await place.storage.insert(executionTransactionTraceTable.encode([recordRow(newer)]), SIGNAL);
  const [late, fine] = [attemptKey(0, 7), attemptKey(1, 7)];
  await using spill = await place.open();
  spill.start();
  await spill.append(insert(0, 7, 5)).durable;
  const both = executionTransactionTraceTable.encode([recordRow(late), recordRow(fine)]);
  await spill.append({ kind: "record", block: both, attempts: [late, fine] }).durable;
  assert.deepEqual(stored(place.storage), ["3e8 9", "3e8 9"]);
  const versions = place.storage.memory.final(RECORDS).map((row) => row.row_version);
  assert.deepEqual(versions.toSorted(), [7, 9]);
});

Deno.test("an open record that was replayed before does not open a closed attempt again", async () => {
  await using place = await Place.make();
  await place.storage.insert(executionTransactionTraceTable.encode([recordRow(attemptKey(0, 7))]), SIGNAL);
  await using spill = await place.open();
  spill.start();
  await spill.append(record(0, 7, { verdict: "open", published: 0 })).durable;
  assert.deepEqual(place.storage.memory.final(RECORDS).map((row) => row.verdict), ["proved"]);
});

Deno.test("deletes and surplus are replayed", async () => {
  await using place = await Place.make();
  await place.storage.insert(structlogs(attemptKey(0, 5), 5), SIGNAL);
  await place.storage.insert(structlogs(attemptKey(0, 7), 2), SIGNAL);
  await place.storage.insert(structlogs(attemptKey(1, 7), 2), SIGNAL);
  await using spill = await place.open();
  spill.start();
  await spill.append({ kind: "surplus", table: "structlog", attempts: [attemptKey(0, 7)] }).durable;
  await spill.append({ kind: "delete", table: "structlog", attempts: [attemptKey(1, 7)] }).durable;
  assert.deepEqual(stored(place.storage), ["3e8 7", "3e8 7"]);
});

Deno.test("a disk that cannot be read for a while delays the replay, and says so once", async () => {
  await using place = await Place.make();
  await using spill = await place.open();
  await append(spill, insert(0));
  const read = Deno.FsFile.prototype.read;
  let failures = 3;
  Deno.FsFile.prototype.read = function (bytes) {
    if (failures-- > 0) return Promise.reject(new Error("Input/output error (os error 5)"));
    return read.call(this, bytes);
  };
  try {
    spill.start();
    await spill.drained(SIGNAL);
  } finally {
    Deno.FsFile.prototype.read = read;
  }
  assert.equal(stored(place.storage).length, 3);
  assert.equal(place.kinds().filter((kind) => kind === "spill_stuck").length, 1);
});

Deno.test("a directory that cannot be made is refused with its name and the key that chooses it", async () => {
  await using place = await Place.make();
  await Deno.writeTextFile(`${place.directory}/file`, "");
  await assert.rejects(
    openSpill({ ...OPTIONS, directory: `${place.directory}/file` }, place.storage),
    (error) => error instanceof SpillFormatError && /\/file: .*sink\.spill\.directory/.test(error.message),
  );
});

Deno.test("a directory belongs to one process", async () => {
  await using place = await Place.make();
  await using _spill = await place.open();
  await assert.rejects(
    place.open(),
    (error) => error instanceof SpillFormatError && /another process/.test(error.message),
  );
});

Deno.test("what is under way when the spill closes stays on disk, and its owners are told", async () => {
  await using place = await Place.make();
  place.storage.decide = () => ({ fail: new StorageUnavailableError("away") });
  const spill = await place.open();
  spill.start();
  const { spilled, durable } = spill.append(insert(0));
  await spilled;
  await spill[Symbol.asyncDispose]();
  await assert.rejects(durable, SinkClosedError);
  await assert.rejects(spill.append(insert(1)).spilled, SinkClosedError);
  assert.equal((await segmentNames(place.directory)).length, 1);
});
