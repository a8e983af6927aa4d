/**
 * Rows of both tables as NDJSON, written from the decoder's columns: a row is a line, and no object is made of it.
 * 64-bit values beyond 2^53 are decimal texts, since a reader of JSON would round them.
 */
import type { FrameColumns, NullableStrings, ProofRecord, StructlogColumns } from "../stages/decode/port.ts";

/** JSON text of the columns that are the same in all rows of a transaction, by name. A column that is absent is left out. */
export type ConstantCells = ReadonlyMap<string, string>;

/** Writes one column's cell of the given row; rows are asked for in ascending order, each once. */
type Cell = (row: number, out: LineWriter) => void;

/** A column: always the same text, or a cell a row; without one its text is among the constants. */
type NamedCell = readonly [name: string, cell?: string | Cell];

const TWO_32 = 4294967296;
/** Upper lane of the smallest number that a double may have rounded. */
const UNSAFE_LANE = Number.MAX_SAFE_INTEGER / TWO_32;
/** Lines leave in chunks of about this size. */
const CHUNK_BYTES = 64 * 1024;
/** Room for the longest cell that is not a text or a path: a 64-bit number in quotes. */
const CELL_BYTES = 24;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Lines of structlog rows (TRACE 10), in chunks. */
export function structlogLines(
  columns: StructlogColumns,
  operations: readonly string[],
  constants: ConstantCells,
  omit: ReadonlySet<string>,
): Generator<Uint8Array<ArrayBuffer>> {
  return lines(columns.rows, constants, omit, [
    ["block_number"],
    ["transaction_hash"],
    ["transaction_index"],
    ["transaction_gas"],
    ["transaction_failed"],
    ["transaction_return_value"],
    ["index", small(columns.index)],
    ["operation", names(columns.operation, operations)],
    ["gas", large(columns.gas)],
    ["gas_cost", large(columns.gasCost)],
    ["gas_used", large(columns.gasUsed)],
    ["gas_self", large(columns.gasSelf)],
    ["depth", small(columns.depth)],
    ["return_data", texts(columns.returnData)],
    ["refund", nullable(columns.refundNulls, large(columns.refund))],
    ["error", texts(columns.error)],
    ["call_to_address", texts(columns.callToAddress)],
    ["call_frame_id", small(columns.callFrameId)],
    ["call_frame_path", paths(columns.callFramePathEnds, columns.callFramePath, columns.callFrameId)],
    ["meta_network_name"],
    ["program_counter", small(columns.programCounter)],
    ["block_hash"],
    ["row_version", "0"],
  ]);
}

/** Lines of aggregate rows (TRACE 9), in chunks. */
export function frameLines(
  columns: FrameColumns,
  operations: readonly string[],
  constants: ConstantCells,
  omit: ReadonlySet<string>,
): Generator<Uint8Array<ArrayBuffer>> {
  return lines(columns.rows, constants, omit, [
    ["block_number"],
    ["transaction_hash"],
    ["transaction_index"],
    ["call_frame_id", small(columns.callFrameId)],
    ["parent_call_frame_id", nullable(columns.parentNulls, small(columns.parentCallFrameId))],
    ["call_frame_path", paths(columns.callFramePathEnds, columns.callFramePath, columns.callFrameId)],
    ["depth", small(columns.depth)],
    ["target_address", texts(columns.targetAddress)],
    ["call_type", names(columns.callType, operations)],
    ["operation", names(columns.operation, operations)],
    ["opcode_count", large(columns.opcodeCount)],
    ["error_count", large(columns.errorCount)],
    ["gas", large(columns.gas)],
    ["gas_cumulative", large(columns.gasCumulative)],
    ["min_depth", small(columns.minDepth)],
    ["max_depth", small(columns.maxDepth)],
    ["gas_refund", nullable(columns.gasRefundNulls, large(columns.gasRefund))],
    ["intrinsic_gas", nullable(columns.intrinsicGasNulls, large(columns.intrinsicGas))],
    ["memory_words_sum_before", large(columns.memoryWordsSumBefore)],
    ["memory_words_sum_after", large(columns.memoryWordsSumAfter)],
    ["memory_words_sq_sum_before", large(columns.memoryWordsSqSumBefore)],
    ["memory_words_sq_sum_after", large(columns.memoryWordsSqSumAfter)],
    ["memory_expansion_gas", large(columns.memoryExpansionGas)],
    ["cold_access_count", large(columns.coldAccessCount)],
    ["meta_network_name"],
    ["block_hash"],
    ["row_version", "0"],
  ]);
}

/** The proof record as one line (TRACE 8.6). What needs a file that was not given is null. */
export function recordLine(
  record: ProofRecord,
  known: { readonly transaction: boolean; readonly receipt: boolean },
): string {
  const { violations } = record;
  const text = JSON.stringify({
    verdict: record.verdict,
    identity: record.identity || null,
    detail: record.detail || null,
    outcome: record.outcome,
    intrinsic_gas: known.transaction ? exact(record.intrinsicGas) : null,
    floor_gas: known.transaction ? exact(record.floorGas) : null,
    root_gas: exact(record.rootGas),
    code_deposit_gas: exact(record.codeDepositGas),
    refund_counter: exact(record.refundCounter),
    refund_source: record.refundSource,
    // A refund that is only known to lie in an interval has no amount.
    refund_applied: record.refundCounter === undefined ? null : exact(record.refundApplied),
    gas_used: known.receipt ? exact(record.gasUsed) : null,
    rows: record.rows,
    frames: record.frames,
    access_mismatch: Object.fromEntries(
      Object.entries(record.accessMismatch).map(([name, count]) => [snakeCase(name), count]),
    ),
    notes: record.notes,
    ...violations.length > 1 ? { violations } : {},
  });
  return `${text}\n`;
}

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function exact(value: number | bigint | undefined): number | string | null {
  if (value === undefined) return null;
  return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
}

