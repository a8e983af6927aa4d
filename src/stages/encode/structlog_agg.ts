/**
 * `canonical_execution_transaction_structlog_agg`: a summary row per call frame (`operation = ''`) and a row per opcode
 * of a frame.
 */
import type { FrameColumns } from "../decode/port.ts";
import { columnarEncoder, constant, names, nullable, paths, plain, texts } from "./columnar.ts";
import type { ChecksumColumns } from "./checksum.ts";
import * as ch from "./native.ts";
import { column, DURABLE_MANY_PARTS, type TableDefinition } from "./table.ts";
import { sourced, type TransactionConstants } from "./transaction_constants.ts";

type Cells = FrameColumns;
type Constants = TransactionConstants;

const DELTA_OF_DELTA = { codec: "DoubleDelta, ZSTD(1)" } as const;
const PLAIN = { codec: "ZSTD(1)" } as const;
const SUM = { default: "0", ...PLAIN } as const;

/** A 64-bit sum. */
function sum(comment: string, cells: (of: Cells) => Uint32Array, options: { default?: string; codec: string } = PLAIN) {
  return sourced(column(ch.UInt64, comment, options), plain(ch.UInt64, cells));
}

const columns = {
  updated_date_time: sourced(
    column(ch.DateTime, "When the row was encoded; row_version decides which row wins", DELTA_OF_DELTA),
    constant(ch.DateTime, (of: Constants) => of.encodedAt),
  ),
  block_number: sourced(
    column(ch.UInt64, "Number of the block", DELTA_OF_DELTA),
    constant(ch.UInt64, (of: Constants) => of.blockNumber),
  ),
  transaction_hash: sourced(
    column(ch.FixedString(66), "Hash of the transaction, lower-case hex with 0x", PLAIN),
    constant(ch.FixedString(66), (of: Constants) => of.transactionHash),
  ),
  transaction_index: sourced(
    column(ch.UInt64, "Position of the transaction in the block, from 0", DELTA_OF_DELTA),
    constant(ch.UInt64, (of: Constants) => of.transactionIndex),
  ),
  call_frame_id: sourced(
    column(ch.UInt32, "Call frame; the root is 0", DELTA_OF_DELTA),
    plain(ch.UInt32, (cells: Cells) => cells.callFrameId),
  ),
  parent_call_frame_id: sourced(
    column(ch.Nullable(ch.UInt32), "Frame that opened it; null for the root", PLAIN),
    nullable(ch.UInt32, (cells: Cells) => cells.parentNulls, (cells) => cells.parentCallFrameId),
  ),
  call_frame_path: sourced(
    column(ch.Array(ch.UInt32), "Frame ids from the root to this frame", PLAIN),
    paths(ch.Array(ch.UInt32), (cells: Cells) => cells.callFramePathEnds, (cells) => cells.callFramePath),
  ),
  depth: sourced(
    column(ch.UInt32, "Length of the path less 1: the root is 0", PLAIN),
    plain(ch.UInt32, (cells: Cells) => cells.depth),
  ),
  target_address: sourced(
    column(
      ch.Nullable(ch.String),
      "Callee; created address, zero address of a failed create; null when unknown",
      PLAIN,
    ),
    texts((cells: Cells) => cells.targetAddress),
  ),
  call_type: sourced(
    column(ch.LowCardinality(ch.String), "Opcode that opened the frame, empty for the root"),
    names((cells: Cells) => cells.callType),
  ),
  operation: sourced(
    column(ch.LowCardinality(ch.String), "Mnemonic of the opcode, empty in the summary row"),
    names((cells: Cells) => cells.operation),
  ),
  opcode_count: sum("Executed opcodes", (cells) => cells.opcodeCount),
  error_count: sum("Opcodes that failed", (cells) => cells.errorCount),
  gas: sum("Gas without child frames: sum of gas_self, less what a precompile used", (cells) => cells.gas),
  gas_cumulative: sum("Gas with child frames: sum of gas_used", (cells) => cells.gasCumulative),
  min_depth: sourced(
    column(ch.UInt32, "Summary: depth; opcode row: smallest depth of its structlogs, the root being 1", PLAIN),
    plain(ch.UInt32, (cells: Cells) => cells.minDepth),
  ),
  max_depth: sourced(
    column(ch.UInt32, "Summary: depth; opcode row: largest depth of its structlogs, the root being 1", PLAIN),
    plain(ch.UInt32, (cells: Cells) => cells.maxDepth),
  ),
  memory_words_sum_before: sum("Sum of memory words before each opcode", (cells) => cells.memoryWordsSumBefore, SUM),
  memory_words_sum_after: sum("Sum of memory words after each opcode", (cells) => cells.memoryWordsSumAfter, SUM),
  memory_words_sq_sum_before: sum("Sum of their squares, before", (cells) => cells.memoryWordsSqSumBefore, SUM),
  memory_words_sq_sum_after: sum("Sum of their squares, after", (cells) => cells.memoryWordsSqSumAfter, SUM),
  memory_expansion_gas: sum("Gas for memory expansion", (cells) => cells.memoryExpansionGas, SUM),
  cold_access_count: sum("Cold accesses to accounts and slots", (cells) => cells.coldAccessCount, SUM),
  gas_refund: sourced(
    column(ch.Nullable(ch.UInt64), "Root summary: uncapped refund counter, null when unknown; others 0", PLAIN),
    nullable(ch.UInt64, (cells: Cells) => cells.gasRefundNulls, (cells) => cells.gasRefund),
  ),
  intrinsic_gas: sourced(
    column(ch.Nullable(ch.UInt64), "Root summary: intrinsic gas, not the floor; others null", PLAIN),
    nullable(ch.UInt64, (cells: Cells) => cells.intrinsicGasNulls, (cells) => cells.intrinsicGas),
  ),
  meta_network_name: sourced(
    column(ch.LowCardinality(ch.String), "Name of the network in the configuration"),
    constant(ch.String, (of: Constants) => of.network),
  ),
  block_hash: sourced(
    column(ch.FixedString(66), "Hash of the block: receipt.blockHash", { ...PLAIN, added: true }),
    constant(ch.FixedString(66), (of: Constants) => of.blockHash),
  ),
  row_version: sourced(
    column(ch.UInt64, "Delivery token of the attempt that wrote the row; the largest wins", { ...PLAIN, added: true }),
    constant(ch.UInt64, (of: Constants) => of.rowVersion),
  ),
};

