/**
 * The sink against the engine itself, and against the way most programs insert. Each figure is a line
 * `name<TAB>value<TAB>unit`; progress goes to stderr. Ways are measured in turns, on the same rows, and compared round by
 * round, since the machine is shared; the median of those ratios is the figure.
 *
 * The engine's own rate is that of ready-made Native blocks, sent two at a time by the same client; the sink's is from
 * the decoder's columns to the last record, with holding, batching, encoding and publishing.
 */
import { setImmediate } from "node:timers/promises";
import { ClickHouseLogLevel, createClient } from "@clickhouse/client-web";
import { type Engine, startEngine } from "../src/embedded/engine.ts";
import type { StructlogColumns } from "../src/stages/decode/port.ts";
import { executionTransactionTraceTable } from "../src/stages/encode/execution_transaction_trace.ts";
import type { NativeBlock } from "../src/stages/encode/port.ts";
import { structlogEncoder, structlogTable } from "../src/stages/encode/structlog.ts";
import type { TransactionConstants } from "../src/stages/encode/transaction_constants.ts";
import { type ClickHouseStorage, openClickHouse } from "../src/stages/sink/clickhouse.ts";
import type { AttemptStart, Sink } from "../src/stages/sink/port.ts";
import { CLICKHOUSE_SETTINGS } from "../src/pipeline/options.ts";
import { applySchema } from "../src/stages/sink/schema.ts";
import { openSink } from "../src/stages/sink/sink.ts";
import { SpareMemory } from "../src/stages/sink/spare_memory.ts";
import { afterCollection } from "../tests/garbage.ts";
import { figure, median, say } from "./figures.ts";

const ROUNDS = 15;
/** Ways beside the engine and the sink are measured once in so many rounds: no close comparison hangs on them. */
const RARELY = 3;
const TRANSACTIONS = 240;
const ROWS = 20_000;
/** Rows of one callback of the decoder. */
const CHUNK = 8_192;
const BATCH_ROWS = 100_000;
const JSON_TRANSACTIONS = 5;
const OPERATIONS = Array.from({ length: 257 }, (_, i) => i === 256 ? "" : `OPCODE${i}`);
const TABLES = [structlogTable.name, executionTransactionTraceTable.name];
const SIGNAL = new AbortController().signal;

const encoder = new TextEncoder();

function lanes(count: number, value: (row: number) => number): Uint32Array {
  const cells = new Uint32Array(2 * count);
  for (let row = 0; row < count; row++) cells[2 * row] = value(row);
  return cells;
}

/** Null but for one row in `every`, which is an address. */
function addresses(count: number, every: number) {
  const nulls = new Uint8Array(count).fill(1);
  const bytes: number[] = [];
  for (let row = 0; row < count; row++) {
    if (every === 0 || row % every !== 0) bytes.push(0);
    else {
      nulls[row] = 0;
      bytes.push(42, ...encoder.encode(`0x${(row * 7919).toString(16).padStart(40, "0")}`));
    }
  }
  return { nulls, bytes: Uint8Array.from(bytes) };
}

/** Rows `from…` of a trace that goes up and down twelve levels, a call in fifty rows. */
function columns(from: number, rows: number): StructlogColumns {
  const depth = (row: number) => 1 + (Math.floor((from + row) / 50) % 12);
  const ends = new Uint32Array(2 * rows);
  const path: number[] = [];
  for (let row = 0; row < rows; row++) {
    for (let level = 0; level < depth(row); level++) path.push(level);
    ends[2 * row] = path.length;
  }
  const noText = { nulls: new Uint8Array(rows).fill(1), bytes: new Uint8Array(rows) };
  return {
    rows,
    index: Uint32Array.from({ length: rows }, (_, row) => from + row),
    programCounter: Uint32Array.from({ length: rows }, (_, row) => ((from + row) * 7) % 24_000),
    operation: Uint16Array.from({ length: rows }, (_, row) => (row * 31) % 160),
    gas: lanes(rows, (row) => 30_000_000 - 7 * (from + row)),
    gasCost: lanes(rows, (row) => 3 + (row % 5)),
    gasUsed: lanes(rows, (row) => 3 + (row % 5)),
    gasSelf: lanes(rows, (row) => 3 + (row % 5)),
    depth: Uint16Array.from({ length: rows }, (_, row) => depth(row)),
    refundNulls: new Uint8Array(rows),
    refund: lanes(rows, () => 0),
    returnData: noText,
    error: noText,
    callToAddress: addresses(rows, 50),
    callFrameId: Uint32Array.from({ length: rows }, (_, row) => depth(row) - 1),
    callFramePathEnds: ends,
    callFramePath: Uint32Array.from(path),
  };
}

