-- Lowest and highest block that is not orphaned, from a number on; count 0: there is none.
SELECT min(block_number) AS lowest, max(block_number) AS highest, count() AS blocks
FROM execution_block FINAL
WHERE meta_network_name = {network:String} AND state != 'orphaned' AND block_number >= {from:UInt64}
