/** Columns as the decoder hands them over, made from plain rows. */
import type { FrameColumns, NullableStrings, StructlogColumns } from "../../../src/stages/decode/port.ts";
import { NO_OPERATION } from "../../../src/stages/decode/port.ts";
import type { TransactionConstants } from "../../../src/stages/encode/transaction_constants.ts";

/** One structlog row as a person would write it. */
export interface StructlogRow {
  readonly index: number;
  readonly program_counter: number;
  readonly operation: string;
  readonly gas: bigint;
  readonly gas_cost: bigint;
  readonly gas_used: bigint;
  readonly gas_self: bigint;
  readonly depth: number;
  readonly return_data: string | undefined;
  readonly refund: bigint | undefined;
  readonly error: string | undefined;
  readonly call_to_address: string | undefined;
  readonly call_frame_id: number;
  readonly call_frame_path: readonly number[];
}

/** One aggregate row. */
export interface FrameRow {
  readonly call_frame_id: number;
  readonly parent_call_frame_id: number | undefined;
  readonly call_frame_path: readonly number[];
  readonly depth: number;
  readonly target_address: string | undefined;
  readonly call_type: string;
  readonly operation: string;
  /** The 64-bit sums, in the order of {@linkcode SUMS}. */
  readonly sums: readonly bigint[];
  readonly min_depth: number;
  readonly max_depth: number;
  readonly gas_refund: bigint | undefined;
  readonly intrinsic_gas: bigint | undefined;
}

/** Names of the 64-bit sums of an aggregate row. */
export const SUMS = [
  "opcode_count",
  "error_count",
  "gas",
  "gas_cumulative",
  "memory_words_sum_before",
  "memory_words_sum_after",
  "memory_words_sq_sum_before",
  "memory_words_sq_sum_after",
  "memory_expansion_gas",
  "cold_access_count",
] as const;

/** The decoder's list: byte `b` is `OPb`, 256 is the empty text. */
export const OPERATIONS: readonly string[] = Array.from({ length: 257 }, (_, i) => i === NO_OPERATION ? "" : `OP${i}`);

const utf8 = new TextEncoder();

function lanes(values: readonly bigint[]): Uint32Array {
  const cells = new BigUint64Array(values.map((value) => BigInt.asUintN(64, value)));
  return new Uint32Array(cells.buffer);
}

function texts(values: readonly (string | undefined)[]): NullableStrings {
  const bytes: number[] = [];
  for (const value of values) {
    const encoded = utf8.encode(value ?? "");
    let length = encoded.length;
    for (; length >= 128; length = Math.floor(length / 128)) bytes.push((length % 128) | 128);
    bytes.push(length);
    for (const byte of encoded) bytes.push(byte);
  }
  return { nulls: Uint8Array.from(values, (value) => value === undefined ? 1 : 0), bytes: Uint8Array.from(bytes) };
}

function paths(values: readonly (readonly number[])[]): { ends: Uint32Array; elements: Uint32Array } {
  let end = 0;
  return { ends: lanes(values.map((path) => BigInt(end += path.length))), elements: Uint32Array.from(values.flat()) };
}

function nulls(values: readonly unknown[]): Uint8Array {
  return Uint8Array.from(values, (value) => value === undefined ? 1 : 0);
}

function position(operations: string[], name: string): number {
  const known = operations.indexOf(name);
  return known >= 0 ? known : operations.push(name) - 1;
}

/** Columns of these rows; names that are not in `operations` are appended to it. */
export function structlogColumns(rows: readonly StructlogRow[], operations: string[]): StructlogColumns {
  const { ends, elements } = paths(rows.map((row) => row.call_frame_path));
  return {
    rows: rows.length,
    index: Uint32Array.from(rows, (row) => row.index),
    programCounter: Uint32Array.from(rows, (row) => row.program_counter),
    operation: Uint16Array.from(rows, (row) => position(operations, row.operation)),
    gas: lanes(rows.map((row) => row.gas)),
    gasCost: lanes(rows.map((row) => row.gas_cost)),
    gasUsed: lanes(rows.map((row) => row.gas_used)),
    gasSelf: lanes(rows.map((row) => row.gas_self)),
    depth: Uint16Array.from(rows, (row) => row.depth),
    refundNulls: nulls(rows.map((row) => row.refund)),
    refund: lanes(rows.map((row) => row.refund ?? 0n)),
    returnData: texts(rows.map((row) => row.return_data)),
    error: texts(rows.map((row) => row.error)),
    callToAddress: texts(rows.map((row) => row.call_to_address)),
    callFrameId: Uint32Array.from(rows, (row) => row.call_frame_id),
    callFramePathEnds: ends,
    callFramePath: elements,
  };
}