/** The callbacks of one transaction. */
const TRACE: readonly StructlogColumns[] = Array.from(
  { length: Math.ceil(ROWS / CHUNK) },
  (_, i) => columns(i * CHUNK, Math.min(CHUNK, ROWS - i * CHUNK)),
);

function hash(seed: number): string {
  return `0x${(seed * 2_654_435_761).toString(16).padStart(64, "0")}`;
}

/** Each way and round has blocks of its own, so that no round replaces rows of another. */
let nextBlock = 1;

function start(block: number, index: number): AttemptStart {
  return {
    network: "bench",
    blockNumber: block,
    blockHash: hash(block),
    transactionHash: hash(block * 1000 + index),
    transactionIndex: index,
    rowVersion: 1_700_000_000_000_000,
    firstDelivery: true,
    gasUsed: 21_000,
    failed: false,
    failedIsFinal: true,
    tables: ["structlog"],
    client: "bench",
    node: "bench",
    fork: "prague",
  };
}

function constants(block: number, index: number): TransactionConstants {
  const { network, blockNumber, blockHash, transactionHash, transactionIndex, gasUsed, failed, rowVersion } = start(
    block,
    index,
  );
  return {
    encodedAt: new Date(),
    network,
    blockNumber,
    blockHash,
    transactionHash,
    transactionIndex,
    gasUsed,
    failed,
    returnValue: undefined,
    rowVersion,
  };
}

/** Order of the transactions in a block: as they come, or as the table's key has them. */
type Order = "arrival" | "key";

/** A block of `transactions` transactions, from the decoder's columns. */
function encodeBlock(
  block: number,
  first: number,
  transactions: number,
  { order = "arrival", memory }: { readonly order?: Order; readonly memory?: SpareMemory } = {},
): NativeBlock {
  const parts = Array.from({ length: transactions }, (_, i) => ({
    constants: constants(block, first + i),
    segments: TRACE.map((chunk) => structlogEncoder.segment(chunk, OPERATIONS)),
  }));
  if (order === "key") parts.sort((a, b) => a.constants.transactionHash < b.constants.transactionHash ? -1 : 1);
  return structlogEncoder.block(parts, memory === undefined ? {} : { allocate: (bytes) => memory.take(bytes) });
}

/** Blocks of one round, as the sink would cut them. */
function readyBlocks(block: number, transactions: number, order: Order = "arrival"): NativeBlock[] {
  const blocks: NativeBlock[] = [];
  const perBlock = BATCH_ROWS / ROWS;
  for (let first = 0; first < transactions; first += perBlock) {
    blocks.push(encodeBlock(block, first, Math.min(perBlock, transactions - first), { order }));
  }
  return blocks;
}

/** Rows a second of `work`, which stores `rows` rows. */
async function rate(rows: number, work: () => Promise<void>): Promise<number> {
  const startedMs = performance.now();
  await work();
  return rows / ((performance.now() - startedMs) / 1000);
}

/** Rows a second of one core, into the memory of the block before, as in the sink. */
function encodeRate(): number {
  const memory = new SpareMemory(64 << 20);
  let rows = 0;
  const startedMs = performance.now();
  while (performance.now() - startedMs < 1000) {
    const block = encodeBlock(1, 0, BATCH_ROWS / ROWS, { memory });
    rows += block.rows;
    memory.giveBack(block.bytes);
  }
  return rows / ((performance.now() - startedMs) / 1000);
}

