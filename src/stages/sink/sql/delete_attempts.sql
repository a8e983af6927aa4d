-- Removes exactly these attempts. keys: 'block number:transaction hash:row version'.
DELETE FROM :target
WHERE meta_network_name = {network:String}
  AND block_number IN {blocks:Array(UInt64)}
  AND concat(toString(block_number), ':', transaction_hash, ':', toString(row_version)) IN {keys:Array(String)}