/** Columns of these rows; names that are not in `operations` are appended to it. */
export function frameColumns(rows: readonly FrameRow[], operations: string[]): FrameColumns {
  const { ends, elements } = paths(rows.map((row) => row.call_frame_path));
  const sum = (name: typeof SUMS[number]) => lanes(rows.map((row) => row.sums[SUMS.indexOf(name)]!));
  return {
    rows: rows.length,
    callFrameId: Uint32Array.from(rows, (row) => row.call_frame_id),
    parentNulls: nulls(rows.map((row) => row.parent_call_frame_id)),
    parentCallFrameId: Uint32Array.from(rows, (row) => row.parent_call_frame_id ?? 0),
    callFramePathEnds: ends,
    callFramePath: elements,
    depth: Uint32Array.from(rows, (row) => row.depth),
    targetAddress: texts(rows.map((row) => row.target_address)),
    callType: Uint16Array.from(rows, (row) => position(operations, row.call_type)),
    operation: Uint16Array.from(rows, (row) => position(operations, row.operation)),
    opcodeCount: sum("opcode_count"),
    errorCount: sum("error_count"),
    gas: sum("gas"),
    gasCumulative: sum("gas_cumulative"),
    minDepth: Uint32Array.from(rows, (row) => row.min_depth),
    maxDepth: Uint32Array.from(rows, (row) => row.max_depth),
    memoryWordsSumBefore: sum("memory_words_sum_before"),
    memoryWordsSumAfter: sum("memory_words_sum_after"),
    memoryWordsSqSumBefore: sum("memory_words_sq_sum_before"),
    memoryWordsSqSumAfter: sum("memory_words_sq_sum_after"),
    memoryExpansionGas: sum("memory_expansion_gas"),
    coldAccessCount: sum("cold_access_count"),
    gasRefundNulls: nulls(rows.map((row) => row.gas_refund)),
    gasRefund: lanes(rows.map((row) => row.gas_refund ?? 0n)),
    intrinsicGasNulls: nulls(rows.map((row) => row.intrinsic_gas)),
    intrinsicGas: lanes(rows.map((row) => row.intrinsic_gas ?? 0n)),
  };
}

/** An unremarkable structlog. */
export function structlogRow(index: number, changes: Partial<StructlogRow> = {}): StructlogRow {
  return {
    index,
    program_counter: 2 * index,
    operation: `OP${index % 200}`,
    gas: 10_000_000n - BigInt(index),
    gas_cost: 3n,
    gas_used: 3n,
    gas_self: 3n,
    depth: 1,
    return_data: undefined,
    refund: 0n,
    error: undefined,
    call_to_address: undefined,
    call_frame_id: 0,
    call_frame_path: [0],
    ...changes,
  };
}

/** An unremarkable aggregate row of an opcode. */
export function frameRow(operation: string, changes: Partial<FrameRow> = {}): FrameRow {
  return {
    call_frame_id: 0,
    parent_call_frame_id: undefined,
    call_frame_path: [0],
    depth: 0,
    target_address: undefined,
    call_type: "",
    operation,
    sums: SUMS.map((_, i) => BigInt(i)),
    min_depth: 1,
    max_depth: 1,
    gas_refund: 0n,
    intrinsic_gas: undefined,
    ...changes,
  };
}

/** `0x` and 64 hex digits that depend on `seed`. */
export function hash(seed: number): string {
  return `0x${seed.toString(16).padStart(64, "0")}`;
}

/** Constants of transaction `index` of block 100. */
export function constants(index: number, changes: Partial<TransactionConstants> = {}): TransactionConstants {
  return {
    encodedAt: new Date(1_700_000_000_000),
    network: "testnet",
    blockNumber: 100,
    blockHash: hash(100),
    transactionHash: hash(1000 + index),
    transactionIndex: index,
    gasUsed: 21_000,
    failed: false,
    returnValue: undefined,
    rowVersion: 1_700_000_000_000_000 + index,
    ...changes,
  };
}
