-- The record of one transaction; 64-bit values as texts.
SELECT block_hash, transaction_index, toString(row_version) AS row_version, published, verdict, identity, detail, outcome,
  tables, toString(structlogs) AS structlogs, toString(structlog_rows) AS structlog_rows, agg_rows,
  toString(gas_used) AS gas_used, fork, client, node, toString(bytes) AS bytes, trace_ms
FROM execution_transaction_trace FINAL
WHERE meta_network_name = {network:String} AND block_number = {number:UInt64} AND transaction_hash = {hash:String}
