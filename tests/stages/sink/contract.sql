-- The contract of the tables: what their users rely on. The migrations are made from the definitions in src/stages/encode,
-- and a test compares what they make with what this makes.
CREATE TABLE canonical_execution_transaction_structlog (
  updated_date_time        DateTime               CODEC(DoubleDelta, ZSTD(1)),
  block_number             UInt64                 CODEC(DoubleDelta, ZSTD(1)),
  transaction_hash         FixedString(66)        CODEC(ZSTD(1)),
  transaction_index        UInt64                 CODEC(DoubleDelta, ZSTD(1)),
  transaction_gas          UInt64                 CODEC(DoubleDelta, ZSTD(1)),
  transaction_failed       Bool                   CODEC(ZSTD(1)),
  transaction_return_value Nullable(String)       CODEC(ZSTD(1)),
  `index`                  UInt32                 CODEC(DoubleDelta, ZSTD(1)),
  operation                LowCardinality(String),
  gas                      UInt64                 CODEC(Delta(8), ZSTD(1)),
  gas_cost                 UInt64                 CODEC(DoubleDelta, ZSTD(1)),
  gas_used                 UInt64 DEFAULT 0       CODEC(ZSTD(1)),
  gas_self                 UInt64 DEFAULT 0       CODEC(ZSTD(1)),
  depth                    UInt64                 CODEC(DoubleDelta, ZSTD(1)),
  return_data              Nullable(String)       CODEC(ZSTD(1)),
  refund                   Nullable(UInt64)       CODEC(ZSTD(1)),
  error                    Nullable(String)       CODEC(ZSTD(1)),
  call_to_address          Nullable(String)       CODEC(ZSTD(1)),
  call_frame_id            UInt32 DEFAULT 0       CODEC(DoubleDelta, ZSTD(1)),
  call_frame_path          Array(UInt32) DEFAULT [0] CODEC(ZSTD(1)),
  meta_network_name        LowCardinality(String),
  -- added
  program_counter          UInt32 DEFAULT 0       CODEC(Delta(4), ZSTD(1)),
  block_hash               FixedString(66)        CODEC(ZSTD(1)),
  row_version              UInt64                 CODEC(ZSTD(1))
) ENGINE = ReplacingMergeTree(row_version)
PARTITION BY (meta_network_name, intDiv(block_number, 201600))
ORDER BY (meta_network_name, block_number, transaction_hash, `index`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, max_suspicious_broken_parts = 1000;

CREATE TABLE canonical_execution_transaction_structlog_agg (
  updated_date_time          DateTime             CODEC(DoubleDelta, ZSTD(1)),
  block_number               UInt64               CODEC(DoubleDelta, ZSTD(1)),
  transaction_hash           FixedString(66)      CODEC(ZSTD(1)),
  transaction_index          UInt64               CODEC(DoubleDelta, ZSTD(1)),
  call_frame_id              UInt32               CODEC(DoubleDelta, ZSTD(1)),
  parent_call_frame_id       Nullable(UInt32)     CODEC(ZSTD(1)),
  call_frame_path            Array(UInt32)        CODEC(ZSTD(1)),
  depth                      UInt32               CODEC(ZSTD(1)),
  target_address             Nullable(String)     CODEC(ZSTD(1)),
  call_type                  LowCardinality(String),
  operation                  LowCardinality(String),
  opcode_count               UInt64               CODEC(ZSTD(1)),
  error_count                UInt64               CODEC(ZSTD(1)),
  gas                        UInt64               CODEC(ZSTD(1)),
  gas_cumulative             UInt64               CODEC(ZSTD(1)),
  min_depth                  UInt32               CODEC(ZSTD(1)),
  max_depth                  UInt32               CODEC(ZSTD(1)),
  memory_words_sum_before    UInt64 DEFAULT 0     CODEC(ZSTD(1)),
  memory_words_sum_after     UInt64 DEFAULT 0     CODEC(ZSTD(1)),
  memory_words_sq_sum_before UInt64 DEFAULT 0     CODEC(ZSTD(1)),
  memory_words_sq_sum_after  UInt64 DEFAULT 0     CODEC(ZSTD(1)),
  memory_expansion_gas       UInt64 DEFAULT 0     CODEC(ZSTD(1)),
  cold_access_count          UInt64 DEFAULT 0     CODEC(ZSTD(1)),
  gas_refund                 Nullable(UInt64)     CODEC(ZSTD(1)),
  intrinsic_gas              Nullable(UInt64)     CODEC(ZSTD(1)),
  meta_network_name          LowCardinality(String),
  -- added
  block_hash                 FixedString(66)      CODEC(ZSTD(1)),
  row_version                UInt64               CODEC(ZSTD(1))
) ENGINE = ReplacingMergeTree(row_version)
PARTITION BY (meta_network_name, intDiv(block_number, 201600))
ORDER BY (meta_network_name, block_number, transaction_hash, call_frame_id, operation)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, max_suspicious_broken_parts = 1000;
CREATE TABLE execution_transaction (
  updated_date_time     DateTime                  CODEC(DoubleDelta, ZSTD(1)),
  block_number          UInt64                    CODEC(DoubleDelta, ZSTD(1)),
  block_hash            FixedString(66)           CODEC(ZSTD(1)),
  parent_hash           FixedString(66)           CODEC(ZSTD(1)),
  position              UInt32                    CODEC(DoubleDelta, ZSTD(1)),
  hash                  FixedString(66)           CODEC(ZSTD(1)),
  `from`                FixedString(42)           CODEC(ZSTD(1)),
  `to`                  Nullable(FixedString(42)) CODEC(ZSTD(1)),
  nonce                 UInt64                    CODEC(ZSTD(1)),
  gas_price             UInt128                   CODEC(ZSTD(1)),
  gas                   UInt64                    CODEC(ZSTD(1)),
  gas_tip_cap           Nullable(UInt128)         CODEC(ZSTD(1)),
  gas_fee_cap           Nullable(UInt128)         CODEC(ZSTD(1)),
  value                 UInt128                   CODEC(ZSTD(1)),
  type                  UInt8                     CODEC(ZSTD(1)),
  size                  UInt32                    CODEC(ZSTD(1)),
  call_data_size        UInt32                    CODEC(ZSTD(1)),
  blob_gas              Nullable(UInt64)          CODEC(ZSTD(1)),
  blob_gas_fee_cap      Nullable(UInt128)         CODEC(ZSTD(1)),
  blob_hashes           Array(String)             CODEC(ZSTD(1)),
  success               Bool                      CODEC(ZSTD(1)),
  n_input_bytes         UInt32                    CODEC(ZSTD(1)),
  n_input_zero_bytes    UInt32                    CODEC(ZSTD(1)),
  n_input_nonzero_bytes UInt32                    CODEC(ZSTD(1)),
  meta_network_name     LowCardinality(String),
  -- added
  gas_used              UInt64 DEFAULT 0          CODEC(ZSTD(1)),
  row_version           UInt64                    CODEC(ZSTD(1))
) ENGINE = ReplacingMergeTree(row_version)
PARTITION BY (meta_network_name, intDiv(block_number, 5000000))
ORDER BY (meta_network_name, block_number, block_hash, position)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;
CREATE TABLE execution_transaction_trace (
  updated_date_time   DateTime64(3, 'UTC'),
  meta_network_name   LowCardinality(String),
  block_number        UInt64,
  block_hash          FixedString(66),
  transaction_hash    FixedString(66),
  transaction_index   UInt32,
  row_version         UInt64,
  published           UInt8,
  structlogs          UInt64,
  structlog_rows      UInt64,
  agg_rows            UInt32,
  structlog_checksum  UInt64,
  agg_checksum        UInt64,
  tables              Array(LowCardinality(String)),
  verdict             LowCardinality(String),
  identity            LowCardinality(String),
  detail              String,
  violations          Array(String),
  access_mismatch     Map(LowCardinality(String), UInt32),
  outcome             LowCardinality(String),
  return_value        Nullable(String),
  intrinsic_gas       UInt64,
  floor_gas           UInt64,
  root_gas            UInt64,
  code_deposit_gas    UInt64,
  refund_counter      Nullable(UInt64),
  refund_source       LowCardinality(String),
  refund_applied      UInt64,
  gas_used            UInt64,
  frames              UInt32,
  execution_gas_used  Nullable(UInt64),
  state_gas_used      Nullable(UInt64),
  final_refund        Nullable(Int64),
  fork                LowCardinality(String),
  client              LowCardinality(String),
  node                LowCardinality(String),
  bytes               UInt64,
  trace_ms            UInt32,
  notes               Array(String)
) ENGINE = ReplacingMergeTree(row_version)
PARTITION BY (meta_network_name, intDiv(block_number, 201600))
ORDER BY (meta_network_name, block_number, transaction_hash)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;
CREATE TABLE execution_block (
  updated_date_time  DateTime64(3, 'UTC'),
  meta_network_name  LowCardinality(String),
  processor          LowCardinality(String),
  block_number       UInt64,
  block_hash         FixedString(66),
  parent_hash        FixedString(66),
  state              LowCardinality(String),
  complete           UInt8,
  direction          LowCardinality(String),
  task_count         UInt32,
  transactions       UInt32,
  expected_rows      UInt64,
  stored_rows        UInt64,
  attempts           UInt32,
  dead               UInt32,
  violated           UInt32,
  verified_at        Nullable(DateTime64(3, 'UTC')),
  accepted_at        DateTime64(3, 'UTC'),
  completed_at       Nullable(DateTime64(3, 'UTC')),
  version            UInt64
) ENGINE = ReplacingMergeTree(version)
PARTITION BY meta_network_name
ORDER BY (meta_network_name, processor, block_number, block_hash)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE schema_version (
  version    UInt32,
  name       String,
  checksum   String,
  applied_at DateTime64(3, 'UTC'),
  applied_by String
) ENGINE = ReplacingMergeTree(applied_at)
ORDER BY version;
CREATE TABLE execution_transaction_audit (
  audited_at        DateTime64(3, 'UTC'),
  meta_network_name LowCardinality(String),
  block_number      UInt64,
  block_hash        FixedString(66),
  transaction_hash  FixedString(66),
  row_version       UInt64,
  client            LowCardinality(String),
  node              LowCardinality(String),
  differences       UInt64,
  columns           Array(LowCardinality(String)),
  example           String
) ENGINE = ReplacingMergeTree(audited_at)
PARTITION BY (meta_network_name, intDiv(block_number, 201600))
ORDER BY (meta_network_name, block_number, transaction_hash, node);
CREATE VIEW canonical_execution_transaction_structlog_published AS
SELECT s.* FROM canonical_execution_transaction_structlog AS s FINAL
WHERE meta_network_name = {network:String} AND block_number BETWEEN {from_block:UInt64} AND {to_block:UInt64}
  AND (block_number, transaction_hash, row_version) IN (
    SELECT block_number, transaction_hash, row_version
    FROM execution_transaction_trace FINAL
    WHERE meta_network_name = {network:String} AND block_number BETWEEN {from_block:UInt64} AND {to_block:UInt64}
      AND published = 1
  );
