-- Every row of a range of numbers, orphaned ones included.
SELECT * FROM execution_block FINAL
WHERE meta_network_name = {network:String} AND block_number BETWEEN {from:UInt64} AND {to:UInt64}
ORDER BY block_number, block_hash, processor
