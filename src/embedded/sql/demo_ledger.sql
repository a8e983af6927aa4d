SELECT
  block_number AS block,
  substring(block_hash, 1, 12) AS hash,
  arrayStringConcat(groupUniqArray(state), ' ') AS state,
  max(transactions) AS transactions,
  sumIf(expected_rows, processor = 'transaction_structlog') AS structlogs,
  sumIf(expected_rows, processor = 'transaction_structlog_agg') AS frame_rows,
  dateDiff('millisecond', min(accepted_at), max(completed_at)) AS ms
FROM execution_block FINAL
WHERE meta_network_name = {network:String}
GROUP BY block_number, block_hash
ORDER BY block_number
