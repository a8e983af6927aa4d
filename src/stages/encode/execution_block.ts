/** `execution_block`: the ledger of blocks. */
import * as ch from "./native.ts";
import { column, DURABLE, type RowOf, rowTable } from "./table.ts";

const columns = {
  updated_date_time: column(ch.DateTime64, "When the entry was written; version decides which one wins"),
  meta_network_name: column(ch.LowCardinality(ch.String), "Name of the network in the configuration"),
  processor: column(ch.LowCardinality(ch.String), "What is done with the block"),
  block_number: column(ch.UInt64, "Number of the block"),
  block_hash: column(ch.FixedString(66), "Hash of the block"),
  parent_hash: column(ch.FixedString(66), "Hash of its parent"),
  state: column(ch.LowCardinality(ch.String), "accepted | complete | stuck | orphaned"),
  complete: column(ch.UInt8, "1 when state = 'complete'"),
  direction: column(ch.LowCardinality(ch.String), "forwards | backwards"),
  task_count: column(ch.UInt32, "Tasks that the block was split into"),
  transactions: column(ch.UInt32, "Transactions of the block"),
  expected_rows: column(ch.UInt64, "Rows that the records name"),
  stored_rows: column(ch.UInt64, "Rows found"),
  attempts: column(ch.UInt32, "Deliveries of its tasks"),
  dead: column(ch.UInt32, "Transactions dead-lettered"),
  violated: column(ch.UInt32, "Transactions whose trace was refused"),
  verified_at: column(ch.Nullable(ch.DateTime64), "When its stored rows were last checked"),
  accepted_at: column(ch.DateTime64, "When it was taken up"),
  completed_at: column(ch.Nullable(ch.DateTime64), "When its last transaction became durable"),
  version: column(ch.UInt64, "max(last + 1, milliseconds)"),
};

/** The table and its encoder. */
export const executionBlockTable = rowTable({
  name: "execution_block",
  comment: "The ledger: block, hash, processor, state, expected and stored counts",
  columns,
  version: "version",
  partitionBy: "meta_network_name",
  orderBy: ["meta_network_name", "processor", "block_number", "block_hash"],
  shardBy: ["meta_network_name", "block_number"],
  settings: DURABLE,
});

/** One entry. */
export type ExecutionBlockRow = RowOf<typeof columns>;
