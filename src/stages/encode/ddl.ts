/** DDL of the tables and views, from their definitions, in the single-server form. */
import { structlogTable } from "./structlog.ts";
import { structlogAggTable } from "./structlog_agg.ts";
import { executionTransactionTraceTable } from "./execution_transaction_trace.ts";
import type { Column, TableDefinition } from "./table.ts";

/** Text of a column in `CREATE TABLE` and `ADD COLUMN`. */
export function columnDdl(name: string, column: Column): string {
  return [
    `\`${name}\` ${column.type.name}`,
    ...(column.default === undefined ? [] : [`DEFAULT ${column.default}`]),
    `COMMENT ${quoted(column.comment)}`,
    ...(column.codec === undefined ? [] : [`CODEC(${column.codec})`]),
  ].join(" ");
}

/** `CREATE TABLE IF NOT EXISTS`. */
export function createTable(table: TableDefinition): string {
  const columns = Object.entries(table.columns).map(([name, column]) => `  ${columnDdl(name, column)}`);
  const settings = Object.entries(table.settings).map(([name, value]) => `${name} = ${value}`);
  return [
    `CREATE TABLE IF NOT EXISTS ${table.name} (`,
    columns.join(",\n"),
    `) ENGINE = ReplacingMergeTree(${table.version})`,
    ...(table.partitionBy === undefined ? [] : [`PARTITION BY ${table.partitionBy}`]),
    `ORDER BY ${sortingKey(table.orderBy)}`,
    ...(settings.length === 0 ? [] : [`SETTINGS ${settings.join(", ")}`]),
    `COMMENT ${quoted(table.comment)}`,
  ].join("\n");
}

/** `ADD COLUMN IF NOT EXISTS` for each column that existing users' tables lack. */
export function addColumns(table: TableDefinition): string[] {
  return Object.entries(table.columns)
    .filter(([, column]) => column.added)
    .map(([name, column]) => `ALTER TABLE ${table.name} ADD COLUMN IF NOT EXISTS ${columnDdl(name, column)}`);
}

/** A parameterised view of exactly the rows that a record names: `SELECT … FROM x_published(network = …, from_block = …, to_block = …)`. */
function view(name: string, table: TableDefinition, condition: string): string {
  const range = "block_number BETWEEN {from_block:UInt64} AND {to_block:UInt64}";
  return `CREATE VIEW IF NOT EXISTS ${name} AS
SELECT s.* FROM ${table.name} AS s FINAL
WHERE meta_network_name = {network:String} AND ${range}
  AND (block_number, transaction_hash, row_version) IN (
    SELECT block_number, transaction_hash, row_version
    FROM ${executionTransactionTraceTable.name} FINAL
    WHERE meta_network_name = {network:String} AND ${range}
      AND ${condition}
  )`;
}

/** The views over the trace tables: what is published, and what of it is proved. */
export function createViews(): string[] {
  return [structlogTable, structlogAggTable].flatMap((table) => [
    view(`${table.name}_published`, table, "published = 1"),
    view(`${table.name}_proved`, table, "published = 1 AND verdict IN ('proved', 'bounded')"),
  ]);
}

function sortingKey(names: readonly string[]): string {
  const list = names.map((name) => `\`${name}\``).join(", ");
  return names.length === 1 ? list : `(${list})`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}
