-- The tables of version 1.
-- Made by tools/write_migrations.ts from the definitions in src/stages/encode.

CREATE TABLE IF NOT EXISTS canonical_execution_transaction_structlog (
  `updated_date_time` DateTime COMMENT 'When the row was encoded; row_version decides which row wins' CODEC(DoubleDelta, ZSTD(1)),
  `block_number` UInt64 COMMENT 'Number of the block' CODEC(DoubleDelta, ZSTD(1)),
  `transaction_hash` FixedString(66) COMMENT 'Hash of the transaction, lower-case hex with 0x' CODEC(ZSTD(1)),
  `transaction_index` UInt64 COMMENT 'Position of the transaction in the block, from 0' CODEC(DoubleDelta, ZSTD(1)),
  `transaction_gas` UInt64 COMMENT 'Gas used by the transaction: receipt.gasUsed' CODEC(DoubleDelta, ZSTD(1)),
  `transaction_failed` Bool COMMENT 'Receipt status is 0; before Byzantium: the trace says failed' CODEC(ZSTD(1)),
  `transaction_return_value` Nullable(String) COMMENT 'What the transaction returned, lower-case hex without 0x; null when empty, or not read before the rows left' CODEC(ZSTD(1)),
  `index` UInt32 COMMENT 'Position in the trace, from 0, made-up rows left out' CODEC(DoubleDelta, ZSTD(1)),
  `operation` LowCardinality(String) COMMENT 'Mnemonic of the opcode',
  `gas` UInt64 COMMENT 'Gas left before the opcode' CODEC(Delta(8), ZSTD(1)),
  `gas_cost` UInt64 COMMENT 'Canonical cost; for calls and creates it contains what is passed on' CODEC(DoubleDelta, ZSTD(1)),
  `gas_used` UInt64 DEFAULT 0 COMMENT 'Gas left before this opcode less gas left before the next one of the frame' CODEC(ZSTD(1)),
  `gas_self` UInt64 DEFAULT 0 COMMENT 'gas_used without what the frames below it used' CODEC(ZSTD(1)),
  `depth` UInt64 COMMENT 'Depth of the call frame; the root is 1' CODEC(DoubleDelta, ZSTD(1)),
  `return_data` Nullable(String) COMMENT 'Return data buffer before the opcode, hex without 0x, where the node prints it' CODEC(ZSTD(1)),
  `refund` Nullable(UInt64) COMMENT 'Refund counter of the transaction in gas; null when the node does not print it' CODEC(ZSTD(1)),
  `error` Nullable(String) COMMENT 'Why the opcode failed, normalised text of the client' CODEC(ZSTD(1)),
  `call_to_address` Nullable(String) COMMENT 'Callee of a call, created address of a create' CODEC(ZSTD(1)),
  `call_frame_id` UInt32 DEFAULT 0 COMMENT 'Call frame of the row; the root is 0' CODEC(DoubleDelta, ZSTD(1)),
  `call_frame_path` Array(UInt32) DEFAULT [0] COMMENT 'Frame ids from the root to the frame of the row' CODEC(ZSTD(1)),
  `meta_network_name` LowCardinality(String) COMMENT 'Name of the network in the configuration',
  `program_counter` UInt32 DEFAULT 0 COMMENT 'Offset of the opcode in the code, in bytes' CODEC(Delta(4), ZSTD(1)),
  `block_hash` FixedString(66) COMMENT 'Hash of the block: receipt.blockHash' CODEC(ZSTD(1)),
  `row_version` UInt64 COMMENT 'Delivery token of the attempt that wrote the row; the largest wins' CODEC(ZSTD(1))
) ENGINE = ReplacingMergeTree(row_version)
PARTITION BY (meta_network_name, intDiv(block_number, 201600))
ORDER BY (`meta_network_name`, `block_number`, `transaction_hash`, `index`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, max_suspicious_broken_parts = 1000
COMMENT 'One row per executed opcode';

CREATE TABLE IF NOT EXISTS canonical_execution_transaction_structlog_agg (
  `updated_date_time` DateTime COMMENT 'When the row was encoded; row_version decides which row wins' CODEC(DoubleDelta, ZSTD(1)),
  `block_number` UInt64 COMMENT 'Number of the block' CODEC(DoubleDelta, ZSTD(1)),
  `transaction_hash` FixedString(66) COMMENT 'Hash of the transaction, lower-case hex with 0x' CODEC(ZSTD(1)),
  `transaction_index` UInt64 COMMENT 'Position of the transaction in the block, from 0' CODEC(DoubleDelta, ZSTD(1)),
  `call_frame_id` UInt32 COMMENT 'Call frame; the root is 0' CODEC(DoubleDelta, ZSTD(1)),
  `parent_call_frame_id` Nullable(UInt32) COMMENT 'Frame that opened it; null for the root' CODEC(ZSTD(1)),
  `call_frame_path` Array(UInt32) COMMENT 'Frame ids from the root to this frame' CODEC(ZSTD(1)),
  `depth` UInt32 COMMENT 'Length of the path less 1: the root is 0' CODEC(ZSTD(1)),
  `target_address` Nullable(String) COMMENT 'Callee; created address, zero address of a failed create; null when unknown' CODEC(ZSTD(1)),
  `call_type` LowCardinality(String) COMMENT 'Opcode that opened the frame, empty for the root',
  `operation` LowCardinality(String) COMMENT 'Mnemonic of the opcode, empty in the summary row',
  `opcode_count` UInt64 COMMENT 'Executed opcodes' CODEC(ZSTD(1)),
  `error_count` UInt64 COMMENT 'Opcodes that failed' CODEC(ZSTD(1)),
  `gas` UInt64 COMMENT 'Gas without child frames: sum of gas_self, less what a precompile used' CODEC(ZSTD(1)),
  `gas_cumulative` UInt64 COMMENT 'Gas with child frames: sum of gas_used' CODEC(ZSTD(1)),
  `min_depth` UInt32 COMMENT 'Summary: depth; opcode row: smallest depth of its structlogs, the root being 1' CODEC(ZSTD(1)),
  `max_depth` UInt32 COMMENT 'Summary: depth; opcode row: largest depth of its structlogs, the root being 1' CODEC(ZSTD(1)),
  `memory_words_sum_before` UInt64 DEFAULT 0 COMMENT 'Sum of memory words before each opcode' CODEC(ZSTD(1)),
  `memory_words_sum_after` UInt64 DEFAULT 0 COMMENT 'Sum of memory words after each opcode' CODEC(ZSTD(1)),
  `memory_words_sq_sum_before` UInt64 DEFAULT 0 COMMENT 'Sum of their squares, before' CODEC(ZSTD(1)),
  `memory_words_sq_sum_after` UInt64 DEFAULT 0 COMMENT 'Sum of their squares, after' CODEC(ZSTD(1)),
  `memory_expansion_gas` UInt64 DEFAULT 0 COMMENT 'Gas for memory expansion' CODEC(ZSTD(1)),
  `cold_access_count` UInt64 DEFAULT 0 COMMENT 'Cold accesses to accounts and slots' CODEC(ZSTD(1)),
  `gas_refund` Nullable(UInt64) COMMENT 'Root summary: uncapped refund counter, null when unknown; others 0' CODEC(ZSTD(1)),
  `intrinsic_gas` Nullable(UInt64) COMMENT 'Root summary: intrinsic gas, not the floor; others null' CODEC(ZSTD(1)),
  `meta_network_name` LowCardinality(String) COMMENT 'Name of the network in the configuration',
  `block_hash` FixedString(66) COMMENT 'Hash of the block: receipt.blockHash' CODEC(ZSTD(1)),
  `row_version` UInt64 COMMENT 'Delivery token of the attempt that wrote the row; the largest wins' CODEC(ZSTD(1))
) ENGINE = ReplacingMergeTree(row_version)
PARTITION BY (meta_network_name, intDiv(block_number, 201600))
ORDER BY (`meta_network_name`, `block_number`, `transaction_hash`, `call_frame_id`, `operation`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, max_suspicious_broken_parts = 1000
COMMENT 'A summary row per call frame and a row per opcode of a frame';

CREATE TABLE IF NOT EXISTS execution_transaction (
  `updated_date_time` DateTime COMMENT 'When the row was encoded; row_version decides which row wins' CODEC(DoubleDelta, ZSTD(1)),
  `block_number` UInt64 COMMENT 'Number of the block' CODEC(DoubleDelta, ZSTD(1)),
  `block_hash` FixedString(66) COMMENT 'Hash of the block' CODEC(ZSTD(1)),
  `parent_hash` FixedString(66) COMMENT 'Hash of the block\'s parent' CODEC(ZSTD(1)),
  `position` UInt32 COMMENT 'Position in the block, from 0' CODEC(DoubleDelta, ZSTD(1)),
  `hash` FixedString(66) COMMENT 'Hash of the transaction' CODEC(ZSTD(1)),
  `from` FixedString(42) COMMENT 'Sender, as the node answers' CODEC(ZSTD(1)),
  `to` Nullable(FixedString(42)) COMMENT 'Recipient; null: contract creation' CODEC(ZSTD(1)),
  `nonce` UInt64 COMMENT 'Nonce of the sender' CODEC(ZSTD(1)),
  `gas_price` UInt128 COMMENT 'Wei: receipt.effectiveGasPrice, else gasPrice, else min(fee cap, base fee + tip cap)' CODEC(ZSTD(1)),
  `gas` UInt64 COMMENT 'Gas limit, not gas used' CODEC(ZSTD(1)),
  `gas_tip_cap` Nullable(UInt128) COMMENT 'Wei, types 2, 3 and 4' CODEC(ZSTD(1)),
  `gas_fee_cap` Nullable(UInt128) COMMENT 'Wei, types 2, 3 and 4' CODEC(ZSTD(1)),
  `value` UInt128 COMMENT 'Wei' CODEC(ZSTD(1)),
  `type` UInt8 COMMENT 'Transaction type of EIP-2718, 0 for legacy' CODEC(ZSTD(1)),
  `size` UInt32 COMMENT 'Bytes of the EIP-2718 encoding without blob sidecar' CODEC(ZSTD(1)),
  `call_data_size` UInt32 COMMENT 'Bytes of the input' CODEC(ZSTD(1)),
  `blob_gas` Nullable(UInt64) COMMENT 'Type 3: 131072 per blob hash' CODEC(ZSTD(1)),
  `blob_gas_fee_cap` Nullable(UInt128) COMMENT 'Wei, type 3' CODEC(ZSTD(1)),
  `blob_hashes` Array(String) COMMENT 'Versioned hashes of the blobs' CODEC(ZSTD(1)),
  `success` Bool COMMENT 'Receipt status 1; before Byzantium: gas used < gas limit' CODEC(ZSTD(1)),
  `n_input_bytes` UInt32 COMMENT 'Bytes of the input' CODEC(ZSTD(1)),
  `n_input_zero_bytes` UInt32 COMMENT 'Zero bytes of the input' CODEC(ZSTD(1)),
  `n_input_nonzero_bytes` UInt32 COMMENT 'Other bytes of the input' CODEC(ZSTD(1)),
  `meta_network_name` LowCardinality(String) COMMENT 'Name of the network in the configuration',
  `gas_used` UInt64 DEFAULT 0 COMMENT 'receipt.gasUsed' CODEC(ZSTD(1)),
  `row_version` UInt64 COMMENT 'Delivery token of the attempt that wrote the row; the largest wins' CODEC(ZSTD(1))
) ENGINE = ReplacingMergeTree(row_version)
PARTITION BY (meta_network_name, intDiv(block_number, 5000000))
ORDER BY (`meta_network_name`, `block_number`, `block_hash`, `position`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'One row per transaction; 128-bit amounts are wei';

CREATE TABLE IF NOT EXISTS execution_transaction_trace (
  `updated_date_time` DateTime64(3, 'UTC') COMMENT 'When the record was written',
  `meta_network_name` LowCardinality(String) COMMENT 'Name of the network in the configuration',
  `block_number` UInt64 COMMENT 'Number of the block',
  `block_hash` FixedString(66) COMMENT 'Hash of the block',
  `transaction_hash` FixedString(66) COMMENT 'Hash of the transaction',
  `transaction_index` UInt32 COMMENT 'Position of the transaction in the block, from 0',
  `row_version` UInt64 COMMENT 'Delivery token of the attempt: the version of its rows',
  `published` UInt8 COMMENT '1: its rows are to be read',
  `structlogs` UInt64 COMMENT 'Structlogs of the trace, made-up rows left out',
  `structlog_rows` UInt64 COMMENT 'Rows stored; 0 where the table is not filled',
  `agg_rows` UInt32 COMMENT 'Aggregate rows stored; 0 where the table is not filled',
  `structlog_checksum` UInt64 COMMENT 'Sum over the stored rows, modulo 2^64, of a hash of their cells',
  `agg_checksum` UInt64 COMMENT 'The same of the aggregate rows',
  `tables` Array(LowCardinality(String)) COMMENT 'Tables that the attempt filled',
  `verdict` LowCardinality(String) COMMENT 'open | proved | bounded | unproved | violated',
  `identity` LowCardinality(String) COMMENT 'The violated identity, empty otherwise',
  `detail` String COMMENT 'What was found, or what was missing',
  `violations` Array(String) COMMENT 'Every violated identity with its detail',
  `access_mismatch` Map(LowCardinality(String), UInt32) COMMENT 'Accesses whose gas and tracked sets disagree, by kind',
  `outcome` LowCardinality(String) COMMENT 'How the root frame ended',
  `return_value` Nullable(String) COMMENT 'Hex without 0x; null when empty',
  `intrinsic_gas` UInt64 COMMENT 'Gas before the first opcode',
  `floor_gas` UInt64 COMMENT 'Floor of EIP-7623, 0 before Prague',
  `root_gas` UInt64 COMMENT 'gas_cumulative of frame 0',
  `code_deposit_gas` UInt64 COMMENT '200 per byte of created code',
  `refund_counter` Nullable(UInt64) COMMENT 'Uncapped, with what authorisations add; null when unknown',
  `refund_source` LowCardinality(String) COMMENT 'node | operands | interval',
  `refund_applied` UInt64 COMMENT 'Gas given back',
  `gas_used` UInt64 COMMENT 'receipt.gasUsed',
  `frames` UInt32 COMMENT 'Call frames',
  `execution_gas_used` Nullable(UInt64) COMMENT 'EIP-8037, where the node prints it',
  `state_gas_used` Nullable(UInt64) COMMENT 'EIP-8037, where the node prints it',
  `final_refund` Nullable(Int64) COMMENT 'EIP-8037, where the node prints it',
  `fork` LowCardinality(String) COMMENT 'Rules that applied',
  `client` LowCardinality(String) COMMENT 'web3_clientVersion of the node',
  `node` LowCardinality(String) COMMENT 'Name of the node in the configuration',
  `bytes` UInt64 COMMENT 'Bytes of the transaction\'s result in the reply',
  `trace_ms` UInt32 COMMENT 'Milliseconds from the request to the last byte',
  `notes` Array(String) COMMENT 'What was worked around'
) ENGINE = ReplacingMergeTree(row_version)
PARTITION BY (meta_network_name, intDiv(block_number, 201600))
ORDER BY (`meta_network_name`, `block_number`, `transaction_hash`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'The record of one processed trace: what makes a transaction count as stored';

CREATE TABLE IF NOT EXISTS execution_block (
  `updated_date_time` DateTime64(3, 'UTC') COMMENT 'When the entry was written; version decides which one wins',
  `meta_network_name` LowCardinality(String) COMMENT 'Name of the network in the configuration',
  `processor` LowCardinality(String) COMMENT 'What is done with the block',
  `block_number` UInt64 COMMENT 'Number of the block',
  `block_hash` FixedString(66) COMMENT 'Hash of the block',
  `parent_hash` FixedString(66) COMMENT 'Hash of its parent',
  `state` LowCardinality(String) COMMENT 'accepted | complete | stuck | orphaned',
  `complete` UInt8 COMMENT '1 when state = \'complete\'',
  `direction` LowCardinality(String) COMMENT 'forwards | backwards',
  `task_count` UInt32 COMMENT 'Tasks that the block was split into',
  `transactions` UInt32 COMMENT 'Transactions of the block',
  `expected_rows` UInt64 COMMENT 'Rows that the records name',
  `stored_rows` UInt64 COMMENT 'Rows found',
  `attempts` UInt32 COMMENT 'Deliveries of its tasks',
  `dead` UInt32 COMMENT 'Transactions dead-lettered',
  `violated` UInt32 COMMENT 'Transactions whose trace was refused',
  `verified_at` Nullable(DateTime64(3, 'UTC')) COMMENT 'When its stored rows were last checked',
  `accepted_at` DateTime64(3, 'UTC') COMMENT 'When it was taken up',
  `completed_at` Nullable(DateTime64(3, 'UTC')) COMMENT 'When its last transaction became durable',
  `version` UInt64 COMMENT 'max(last + 1, milliseconds)'
) ENGINE = ReplacingMergeTree(version)
PARTITION BY meta_network_name
ORDER BY (`meta_network_name`, `processor`, `block_number`, `block_hash`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'The ledger: block, hash, processor, state, expected and stored counts';

CREATE TABLE IF NOT EXISTS schema_version (
  `version` UInt32 COMMENT 'Number of the migration',
  `name` String COMMENT 'Its name',
  `checksum` String COMMENT 'SHA-256 of the migration\'s text',
  `applied_at` DateTime64(3, 'UTC') COMMENT 'When',
  `applied_by` String COMMENT 'Version of this program'
) ENGINE = ReplacingMergeTree(applied_at)
ORDER BY `version`
COMMENT 'Applied migrations';

CREATE TABLE IF NOT EXISTS execution_transaction_audit (
  `audited_at` DateTime64(3, 'UTC') COMMENT 'When',
  `meta_network_name` LowCardinality(String) COMMENT 'Name of the network in the configuration',
  `block_number` UInt64 COMMENT 'Number of the block',
  `block_hash` FixedString(66) COMMENT 'Hash of the block',
  `transaction_hash` FixedString(66) COMMENT 'Hash of the transaction',
  `row_version` UInt64 COMMENT 'Version of the stored rows',
  `client` LowCardinality(String) COMMENT 'web3_clientVersion of the other node',
  `node` LowCardinality(String) COMMENT 'Name of the other node in the configuration',
  `differences` UInt64 COMMENT 'Cells that differ; 0: agrees',
  `columns` Array(LowCardinality(String)) COMMENT 'Columns that differ',
  `example` String COMMENT 'First difference: index, column, stored, other'
) ENGINE = ReplacingMergeTree(audited_at)
PARTITION BY (meta_network_name, intDiv(block_number, 201600))
ORDER BY (`meta_network_name`, `block_number`, `transaction_hash`, `node`)
COMMENT 'What the audit found: one row per transaction and node';
