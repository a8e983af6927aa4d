-- Engine and keys of our tables, as they are.
SELECT name, engine, engine_full, sorting_key, partition_key
FROM system.tables
WHERE database = currentDatabase() AND name IN {tables:Array(String)}
