-- Rows still visible that attempts older than these left. keys: 'block number:transaction hash', versions beside them.
SELECT count() AS surplus
FROM :target FINAL
WHERE meta_network_name = {network:String}
  AND block_number IN {blocks:Array(UInt64)}
  AND row_version < transform(
    concat(toString(block_number), ':', transaction_hash), {keys:Array(String)}, {versions:Array(UInt64)}, toUInt64(0))
