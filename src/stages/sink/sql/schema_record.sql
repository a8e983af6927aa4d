-- A migration has been applied; the same by two processes at once is one row.
INSERT INTO schema_version (version, name, checksum, applied_at, applied_by)
SELECT {version:UInt32}, {name:String}, {checksum:String}, now64(3, 'UTC'), {applied_by:String}