/** Two inserts in flight, as the sink has. */
async function insertAll(storage: ClickHouseStorage, blocks: readonly NativeBlock[]): Promise<void> {
  const waiting = [...blocks];
  await Promise.all([0, 1].map(async () => {
    for (let block = waiting.shift(); block !== undefined; block = waiting.shift()) await storage.insert(block, SIGNAL);
  }));
}

async function throughSink(sink: Sink, block: number): Promise<void> {
  const durable: Promise<unknown>[] = [];
  for (let index = 0; index < TRANSACTIONS; index++) {
    await setImmediate(); // as for the reply that the columns come from
    const attempt = sink.open(start(block, index));
    for (const chunk of TRACE) {
      attempt.structlogs(chunk, OPERATIONS);
      await attempt.room();
    }
    const submission = attempt.finish({
      verdict: "proved",
      identity: "",
      detail: "",
      violations: [],
      outcome: "success",
      intrinsicGas: 21_000,
      floorGas: 0,
      rootGas: 0,
      codeDepositGas: 0,
      refundSource: "node",
      refundApplied: 0,
      gasUsed: 21_000,
      rows: ROWS,
      frames: 1,
      accessMismatch: {},
      notes: [],
      aggregateRows: 0,
      structlogChecksum: 0n,
      aggregateChecksum: 0n,
      offset: 0,
      bytes: 0,
    }, { policy: "enforce", traceMs: 1 });
    durable.push(submission.durable);
    await submission.accepted;
  }
  await Promise.all(durable);
}

/** Row objects, as a program that has them would insert them. */
function jsonRows(block: number, index: number): Record<string, unknown>[] {
  const of = start(block, index);
  return TRACE.flatMap((cells) =>
    Array.from({ length: cells.rows }, (_, row) => ({
      updated_date_time: 1_700_000_000,
      block_number: of.blockNumber,
      transaction_hash: of.transactionHash,
      transaction_index: of.transactionIndex,
      transaction_gas: 21_000,
      transaction_failed: false,
      transaction_return_value: null,
      index: cells.index[row],
      operation: OPERATIONS[cells.operation[row]!],
      gas: cells.gas[2 * row],
      gas_cost: cells.gasCost[2 * row],
      gas_used: cells.gasUsed[2 * row],
      gas_self: cells.gasSelf[2 * row],
      depth: cells.depth[row],
      return_data: null,
      refund: 0,
      error: null,
      call_to_address: null,
      call_frame_id: cells.callFrameId[row],
      call_frame_path: [
        ...cells.callFramePath.subarray(
          row === 0 ? 0 : cells.callFramePathEnds[2 * row - 2],
          cells.callFramePathEnds[2 * row],
        ),
      ],
      meta_network_name: of.network,
      program_counter: cells.programCounter[row],
      block_hash: of.blockHash,
      row_version: 1,
    }))
  );
}

/** It warns about its own settings otherwise. */
const QUIET = { level: ClickHouseLogLevel.OFF };

async function asJson(engine: Engine, block: number): Promise<void> {
  const { url, user, password, database } = engine;
  const client = createClient({ url, username: user, password, database, request_timeout: 120_000, log: QUIET });
  const perBatch = BATCH_ROWS / ROWS;
  for (let first = 0; first < JSON_TRANSACTIONS; first += perBatch) {
    const count = Math.min(perBatch, JSON_TRANSACTIONS - first);
    const values = Array.from({ length: count }, (_, i) => jsonRows(block, first + i)).flat();
    await client.insert({ table: structlogTable.name, values, format: "JSONEachRow" });
  }
  await client.close();
}

function storageOf(engine: Engine, settings: Readonly<Record<string, number>> = {}): ClickHouseStorage {
  const { url, user, password, database } = engine;
  return openClickHouse({
    url,
    user,
    password,
    database,
    requestTimeoutMs: 120_000,
    settings: { ...CLICKHOUSE_SETTINGS, ...settings },
  });
}

