/** `schema_version`: which migrations have been applied. */
import * as ch from "./native.ts";
import { column, type RowOf, rowTable } from "./table.ts";

const columns = {
  version: column(ch.UInt32, "Number of the migration"),
  name: column(ch.String, "Its name"),
  checksum: column(ch.String, "SHA-256 of the migration's text"),
  applied_at: column(ch.DateTime64, "When"),
  applied_by: column(ch.String, "Version of this program"),
};

/** The table and its encoder. */
export const schemaVersionTable = rowTable({
  name: "schema_version",
  comment: "Applied migrations",
  columns,
  version: "applied_at",
  orderBy: ["version"],
  shardBy: ["version"],
  settings: {},
});

/** One row. */
export type SchemaVersionRow = RowOf<typeof columns>;
