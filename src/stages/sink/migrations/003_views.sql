-- What is published, and what of it is proved. To be called with network, from_block and to_block.
-- Made by tools/write_migrations.ts from the definitions in src/stages/encode.

CREATE VIEW IF NOT EXISTS canonical_execution_transaction_structlog_published AS
SELECT s.* FROM canonical_execution_transaction_structlog AS s FINAL
WHERE meta_network_name = {network:String} AND block_number BETWEEN {from_block:UInt64} AND {to_block:UInt64}
  AND (block_number, transaction_hash, row_version) IN (
    SELECT block_number, transaction_hash, row_version
    FROM execution_transaction_trace FINAL
    WHERE meta_network_name = {network:String} AND block_number BETWEEN {from_block:UInt64} AND {to_block:UInt64}
      AND published = 1
  );

CREATE VIEW IF NOT EXISTS canonical_execution_transaction_structlog_proved AS
SELECT s.* FROM canonical_execution_transaction_structlog AS s FINAL
WHERE meta_network_name = {network:String} AND block_number BETWEEN {from_block:UInt64} AND {to_block:UInt64}
  AND (block_number, transaction_hash, row_version) IN (
    SELECT block_number, transaction_hash, row_version
    FROM execution_transaction_trace FINAL
    WHERE meta_network_name = {network:String} AND block_number BETWEEN {from_block:UInt64} AND {to_block:UInt64}
      AND published = 1 AND verdict IN ('proved', 'bounded')
  );

CREATE VIEW IF NOT EXISTS canonical_execution_transaction_structlog_agg_published AS
SELECT s.* FROM canonical_execution_transaction_structlog_agg AS s FINAL
WHERE meta_network_name = {network:String} AND block_number BETWEEN {from_block:UInt64} AND {to_block:UInt64}
  AND (block_number, transaction_hash, row_version) IN (
    SELECT block_number, transaction_hash, row_version
    FROM execution_transaction_trace FINAL
    WHERE meta_network_name = {network:String} AND block_number BETWEEN {from_block:UInt64} AND {to_block:UInt64}
      AND published = 1
  );

CREATE VIEW IF NOT EXISTS canonical_execution_transaction_structlog_agg_proved AS
SELECT s.* FROM canonical_execution_transaction_structlog_agg AS s FINAL
WHERE meta_network_name = {network:String} AND block_number BETWEEN {from_block:UInt64} AND {to_block:UInt64}
  AND (block_number, transaction_hash, row_version) IN (
    SELECT block_number, transaction_hash, row_version
    FROM execution_transaction_trace FINAL
    WHERE meta_network_name = {network:String} AND block_number BETWEEN {from_block:UInt64} AND {to_block:UInt64}
      AND published = 1 AND verdict IN ('proved', 'bounded')
  );
