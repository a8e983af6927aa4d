SELECT
  trace.block_number AS block,
  trace.transaction_index AS position,
  trace.transaction_hash AS hash,
  trace.verdict AS verdict,
  trace.gas_used AS gas_used,
  trace.intrinsic_gas + trace.root_gas + trace.code_deposit_gas AS gas_before_refund,
  execution_transaction.success AS success
FROM execution_transaction_trace AS trace FINAL
LEFT JOIN execution_transaction FINAL
  ON execution_transaction.meta_network_name = trace.meta_network_name
  AND execution_transaction.block_number = trace.block_number
  AND execution_transaction.hash = trace.transaction_hash
WHERE trace.meta_network_name = {network:String} AND trace.published = 1
ORDER BY block, position
