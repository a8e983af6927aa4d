/**
 * The sink on a real engine that is killed, away, slow, or whose answers are cut off. Writers go on as lanes do; what
 * was acknowledged is written down, and compared with what the engine shows in the end.
 */
import assert from "node:assert/strict";
import { PipelineError } from "../../src/errors.ts";
import { executionTransactionTraceTable } from "../../src/stages/encode/execution_transaction_trace.ts";
import { structlogTable } from "../../src/stages/encode/structlog.ts";
import { structlogAggTable } from "../../src/stages/encode/structlog_agg.ts";
import { openSink } from "../../src/stages/sink/sink.ts";
import { openSpill, type Spill } from "../../src/stages/sink/spill.ts";
import type { Sink, SinkOptions, Storage } from "../../src/stages/sink/port.ts";
import { subscribe } from "../../src/telemetry/emit.ts";
import type { PipelineEvent } from "../../src/telemetry/events.ts";
import { sharedEngine } from "../embedded/shared_engine.ts";
import { frameColumns, frameRow, hash, OPERATIONS } from "../stages/encode/columns.ts";
import { attemptStart, CLOSE, OPTIONS, proof, structlogs } from "../stages/sink/attempts.ts";
import { type Address, clickHouseAt, openEngineStorage, rowsAt } from "./storage_backends.ts";

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

/** A spill in a directory. */
async function spillIn(directory: string, storage: Storage): Promise<Spill> {
  const { retry, breaker } = FAULT_OPTIONS;
  const spill = await openSpill(
    { isolate: "main", directory, maxBytes: 4e9, segmentBytes: 500_000, recheckMs: 50, retry, breaker },
    storage,
  );
  spill.start();
  return spill;
}

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

/** Generous: a machine may be slow, and only a defect never comes to it. */
const WITHIN_MS = 120_000;

/** Waits until `holds` does, looking as often as timers allow. */
async function until(what: string, holds: () => boolean): Promise<void> {
  const end = performance.now() + WITHIN_MS;
  while (!holds()) {
    assert.ok(performance.now() < end, `Cannot wait longer for ${what}`);
    await pause(1);
  }
}

/** What writers were told, by transaction. */
export class Acknowledged {
  readonly rows = new Map<string, number>();
  /** Transactions that were given back, and delivered again. */
  released = 0;

  add(index: number, rows: number): void {
    this.rows.set(hash(1000 + index), rows);
  }
}

/** Transactions of one lane that are accepted and not settled. */
const UNSETTLED = 100;

/** Rows of transaction `index`: some are tiny, some large. */
function rowsOf(index: number): number {
  return [1, 7, 150, 40, 900][index % 5]!;
}

/**
 * One lane: transactions `first`, `first + step`, … until `stop` says so, each waited for until it is accepted. What is
 * given back is delivered again with the next version, as a queue does.
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
  const durable = new Set<Promise<void>>();
  let failure: unknown;
  const deliver = async (index: number, rowVersion: number): Promise<void> => {
    await sink.ready(new AbortController().signal);
    const rows = rowsOf(index);
    const attempt = sink.open(attemptStart(index, { rowVersion, firstDelivery: rowVersion === 1 }));
    for (let from = 0; from < rows; from += 100) {
      attempt.structlogs(structlogs(from, Math.min(rows, from + 100)), OPERATIONS);
    }
    attempt.frames(frameColumns([frameRow(""), frameRow("OP1")], [...OPERATIONS]), OPERATIONS);
    const submission = attempt.finish(proof(rows, 2), CLOSE);
    const stored = submission.durable.then(
      () => acknowledged.add(index, rows),
      async (error) => {
        if (!(error instanceof PipelineError && error.release)) throw error;
        acknowledged.released++;
        await deliver(index, rowVersion + 1);
      },
    ).catch((error) => {
      failure ??= error;
    }).finally(() => durable.delete(stored));
    durable.add(stored);
    await submission.accepted.catch(() => {});
  };
  for (let index = first; !stop() && failure === undefined; index += step) {
    await deliver(index, 1);
    await pause(2);
    while (durable.size > UNSETTLED && !stop()) await Promise.race([...durable, pause(20)]);
  }
  while (durable.size > 0) await Promise.all(durable);
  if (failure !== undefined) throw failure;
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

/** `kills` times: the engine is killed while two writers insert, and comes back. */
export async function killedEngine(kills: number): Promise<Acknowledged> {
  await using engine = await openEngineStorage();
  const acknowledged = new Acknowledged();
  let stop = false;
  const sinks = [0, 1].map(() =>
    openSink({ ...FAULT_OPTIONS, spillAfterMs: 1e9 }, clickHouseAt(engine.address, 10_000))
  );
  const writers = Promise.all(sinks.map((sink, lane) => writer(sink, lane, 2, () => stop, acknowledged)));
  writers.catch(() => {});
  for (let kill = 0; kill < kills; kill++) {
    const before = acknowledged.rows.size;
    await until("acknowledgements", () => acknowledged.rows.size > before);
    await pause(100 * Math.random());
    await until("an insert", () => sinks.some((sink) => sink.inHand.insertsInFlight > 0));
    Deno.kill(sharedEngine.pid, "SIGKILL");
    await sharedEngine.exited;
    await sharedEngine.restart();
  }
  stop = true;
  await writers;
  await assertExact(engine.address, acknowledged);
  return acknowledged;
}

