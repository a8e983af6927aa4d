-- Lowest and highest block that is not orphaned, from a number on; count 0: there is none. Only numbers that have an
-- orphaned row somewhere are read with FINAL: of all others every row counts, old versions too.
SELECT min(block_number) AS lowest, max(block_number) AS highest, count() AS blocks
FROM (
  SELECT block_number FROM execution_block
  WHERE meta_network_name = {network:String} AND block_number >= {from:UInt64}
    AND block_number GLOBAL NOT IN (
      SELECT block_number FROM execution_block WHERE meta_network_name = {network:String} AND state = 'orphaned'
    )
  UNION ALL
  SELECT block_number FROM execution_block FINAL
  WHERE meta_network_name = {network:String} AND block_number >= {from:UInt64} AND state != 'orphaned'
    AND block_number GLOBAL IN (
      SELECT block_number FROM execution_block WHERE meta_network_name = {network:String} AND state = 'orphaned'
    )
)
