-- Runs of consecutive numbers in one condition; what lies between two runs is missing. A number with two blocks that
-- are not orphaned is forked.
SELECT min(number) AS first, max(number) AS last, any(block_condition) AS condition, sum(block_transactions) AS transactions,
  sum(expected) AS expected_rows, sum(stored) AS stored_rows, sum(block_dead) AS dead, sum(block_violated) AS violated
FROM (
  SELECT *, number - row_number() OVER (PARTITION BY block_condition ORDER BY number) AS island
  FROM (
    SELECT block_number AS number,
      multiIf(uniqExact(block_hash) > 1, 'forked', any(state) = 'stuck', 'stuck', any(state) = 'accepted', 'open',
        sum(execution_block.violated) > 0, 'violated', count(verified_at) = 0, 'unverified', 'complete') AS block_condition,
      sum(execution_block.transactions) AS block_transactions, sum(execution_block.expected_rows) AS expected,
      sum(execution_block.stored_rows) AS stored, sum(execution_block.dead) AS block_dead,
      sum(execution_block.violated) AS block_violated
    FROM execution_block FINAL
    WHERE meta_network_name = {network:String} AND processor = {processor:String} AND state != 'orphaned'
      AND block_number BETWEEN {from:UInt64} AND {to:UInt64}
    GROUP BY block_number
  )
)
GROUP BY block_condition, island
ORDER BY first
