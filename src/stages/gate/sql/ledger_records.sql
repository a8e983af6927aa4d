-- What the records of these blocks' transactions say was stored.
SELECT block_number, block_hash, count() AS transactions, sum(structlog_rows) AS structlogs, sum(agg_rows) AS aggregates,
  countIf(verdict = 'violated') AS violated_transactions
FROM execution_transaction_trace FINAL
WHERE meta_network_name = {network:String} AND block_number IN {numbers:Array(UInt64)} AND block_hash IN {hashes:Array(String)}
  AND verdict != 'open'
GROUP BY block_number, block_hash
