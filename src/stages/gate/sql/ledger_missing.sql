-- Gaps between the numbers of a processor's blocks that are not orphaned, both ends included; {to} + 1 closes the last one.
SELECT previous + 1 AS first, number - 1 AS last
FROM (
  SELECT number,
    lagInFrame(number, 1, toInt64({from:UInt64}) - 1) OVER (ORDER BY number ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS previous
  FROM (
    SELECT toInt64(block_number) AS number FROM execution_block FINAL
    WHERE meta_network_name = {network:String} AND processor = {processor:String} AND state != 'orphaned'
      AND block_number BETWEEN {from:UInt64} AND {to:UInt64}
    UNION ALL
    SELECT toInt64({to:UInt64}) + 1 AS number
  )
)
WHERE number - previous > 1
ORDER BY first
LIMIT {max:UInt32}
