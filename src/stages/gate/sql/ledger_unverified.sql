-- Finished blocks of a part of the ledger, from a number on, whose rows nobody has read back. Only numbers that have
-- such a row in some version are read with FINAL.
SELECT * FROM execution_block FINAL
WHERE meta_network_name = {network:String}
  AND direction IN {directions:Array(String)} AND processor IN {processors:Array(String)}
  AND state IN ('complete', 'stuck') AND transactions > 0 AND verified_at IS NULL
  AND completed_at < fromUnixTimestamp64Milli({before:Int64}, 'UTC')
  AND block_number GLOBAL IN (
    SELECT block_number FROM execution_block
    WHERE meta_network_name = {network:String} AND block_number >= {from:UInt64}
      AND state IN ('complete', 'stuck') AND transactions > 0 AND verified_at IS NULL
  )
ORDER BY block_number
LIMIT {max:UInt32}
