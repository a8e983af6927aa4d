/**
 * `decode`: a trace on stdin, rows of one table on stdout. The decode stage as a filter, without node or database.
 */
import { nearest } from "../config/nearest.ts";
import { PipelineError } from "../errors.ts";
import { clientFlags } from "../ethereum/clients.ts";
import { type Fork, forkByName, forkOfBlock, FORKS } from "../ethereum/forks.ts";
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
import { readReply } from "../stages/trace/read.ts";
import type { ColumnarEncoder, Segment } from "../stages/encode/columnar.ts";
import type { TransactionConstants } from "../stages/encode/transaction_constants.ts";
import { choice, type Command, type CommandIo, type Flags, printText, readFlags, UsageError } from "./command.ts";
import { type ConstantCells, frameLines, recordLine, structlogLines } from "./ndjson.ts";

const FLAGS = {
  tx: "text",
  receipt: "text",
  block: "text",
  client: "text",
  fork: "text",
  network: "text",
  table: "text",
  format: "text",
  proof: "text",
} as const;

const TABLES = ["structlog", "frames", "verdict"] as const;
const FORMATS = ["ndjson", "native", "none"] as const;
const POLICIES = ["enforce", "record", "off"] as const;

/** Rows that wait for the verdict; what `sink.holdBytes` is without a configuration. */
export const HOLD_BYTES = 16 * 1024 * 1024;

const EXIT_NO_TRACE = 1;
const EXIT_VIOLATED = 3;
/** What a shell reports of a filter whose reader has gone. */
const EXIT_PIPE_CLOSED = 141;
/** And of one that was interrupted. */
const EXIT_INTERRUPTED = 130;

const HELP = `Reads one trace from stdin and writes its rows to stdout.

  decode [--tx FILE] [--receipt FILE] [--block FILE] [--client NAME] [--fork NAME] [--network NAME]
         [--table structlog|frames|verdict] [--format ndjson|native|none] [--proof enforce|record|off] < trace.json

Stdin: the reply to debug_traceTransaction, the whole JSON-RPC envelope or its result alone.

  --tx FILE        the transaction, as eth_getTransactionByHash answers it
  --receipt FILE   its receipt, as eth_getTransactionReceipt answers it
  --block FILE     the header of its block, as eth_getBlockByHash answers it
                   (each may be the whole envelope; without one of them its columns are left out, and the trace is
                   unproved)
  --client NAME    web3_clientVersion of the node, e.g. Geth/v1.17.10 or anvil/v1.7.1; default: geth's conventions
  --fork NAME      rules of the block: ${FORKS.slice(1).join(", ")};
                   default: by chain id and block, where both files are given and the network is known
  --network NAME   value of meta_network_name; default: empty
  --table          structlog  a row per executed opcode (default)
                   frames     a row per call frame, and one per frame and opcode
                   verdict    the proof record
  --format         ndjson     a row a line; 64-bit values beyond 2^53 are texts (default)
                   native     blocks of ClickHouse's Native format
                   none       no rows: {"structlogs":N,"bytes":N,"seconds":S}
  --proof          enforce    write no rows of a violated trace (default; a trace whose rows take more than 16 MiB
                              streams, and its verdict comes last)
                   record     write them, and exit with 3 all the same
                   off        write them and exit with 0

Exit code: 0 proved, bounded or unproved; 1 stdin is no trace (cut, malformed, an error reply), or a file cannot be
read; 2 wrong arguments; 3 violated: the verdict is on stderr, and with --table verdict on stdout.
`;

/** The command with another hold than {@linkcode HOLD_BYTES}. */
export function decodeCommand({ holdBytes }: { readonly holdBytes: number }): Command {
  return {
    name: "decode",
    summary: "turn a trace on stdin into rows on stdout",
    help: HELP,
    run: (args, io) => run(args, io, holdBytes),
  };
}

export const command: Command = decodeCommand({ holdBytes: HOLD_BYTES });

