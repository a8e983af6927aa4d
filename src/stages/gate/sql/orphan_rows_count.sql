-- Rows of blocks that left the chain, and the newest delivery among them; the target is a table of the schema.
SELECT toString(block_hash) AS hash, count() AS found, toString(max(row_version)) AS newest FROM :target
WHERE meta_network_name = {network:String} AND block_number IN {numbers:Array(UInt64)} AND block_hash IN {hashes:Array(String)}
GROUP BY hash