/** What was seen while the engine was away. */
export interface Absence {
  readonly acknowledged: Acknowledged;
  readonly breaker: readonly string[];
  readonly mostBytes: number;
  readonly spilledBytes: number;
  /** How often the spill's disk became full. */
  readonly full: number;
}

/** The spill's directory, of whatever size. */
export interface SpillDisk extends AsyncDisposable {
  readonly path: string;
  /** Somebody makes room on it. */
  free(): Promise<void>;
}

/** A directory on a disk that is large enough. */
export async function largeDisk(): Promise<SpillDisk> {
  const path = await Deno.makeTempDir({ prefix: "spill-" });
  return {
    path,
    free: () => Promise.resolve(),
    [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }),
  };
}

/** Of a small disk: what the spill finds room for, and what is taken until somebody frees it. */
const SMALL_DISK = { leftBytes: 1_000_000, takenBytes: 3_000_000 };

/** A disk that is nearly full: a file system of its own where this process may mount one, otherwise writes that fail. */
export async function smallDisk(): Promise<SpillDisk> {
  const large = await largeDisk();
  const { leftBytes, takenBytes } = SMALL_DISK;
  if (await succeeds("mount", ["-t", "tmpfs", "-o", `size=${leftBytes + takenBytes}`, "tmpfs", large.path])) {
    await Deno.writeFile(`${large.path}/ballast`, new Uint8Array(takenBytes));
    return {
      path: large.path,
      free: () => Deno.remove(`${large.path}/ballast`),
      async [Symbol.asyncDispose]() {
        assert.ok(await succeeds("umount", [large.path]));
        await large[Symbol.asyncDispose]();
      },
    };
  }
  const write = Deno.FsFile.prototype.write;
  let left = leftBytes;
  Deno.FsFile.prototype.write = async function (piece) {
    if (left < piece.length) throw new Error("No space left on device (os error 28)");
    left -= piece.length;
    return await write.call(this, piece);
  };
  return {
    path: large.path,
    free() {
      left = Infinity;
      return Promise.resolve();
    },
    async [Symbol.asyncDispose]() {
      Deno.FsFile.prototype.write = write;
      await large[Symbol.asyncDispose]();
    },
  };
}

async function succeeds(command: string, args: readonly string[]): Promise<boolean> {
  try {
    const { success } = await new Deno.Command(command, { args: [...args], stdout: "null", stderr: "null" }).output();
    return success;
  } catch {
    return false;
  }
}

/**
 * The engine is away under two writers of one sink, for `awayMs` and until `seen` says that enough has been seen.
 *
 * @param disk Where the spill is.
 */
export async function absentEngine(
  awayMs: number,
  options: Partial<SinkOptions>,
  disk: SpillDisk,
  seen: (absence: Omit<Absence, "acknowledged">) => boolean,
): Promise<Absence> {
  await using engine = await openEngineStorage();
  const storage = clickHouseAt(engine.address, 10_000);
  await using spill = await spillIn(disk.path, storage);
  const acknowledged = new Acknowledged();
  const absence = { breaker: [] as string[], mostBytes: 0, spilledBytes: 0, full: 0 };
  using _reader = subscribe((event: PipelineEvent) => {
    if (event.kind === "storage_breaker_changed" && event.endpoint === "clickhouse") absence.breaker.push(event.state);
    if (event.kind === "spill_appended") absence.spilledBytes += event.bytes;
    if (event.kind === "spill_full") absence.full++;
  });
  const sink = openSink({ ...FAULT_OPTIONS, ...options }, storage, spill);
  let stop = false;
  const look = () => {
    absence.mostBytes = Math.max(absence.mostBytes, sink.inHand.acceptedBytes + sink.inHand.heldBytes);
    return stop;
  };
  const writers = Promise.all([0, 1].map((lane) => writer(sink, lane, 2, look, acknowledged)));
  let failure: unknown;
  writers.catch((error) => failure = error);
  const going = (holds: () => boolean) => () => {
    if (failure !== undefined) throw failure;
    return holds();
  };
  await until("acknowledgements", going(() => acknowledged.rows.size > 20));
  await sharedEngine.stop();
  await pause(awayMs);
  await until("what the absence brings", going(() => seen(absence)));
  const before = acknowledged.rows.size;
  await disk.free();
  await sharedEngine.restart();
  await until("acknowledgements", going(() => acknowledged.rows.size > before));
  stop = true;
  await writers;
  await spill.drained(new AbortController().signal);
  await assertExact(engine.address, acknowledged);
  return { acknowledged, ...absence };
}
