-- Lowest and highest block that is not orphaned; count 0: the ledger is empty.
SELECT min(block_number) AS lowest, max(block_number) AS highest, count() AS blocks
FROM execution_block FINAL
WHERE meta_network_name = {network:String} AND state != 'orphaned'
