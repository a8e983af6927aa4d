/**
 * Rows of both tables as NDJSON, written from the decoder's columns: a row is a line, and no object is made of it.
 * 64-bit values beyond 2^53 are decimal texts, since a reader of JSON would round them.
 */
import type { FrameColumns, NullableStrings, ProofRecord, StructlogColumns } from "../stages/decode/port.ts";

/** JSON text of the columns that are the same in all rows of a transaction, by name. A column that is absent is left out. */
export type ConstantCells = ReadonlyMap<string, string>;

/** JSON text of one column's cell in the given row; rows are asked for in ascending order, each once. */
type Cell = (row: number) => string;

/** A column: always the same text, or a cell a row; without one its text is among the constants. */
type NamedCell = readonly [name: string, cell?: string | Cell];

const TWO_32 = 4294967296;
/** Upper lane of the smallest number that a double may have rounded. */
const UNSAFE_LANE = Number.MAX_SAFE_INTEGER / TWO_32;
/** Rows whose lines are turned into bytes together. */
const ROWS_AT_ONCE = 256;

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
    access_mismatch: record.accessMismatch,
    notes: record.notes,
    ...violations.length > 1 ? { violations } : {},
  });
  return `${text}\n`;
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
  // Literals between the cells that vary: `{"a":1,"b":`, cell, `,"c":`, cell, `}\n`.
  const literals: string[] = [""];
  const cells: Cell[] = [];
  let separator = "{";
  for (const [name, cell = constants.get(name)] of columns) {
    if (cell === undefined || omit.has(name)) continue;
    literals[cells.length] += `${separator}"${name}":`;
    separator = ",";
    if (typeof cell === "string") literals[cells.length] += cell;
    else {
      cells.push(cell);
      literals.push("");
    }
  }
  literals[cells.length] += "}\n";
  let text = "";
  for (let row = 0; row < rows; row++) {
    for (let at = 0; at < cells.length; at++) text += literals[at]! + cells[at]!(row);
    text += literals[cells.length]!;
    if (row % ROWS_AT_ONCE === ROWS_AT_ONCE - 1) {
      yield encoder.encode(text);
      text = "";
    }
  }
  if (text !== "") yield encoder.encode(text);
}

function small(values: Uint16Array | Uint32Array): Cell {
  return (row) => String(values[row]!);
}

/** Two lanes a row, low lane first. */
function large(lanes: Uint32Array): Cell {
  return (row) => {
    const [low, high] = [lanes[2 * row]!, lanes[2 * row + 1]!];
    if (high === 0) return String(low);
    if (high <= UNSAFE_LANE) return String(high * TWO_32 + low);
    return `"${(BigInt(high) << 32n) + BigInt(low)}"`;
  };
}

function nullable(nulls: Uint8Array, cell: Cell): Cell {
  return (row) => nulls[row] === 1 ? "null" : cell(row);
}

function names(positions: Uint16Array, operations: readonly string[]): Cell {
  const quoted: string[] = [];
  return (row) => {
    const position = positions[row]!;
    return quoted[position] ??= JSON.stringify(operations[position]);
  };
}

/** Texts lie behind each other, each behind its length as a varint; a null has the length 0. */
function texts({ nulls, bytes }: NullableStrings): Cell {
  let at = 0;
  return (row) => {
    let length = 0;
    for (let shift = 0;; shift += 7) {
      const byte = bytes[at++]!;
      length += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) break;
    }
    const text = bytes.subarray(at, at + length);
    at += length;
    return nulls[row] === 1 ? "null" : JSON.stringify(decoder.decode(text));
  };
}

/** Paths by their ends; rows of one frame have one path. */
function paths(ends: Uint32Array, values: Uint32Array, frameIds: Uint32Array): Cell {
  let frame = -1;
  let text = "";
  return (row) => {
    if (frameIds[row] !== frame) {
      frame = frameIds[row]!;
      text = `[${values.subarray(row === 0 ? 0 : ends[2 * row - 2]!, ends[2 * row]!).join(",")}]`;
    }
    return text;
  };
}
