SELECT
  (
    SELECT count() FROM (
      SELECT block_number FROM execution_block FINAL
      WHERE meta_network_name = {network:String}
      GROUP BY block_number HAVING count() = {processors:UInt8} AND min(complete) = 1
    )
  ) AS blocks,
  (SELECT countIf(state = 'stuck') FROM execution_block FINAL WHERE meta_network_name = {network:String}) AS stuck,
  count() AS transactions,
  sum(structlogs) AS structlogs,
  sum(structlog_rows + agg_rows) AS rows
FROM execution_transaction_trace FINAL
WHERE meta_network_name = {network:String} AND published = 1
