-- How many transactions of a block have their row.
SELECT toString(count()) AS rows
FROM execution_transaction FINAL
WHERE meta_network_name = {network:String} AND block_number = {number:UInt64} AND block_hash = {hash:String}
