/** `execution_transaction`: one row per transaction, no trace needed. */
import * as ch from "./native.ts";
import { column, DURABLE, type RowOf, rowTable } from "./table.ts";

const DELTA_OF_DELTA = { codec: "DoubleDelta, ZSTD(1)" } as const;
const PLAIN = { codec: "ZSTD(1)" } as const;

const columns = {
  updated_date_time: column(
    ch.DateTime,
    "When the row was encoded; row_version decides which row wins",
    DELTA_OF_DELTA,
  ),
  block_number: column(ch.UInt64, "Number of the block", DELTA_OF_DELTA),
  block_hash: column(ch.FixedString(66), "Hash of the block", PLAIN),
  parent_hash: column(ch.FixedString(66), "Hash of the block's parent", PLAIN),
  position: column(ch.UInt32, "Position in the block, from 0", DELTA_OF_DELTA),
  hash: column(ch.FixedString(66), "Hash of the transaction", PLAIN),
  from: column(ch.FixedString(42), "Sender, as the node answers", PLAIN),
  to: column(ch.Nullable(ch.FixedString(42)), "Recipient; null: contract creation", PLAIN),
  nonce: column(ch.UInt64, "Nonce of the sender", PLAIN),
  gas_price: column(
    ch.UInt128,
    "Wei: receipt.effectiveGasPrice, else gasPrice, else min(fee cap, base fee + tip cap)",
    PLAIN,
  ),
  gas: column(ch.UInt64, "Gas limit, not gas used", PLAIN),
  gas_tip_cap: column(ch.Nullable(ch.UInt128), "Wei, types 2, 3 and 4", PLAIN),
  gas_fee_cap: column(ch.Nullable(ch.UInt128), "Wei, types 2, 3 and 4", PLAIN),
  value: column(ch.UInt128, "Wei", PLAIN),
  type: column(ch.UInt8, "Transaction type of EIP-2718, 0 for legacy", PLAIN),
  size: column(ch.UInt32, "Bytes of the EIP-2718 encoding without blob sidecar", PLAIN),
  call_data_size: column(ch.UInt32, "Bytes of the input", PLAIN),
  blob_gas: column(ch.Nullable(ch.UInt64), "Type 3: 131072 per blob hash", PLAIN),
  blob_gas_fee_cap: column(ch.Nullable(ch.UInt128), "Wei, type 3", PLAIN),
  blob_hashes: column(ch.Array(ch.String), "Versioned hashes of the blobs", PLAIN),
  success: column(ch.Bool, "Receipt status 1; before Byzantium: gas used < gas limit", PLAIN),
  n_input_bytes: column(ch.UInt32, "Bytes of the input", PLAIN),
  n_input_zero_bytes: column(ch.UInt32, "Zero bytes of the input", PLAIN),
  n_input_nonzero_bytes: column(ch.UInt32, "Other bytes of the input", PLAIN),
  meta_network_name: column(ch.LowCardinality(ch.String), "Name of the network in the configuration"),
  gas_used: column(ch.UInt64, "receipt.gasUsed", { default: "0", ...PLAIN, added: true }),
  row_version: column(ch.UInt64, "Delivery token of the attempt that wrote the row; the largest wins", {
    ...PLAIN,
    added: true,
  }),
};

/** The table and its encoder. */
export const executionTransactionTable = rowTable({
  name: "execution_transaction",
  comment: "One row per transaction; 128-bit amounts are wei",
  columns,
  version: "row_version",
  partitionBy: "(meta_network_name, intDiv(block_number, 5000000))",
  orderBy: ["meta_network_name", "block_number", "block_hash", "position"],
  shardBy: ["meta_network_name", "block_number", "block_hash"],
  settings: DURABLE,
});

/** One row. */
export type ExecutionTransactionRow = RowOf<typeof columns>;
