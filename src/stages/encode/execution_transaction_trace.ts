/**
 * `execution_transaction_trace`: the record of one processed trace, written last. It is what makes a transaction count
 * as stored.
 */
import * as ch from "./native.ts";
import { column, DURABLE, type RowOf, rowTable } from "./table.ts";

const columns = {
  updated_date_time: column(ch.DateTime64, "When the record was written"),
  meta_network_name: column(ch.LowCardinality(ch.String), "Name of the network in the configuration"),
  block_number: column(ch.UInt64, "Number of the block"),
  block_hash: column(ch.FixedString(66), "Hash of the block"),
  transaction_hash: column(ch.FixedString(66), "Hash of the transaction"),
  transaction_index: column(ch.UInt32, "Position of the transaction in the block, from 0"),
  row_version: column(ch.UInt64, "Delivery token of the attempt: the version of its rows"),
  published: column(ch.UInt8, "1: its rows are to be read"),
  structlogs: column(ch.UInt64, "Structlogs of the trace, made-up rows left out"),
  structlog_rows: column(ch.UInt64, "Rows stored; 0 where the table is not filled"),
  agg_rows: column(ch.UInt32, "Aggregate rows stored; 0 where the table is not filled"),
  structlog_checksum: column(ch.UInt64, "Sum over the stored rows, modulo 2^64, of a hash of their cells"),
  agg_checksum: column(ch.UInt64, "The same of the aggregate rows"),
  tables: column(ch.Array(ch.LowCardinality(ch.String)), "Tables that the attempt filled"),
  verdict: column(ch.LowCardinality(ch.String), "open | proved | bounded | unproved | violated"),
  identity: column(ch.LowCardinality(ch.String), "The violated identity, empty otherwise"),
  detail: column(ch.String, "What was found, or what was missing"),
  violations: column(ch.Array(ch.String), "Every violated identity with its detail"),
  access_mismatch: column(
    ch.Map(ch.LowCardinality(ch.String), ch.UInt32),
    "Accesses whose gas and tracked sets disagree, by kind",
  ),
  outcome: column(ch.LowCardinality(ch.String), "How the root frame ended"),
  return_value: column(ch.Nullable(ch.String), "Hex without 0x; null when empty"),
  intrinsic_gas: column(ch.UInt64, "Gas before the first opcode"),
  floor_gas: column(ch.UInt64, "Floor of EIP-7623, 0 before Prague"),
  root_gas: column(ch.UInt64, "gas_cumulative of frame 0"),
  code_deposit_gas: column(ch.UInt64, "200 per byte of created code"),
  refund_counter: column(ch.Nullable(ch.UInt64), "Uncapped, with what authorisations add; null when unknown"),
  refund_source: column(ch.LowCardinality(ch.String), "node | operands | interval"),
  refund_applied: column(ch.UInt64, "Gas given back"),
  gas_used: column(ch.UInt64, "receipt.gasUsed"),
  frames: column(ch.UInt32, "Call frames"),
  execution_gas_used: column(ch.Nullable(ch.UInt64), "EIP-8037, where the node prints it"),
  state_gas_used: column(ch.Nullable(ch.UInt64), "EIP-8037, where the node prints it"),
  final_refund: column(ch.Nullable(ch.Int64), "EIP-8037, where the node prints it"),
  fork: column(ch.LowCardinality(ch.String), "Rules that applied"),
  client: column(ch.LowCardinality(ch.String), "web3_clientVersion of the node"),
  node: column(ch.LowCardinality(ch.String), "Name of the node in the configuration"),
  bytes: column(ch.UInt64, "Bytes of the transaction's result in the reply"),
  trace_ms: column(ch.UInt32, "Milliseconds from the request to the last byte"),
  notes: column(ch.Array(ch.String), "What was worked around"),
};

/** The table and its encoder. */
export const executionTransactionTraceTable = rowTable({
  name: "execution_transaction_trace",
  comment: "The record of one processed trace: what makes a transaction count as stored",
  columns,
  version: "row_version",
  partitionBy: "(meta_network_name, intDiv(block_number, 201600))",
  orderBy: ["meta_network_name", "block_number", "transaction_hash"],
  shardBy: ["meta_network_name", "block_number", "transaction_hash"],
  settings: DURABLE,
});

/** One record. */
export type ExecutionTransactionTraceRow = RowOf<typeof columns>;
