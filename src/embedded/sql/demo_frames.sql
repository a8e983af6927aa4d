SELECT
  call_frame_path AS path,
  call_type AS kind,
  target_address AS target,
  opcode_count AS opcodes,
  gas,
  gas_cumulative,
  error_count AS errors
FROM canonical_execution_transaction_structlog_agg FINAL
WHERE meta_network_name = {network:String}
  AND transaction_hash = {hash:String}
  AND operation = ''
ORDER BY call_frame_id
