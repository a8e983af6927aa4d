/**
 * The rows of one transaction under one delivery token, from the decoder's columns to its record. Rows wait for the
 * verdict in memory up to the hold; a longer trace streams behind a record that says `open`.
 */
import { structlogChecksum, structlogEncoder } from "../encode/structlog.ts";
import { structlogAggChecksum, structlogAggEncoder } from "../encode/structlog_agg.ts";
import type { Segment } from "../encode/columnar.ts";
import { storedChecksum } from "../encode/checksum.ts";
import type { TransactionConstants } from "../encode/transaction_constants.ts";
import type { ExecutionTransactionTraceRow } from "../encode/execution_transaction_trace.ts";
import type { FrameColumns, ProofRecord, StructlogColumns } from "../decode/port.ts";
import { emit } from "../../telemetry/emit.ts";
import { EncodeError } from "../encode/errors.ts";
import { SinkClosedError, SupersededError } from "./errors.ts";
import type { Submitted } from "../../flow/batch.ts";
import type {
  Attempt,
  AttemptClose,
  AttemptKey,
  AttemptStart,
  SinkOptions,
  StoredOutcome,
  Submission,
  TraceTable,
} from "./port.ts";

/** How far something got: into the database, or fsynced to the spill. */
export type Moment = "durable" | "spilled";

/** Segments of one attempt for one table, as a batch takes them. */
export interface RowsItem {
  readonly table: TraceTable;
  readonly constants: TransactionConstants;
  readonly segments: readonly Segment[];
  readonly key: AttemptKey;
  /** The `open` record that must be stored before these rows; absent for rows that are proved already. */
  readonly opening?: Opening;
}

/** The `open` record of a streaming attempt. */
export interface Opening {
  readonly row: ExecutionTransactionTraceRow;
  readonly key: AttemptKey;
  readonly stored: Promise<unknown>;
  /** Where it is: on its way, in storage, or in the spill before the rows. */
  place: "under way" | "stored" | "spilled";
}

/** A record on its way. */
export interface RecordItem {
  readonly row: ExecutionTransactionTraceRow;
  readonly key: AttemptKey;
  readonly firstDelivery: boolean;
  /** Tables in which older attempts may have left more rows. */
  readonly surplus: readonly TraceTable[];
  /** Its rows went to the spill: so must the record, behind them. */
  readonly behindSpill: boolean;
}

/** What became of a record. */
export interface RecordResult {
  readonly moment: Moment;
  /** Records that were not written, because a newer attempt's is there. */
  readonly superseded: ReadonlySet<RecordItem>;
}

/** What an attempt needs of its sink. */
export interface AttemptSink {
  readonly holdBytes: number;
  /** Where segments are copied to: memory of at least that many bytes. */
  readonly segmentMemory: (bytes: number) => Uint8Array<ArrayBuffer>;
  now(): number;
  submitRows(item: RowsItem): Submitted<Moment>;
  submitRecord(item: RecordItem): Submitted<RecordResult>;
  /** What settles a lease. */
  readonly settleOn: SinkOptions["settleOn"];
  /** Removes streamed rows of this attempt; behind those that went to the spill, and through it if need be. */
  deleteAttempt(table: TraceTable, key: AttemptKey, behindSpill: boolean): Promise<void>;
  room(): Promise<void> | undefined;
  held(bytes: number): void;
  /** Keeps the sink from ending before this has. */
  track<T>(work: Promise<T>): Promise<T>;
  expect(): Disposable;
  /** Rows are under way whose record will come. */
  expectRecord(): Disposable;
}

/** Adds up what many submissions of one attempt came to, without keeping each of them. */
class Outstanding {
  #open = 0;
  #error: unknown;
  #failed = false;
  #moment: Moment = "durable";
  #waiting: (() => void)[] = [];

