-- The record of every transaction of a number; 64-bit values as texts.
SELECT transaction_hash, transaction_index, block_hash, toString(row_version) AS version, published, verdict,
  toString(structlog_rows) AS structlog_rows, toString(agg_rows) AS agg_rows, toString(structlogs) AS structlogs,
  toString(structlog_checksum) AS structlog_checksum, toString(agg_checksum) AS agg_checksum, tables, node, client
FROM execution_transaction_trace FINAL
WHERE meta_network_name = {network:String} AND block_number = {number:UInt64}
ORDER BY transaction_index
