/** `execution_transaction_audit`: differences between a stored trace and another node's. */
import * as ch from "./native.ts";
import { column, type RowOf, rowTable } from "./table.ts";

const columns = {
  audited_at: column(ch.DateTime64, "When"),
  meta_network_name: column(ch.LowCardinality(ch.String), "Name of the network in the configuration"),
  block_number: column(ch.UInt64, "Number of the block"),
  block_hash: column(ch.FixedString(66), "Hash of the block"),
  transaction_hash: column(ch.FixedString(66), "Hash of the transaction"),
  row_version: column(ch.UInt64, "Version of the stored rows"),
  client: column(ch.LowCardinality(ch.String), "web3_clientVersion of the other node"),
  node: column(ch.LowCardinality(ch.String), "Name of the other node in the configuration"),
  differences: column(ch.UInt64, "Cells that differ; 0: agrees"),
  columns: column(ch.Array(ch.LowCardinality(ch.String)), "Columns that differ"),
  example: column(ch.String, "First difference: index, column, stored, other"),
};

/** The table and its encoder. */
export const executionTransactionAuditTable = rowTable({
  name: "execution_transaction_audit",
  comment: "What the audit found: one row per transaction and node",
  columns,
  version: "audited_at",
  partitionBy: "(meta_network_name, intDiv(block_number, 201600))",
  orderBy: ["meta_network_name", "block_number", "transaction_hash", "node"],
  shardBy: ["meta_network_name", "block_number", "transaction_hash"],
  settings: {},
});

/** One row. */
export type ExecutionTransactionAuditRow = RowOf<typeof columns>;
