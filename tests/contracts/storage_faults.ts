/**
 * The sink on a real engine that is killed, away, slow, or whose answers are cut off. Writers go on as lanes do; what
 * was acknowledged is written down, and compared with what the engine shows in the end.
 */
import assert from "node:assert/strict";
import { executionTransactionTraceTable } from "../../src/stages/encode/execution_transaction_trace.ts";
import type { NativeBlock } from "../../src/stages/encode/port.ts";
import { structlogTable } from "../../src/stages/encode/structlog.ts";
import { structlogAggTable } from "../../src/stages/encode/structlog_agg.ts";
import { migrations } from "../../src/stages/sink/schema.ts";
import { openSink } from "../../src/stages/sink/sink.ts";
import { openSpill, type Spill } from "../../src/stages/sink/spill.ts";
import type { Sink, SinkOptions, Storage } from "../../src/stages/sink/port.ts";
import { subscribe } from "../../src/telemetry/emit.ts";
import type { PipelineEvent } from "../../src/telemetry/events.ts";
import { freshEngine, type TestEngine } from "../embedded/shared_engine.ts";
import { speaker } from "../embedded/test_database.ts";
import { frameColumns, frameRow, hash, OPERATIONS } from "../stages/encode/columns.ts";
import { attemptStart, CLOSE, OPTIONS, proof, structlogs } from "../stages/sink/attempts.ts";
import { type Address, clickHouseAt, rowsAt } from "./storage_backends.ts";

/** Options near those of production, but impatient. */
export const FAULT_OPTIONS: SinkOptions = {
  ...OPTIONS,
  rows: 20_000,
  bytes: 4_000_000,
  lingerMs: 20,
  holdBytes: 2_000_000,
  memoryBytes: 16_000_000,
  spillAfterMs: 1_000,
  retry: { initialDelayMs: 20, maxDelayMs: 200 },
  breaker: { failures: 3, halfOpenAfterMs: 100 },
};

/** An engine with all tables. */
export async function engineWithTables(): Promise<TestEngine & { readonly address: Address }> {
  const fresh = await freshEngine();
  const { engine } = fresh;
  const db = speaker(engine, engine.database);
  for (const { statements } of migrations) for (const statement of statements) await db.query(statement);
  const { url, database, user, password } = engine;
  return Object.assign(fresh, { address: { url, database, user, password } });
}

/** A spill in a directory of its own. */
export async function spillFor(storage: Storage): Promise<{ readonly spill: Spill } & AsyncDisposable> {
  const directory = await Deno.makeTempDir({ prefix: "spill-" });
  const { retry, breaker } = FAULT_OPTIONS;
  const spill = await openSpill(
    { directory, maxBytes: 4e9, segmentBytes: 16_000_000, recheckMs: 50, retry, breaker },
    storage,
  );
  spill.start();
  return {
    spill,
    async [Symbol.asyncDispose]() {
      await spill[Symbol.asyncDispose]();
      await Deno.remove(directory, { recursive: true });
    },
  };
}

/** What a writer was told, by transaction. */
export class Acknowledged {
  readonly rows = new Map<string, number>();
  structlogs = 0;

  add(index: number, rows: number): void {
    this.rows.set(hash(1000 + index), rows);
    this.structlogs += rows;
  }
}

/** Rows of transaction `index`: some are tiny, some large. */
function rowsOf(index: number): number {
  return [1, 7, 150, 40, 900][index % 5]!;
}

/**
 * One lane: transactions `first`, `first + step`, … until `stop` says so, each waited for until it is accepted.
 *
 * @returns when everything it submitted is durable.
 */
