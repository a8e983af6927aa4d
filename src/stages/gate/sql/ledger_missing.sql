-- Numbers of a range without a block that is not orphaned.
SELECT number AS block_number
FROM numbers({from:UInt64}, {count:UInt64})
WHERE number NOT IN (
  SELECT block_number FROM execution_block FINAL
  WHERE meta_network_name = {network:String} AND processor = {processor:String} AND state != 'orphaned'
    AND block_number BETWEEN {from:UInt64} AND {to:UInt64}
)
ORDER BY block_number
LIMIT {max:UInt32}
