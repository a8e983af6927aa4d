-- Removes the rows of a block that left the chain from one table of the schema, or its cluster form.
DELETE FROM :target
WHERE meta_network_name = {network:String} AND block_number = {number:UInt64} AND block_hash = {hash:String}
  AND row_version <= {newest:UInt64}
