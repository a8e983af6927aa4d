SELECT program_counter, operation, gas, depth, transaction_gas, transaction_failed
FROM canonical_execution_transaction_structlog FINAL
WHERE meta_network_name = {network:String}
  AND block_number = {block:UInt64}
  AND transaction_hash = {hash:String}
ORDER BY `index`
