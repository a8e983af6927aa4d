-- Runs of consecutive numbers in one state (islands); what lies between two runs is missing.
SELECT min(block_number) AS first, max(block_number) AS last, state
FROM (
  SELECT block_number, state, block_number - row_number() OVER (PARTITION BY state ORDER BY block_number) AS island
  FROM execution_block FINAL
  WHERE meta_network_name = {network:String} AND processor = {processor:String} AND state != 'orphaned'
    AND block_number BETWEEN {from:UInt64} AND {to:UInt64}
)
GROUP BY state, island
ORDER BY first