/** The table. */
export const structlogAggTable = {
  name: "canonical_execution_transaction_structlog_agg",
  comment: "A summary row per call frame and a row per opcode of a frame",
  columns,
  version: "row_version",
  partitionBy: "(meta_network_name, intDiv(block_number, 201600))",
  orderBy: ["meta_network_name", "block_number", "transaction_hash", "call_frame_id", "operation"],
  shardBy: ["meta_network_name", "block_number", "transaction_hash"],
  settings: DURABLE_MANY_PARTS,
} as const satisfies TableDefinition;

/** Which of its cells the record's checksum covers: all but updated_date_time and row_version. */
export const structlogAggChecksum = {
  row: [
    "call_frame_id",
    "parent_call_frame_id",
    "call_frame_path",
    "depth",
    "target_address",
    "call_type",
    "operation",
    "opcode_count",
    "error_count",
    "gas",
    "gas_cumulative",
    "min_depth",
    "max_depth",
    "gas_refund",
    "intrinsic_gas",
    "memory_words_sum_before",
    "memory_words_sum_after",
    "memory_words_sq_sum_before",
    "memory_words_sq_sum_after",
    "memory_expansion_gas",
    "cold_access_count",
  ],
  transaction: ["block_number", "block_hash", "transaction_hash", "transaction_index", "meta_network_name"],
} as const satisfies ChecksumColumns;

/** Its encoder. */
export const structlogAggEncoder = columnarEncoder<FrameColumns, TransactionConstants>(structlogAggTable.name, columns);