function* lines(
  rows: number,
  constants: ConstantCells,
  omit: ReadonlySet<string>,
  columns: readonly NamedCell[],
): Generator<Uint8Array<ArrayBuffer>> {
  // What stands between the cells that vary: `{"a":1,"b":`, cell, `,"c":`, cell, `}\n`.
  const between: string[] = [""];
  const cells: Cell[] = [];
  let separator = "{";
  for (const [name, cell = constants.get(name)] of columns) {
    if (cell === undefined || omit.has(name)) continue;
    between[cells.length] += `${separator}"${name}":`;
    separator = ",";
    if (typeof cell === "string") between[cells.length] += cell;
    else {
      cells.push(cell);
      between.push("");
    }
  }
  between[cells.length] += "}\n";
  const literals = between.map((text) => encoder.encode(text));
  const out = new LineWriter();
  for (let row = 0; row < rows; row++) {
    for (let at = 0; at < cells.length; at++) {
      out.literal(literals[at]!);
      cells[at]!(row, out);
    }
    out.literal(literals[cells.length]!);
    if (out.length >= CHUNK_BYTES) yield out.take();
  }
  if (out.length > 0) yield out.take();
}

/** Bytes of the lines to come; grows as they need it. */
class LineWriter {
  #bytes = new Uint8Array(2 * CHUNK_BYTES);
  #at = 0;

  get length(): number {
    return this.#at;
  }

  /** A copy of what was written, which is then forgotten. */
  take(): Uint8Array<ArrayBuffer> {
    const taken = this.#bytes.slice(0, this.#at);
    this.#at = 0;
    return taken;
  }

  literal(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    // A call of set() costs more than a few bytes do.
    if (bytes.length > 32) this.#bytes.set(bytes, this.#at);
    else for (let i = 0; i < bytes.length; i++) this.#bytes[this.#at + i] = bytes[i]!;
    this.#at += bytes.length;
  }

  text(text: string): void {
    this.#reserve(3 * text.length);
    this.#at += encoder.encodeInto(text, this.#bytes.subarray(this.#at)).written;
  }

  /** A safe integer that is not negative. */
  integer(value: number): void {
    this.#reserve(CELL_BYTES);
    let digits = 1;
    for (let bound = 10; value >= bound; bound *= 10) digits++;
    this.#at += digits;
    let at = this.#at;
    let rest = value;
    while (rest > 0xffffffff) {
      const quotient = Math.floor(rest / 10);
      this.#bytes[--at] = 48 + (rest - quotient * 10);
      rest = quotient;
    }
    let low = rest >>> 0;
    do {
      const quotient = (low / 10) >>> 0;
      this.#bytes[--at] = 48 + (low - quotient * 10);
      low = quotient;
    } while (low > 0);
  }

  #reserve(bytes: number): void {
    if (this.#at + bytes <= this.#bytes.length) return;
    const grown = new Uint8Array(2 * (this.#at + bytes));
    grown.set(this.#bytes.subarray(0, this.#at));
    this.#bytes = grown;
  }
}

const NULL = encoder.encode("null");

function small(values: Uint16Array | Uint32Array): Cell {
  return (row, out) => out.integer(values[row]!);
}

/** Two lanes a row, low lane first. */
function large(lanes: Uint32Array): Cell {
  return (row, out) => {
    const low = lanes[2 * row]!;
    const high = lanes[2 * row + 1]!;
    if (high <= UNSAFE_LANE) out.integer(high * TWO_32 + low);
    else out.text(`"${(BigInt(high) << 32n) + BigInt(low)}"`);
  };
}

function nullable(nulls: Uint8Array, cell: Cell): Cell {
  return (row, out) => nulls[row] === 1 ? out.literal(NULL) : cell(row, out);
}

function names(positions: Uint16Array, operations: readonly string[]): Cell {
  const quoted: Uint8Array[] = [];
  return (row, out) => {
    const position = positions[row]!;
    out.literal(quoted[position] ??= encoder.encode(JSON.stringify(operations[position])));
  };
}

/** Texts lie behind each other, each behind its length as a varint; a null has the length 0. */
function texts({ nulls, bytes }: NullableStrings): Cell {
  let at = 0;
  return (row, out) => {
    let length = 0;
    for (let shift = 0;; shift += 7) {
      const byte = bytes[at++]!;
      length += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) break;
    }
    if (nulls[row] === 1) out.literal(NULL);
    else out.text(JSON.stringify(decoder.decode(bytes.subarray(at, at + length))));
    at += length;
  };
}

/** Paths by their ends; rows of one frame have one path. */
function paths(ends: Uint32Array, values: Uint32Array, frameIds: Uint32Array): Cell {
  let frame = -1;
  let path = NULL;
  return (row, out) => {
    if (frameIds[row] !== frame) {
      frame = frameIds[row]!;
      path = encoder.encode(`[${values.subarray(row === 0 ? 0 : ends[2 * row - 2]!, ends[2 * row]!).join(",")}]`);
    }
    out.literal(path);
  };
}
