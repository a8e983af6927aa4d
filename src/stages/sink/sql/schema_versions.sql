-- Migrations that have been applied.
SELECT version, name, checksum
FROM schema_version FINAL
ORDER BY version
