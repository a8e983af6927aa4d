/**
 * What `decode` and `trace` share: one trace, from wherever its bytes come, becomes rows of one table on stdout, and its
 * verdict the exit code.
 */
import { nearest } from "../config/nearest.ts";
import { PipelineError } from "../errors.ts";
import type { ClientFlags } from "../ethereum/clients.ts";
import { type Fork, forkByName, FORKS } from "../ethereum/forks.ts";
import { quantity } from "../ethereum/hex.ts";
import { openDecoder } from "../stages/decode/decoder.ts";
import type {
  FrameColumns,
  JsonObject,
  NullableStrings,
  ProofRecord,
  ReplyContext,
  StructlogColumns,
  TraceDecoder,
  TraceSink,
} from "../stages/decode/port.ts";
import type { ColumnarEncoder, Segment } from "../stages/encode/columnar.ts";
import type { TransactionConstants } from "../stages/encode/transaction_constants.ts";
import { choice, type CommandIo, type Flags, printText, UsageError } from "./command.ts";
import { type ConstantCells, frameLines, recordLine, structlogLines } from "./ndjson.ts";

/** Flags that say which rows are wanted, and how. */
export const ROW_FLAGS = { fork: "text", network: "text", table: "text", format: "text", proof: "text" } as const;

/** What `--help` says of them. */
export const ROW_FLAGS_HELP = `  --network NAME   value of meta_network_name; default: empty
  --table          structlog  a row per executed opcode (default)
                   frames     a row per call frame, and one per frame and opcode
                   verdict    the proof record
  --format         ndjson     a row a line; 64-bit values beyond 2^53 are texts (default)
                   native     blocks of ClickHouse's Native format
                   none       no rows: {"structlogs":N,"bytes":N,"seconds":S}
  --proof          enforce    write no rows of a violated trace (default; a trace whose rows take more than 16 MiB
                              streams, and its verdict comes last)
                   record     write them, and exit with 3 all the same
                   off        write them and exit with 0`;

/** And of the exit codes that both commands have. */
export const VERDICT_EXIT_HELP = "3 violated: the verdict is on stderr, and with --table verdict on stdout";

const TABLES = ["structlog", "frames", "verdict"] as const;
const FORMATS = ["ndjson", "native", "none"] as const;
const POLICIES = ["enforce", "record", "off"] as const;

/** Rows that wait for the verdict; what `sink.holdBytes` is without a configuration. */
export const HOLD_BYTES = 16 * 1024 * 1024;

/** The exit code of what is no trace, or cannot be read. */
export const EXIT_NO_TRACE = 1;
const EXIT_VIOLATED = 3;
/** What a shell reports of a filter whose reader has gone. */
const EXIT_PIPE_CLOSED = 141;
/** And of one that was interrupted. */
const EXIT_INTERRUPTED = 130;

/** {@linkcode ROW_FLAGS}, read. */
export interface RowOptions {
  readonly table: typeof TABLES[number];
  readonly format: typeof FORMATS[number];
  readonly policy: typeof POLICIES[number];
  readonly fork: Fork | undefined;
  readonly network: string;
}

/** @throws {UsageError} */
export function rowOptions(flags: Flags<typeof ROW_FLAGS>): RowOptions {
  const table = choice("--table", flags.table, TABLES);
  const format = choice("--format", flags.format, FORMATS);
  const policy = choice("--proof", flags.proof, POLICIES);
  if (table === "verdict" && format === "native") {
    throw new UsageError("Cannot write the verdict as native: it is one object");
  }
  return { table, format, policy, fork: forkGiven(flags.fork), network: flags.network ?? "" };
}

function forkGiven(name: string | undefined): Fork | undefined {
  if (name === undefined) return undefined;
  const fork = forkByName(name);
  if (fork !== undefined) return fork;
  const guess = nearest(name, FORKS);
  throw new UsageError(
    `Cannot read --fork as a fork: current value is "${name}"${guess === undefined ? "" : `, did you mean ${guess}?`}`,
  );
}

/** What is known of a trace besides its bytes. */
export interface TraceFacts {
  readonly transaction: JsonObject | undefined;
  readonly receipt: JsonObject | undefined;
  readonly block: JsonObject | undefined;
  readonly flags: ClientFlags;
  readonly fork: Fork | undefined;
  readonly chainId: number | undefined;
}

