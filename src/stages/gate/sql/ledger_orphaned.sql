-- Blocks that left the chain, from a number on.
SELECT * FROM execution_block FINAL
WHERE meta_network_name = {network:String} AND state = 'orphaned' AND block_number >= {from:UInt64}
ORDER BY block_number, block_hash, processor
