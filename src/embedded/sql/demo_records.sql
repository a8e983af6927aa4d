SELECT
  t.block_number AS block,
  t.transaction_index AS position,
  t.transaction_hash AS hash,
  t.verdict AS verdict,
  t.gas_used AS gas_used,
  s.success AS success,
  t.intrinsic_gas + t.root_gas + t.code_deposit_gas AS gas_before_refund
FROM execution_transaction_trace AS t FINAL
LEFT JOIN (SELECT * FROM execution_transaction FINAL) AS s
  ON s.meta_network_name = t.meta_network_name AND s.block_number = t.block_number AND s.hash = t.transaction_hash
WHERE t.meta_network_name = {network:String} AND t.published = 1
ORDER BY block, position