/** Takes the next bytes; what it returns must be waited for before they are overwritten. */
export type Take = (piece: Uint8Array) => Promise<void> | undefined;

/** Where the bytes of a trace come from. */
export interface TraceSource {
  /** Hands every byte of the reply to `take`; resolves at its end. */
  read(take: Take, decoder: TraceDecoder): Promise<void>;
  /** The reply was a trace, whatever its verdict. */
  ended?(): void;
}

/**
 * Decodes one trace and writes what is wanted of it.
 *
 * @returns the exit code.
 */
export async function writeTrace(
  { table, format, policy, network }: RowOptions,
  facts: TraceFacts,
  holdBytes: number,
  io: CommandIo,
  source: TraceSource,
): Promise<number> {
  const output = format === "none" || table === "verdict"
    ? new RecordOnly()
    : await tableOutput(table, format, new Constants(facts, network), holdBytes);
  const started = performance.now();
  const decoder = await openDecoder();
  const writer = io.stdout.getWriter();
  try {
    decoder.begin(replyContext(facts), output);
    const reading = source.read((piece) => {
      decoder.push(piece);
      return output.write(writer);
    }, decoder);
    // A read that waits for a silent source does not notice the signal.
    await Promise.race([reading, aborted(io.signal)]);
    decoder.end();
    source.ended?.();
    const record = output.record!;
    const refused = policy !== "off" && record.verdict === "violated";
    if (refused) {
      io.stderr(violatedLine(record, policy === "enforce" ? output.rowsWritten : 0));
      if (policy === "enforce" && table !== "verdict") return EXIT_VIOLATED;
    }
    output.release();
    await output.write(writer);
    writer.releaseLock();
    if (format === "none") await printText(io, figures(decoder, started));
    else if (table === "verdict") {
      const known = { transaction: facts.transaction !== undefined, receipt: facts.receipt !== undefined };
      await printText(io, recordLine(record, known));
    }
    return refused ? EXIT_VIOLATED : 0;
  } catch (error) {
    if (io.signal.aborted) return EXIT_INTERRUPTED;
    if (error instanceof Deno.errors.BrokenPipe) return EXIT_PIPE_CLOSED;
    if (!(error instanceof PipelineError)) throw error;
    io.stderr(error.message + written(output.rowsWritten));
    return EXIT_NO_TRACE;
  } finally {
    writer.releaseLock();
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

function figures(decoder: TraceDecoder, started: number): string {
  const { structlogs, bytes } = decoder.progress;
  return JSON.stringify({ structlogs, bytes, seconds: (performance.now() - started) / 1000 });
}

function violatedLine(record: ProofRecord, rowsWritten: number): string {
  const others = record.violations.length - 1;
  const more = others > 0 ? ` (and ${others} more)` : "";
  return `violated: ${record.identity} ${record.detail}${more}${written(rowsWritten)}`;
}

function written(rows: number): string {
  return rows === 0 ? "" : `; ${rows} rows were written before, as they take more than the hold`;
}

function replyContext({ transaction, receipt, block, flags, fork, chainId }: TraceFacts): ReplyContext {
  return {
    shape: "transaction",
    flags,
    ...fork === undefined ? {} : { fork },
    ...chainId === undefined ? {} : { chainId },
    ...block === undefined ? {} : { block },
    transactions: [{
      ...transaction === undefined ? {} : { transaction },
      ...receipt === undefined ? {} : { receipt },
    }],
  };
}

/** A quantity as a number, `undefined` when it is none or not safe. */
export function safeInteger(value: unknown): number | undefined {
  const number = quantity(value);
  return number === undefined || number > BigInt(Number.MAX_SAFE_INTEGER) ? undefined : Number(number);
}

// --- what is the same in all rows

/** Columns that come from the receipt. */
const RECEIPT_COLUMNS = [
  "block_number",
  "transaction_hash",
  "transaction_index",
  "transaction_gas",
  "transaction_failed",
  "block_hash",
];

/** What the trace says of the transaction, as far as it has been read. */
type Known = Pick<ProofRecord, "returnValue" | "failed">;

class Constants {
  /** Columns that cannot be filled. */
  readonly omit: ReadonlySet<string>;
  readonly #facts: TraceFacts;
  readonly #network: string;

  constructor(facts: TraceFacts, network: string) {
    this.#facts = facts;
    this.#network = network;
    this.omit = new Set([
      "updated_date_time",
      ...facts.receipt === undefined ? RECEIPT_COLUMNS : [],
      ...facts.transaction === undefined ? ["intrinsic_gas"] : [],
    ]);
  }

  /** As the encoder takes them; what is {@linkcode omit}ted is empty. */
  values(known: Known): TransactionConstants {
    const { receipt } = this.#facts;
    return {
      encodedAt: new Date(0),
      network: this.#network,
      blockNumber: safeInteger(receipt?.blockNumber) ?? 0,
      blockHash: String(receipt?.blockHash ?? "").toLowerCase(),
      transactionHash: String(receipt?.transactionHash ?? "").toLowerCase(),
      transactionIndex: safeInteger(receipt?.transactionIndex) ?? 0,
      gasUsed: quantity(receipt?.gasUsed) ?? 0n,
      failed: this.#failed(known),
      returnValue: known.returnValue,
      rowVersion: 0,
    };
  }

  /** As JSON. */
  cells(known: Known): ConstantCells {
    const values = this.values(known);
    const cells = new Map([
      ["block_number", String(values.blockNumber)],
      ["transaction_hash", JSON.stringify(values.transactionHash)],
      ["transaction_index", String(values.transactionIndex)],
      ["transaction_gas", String(values.gasUsed)],
      ["transaction_failed", String(values.failed)],
      ["transaction_return_value", JSON.stringify(values.returnValue ?? null)],
      ["meta_network_name", JSON.stringify(values.network)],
      ["block_hash", JSON.stringify(values.blockHash)],
    ]);
    for (const name of this.omit) cells.delete(name);
    return cells;
  }

  /** Before Byzantium a receipt has no status: the trace says it, or the gas does while the trace has not. */
  #failed(known: Known): boolean {
    const { receipt, transaction } = this.#facts;
    const status = quantity(receipt?.status);
    if (status !== undefined) return status === 0n;
    return known.failed ?? (receipt !== undefined && quantity(receipt.gasUsed) === quantity(transaction?.gas));
  }
}

// --- where the columns go

/** A sink whose rows can be written to stdout. */
interface Output extends TraceSink {
  readonly record: ProofRecord | undefined;
  readonly rowsWritten: number;
  /** The verdict allows all rows to leave. */
  release(): void;
  /** Writes what may leave by now. */
  write(stdout: WritableStreamDefaultWriter<Uint8Array>): Promise<void> | undefined;
}

/** Takes the proof record and no rows. */
class RecordOnly implements Output {
  record: ProofRecord | undefined;
  readonly rowsWritten = 0;

  structlogs(): void {}

  frames(): void {}

  returnValue(): void {}

  finished(_position: number, record: ProofRecord): void {
    this.record = record;
  }

  release(): void {}

  write(): undefined {}
}

/** How the columns of one callback become bytes: they are copied during it, and written when they may leave. */
interface Form<C, P extends { readonly bytes: number; readonly rows: number }> {
  copy(columns: C, operations: readonly string[]): P;
  write(parts: readonly P[], known: Known): Iterable<Uint8Array>;
}

/** Holds rows until the verdict is there or they take more than the hold, and then lets them through. */
class HeldRows<C, P extends { readonly bytes: number; readonly rows: number }> {
  record: ProofRecord | undefined;
  rowsWritten = 0;
  /** What was read before the end. */
  readonly #read: { returnValue?: string } = {};
  readonly #form: Form<C, P>;
  readonly #holdBytes: number;
  #parts: P[] = [];
  #bytes = 0;
  #released = false;

  constructor(form: Form<C, P>, holdBytes: number) {
    this.#form = form;
    this.#holdBytes = holdBytes;
  }

  take(columns: C, operations: readonly string[]): void {
    const part = this.#form.copy(columns, operations);
    this.#parts.push(part);
    this.#bytes += part.bytes;
    if (this.#bytes > this.#holdBytes) this.#released = true;
  }

  returnValue(_position: number, hex: string | undefined): void {
    if (hex === undefined) delete this.#read.returnValue;
    else this.#read.returnValue = hex;
  }

  finished(_position: number, record: ProofRecord): void {
    this.record = record;
  }

  release(): void {
    this.#released = true;
  }

  write(stdout: WritableStreamDefaultWriter<Uint8Array>): Promise<void> | undefined {
    return this.#released && this.#parts.length > 0 ? this.#write(stdout) : undefined;
  }

  async #write(stdout: WritableStreamDefaultWriter<Uint8Array>): Promise<void> {
    const parts = this.#parts;
    this.#parts = [];
    for (const bytes of this.#form.write(parts, this.record ?? this.#read)) await stdout.write(bytes);
    for (const { rows } of parts) this.rowsWritten += rows;
  }
}

class StructlogRows<P extends { readonly bytes: number; readonly rows: number }> extends HeldRows<StructlogColumns, P>
  implements Output {
  structlogs(_position: number, columns: StructlogColumns, operations: readonly string[]): void {
    this.take(columns, operations);
  }

  frames(): void {}
}

class FrameRows<P extends { readonly bytes: number; readonly rows: number }> extends HeldRows<FrameColumns, P>
  implements Output {
  structlogs(): void {}

  frames(_position: number, columns: FrameColumns, operations: readonly string[]): void {
    this.take(columns, operations);
  }
}

async function tableOutput(
  table: "structlog" | "frames",
  format: "ndjson" | "native",
  constants: Constants,
  holdBytes: number,
): Promise<Output> {
  if (format === "ndjson") {
    return table === "structlog"
      ? new StructlogRows(textForm(structlogLines, constants), holdBytes)
      : new FrameRows(textForm(frameLines, constants), holdBytes);
  }
  if (table === "structlog") {
    const { structlogEncoder } = await import("../stages/encode/structlog.ts");
    return new StructlogRows(nativeForm(structlogEncoder, constants), holdBytes);
  }
  const { structlogAggEncoder } = await import("../stages/encode/structlog_agg.ts");
  return new FrameRows(nativeForm(structlogAggEncoder, constants), holdBytes);
}

/** Columns copied out of the decoder's memory. */
interface Copied<C> {
  readonly columns: C;
  readonly operations: readonly string[];
  readonly rows: number;
  readonly bytes: number;
}

function textForm<C extends StructlogColumns | FrameColumns>(
  lines: (
    columns: C,
    operations: readonly string[],
    constants: ConstantCells,
    omit: ReadonlySet<string>,
  ) => Iterable<Uint8Array>,
  constants: Constants,
): Form<C, Copied<C>> {
  return {
    copy(columns, operations) {
      const copy = copied(columns);
      return { columns: copy.value, operations, rows: columns.rows, bytes: copy.bytes };
    },
    *write(parts, known) {
      const cells = constants.cells(known);
      for (const { columns, operations } of parts) yield* lines(columns, operations, cells, constants.omit);
    },
  };
}

type ColumnValue = number | Uint8Array | Uint16Array | Uint32Array | NullableStrings;

function copied<C extends StructlogColumns | FrameColumns | NullableStrings>(columns: C): { value: C; bytes: number } {
  let bytes = 0;
  const copy = (value: ColumnValue): ColumnValue => {
    if (typeof value === "number") return value;
    if ("nulls" in value) {
      const texts = copied(value);
      bytes += texts.bytes;
      return texts.value;
    }
    bytes += value.byteLength;
    return value.slice();
  };
  const entries = Object.entries(columns) as [string, ColumnValue][];
  return { value: Object.fromEntries(entries.map(([name, value]) => [name, copy(value)])) as unknown as C, bytes };
}

function nativeForm<C extends { readonly rows: number }>(
  encoder: ColumnarEncoder<C, TransactionConstants>,
  constants: Constants,
): Form<C, Segment> {
  return {
    copy: (columns, operations) => encoder.segment(columns, operations),
    write: (segments, known) => [
      encoder.block([{ constants: constants.values(known), segments }], { omit: constants.omit }).bytes,
    ],
  };
}
