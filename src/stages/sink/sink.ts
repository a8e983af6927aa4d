/**
 * The sink of one isolate: attempts of all its lanes share batches of rows and of records, every block goes to storage
 * with patience, and what storage cannot take in time goes to the spill.
 */
import { asyncScheduler, type SchedulerLike } from "rxjs";
import { type Batch, batch, type Batcher, type Submitted, type Written } from "../../flow/batch.ts";
import { unlessAborted } from "../../flow/unless_aborted.ts";
import { emit } from "../../telemetry/emit.ts";
import type { Segment } from "../encode/columnar.ts";
import { executionTransactionTraceTable } from "../encode/execution_transaction_trace.ts";
import type { NativeBlock, RowTable } from "../encode/port.ts";
import { structlogEncoder } from "../encode/structlog.ts";
import { structlogAggEncoder } from "../encode/structlog_agg.ts";
import type { TransactionConstants } from "../encode/transaction_constants.ts";
import {
  type AttemptSink,
  type Moment,
  type RecordItem,
  type RecordResult,
  type RowsItem,
  TransactionAttempt,
} from "./attempt.ts";
import { Endpoint } from "./endpoint.ts";
import { SinkClosedError, StorageUnavailableError } from "./errors.ts";
import type {
  Attempt,
  AttemptKey,
  AttemptStart,
  Sink,
  SinkInHand,
  SinkOptions,
  Spilled,
  SpillOperation,
  SpillPort,
  Storage,
  TraceTable,
} from "./port.ts";
import { SpareMemory } from "./spare_memory.ts";

/** Time and chance, for tests. */
export interface SinkEnvironment {
  readonly now: () => number;
  /** In [0, 1). */
  readonly random: () => number;
  readonly scheduler: SchedulerLike;
}

const REAL: SinkEnvironment = { now: Date.now, random: Math.random, scheduler: asyncScheduler };

const ENCODERS = { structlog: structlogEncoder, structlog_agg: structlogAggEncoder } as const;

/** Blocks of one partition: one insert makes one part. */
const PARTITION_BLOCKS = 201_600;

/**
 * A few records cost as much as many, in files and fsyncs: one insert of them at a time, and while rows go on coming at
 * most a tenth of the time.
 */
const RECORD_REST = 9;
/** What a record takes in memory, roughly: a bound needs no better. */
const RECORD_BYTES = 1024;
/** Between two events of what is in hand. */
const TELL_EVERY_MS = 100;
/** What a row of a small table takes, roughly. */
const ROW_BYTES = 512;

/**
 * What was written is out of memory: in storage, or in the spill. Whoever waits for `settled`, hours in an outage, must
 * not hold on to the rows meanwhile; so this is where the functions end that have them in hand.
 */
interface Placed {
  readonly settled: Promise<Moment>;
}

/** In storage. */
const STORED: Placed = { settled: Promise.resolve("durable") };

/** Rows of one small table. */
interface SmallRows {
  readonly table: RowTable<never>;
  readonly rows: readonly never[];
}

/**
 * Opens the sink of an isolate.
 *
 * @param spill Where batches go when storage is away or slow; absent: they wait in memory, within its bound.
 */
export function openSink(
  options: SinkOptions,
  storage: Storage,
  spill?: SpillPort,
  environment: SinkEnvironment = REAL,
): Sink {
  return new BatchingSink(options, storage, spill, environment);
}

class BatchingSink implements Sink, AttemptSink {
  readonly #options: SinkOptions;
  readonly #storage: Storage;
  readonly #spill: SpillPort | undefined;
  readonly #environment: SinkEnvironment;
  readonly #endpoint: Endpoint;
  readonly #rows: Batcher<RowsItem, Moment>;
  readonly #records: Batcher<RecordItem, RecordResult>;
  readonly #small: Batcher<SmallRows, void>;
  /** Ends direct tries at the deadline of {@linkcode drain}. */
  readonly #deadline = new AbortController();
  readonly #blockMemory: SpareMemory;
  readonly #segmentMemory: SpareMemory;
  /** Blocks of full batches that wait for their insert, by the items. */
  readonly #prepared = new WeakMap<readonly RowsItem[], NativeBlock>();
  readonly #tracked = new Set<Promise<unknown>>();
  #heldBytes = 0;
  #toldMs = 0;
  #toldBytes = 0;
  #draining = false;

