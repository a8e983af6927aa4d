-- Accepted blocks of a part of the ledger beyond a number: what reconciliation enqueues again. Only numbers that have
-- such a row in some version are read with FINAL.
SELECT * FROM execution_block FINAL
WHERE meta_network_name = {network:String} AND state = 'accepted'
  AND direction IN {directions:Array(String)} AND processor IN {processors:Array(String)}
  AND block_number GLOBAL IN (
    SELECT block_number FROM execution_block
    WHERE meta_network_name = {network:String} AND state = 'accepted'
      AND direction IN {directions:Array(String)} AND processor IN {processors:Array(String)}
      AND block_number > {after:Int64} AND block_number <= {upTo:Int64}
  )
ORDER BY block_number
LIMIT {max:UInt32}
