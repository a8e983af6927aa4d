-- Stored rows of a transaction whose place in it lies in a range. The places are a table of the schema and its column.
SELECT * FROM :target FINAL
WHERE meta_network_name = {network:String} AND block_number = {number:UInt64} AND transaction_hash = {hash:String}
  AND :place BETWEEN {first:UInt32} AND {last:UInt32}