async function main(): Promise<void> {
  const encoded = Array.from({ length: 5 }, encodeRate);
  figure("encode_rows_per_second", Math.round(median(encoded)), "rows/s");
  const ready = encodeBlock(1, 0, BATCH_ROWS / ROWS);
  figure("encode_bytes_per_row", (ready.bytes.length / ready.rows).toFixed(1), "bytes");

  const path = await Deno.makeTempDir({ prefix: "sink-bench-" });
  try {
    await using engine = await startEngine({ path, port: 0, maxMemoryBytes: 4e9, onDownload: say });
    await measure(engine);
  } finally {
    await Deno.remove(path, { recursive: true });
  }
}

async function measure(engine: Engine): Promise<void> {
  const storage = storageOf(engine);
  await applySchema(storage, { appliedBy: "bench" });
  const sink = openSink({
    isolate: "main",
    rows: BATCH_ROWS,
    bytes: 32 << 20,
    lingerMs: 200,
    holdBytes: 16 << 20,
    inFlight: 2,
    memoryBytes: 64 << 20,
    settleOn: "durable",
    spillAfterMs: 30_000,
    retry: { initialDelayMs: 100, maxDelayMs: 10_000 },
    breaker: { failures: 5, halfOpenAfterMs: 5_000 },
  }, storage);
  const collapsing = storageOf(engine, { optimize_on_insert: 1 });
  const rows = TRANSACTIONS * ROWS;
  const often: Readonly<Record<string, () => Promise<number>>> = {
    engine: () => {
      const ready = readyBlocks(nextBlock++, TRANSACTIONS);
      return rate(rows, () => insertAll(storage, ready));
    },
    sink: () => rate(rows, () => throughSink(sink, nextBlock++)),
  };
  const rarely: typeof often = {
    collapsing: () => {
      const ready = readyBlocks(nextBlock++, TRANSACTIONS);
      return rate(rows, () => insertAll(collapsing, ready));
    },
    sorted: () => {
      const ready = readyBlocks(nextBlock++, TRANSACTIONS, "key");
      return rate(rows, () => insertAll(storage, ready));
    },
    json: () => rate(JSON_TRANSACTIONS * ROWS, () => asJson(engine, nextBlock++)),
  };
  /** By way and round. The first round warms everything up and does not count. */
  const rates = new Map(Object.keys({ ...often, ...rarely }).map((name) => [name, new Map<number, number>()]));
  for (let round = 0; round <= ROUNDS; round++) {
    const ways = Object.entries(round % RARELY === 0 ? { ...often, ...rarely } : often);
    // Each way goes first in its turn, into empty tables and without garbage: merges and blocks that the last one left
    // would be on its account.
    const shown: string[] = [];
    for (const [name, way] of ways.map((_, i) => ways[(i + round) % ways.length]!)) {
      for (const table of TABLES) await storage.execute(`TRUNCATE TABLE ${table}`, {});
      await afterCollection(() => true);
      const measured = await way();
      if (round > 0) rates.get(name)!.set(round, measured);
      shown.push(`${name} ${Math.round(measured / 1000)}k`);
    }
    say(`round ${round} of ${ROUNDS}: ${shown.join(", ")} rows/s`);
  }
  await sink.drain(10_000);
  const typical = (name: string) => median([...rates.get(name)!.values()]);
  // Of each round, since the machine is not the same in the next one.
  const ratio = (of: string, to: string) => {
    const [one, other] = [rates.get(of)!, rates.get(to)!];
    return median([...one].flatMap(([round, rate]) => other.has(round) ? rate / other.get(round)! : [])).toFixed(2);
  };
  figure("engine_rows_per_second", Math.round(typical("engine")), "rows/s");
  figure("sink_rows_per_second", Math.round(typical("sink")), "rows/s");
  figure("sink_vs_engine", ratio("sink", "engine"), "ratio");
  figure("sink_vs_json_each_row", ratio("sink", "json"), "ratio");
  figure("optimize_on_insert_off_vs_on", ratio("engine", "collapsing"), "ratio");
  figure("blocks_in_key_order_vs_arrival", ratio("sorted", "engine"), "ratio");
}

if (import.meta.main) await main();