async function run(args: readonly string[], io: CommandIo, holdBytes: number): Promise<number> {
  const { flags } = readFlags(args, FLAGS);
  const table = choice("--table", flags.table, TABLES);
  const format = choice("--format", flags.format, FORMATS);
  const policy = choice("--proof", flags.proof, POLICIES);
  if (table === "verdict" && format === "native") {
    throw new UsageError("Cannot write the verdict as native: it is one object");
  }
  const fork = forkGiven(flags.fork);
  let files: Files;
  try {
    files = await readFiles(flags);
  } catch (error) {
    io.stderr((error as Error).message);
    return EXIT_NO_TRACE;
  }
  const output = format === "none" || table === "verdict"
    ? new RecordOnly()
    : await tableOutput(table, format, new Constants(files, flags.network ?? ""), holdBytes);
  const started = performance.now();
  const decoder = await openDecoder();
  const writer = io.stdout.getWriter();
  try {
    decoder.begin(replyContext(files, flags.client ?? "geth", fork), output);
    const reading = readReply(io.stdin, io.signal, (piece) => {
      decoder.push(piece);
      return output.write(writer);
    });
    // A read of an idle stdin does not notice the signal.
    await Promise.race([reading, aborted(io.signal)]);
    decoder.end();
    const record = output.record!;
    if (policy !== "off" && record.verdict === "violated") {
      io.stderr(violatedLine(record, policy === "enforce" ? output.rowsWritten : 0));
      if (policy === "enforce" && table !== "verdict") return EXIT_VIOLATED;
    }
    output.release();
    await output.write(writer);
    writer.releaseLock();
    if (format === "none") await printText(io, figures(decoder, started));
    else if (table === "verdict") {
      await printText(
        io,
        recordLine(record, { transaction: files.tx !== undefined, receipt: files.receipt !== undefined }),
      );
    }
    return policy !== "off" && record.verdict === "violated" ? EXIT_VIOLATED : 0;
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

// --- arguments and files

interface Files {
  readonly tx: JsonObject | undefined;
  readonly receipt: JsonObject | undefined;
  readonly block: JsonObject | undefined;
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

async function readFiles(flags: Flags<typeof FLAGS>): Promise<Files> {
  const [tx, receipt, block] = await Promise.all([
    readObject("--tx", flags.tx),
    readObject("--receipt", flags.receipt),
    readObject("--block", flags.block),
  ]);
  const [ours, theirs] = [tx?.hash, receipt?.transactionHash];
  if (typeof ours === "string" && typeof theirs === "string" && ours.toLowerCase() !== theirs.toLowerCase()) {
    throw new Error(`Cannot take --tx and --receipt together: they are of ${ours} and of ${theirs}`);
  }
  return { tx, receipt, block };
}

/** A JSON object in a file, or the `result` of the envelope in it. */
async function readObject(flag: string, path: string | undefined): Promise<JsonObject | undefined> {
  if (path === undefined) return undefined;
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    throw new Error(`Cannot read ${flag} ${path}: ${(error as Error).message}`);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`Cannot read ${flag} ${path} as JSON: ${(error as Error).message}`);
  }
  const object = isObject(value) && "jsonrpc" in value ? value.result : value;
  if (isObject(object)) return object;
  throw new Error(`Cannot read ${flag} ${path} as an object: current value is ${JSON.stringify(object)?.slice(0, 40)}`);
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function replyContext({ tx, receipt, block }: Files, client: string, given: Fork | undefined): ReplyContext {
  const chainId = safeInteger(tx?.chainId);
  const [number, timestamp] = [safeInteger(block?.number), safeInteger(block?.timestamp)];
  const fork = given ??
    (number === undefined || timestamp === undefined || chainId === undefined
      ? undefined
      : forkOfBlock({ number, timestamp }, { chainId }));
  return {
    shape: "transaction",
    flags: clientFlags(client),
    ...fork === undefined ? {} : { fork },
    ...chainId === undefined ? {} : { chainId },
    ...block === undefined ? {} : { block },
    transactions: [{
      ...tx === undefined ? {} : { transaction: tx },
      ...receipt === undefined ? {} : { receipt },
    }],
  };
}

function safeInteger(value: unknown): number | undefined {
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
  readonly #files: Files;
  readonly #network: string;

  constructor(files: Files, network: string) {
    this.#files = files;
    this.#network = network;
    this.omit = new Set([
      "updated_date_time",
      ...files.receipt === undefined ? RECEIPT_COLUMNS : [],
      ...files.tx === undefined ? ["intrinsic_gas"] : [],
    ]);
  }

  /** As the encoder takes them; what is {@linkcode omit}ted is empty. */
  values(known: Known): TransactionConstants {
    const { receipt } = this.#files;
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
    const { receipt, tx } = this.#files;
    const status = quantity(receipt?.status);
    if (status !== undefined) return status === 0n;
    return known.failed ?? (receipt !== undefined && quantity(receipt.gasUsed) === quantity(tx?.gas));
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
