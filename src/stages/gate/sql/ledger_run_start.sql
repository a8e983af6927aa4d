-- The nearest number at or below {number} whose predecessor has no block that is not orphaned.
SELECT max(number) AS lowest
FROM (
  SELECT number,
    lagInFrame(number, 1, toInt64(-2)) OVER (ORDER BY number ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS previous
  FROM (
    SELECT DISTINCT toInt64(block_number) AS number FROM execution_block FINAL
    WHERE meta_network_name = {network:String} AND state != 'orphaned' AND block_number <= {number:UInt64}
  )
)
WHERE number - previous > 1
