-- Removes the rows of blocks that left the chain, up to a delivery; the target is a table of the schema with its cluster clause.
DELETE FROM :target
WHERE meta_network_name = {network:String} AND block_number IN {numbers:Array(UInt64)} AND block_hash IN {hashes:Array(String)}
  AND row_version <= {newest:UInt64}
