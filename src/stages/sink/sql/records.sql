-- The newest record of each transaction that has one. keys: 'block number:transaction hash'.
SELECT block_number, transaction_hash, row_version, verdict, published
FROM execution_transaction_trace FINAL
WHERE meta_network_name = {network:String}
  AND block_number IN {blocks:Array(UInt64)}
  AND concat(toString(block_number), ':', transaction_hash) IN {keys:Array(String)}
