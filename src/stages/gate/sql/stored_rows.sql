-- The rows of a number by attempt, and their checksum. The places are a table of the schema and what a row adds.
SELECT transaction_hash, block_hash, toString(row_version) AS version, toString(count()) AS rows,
  toString(sum(:checksum)) AS checksum
FROM :target FINAL
WHERE meta_network_name = {network:String} AND block_number = {number:UInt64}
GROUP BY transaction_hash, block_hash, row_version
