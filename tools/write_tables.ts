/** Writes `docs/tables.md`, the reference of tables and columns, from their definitions: `deno task tables`. */
import { structlogTable } from "../src/stages/encode/structlog.ts";
import { structlogAggTable } from "../src/stages/encode/structlog_agg.ts";
import type { Column, TableDefinition } from "../src/stages/encode/table.ts";
import { tables } from "../src/stages/encode/tables.ts";

const INTRODUCTION = `# Tables

Made by \`deno task tables\` from the definitions in \`src/stages/encode\`, which the statements of \`schema apply\` and the
encoders are made of too.

Rows of one sorting key replace each other; the largest version wins, so read with \`FINAL\`. Rows of a transaction count
from the moment when its record in \`execution_transaction_trace\` says so: \`${structlogTable.name}_published\` and
\`${structlogAggTable.name}_published\` are views of exactly these, \`…_proved\` of those that are proved or bounded, all
called with \`(network = …, from_block = …, to_block = …)\`. Columns marked + are added to tables that were there before.
`;

/** The text of `docs/tables.md`. */
export function tableReference(): string {
  return [INTRODUCTION, ...tables.map(section)].join("\n");
}

function section(table: TableDefinition): string {
  const rows = Object.entries(table.columns).map(([name, column]) =>
    cells([`\`${name}\`${column.added ? " +" : ""}`, `\`${column.type.name}\``, meaning(column)])
  );
  return [
    `## ${table.name}`,
    "",
    `${table.comment}.`,
    "",
    `- sorting key: ${list(table.orderBy)}; version: \`${table.version}\``,
    ...(table.partitionBy === undefined ? [] : [`- partitions: \`${table.partitionBy}\``]),
    `- shards of a cluster: by ${list(table.shardBy)}`,
    "",
    cells(["column", "type", "meaning"]),
    cells(["---", "---", "---"]),
    ...rows,
    "",
  ].join("\n");
}

function meaning({ comment, default: fallback }: Column): string {
  return fallback === undefined ? comment : `${comment} (default ${fallback})`;
}

function list(names: readonly string[]): string {
  return names.map((name) => `\`${name}\``).join(", ");
}

function cells(texts: readonly string[]): string {
  return `| ${texts.map((text) => text.replaceAll("|", "\\|")).join(" | ")} |`;
}

if (import.meta.main) {
  await Deno.writeTextFile(new URL("../docs/tables.md", import.meta.url), tableReference());
}
