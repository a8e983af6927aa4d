-- Removes the rows of a block that left the chain; :target is a table of the schema with its cluster clause.
DELETE FROM :target
WHERE meta_network_name = {network:String} AND block_number = {number:UInt64} AND block_hash = {hash:String}