  constructor(
    options: SinkOptions,
    storage: Storage,
    spill: SpillPort | undefined,
    environment: SinkEnvironment,
  ) {
    this.#options = options;
    this.#storage = storage;
    this.#spill = spill;
    this.#environment = environment;
    const { retry, breaker } = options;
    const { now, random, scheduler } = environment;
    this.#blockMemory = new SpareMemory(options.inFlight * options.bytes);
    this.#segmentMemory = new SpareMemory(options.bytes);
    this.#endpoint = new Endpoint({ name: storage.endpoint, isolate: options.isolate, retry, breaker, now, random });
    const overflow = spill === undefined
      ? {}
      : { overflow: (rows: Batch<RowsItem>) => written(this.#overflowRows(rows, spill)) };
    this.#rows = batch<RowsItem, Moment>(
      options,
      {
        write: (rows) => written(this.#writeRows(rows)),
        prepare: (rows) => this.#prepareRows(rows),
        released: () => this.#tellInHand(),
        ...overflow,
      },
      scheduler,
    );
    this.#records = batch<RecordItem, RecordResult>(
      { ...options, inFlight: 1, rest: RECORD_REST },
      { write: (records) => onlyDurable(this.#writeRecords(records)) },
      scheduler,
    );
    this.#small = batch<SmallRows, void>(
      options,
      { write: (rows) => onlyDurable(this.#writeSmall(rows)) },
      scheduler,
    );
  }

  get holdBytes(): number {
    return this.#options.holdBytes;
  }

  get settleOn(): SinkOptions["settleOn"] {
    return this.#options.settleOn;
  }

  get inHand(): SinkInHand {
    return {
      acceptedBytes: this.#rows.pendingBytes,
      heldBytes: this.#heldBytes,
      spareBytes: this.#blockMemory.bytes + this.#segmentMemory.bytes,
      insertsInFlight: this.#rows.inFlight + this.#records.inFlight + this.#small.inFlight,
    };
  }

  open(start: AttemptStart): Attempt {
    if (this.#draining) throw new SinkClosedError(`Cannot take ${start.transactionHash}: the sink is ending`);
    return new TransactionAttempt(start, this);
  }

  async insertRows<R extends { readonly meta_network_name: string }>(
    table: RowTable<R>,
    rows: readonly R[],
  ): Promise<void> {
    const [first] = rows;
    if (first === undefined) return;
    const item = { table, rows } as unknown as SmallRows;
    await this.#small.submit(`${table.name}/${first.meta_network_name}`, item, {
      rows: rows.length,
      bytes: rows.length * ROW_BYTES,
    }).durable;
  }

  expect(): Disposable {
    const [rows, records] = [this.#rows.expect(), this.#records.expect()];
    return {
      [Symbol.dispose]() {
        rows[Symbol.dispose]();
        records[Symbol.dispose]();
      },
    };
  }

  async ready(signal: AbortSignal): Promise<void> {
    for (let room = this.room(); room !== undefined; room = this.room()) await unlessAborted(room, signal);
    if (this.#spill === undefined) return;
    // Claiming goes on through an outage only where the spill settles leases; what merely overflowed is drained first.
    if (this.#options.settleOn === "spilled") await this.#spill.drainedOrAway(signal);
    else await this.#spill.drained(signal);
    await this.#spill.room(signal);
  }

  async drain(deadlineMs: number): Promise<void> {
    this.#draining = true;
    const closing = new SinkClosedError(`Cannot wait longer for storage: the sink ends after ${deadlineMs} ms`);
    const timer = setTimeout(() => this.#deadline.abort(closing), deadlineMs);
    try {
      const drained = Promise.all([this.#rows.drain(), this.#records.drain(), this.#small.drain()]);
      while (this.#tracked.size > 0) await Promise.allSettled(this.#tracked);
      await drained;
    } finally {
      clearTimeout(timer);
    }
  }

  // What attempts need.

  readonly segmentMemory = (bytes: number): Uint8Array<ArrayBuffer> => this.#segmentMemory.take(bytes);

  expectRecord(): Disposable {
    return this.#records.expect();
  }

  now(): number {
    return this.#environment.now();
  }

  submitRows(item: RowsItem): Submitted<Moment> {
    const { network, blockNumber } = item.key;
    const group = `${item.table}/${network}/${Math.floor(blockNumber / PARTITION_BLOCKS)}`;
    const submitted = this.#rows.submit(group, item, weigh(item.segments));
    this.#tellInHand();
    return submitted;
  }

  submitRecord(item: RecordItem): Submitted<RecordResult> {
    const { network, blockNumber } = item.key;
    const group = `${network}/${Math.floor(blockNumber / PARTITION_BLOCKS)}`;
    return this.#records.submit(group, item, { rows: 1, bytes: RECORD_BYTES });
  }

  async deleteAttempt(table: TraceTable, key: AttemptKey, behindSpill: boolean): Promise<void> {
    const instead = (): SpillOperation[] => [{ kind: "delete", table, attempts: [key] }];
    const placed = behindSpill && this.#spill !== undefined
      ? this.#append(instead(), this.#spill)
      : this.#direct((signal) => this.#storage.deleteAttempts(table, [key], signal), instead);
    await (await placed).settled;
  }

  room(): Promise<void> | undefined {
    return this.#rows.room();
  }

  held(bytes: number): void {
    this.#heldBytes += bytes;
    this.#tellInHand();
  }

  track<T>(work: Promise<T>): Promise<T> {
    this.#tracked.add(work);
    const forget = () => void this.#tracked.delete(work);
    work.then(forget, forget);
    return work;
  }

  /** Tells what is in hand, not more often than anybody looks, and always that it is nothing. */
  #tellInHand(): void {
    const [now, { isolate, memoryBytes }, inHand] = [this.#environment.now(), this.#options, this.inHand];
    const bytes = inHand.acceptedBytes + inHand.heldBytes;
    if (now - this.#toldMs < TELL_EVERY_MS && (bytes > 0 || this.#toldBytes === 0)) return;
    [this.#toldMs, this.#toldBytes] = [now, bytes];
    emit({ kind: "sink_in_hand", isolate, ...inHand, memoryBytes });
  }

  // Writing.

  readonly #pooled = (bytes: number): Uint8Array<ArrayBuffer> => this.#blockMemory.take(bytes);

  /** Encodes while the inserts before it are under way, unless some of the rows may yet have to be left out. */
  #prepareRows({ items }: Batch<RowsItem>): void {
    if (items.some(({ opening }) => opening !== undefined && opening.place !== "stored")) return;
    try {
      this.#prepared.set(items, this.#encodeRows(items, this.#pooled));
    } catch {
      // The write tries again, and tells the owners: this is the call of one who only brought the last of these rows.
    }
  }

  async #writeRows(rows: Batch<RowsItem>): Promise<Placed> {
    const items = await openedItems(rows.items);
    const block = this.#prepared.get(rows.items) ?? this.#encodeRows(items, this.#pooled);
    const attempts = attemptsOf(items);
    const startedMs = this.#environment.now();
    const placed = await this.#direct(
      (signal) => this.#storage.insert(block, signal),
      () => [{ kind: "insert", block, attempts }],
    );
    if (placed === STORED) {
      this.#blockMemory.giveBack(block.bytes);
      this.#inserted(block, startedMs, rows.reason);
    }
    return placed;
  }

  #overflowRows(rows: Batch<RowsItem>, spill: SpillPort): Promise<Placed> {
    const operations: SpillOperation[] = [];
    for (const { opening } of rows.items) {
      if (opening === undefined || opening.place !== "under way") continue;
      opening.place = "spilled";
      const block = executionTransactionTraceTable.encode([opening.row]);
      operations.push({ kind: "record", block, attempts: [opening.key] });
    }
    const block = this.#prepared.get(rows.items) ?? this.#encodeRows(rows.items);
    operations.push({ kind: "insert", block, attempts: attemptsOf(rows.items) });
    return this.#append(operations, spill);
  }

  /** One block of these rows; what came of one attempt lies together. Their segments are not read any more. */
  #encodeRows(items: readonly RowsItem[], allocate?: (bytes: number) => Uint8Array<ArrayBuffer>): NativeBlock {
    const parts = new Map<TransactionConstants, Segment[]>();
    for (const { constants, segments } of items) {
      const known = parts.get(constants);
      if (known === undefined) parts.set(constants, [...segments]);
      else known.push(...segments);
    }
    const { table } = items[0]!;
    const block = ENCODERS[table].block(
      [...parts].map(([constants, segments]) => ({ constants, segments })),
      allocate === undefined ? {} : { allocate },
    );
    for (const { segments } of items) for (const { memory } of segments) this.#segmentMemory.giveBack(memory);
    return block;
  }

  async #writeRecords(records: Batch<RecordItem>): Promise<RecordResult> {
    const behind = records.items.filter((item) => item.behindSpill);
    const ahead = records.items.filter((item) => !item.behindSpill);
    const superseded = new Set<RecordItem>();
    let moment: Moment = "durable";
    if (ahead.length > 0) {
      const startedMs = this.#environment.now();
      const placed = await this.#direct(async (signal) => {
        superseded.clear();
        const block = await this.#prepareRecords(ahead, superseded, signal);
        if (block === undefined) return;
        await this.#storage.insert(block, signal);
        this.#inserted(block, startedMs, records.reason);
      }, () => recordOperations(ahead));
      moment = await placed.settled;
    }
    if (behind.length > 0 && this.#spill !== undefined) {
      const placed = await this.#append(recordOperations(behind), this.#spill);
      if (await placed.settled === "spilled") moment = "spilled";
    }
    return { moment, superseded };
  }

  /**
   * Leaves out records that come too late, and removes what older attempts have more than these.
   *
   * @returns `undefined` when none is left.
   */
  async #prepareRecords(
    items: readonly RecordItem[],
    superseded: Set<RecordItem>,
    signal: AbortSignal,
  ): Promise<NativeBlock | undefined> {
    const stored = await this.#storage.records(items.map(({ key }) => key), signal);
    const versions = new Map(
      stored.map((known) => [`${known.blockNumber}:${known.transactionHash}`, known.rowVersion]),
    );
    const repeated: RecordItem[] = [];
    for (const item of items) {
      const known = versions.get(`${item.key.blockNumber}:${item.key.transactionHash}`);
      if (known !== undefined && known > item.key.rowVersion) superseded.add(item);
      else if (!item.firstDelivery || known !== undefined && known < item.key.rowVersion) repeated.push(item);
    }
    for (const table of Object.keys(ENCODERS) as TraceTable[]) {
      const attempts = repeated.filter((item) => item.surplus.includes(table)).map(({ key }) => key);
      if (attempts.length === 0) continue;
      const rows = await this.#storage.deleteSurplus(table, attempts, signal);
      if (rows > 0) emit({ kind: "surplus_deleted", table, attempts: attempts.length, rows });
    }
    const written = items.filter((item) => !superseded.has(item));
    return written.length === 0 ? undefined : encodeRecords(written);
  }

  async #writeSmall(batch: Batch<SmallRows>): Promise<void> {
    const startedMs = this.#environment.now();
    const block = batch.items[0]!.table.encode(batch.items.flatMap((item) => item.rows));
    await this.#endpoint.run((signal) => this.#storage.insert(block, signal), this.#deadline.signal);
    this.#inserted(block, startedMs, batch.reason);
  }

  #inserted(block: NativeBlock, startedMs: number, reason: Batch<unknown>["reason"]): void {
    const seconds = (this.#environment.now() - startedMs) / 1000;
    emit({ kind: "rows_inserted", table: block.table, rows: block.rows, bytes: block.bytes.length, seconds, reason });
  }

  /** Does it in storage; through the spill when storage is away for too long, or the sink has to end. */
  async #direct(
    operation: (signal: AbortSignal) => Promise<void>,
    instead: () => SpillOperation[],
  ): Promise<Placed> {
    const patienceMs = this.#spill === undefined ? Infinity : this.#options.spillAfterMs;
    try {
      await this.#endpoint.run(operation, this.#deadline.signal, patienceMs);
      return STORED;
    } catch (error) {
      const outage = error instanceof StorageUnavailableError || error === this.#deadline.signal.reason;
      if (this.#spill === undefined || !outage) throw error;
      return await this.#append(instead(), this.#spill);
    }
  }

  /** In order; resolves when they are fsynced. */
  async #append(operations: readonly SpillOperation[], spill: SpillPort): Promise<Placed> {
    const appended = operations.map((operation) => spill.append(operation));
    for (const { durable } of appended) durable.catch(() => {});
    await Promise.all(appended.map(({ spilled }) => spilled));
    return { settled: this.#settled(appended) };
  }

  /** Resolves at the moment that settles, or with `spilled` when the sink has to end before that. */
  async #settled(appended: readonly Spilled[]): Promise<Moment> {
    if (this.#options.settleOn === "spilled") return "spilled";
    const { signal } = this.#deadline;
    try {
      await unlessAborted(Promise.all(appended.map(({ durable }) => durable)), signal);
      return "durable";
    } catch (error) {
      if (error === signal.reason) return "spilled";
      throw error;
    }
  }
}

/** A write whose batch leaves memory when it is placed. */
function written(placed: Promise<Placed>): Written<Moment> {
  return { taken: placed.then(() => {}), durable: placed.then(({ settled }) => settled) };
}

/** A write whose batch stays in memory until it is durable. */
function onlyDurable<R>(durable: Promise<R>): Written<R> {
  const taken = durable.then(() => {});
  taken.catch(() => {});
  return { taken, durable };
}

function weigh(segments: readonly Segment[]): { rows: number; bytes: number } {
  let rows = 0;
  let bytes = 0;
  for (const segment of segments) {
    rows += segment.rows;
    bytes += segment.bytes;
  }
  return { rows, bytes };
}

/** Without the rows whose `open` record could not be stored: their attempt has failed by that, the others go on. */
async function openedItems(items: readonly RowsItem[]): Promise<readonly RowsItem[]> {
  const openings = await Promise.allSettled(items.map(({ opening }) => opening?.stored));
  const opened = items.filter((_, i) => openings[i]!.status === "fulfilled");
  for (const opening of openings) if (opened.length === 0 && opening.status === "rejected") throw opening.reason;
  return opened;
}

function encodeRecords(items: readonly RecordItem[]): NativeBlock {
  return executionTransactionTraceTable.encode(items.map(({ row }) => row));
}

function attemptsOf(items: readonly { readonly key: AttemptKey }[]): AttemptKey[] {
  return [...new Set(items.map(({ key }) => key))];
}

/** The record after the surplus, as on the direct way. */
function recordOperations(items: readonly RecordItem[]): SpillOperation[] {
  const operations: SpillOperation[] = [];
  for (const table of Object.keys(ENCODERS) as TraceTable[]) {
    const attempts = items.filter((item) => item.surplus.includes(table)).map(({ key }) => key);
    if (attempts.length > 0) operations.push({ kind: "surplus", table, attempts });
  }
  operations.push({ kind: "record", block: encodeRecords(items), attempts: attemptsOf(items) });
  return operations;
}
