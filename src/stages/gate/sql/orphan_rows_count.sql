-- Rows of a block that left the chain, in one table of the schema.
SELECT count() AS found, toString(max(row_version)) AS newest FROM :target
WHERE meta_network_name = {network:String} AND block_number = {number:UInt64} AND block_hash = {hash:String}