export async function writer(
  sink: Sink,
  first: number,
  step: number,
  stop: () => boolean,
  acknowledged: Acknowledged,
): Promise<void> {
  const durable: Promise<void>[] = [];
  for (let index = first; !stop(); index += step) {
    await sink.ready(new AbortController().signal);
    const rows = rowsOf(index);
    const attempt = sink.open(attemptStart(index));
    for (let from = 0; from < rows; from += 100) {
      attempt.structlogs(structlogs(from, Math.min(rows, from + 100)), OPERATIONS);
    }
    attempt.frames(frameColumns([frameRow(""), frameRow("OP1")], [...OPERATIONS]), OPERATIONS);
    const submission = attempt.finish(proof(rows, 2), CLOSE);
    durable.push(submission.durable.then(() => acknowledged.add(index, rows)));
    await submission.accepted;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await Promise.all(durable);
}

/** Everything acknowledged is there exactly: rows, aggregate rows and records, and nothing is there twice. */
export async function assertExact(address: Address, acknowledged: Acknowledged): Promise<void> {
  const counts = async (table: string) => {
    const rows = await rowsAt(
      address,
      `SELECT transaction_hash, count() AS rows, uniqExact(tuple(*)) AS different FROM ${table} FINAL GROUP BY transaction_hash`,
    );
    return new Map(rows.map((row) => {
      assert.equal(row.rows, row.different);
      return [String(row.transaction_hash), Number(row.rows)];
    }));
  };
  assert.deepEqual([...await counts(structlogTable.name)].sort(), [...acknowledged.rows].sort());
  const two = [...acknowledged.rows.keys()].map((key) => [key, 2] as const);
  assert.deepEqual([...await counts(structlogAggTable.name)].sort(), two.sort());
  const records = await rowsAt(
    address,
    `SELECT transaction_hash, structlog_rows FROM ${executionTransactionTraceTable.name} FINAL WHERE published = 1`,
  );
  assert.deepEqual(
    records.map((row) => [row.transaction_hash, row.structlog_rows]).sort(),
    [...acknowledged.rows].sort(),
  );
}

/** `kills` times: the engine is killed under two writers, and comes back. */
export async function killedEngine(kills: number, betweenMs: number): Promise<Acknowledged> {
  await using fresh = await engineWithTables();
  const acknowledged = new Acknowledged();
  let stop = false;
  const writers = [0, 1].map((lane) => {
    const sink = openSink({ ...FAULT_OPTIONS, spillAfterMs: 1e9 }, clickHouseAt(fresh.address, 5_000));
    return writer(sink, lane, 2, () => stop, acknowledged);
  });
  for (let kill = 0; kill < kills; kill++) {
    await new Promise((resolve) => setTimeout(resolve, betweenMs * (0.5 + Math.random())));
    Deno.kill(fresh.engine.pid, "SIGKILL");
    await fresh.engine.exited;
    await fresh.engine.restart();
  }
  stop = true;
  await Promise.all(writers);
  await assertExact(fresh.address, acknowledged);
  return acknowledged;
}

/** What was seen while the engine was away. */
export interface Absence {
  readonly acknowledged: Acknowledged;
  readonly breaker: readonly string[];
  readonly mostBytes: number;
  readonly spilledBytes: number;
}

/** The engine is away for `awayMs` under two writers of one sink. */
export async function absentEngine(awayMs: number, options: Partial<SinkOptions>): Promise<Absence> {
  await using fresh = await engineWithTables();
  const storage = clickHouseAt(fresh.address, 5_000);
  await using spilling = await spillFor(storage);
  const acknowledged = new Acknowledged();
  const breaker: string[] = [];
  let mostBytes = 0;
  let spilledBytes = 0;
  using _reader = subscribe((event: PipelineEvent) => {
    if (event.kind === "storage_breaker_changed" && event.endpoint === "clickhouse") breaker.push(event.state);
    if (event.kind === "spill_appended") spilledBytes += event.bytes;
  });
  const sink = openSink({ ...FAULT_OPTIONS, ...options }, storage, spilling.spill);
  const watch = setInterval(() => {
    mostBytes = Math.max(mostBytes, sink.inHand.acceptedBytes + sink.inHand.heldBytes);
  }, 5);
  let stop = false;
  const writers = [0, 1].map((lane) => writer(sink, lane, 2, () => stop, acknowledged));
  await new Promise((resolve) => setTimeout(resolve, 500));
  await fresh.engine.stop();
  await new Promise((resolve) => setTimeout(resolve, awayMs));
  await fresh.engine.restart();
  await new Promise((resolve) => setTimeout(resolve, 500));
  stop = true;
  await Promise.all(writers);
  await spilling.spill.drained(new AbortController().signal);
  clearInterval(watch);
  await assertExact(fresh.address, acknowledged);
  return { acknowledged, breaker, mostBytes, spilledBytes };
}

/** Storage that takes no more than `rowsPerSecond`. */
export class SlowStorage implements Storage {
  readonly endpoint = "slow";
  readonly #inner: Storage;
  readonly #rowsPerSecond: number;
  #freeAtMs = 0;

  constructor(inner: Storage, rowsPerSecond: number) {
    this.#inner = inner;
    this.#rowsPerSecond = rowsPerSecond;
  }

  async insert(block: NativeBlock, signal: AbortSignal): Promise<void> {
    const now = performance.now();
    this.#freeAtMs = Math.max(this.#freeAtMs, now) + (block.rows / this.#rowsPerSecond) * 1000;
    const waitMs = this.#freeAtMs - now;
    await new Promise((resolve) => setTimeout(resolve, waitMs));
    await this.#inner.insert(block, signal);
  }

  deleteAttempts: Storage["deleteAttempts"] = (...args) => this.#inner.deleteAttempts(...args);
  deleteSurplus: Storage["deleteSurplus"] = (...args) => this.#inner.deleteSurplus(...args);
  records: Storage["records"] = (...args) => this.#inner.records(...args);
  orphaned: Storage["orphaned"] = (...args) => this.#inner.orphaned(...args);
  ping: Storage["ping"] = (...args) => this.#inner.ping(...args);
  close: Storage["close"] = () => this.#inner.close();
}

/** What came of one reply of many structlogs through a storage ten times as slow. */
export interface LongReply {
  /** From the first row to the last one handed over. */
  readonly readMs: number;
  readonly storedMs: number;
  readonly mostBytes: number;
  readonly spilledBytes: number;
  /** Claims let through while the overflow was not drained. */
  readonly claimedEarly: boolean;
}

/** A reply of `rows` structlogs, read as fast as it comes, through storage that needs ten times as long. */
export async function longReply(rows: number, readRowsPerSecond: number): Promise<LongReply> {
  await using fresh = await engineWithTables();
  const storage = new SlowStorage(clickHouseAt(fresh.address), readRowsPerSecond / 10);
  await using spilling = await spillFor(storage);
  let spilledBytes = 0;
  using _reader = subscribe((event) => {
    if (event.kind === "spill_appended") spilledBytes += event.bytes;
  });
  const sink = openSink(FAULT_OPTIONS, storage, spilling.spill);
  const attempt = sink.open(attemptStart(0, { tables: ["structlog"] }));
  const startedMs = performance.now();
  let mostBytes = 0;
  const chunk = 5_000;
  for (let from = 0; from < rows; from += chunk) {
    attempt.structlogs(structlogs(from, Math.min(rows, from + chunk)), OPERATIONS);
    await attempt.room();
    mostBytes = Math.max(mostBytes, sink.inHand.acceptedBytes + sink.inHand.heldBytes);
    const dueMs = startedMs + ((from + chunk) / readRowsPerSecond) * 1000;
    if (dueMs > performance.now()) await new Promise((resolve) => setTimeout(resolve, dueMs - performance.now()));
  }
  const readMs = performance.now() - startedMs;
  const { durable } = attempt.finish(proof(rows, 2), CLOSE);
  let drained = false;
  const claim = sink.ready(new AbortController().signal).then(() => drained = spilling.spill.backlogBytes === 0);
  await durable;
  await claim;
  const storedMs = performance.now() - startedMs;
  const [counted] = await rowsAt(
    fresh.address,
    `SELECT count() AS rows, uniqExact(index) AS indexes FROM ${structlogTable.name} FINAL`,
  );
  assert.deepEqual([counted!.rows, counted!.indexes], [rows, rows]);
  const records = await rowsAt(
    fresh.address,
    `SELECT verdict, structlog_rows FROM ${executionTransactionTraceTable.name} FINAL`,
  );
  assert.deepEqual(records, [{ verdict: "proved", structlog_rows: rows }]);
  return { readMs, storedMs, mostBytes, spilledBytes, claimedEarly: !drained };
}
