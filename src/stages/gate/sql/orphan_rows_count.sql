-- Rows of a block that left the chain; :target is a table of the schema.
SELECT count() AS found FROM :target
WHERE meta_network_name = {network:String} AND block_number = {number:UInt64} AND block_hash = {hash:String}
