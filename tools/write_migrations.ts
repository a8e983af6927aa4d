/**
 * Writes the migrations that follow from the definitions of the tables: `deno run --allow-write tools/write_migrations.ts`.
 * A migration that was ever released is not written again; a change of a table is a new file.
 */
import { addColumns, createTable, createViews } from "../src/stages/encode/ddl.ts";
import { tables } from "../src/stages/encode/tables.ts";

/** Texts of the migrations by file name, as the definitions give them. */
export function migrationTexts(): ReadonlyMap<string, string> {
  return new Map([
    ["001_tables.sql", text("The tables of version 1.", tables.map(createTable))],
    [
      "002_added_columns.sql",
      text("Columns that tables lack which were there before this program.", tables.flatMap(addColumns)),
    ],
    [
      "003_views.sql",
      text(
        "What is published, and what of it is proved. To be called with network, from_block and to_block.",
        createViews(),
      ),
    ],
  ]);
}

function text(comment: string, statements: readonly string[]): string {
  return `-- ${comment}\n-- Made by tools/write_migrations.ts from the definitions in src/stages/encode.\n\n${
    statements.join(";\n\n")
  };\n`;
}

if (import.meta.main) {
  const folder = new URL("../src/stages/sink/migrations/", import.meta.url);
  for (const [name, content] of migrationTexts()) await Deno.writeTextFile(new URL(name, folder), content);
}