  add(work: Promise<Moment>): void {
    this.#open++;
    work.then(
      (moment) => {
        if (moment === "spilled") this.#moment = "spilled";
      },
      (error) => {
        if (!this.#failed) this.#error = error;
        this.#failed = true;
      },
    ).then(() => {
      this.#open--;
      if (this.#open > 0) return;
      const waiting = this.#waiting;
      this.#waiting = [];
      for (const resolve of waiting) resolve();
    });
  }

  get failed(): boolean {
    return this.#failed;
  }

  /** `spilled`: some of it is in the spill, and perhaps not in the database. */
  get moment(): Moment {
    return this.#moment;
  }

  /** Resolves when all have ended, however. */
  async ended(): Promise<void> {
    if (this.#open > 0) await new Promise<void>((resolve) => void this.#waiting.push(resolve));
  }

  /** @throws what the first one that failed threw. */
  async done(): Promise<Moment> {
    await this.ended();
    if (this.#failed) throw this.#error;
    return this.#moment;
  }
}

type Mode = "held" | "streaming" | "ended";

/** Rows of one table of one attempt. */
interface TableRows {
  rows: number;
  held: Segment[];
}

/** See the module's comment. */
export class TransactionAttempt implements Attempt {
  readonly #start: AttemptStart;
  readonly #sink: AttemptSink;
  readonly #key: AttemptKey;
  readonly #expected: Disposable;
  readonly #tables: Readonly<Record<TraceTable, TableRows>>;
  readonly #submitted = new Outstanding();
  #mode: Mode = "held";
  #heldBytes = 0;
  #bytes = 0;
  #returnValue: string | undefined;
  #opening: Opening | undefined;
  #constants: TransactionConstants | undefined;

  constructor(start: AttemptStart, sink: AttemptSink) {
    const { network, blockNumber, blockHash, transactionHash, rowVersion } = start;
    this.#start = start;
    this.#sink = sink;
    this.#key = { network, blockNumber, blockHash, transactionHash, rowVersion };
    this.#expected = sink.expect();
    this.#tables = { structlog: { rows: 0, held: [] }, structlog_agg: { rows: 0, held: [] } };
  }

  returnValue(hex: string | undefined): void {
    this.#returnValue = hex;
  }

  structlogs(columns: StructlogColumns, operations: readonly string[]): void {
    this.#take("structlog", () => structlogEncoder.segment(columns, operations, this.#sink.segmentMemory));
  }

  frames(columns: FrameColumns, operations: readonly string[]): void {
    this.#take("structlog_agg", () => structlogAggEncoder.segment(columns, operations, this.#sink.segmentMemory));
  }

  room(): Promise<void> | undefined {
    // What failed, failed: reading on would fill memory for nothing.
    return this.#submitted.failed ? this.#submitted.done().then(() => {}) : this.#sink.room();
  }

  finish(record: ProofRecord, close: AttemptClose): Submission {
    const mode = this.#end();
    try {
      this.#checkCounts(record);
      const published = record.verdict !== "violated" || close.policy !== "enforce";
      this.#constants ??= this.#constantsOf(record.returnValue, record.failed);
      const accepted = mode === "held" && published
        ? this.#submitHeld(this.#constants)
        : this.#sink.room() ?? Promise.resolve();
      this.#drop();
      const durable = this.#sink.track(this.#store(record, close, published, mode, this.#constants));
      durable.catch(() => {});
      return { accepted, durable };
    } catch (error) {
      this.#drop();
      const rejected = Promise.reject(error);
      rejected.catch(() => {});
      return { accepted: rejected, durable: rejected };
    } finally {
      this.#expected[Symbol.dispose]();
    }
  }

  async abort(_reason: string): Promise<void> {
    if (this.#mode === "ended") return;
    const mode = this.#end();
    this.#drop();
    this.#expected[Symbol.dispose]();
    if (mode === "streaming") await this.#sink.track(this.#deleteStreamed("aborted"));
  }

  #end(): Mode {
    const mode = this.#mode;
    if (mode === "ended") throw new EncodeError(`Cannot end the attempt of ${this.#key.transactionHash} twice`);
    this.#mode = "ended";
    return mode;
  }

  #take(table: TraceTable, copy: () => Segment): void {
    if (this.#mode === "ended") {
      throw new EncodeError(`Cannot take rows of ${this.#key.transactionHash}: its attempt has ended`);
    }
    if (!this.#start.tables.includes(table)) return;
    const segment = copy();
    const rows = this.#tables[table];
    rows.rows += segment.rows;
    this.#bytes += segment.bytes;
    if (this.#mode === "streaming") {
      this.#submit(table, [segment], this.#constants!);
      return;
    }
    rows.held.push(segment);
    this.#heldBytes += segment.bytes;
    this.#sink.held(segment.bytes);
    if (this.#heldBytes > this.#sink.holdBytes) this.#stream();
  }

  /** The trace has outgrown the hold: an `open` record goes first, its rows follow. */
  #stream(): void {
    this.#mode = "streaming";
    this.#constants = this.#constantsOf(this.#returnValue, undefined);
    const row = openRecord(this.#start, this.#constants.encodedAt);
    const item: RecordItem = { row, key: this.#key, firstDelivery: true, surplus: [], behindSpill: false };
    const stored = this.#sink.submitRecord(item).durable.then(({ moment, superseded }) => {
      if (superseded.has(item)) throw new SupersededError(this.#key);
      return moment;
    });
    const opening: Opening = { row, key: this.#key, stored, place: "under way" };
    stored.then(() => opening.place = "stored", () => {});
    this.#opening = opening;
    this.#submitted.add(stored);
    emit({ kind: "attempt_streamed", network: this.#key.network, transactionHash: this.#key.transactionHash });
    this.#submitHeld(this.#constants);
    this.#drop();
  }

  #submitHeld(constants: TransactionConstants): Promise<void> {
    const accepted: Promise<void>[] = [];
    for (const table of this.#start.tables) {
      const { held } = this.#tables[table];
      if (held.length > 0) accepted.push(this.#submit(table, held, constants));
    }
    const all = Promise.all(accepted).then(() => {});
    all.catch(() => {});
    return all;
  }

  #submit(table: TraceTable, segments: readonly Segment[], constants: TransactionConstants): Promise<void> {
    const item = { table, constants, segments, key: this.#key };
    const submitted = this.#sink.submitRows(
      this.#opening === undefined ? item : { ...item, opening: this.#opening },
    );
    this.#submitted.add(submitted.durable);
    return submitted.accepted;
  }

  /** Forgets what is held: it was submitted, or is not wanted. */
  #drop(): void {
    this.#sink.held(-this.#heldBytes);
    this.#heldBytes = 0;
    for (const rows of Object.values(this.#tables)) rows.held = [];
  }

  /** Rows durable, surplus of older attempts gone, record. */
  async #store(
    record: ProofRecord,
    close: AttemptClose,
    published: boolean,
    mode: Mode,
    constants: TransactionConstants,
  ): Promise<StoredOutcome> {
    const { item, submitted } = await this.#close(record, close, published, mode, constants);
    const result = await submitted.durable;
    if (result.superseded.has(item)) {
      await this.#deleteStored("superseded");
      throw new SupersededError(this.#key);
    }
    if (result.moment === "spilled" && this.#sink.settleOn === "durable") {
      throw new SinkClosedError(
        `Cannot settle ${this.#key.transactionHash}: the sink ends, rows and record are spilled`,
      );
    }
    const { verdict } = record;
    const { network } = this.#key;
    const [structlogRows, aggregateRows] = [item.row.structlog_rows as number, item.row.agg_rows];
    emit({ kind: "attempt_stored", network, verdict, published, rows: structlogRows + aggregateRows });
    return {
      verdict,
      published,
      structlogRows,
      aggregateRows,
      bytes: this.#bytes,
      settled: result.moment,
    };
  }

  /** Submits the record when the rows are durable; until then, records of other attempts wait for it. */
  async #close(
    record: ProofRecord,
    close: AttemptClose,
    published: boolean,
    mode: Mode,
    constants: TransactionConstants,
  ): Promise<{ readonly item: RecordItem; readonly submitted: Submitted<RecordResult> }> {
    using _record = this.#sink.expectRecord();
    let moment: Moment;
    try {
      moment = await this.#submitted.done();
    } catch (error) {
      if (mode === "streaming") await this.#deleteStreamed("aborted").catch(() => {});
      throw error;
    }
    if (mode === "streaming" && !published) await this.#deleteStreamed("violated");
    const row = closingRecord(this.#start, record, close, {
      at: new Date(this.#sink.now()),
      published,
      structlogRows: published ? this.#tables.structlog.rows : 0,
      aggregateRows: published ? this.#tables.structlog_agg.rows : 0,
      constants,
    });
    const item: RecordItem = {
      row,
      key: this.#key,
      firstDelivery: this.#start.firstDelivery,
      surplus: published ? this.#start.tables : [],
      behindSpill: moment === "spilled",
    };
    return { item, submitted: this.#sink.submitRecord(item) };
  }

  /** Removes what streamed, once nothing of it is under way any more. */
  async #deleteStreamed(reason: "violated" | "aborted"): Promise<void> {
    await this.#submitted.ended();
    await this.#deleteStored(reason);
  }

  async #deleteStored(reason: "violated" | "aborted" | "superseded"): Promise<void> {
    const behindSpill = this.#submitted.moment === "spilled";
    for (const table of this.#start.tables) {
      if (this.#tables[table].rows > 0) await this.#sink.deleteAttempt(table, this.#key, behindSpill);
    }
    const { network, transactionHash } = this.#key;
    emit({ kind: "attempt_deleted", network, transactionHash, reason });
  }

  #constantsOf(returnValue: string | undefined, failed: boolean | undefined): TransactionConstants {
    const { network, blockNumber, blockHash, transactionHash, transactionIndex, gasUsed, rowVersion } = this.#start;
    return {
      encodedAt: new Date(this.#sink.now()),
      network,
      blockNumber,
      blockHash,
      transactionHash,
      transactionIndex,
      gasUsed,
      failed: this.#start.failedIsFinal ? this.#start.failed : failed ?? this.#start.failed,
      returnValue: returnValue === "" ? undefined : returnValue,
      rowVersion,
    };
  }

  /** Each row exactly once: what decode says it made must be what came here. */
  #checkCounts(record: ProofRecord): void {
    const expected: Record<TraceTable, number> = { structlog: record.rows, structlog_agg: record.aggregateRows };
    for (const table of this.#start.tables) {
      const { rows } = this.#tables[table];
      if (rows === expected[table]) continue;
      throw new EncodeError(
        `Cannot store ${table} rows of ${this.#key.transactionHash}: current count is ${rows}, its record says ${
          expected[table]
        }`,
      );
    }
  }
}

/** The record that says `open`: rows of this version are on their way, the transaction does not count as stored. */
function openRecord(start: AttemptStart, at: Date): ExecutionTransactionTraceRow {
  return {
    updated_date_time: at,
    meta_network_name: start.network,
    block_number: start.blockNumber,
    block_hash: start.blockHash,
    transaction_hash: start.transactionHash,
    transaction_index: start.transactionIndex,
    row_version: start.rowVersion,
    published: 0,
    structlogs: 0,
    structlog_rows: 0,
    agg_rows: 0,
    structlog_checksum: 0,
    agg_checksum: 0,
    tables: start.tables,
    verdict: "open",
    identity: "",
    detail: "",
    violations: [],
    access_mismatch: {},
    outcome: "",
    return_value: undefined,
    intrinsic_gas: 0,
    floor_gas: 0,
    root_gas: 0,
    code_deposit_gas: 0,
    refund_counter: undefined,
    refund_source: "",
    refund_applied: 0,
    gas_used: start.gasUsed,
    frames: 0,
    execution_gas_used: undefined,
    state_gas_used: undefined,
    final_refund: undefined,
    fork: start.fork,
    client: start.client,
    node: start.node,
    bytes: 0,
    trace_ms: 0,
    notes: [],
  };
}

/** What the closing record says besides the proof. */
interface Closing {
  readonly at: Date;
  readonly published: boolean;
  readonly structlogRows: number;
  readonly aggregateRows: number;
  readonly constants: TransactionConstants;
}

function closingRecord(
  start: AttemptStart,
  record: ProofRecord,
  close: AttemptClose,
  { at, published, structlogRows, aggregateRows, constants }: Closing,
): ExecutionTransactionTraceRow {
  return {
    ...openRecord(start, at),
    published: published ? 1 : 0,
    structlogs: record.rows,
    structlog_rows: structlogRows,
    agg_rows: aggregateRows,
    structlog_checksum: storedChecksum(structlogChecksum, constants, structlogRows, record.structlogChecksum),
    agg_checksum: storedChecksum(structlogAggChecksum, constants, aggregateRows, record.aggregateChecksum),
    verdict: record.verdict,
    identity: record.identity,
    detail: record.detail,
    violations: record.violations.map(({ identity, detail, index }) =>
      index === undefined ? `${identity}: ${detail}` : `${identity} at ${index}: ${detail}`
    ),
    access_mismatch: record.accessMismatch,
    outcome: record.outcome,
    return_value: record.returnValue,
    intrinsic_gas: record.intrinsicGas,
    floor_gas: record.floorGas,
    root_gas: record.rootGas,
    code_deposit_gas: record.codeDepositGas,
    refund_counter: record.refundCounter,
    refund_source: record.refundSource,
    refund_applied: record.refundApplied,
    gas_used: record.gasUsed,
    frames: record.frames,
    execution_gas_used: record.executionGasUsed,
    state_gas_used: record.stateGasUsed,
    final_refund: record.finalRefund,
    bytes: record.bytes,
    trace_ms: Math.min(0xffff_ffff, Math.round(close.traceMs)),
    notes: record.notes,
  };
}
