-- Columns that tables lack which were there before this program.
-- Made by tools/write_migrations.ts from the definitions in src/stages/encode.

ALTER TABLE canonical_execution_transaction_structlog ADD COLUMN IF NOT EXISTS `program_counter` UInt32 DEFAULT 0 COMMENT 'Offset of the opcode in the code, in bytes' CODEC(Delta(4), ZSTD(1));

ALTER TABLE canonical_execution_transaction_structlog ADD COLUMN IF NOT EXISTS `block_hash` FixedString(66) COMMENT 'Hash of the block: receipt.blockHash' CODEC(ZSTD(1));

ALTER TABLE canonical_execution_transaction_structlog ADD COLUMN IF NOT EXISTS `row_version` UInt64 COMMENT 'Delivery token of the attempt that wrote the row; the largest wins' CODEC(ZSTD(1));

ALTER TABLE canonical_execution_transaction_structlog_agg ADD COLUMN IF NOT EXISTS `block_hash` FixedString(66) COMMENT 'Hash of the block: receipt.blockHash' CODEC(ZSTD(1));

ALTER TABLE canonical_execution_transaction_structlog_agg ADD COLUMN IF NOT EXISTS `row_version` UInt64 COMMENT 'Delivery token of the attempt that wrote the row; the largest wins' CODEC(ZSTD(1));

ALTER TABLE execution_transaction ADD COLUMN IF NOT EXISTS `gas_used` UInt64 DEFAULT 0 COMMENT 'receipt.gasUsed' CODEC(ZSTD(1));

ALTER TABLE execution_transaction ADD COLUMN IF NOT EXISTS `row_version` UInt64 COMMENT 'Delivery token of the attempt that wrote the row; the largest wins' CODEC(ZSTD(1));
