SELECT
  operation AS opcode,
  count() AS executed,
  sum(gas_self) AS gas,
  100 * gas / sum(gas) OVER () AS share
FROM canonical_execution_transaction_structlog FINAL
WHERE meta_network_name = {network:String}
GROUP BY operation
ORDER BY gas DESC
LIMIT 10
