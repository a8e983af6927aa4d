-- Accepted blocks of a part of the ledger beyond a number: what reconciliation enqueues again.
SELECT * FROM execution_block FINAL
WHERE meta_network_name = {network:String} AND state = 'accepted'
  AND direction IN {directions:Array(String)} AND processor IN {processors:Array(String)}
  AND block_number > {after:Int64} AND block_number <= {upTo:Int64}
ORDER BY block_number
LIMIT {max:UInt32}
