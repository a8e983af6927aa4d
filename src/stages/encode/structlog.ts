/** `canonical_execution_transaction_structlog`: one row per executed opcode. */
import type { StructlogColumns } from "../decode/port.ts";
import { columnarEncoder, constant, names, nullable, nullableConstant, paths, plain, texts } from "./columnar.ts";
import type { ChecksumColumns } from "./checksum.ts";
import * as ch from "./native.ts";
import { column, DURABLE_MANY_PARTS, type TableDefinition } from "./table.ts";
import { sourced, type TransactionConstants } from "./transaction_constants.ts";

type Cells = StructlogColumns;
type Constants = TransactionConstants;

const DELTA_OF_DELTA = { codec: "DoubleDelta, ZSTD(1)" } as const;
const PLAIN = { codec: "ZSTD(1)" } as const;

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
  transaction_gas: sourced(
    column(ch.UInt64, "Gas used by the transaction: receipt.gasUsed", DELTA_OF_DELTA),
    constant(ch.UInt64, (of: Constants) => of.gasUsed),
  ),
  transaction_failed: sourced(
    column(ch.Bool, "Receipt status is 0; before Byzantium: the trace says failed", PLAIN),
    constant(ch.Bool, (of: Constants) => of.failed),
  ),
  transaction_return_value: sourced(
    column(
      ch.Nullable(ch.String),
      "What the transaction returned, lower-case hex without 0x; null when empty, or not read before the rows left",
      PLAIN,
    ),
    nullableConstant(ch.String, (of: Constants) => of.returnValue),
  ),
  index: sourced(
    column(ch.UInt32, "Position in the trace, from 0, made-up rows left out", DELTA_OF_DELTA),
    plain(ch.UInt32, (cells: Cells) => cells.index),
  ),
  operation: sourced(
    column(ch.LowCardinality(ch.String), "Mnemonic of the opcode"),
    names((cells: Cells) => cells.operation),
  ),
  gas: sourced(
    column(ch.UInt64, "Gas left before the opcode", { codec: "Delta(8), ZSTD(1)" }),
    plain(ch.UInt64, (cells: Cells) => cells.gas),
  ),
  gas_cost: sourced(
    column(ch.UInt64, "Canonical cost; for calls and creates it contains what is passed on", DELTA_OF_DELTA),
    plain(ch.UInt64, (cells: Cells) => cells.gasCost),
  ),
  gas_used: sourced(
    column(ch.UInt64, "Gas left before this opcode less gas left before the next one of the frame", {
      default: "0",
      ...PLAIN,
    }),
    plain(ch.UInt64, (cells: Cells) => cells.gasUsed),
  ),
  gas_self: sourced(
    column(ch.UInt64, "gas_used without what the frames below it used", { default: "0", ...PLAIN }),
    plain(ch.UInt64, (cells: Cells) => cells.gasSelf),
  ),
  depth: sourced(
    column(ch.UInt64, "Depth of the call frame; the root is 1", DELTA_OF_DELTA),
    plain(ch.UInt16, (cells: Cells) => cells.depth),
  ),
  return_data: sourced(
    column(
      ch.Nullable(ch.String),
      "Return data buffer before the opcode, hex without 0x, where the node prints it",
      PLAIN,
    ),
    texts((cells: Cells) => cells.returnData),
  ),
  refund: sourced(
    column(
      ch.Nullable(ch.UInt64),
      "Refund counter of the transaction in gas; null when the node does not print it",
      PLAIN,
    ),
    nullable(ch.UInt64, (cells: Cells) => cells.refundNulls, (cells) => cells.refund),
  ),
  error: sourced(
    column(ch.Nullable(ch.String), "Why the opcode failed, normalised text of the client", PLAIN),
    texts((cells: Cells) => cells.error),
  ),
  call_to_address: sourced(
    column(ch.Nullable(ch.String), "Callee of a call, created address of a create", PLAIN),
    texts((cells: Cells) => cells.callToAddress),
  ),
  call_frame_id: sourced(
    column(ch.UInt32, "Call frame of the row; the root is 0", { default: "0", ...DELTA_OF_DELTA }),
    plain(ch.UInt32, (cells: Cells) => cells.callFrameId),
  ),
  call_frame_path: sourced(
    column(ch.Array(ch.UInt32), "Frame ids from the root to the frame of the row", { default: "[0]", ...PLAIN }),
    paths(ch.Array(ch.UInt32), (cells: Cells) => cells.callFramePathEnds, (cells) => cells.callFramePath),
  ),
  meta_network_name: sourced(
    column(ch.LowCardinality(ch.String), "Name of the network in the configuration"),
    constant(ch.String, (of: Constants) => of.network),
  ),
  program_counter: sourced(
    column(ch.UInt32, "Offset of the opcode in the code, in bytes", {
      default: "0",
      codec: "Delta(4), ZSTD(1)",
      added: true,
    }),
    plain(ch.UInt32, (cells: Cells) => cells.programCounter),
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
export const structlogTable = {
  name: "canonical_execution_transaction_structlog",
  comment: "One row per executed opcode",
  columns,
  version: "row_version",
  partitionBy: "(meta_network_name, intDiv(block_number, 201600))",
  orderBy: ["meta_network_name", "block_number", "transaction_hash", "index"],
  shardBy: ["meta_network_name", "block_number", "transaction_hash"],
  settings: DURABLE_MANY_PARTS,
} as const satisfies TableDefinition;

/** Which of its cells the record's checksum covers: all but updated_date_time and row_version. */
export const structlogChecksum = {
  row: [
    "index",
    "program_counter",
    "operation",
    "gas",
    "gas_cost",
    "gas_used",
    "gas_self",
    "depth",
    "return_data",
    "refund",
    "error",
    "call_to_address",
    "call_frame_id",
    "call_frame_path",
  ],
  transaction: [
    "block_number",
    "block_hash",
    "transaction_hash",
    "transaction_index",
    "transaction_gas",
    "transaction_failed",
    "transaction_return_value",
    "meta_network_name",
  ],
} as const satisfies ChecksumColumns;

/** Its encoder. */
export const structlogEncoder = columnarEncoder<StructlogColumns, TransactionConstants>(structlogTable.name, columns);
