-- Which of these blocks the ledger knows as orphaned. keys: 'block number:block hash'.
SELECT DISTINCT concat(toString(block_number), ':', block_hash) AS block
FROM execution_block FINAL
WHERE meta_network_name = {network:String}
  AND block_number IN {blocks:Array(UInt64)}
  AND concat(toString(block_number), ':', block_hash) IN {keys:Array(String)}
  AND state = 'orphaned'
