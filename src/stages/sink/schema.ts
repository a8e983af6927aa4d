/**
 * The schema and its versions: migrations are numbered texts, each of whose statements can be run again without harm;
 * `schema_version` says which have been applied. The texts are for one server; for a cluster they are rewritten.
 */
import { emit } from "../../telemetry/emit.ts";
import { schemaVersionTable } from "../encode/schema_version.ts";
import type { TableDefinition } from "../encode/table.ts";
import { tables } from "../encode/tables.ts";
import { SchemaError } from "./errors.ts";
import tablesText from "./migrations/001_tables.sql" with { type: "text" };
import addedColumnsText from "./migrations/002_added_columns.sql" with { type: "text" };
import viewsText from "./migrations/003_views.sql" with { type: "text" };
import type { SqlDatabase, SqlReader } from "./port.ts";
import columnsSql from "./sql/schema_columns.sql" with { type: "text" };
import recordSql from "./sql/schema_record.sql" with { type: "text" };
import schemaTablesSql from "./sql/schema_tables.sql" with { type: "text" };
import versionsSql from "./sql/schema_versions.sql" with { type: "text" };

/** One numbered text. */
export interface Migration {
  readonly version: number;
  readonly name: string;
  /** Statements for one server, without comments. */
  readonly statements: readonly string[];
  readonly text: string;
}

function migration(version: number, name: string, text: string): Migration {
  const statements = text.split(/;\s*(?:\n|$)/)
    .map((part) => part.split("\n").filter((line) => !line.startsWith("--")).join("\n").trim())
    .filter((statement) => statement !== "");
  return { version, name, statements, text };
}

/** Every migration, by number from 1. */
export const migrations: readonly Migration[] = [
  migration(1, "tables", tablesText),
  migration(2, "added_columns", addedColumnsText),
  migration(3, "views", viewsText),
];

/** Where the statements run. */
export interface SchemaOptions {
  /** Name of the cluster; absent: one server. */
  readonly cluster?: string;
}

/** The statements of a migration as they are run: rewritten for a cluster where there is one. */
export function statementsFor(migration: Migration, { cluster }: SchemaOptions): readonly string[] {
  return cluster === undefined
    ? migration.statements
    : migration.statements.flatMap((statement) => clusterForm(statement, cluster));
}

/**
 * A statement of ours for a cluster: `X` becomes the replicated `X_local` with a `Distributed` `X` over it, everything
 * `ON CLUSTER`.
 *
 * @throws {SchemaError} for a statement of another kind.
 */
export function clusterForm(statement: string, cluster: string): string[] {
  const onCluster = `ON CLUSTER \`${cluster}\``;
  const create = /^CREATE TABLE IF NOT EXISTS (\w+) \(/.exec(statement);
  if (create !== null) {
    const name = create[1]!;
    const local = statement
      .replace(create[0], `CREATE TABLE IF NOT EXISTS ${name}_local ${onCluster} (`)
      .replace("ENGINE = ReplacingMergeTree(", "ENGINE = ReplicatedReplacingMergeTree(");
    const shard = definitionOf(name).shardBy.map((column) => `\`${column}\``).join(", ");
    const distributed = `CREATE TABLE IF NOT EXISTS ${name} ${onCluster} AS ${name}_local\n` +
      `ENGINE = Distributed('${cluster}', currentDatabase(), '${name}_local', sipHash64(${shard}))`;
    return [local, distributed];
  }
  const alter = /^ALTER TABLE (\w+) /.exec(statement);
  if (alter !== null) {
    return [`${alter[1]}_local`, alter[1]].map((name) =>
      // A Distributed table stores nothing: it takes no codec.
      statement.replace(alter[0], `ALTER TABLE ${name} ${onCluster} `)
        .replace(name === alter[1] ? / CODEC\(.*\)$/ : /$^/, "")
    );
  }
  const view = /^CREATE VIEW IF NOT EXISTS (\w+) AS/.exec(statement);
  if (view !== null) {
    return [
      statement.replace(view[0], `CREATE VIEW IF NOT EXISTS ${view[1]} ${onCluster} AS`)
        .replace("row_version) IN (", "row_version) GLOBAL IN ("),
    ];
  }
  throw new SchemaError(`Cannot rewrite a statement for a cluster: "${statement.slice(0, 60)}"`);
}

function definitionOf(name: string): TableDefinition {
  const definition = tables.find((table) => table.name === name);
  if (definition === undefined) throw new SchemaError(`Cannot shard ${name}: there is no definition of it`);
  return definition;
}

interface AppliedMigration {
  readonly version: number;
  readonly name: string;
  readonly checksum: string;
}

/**
 * Migrations that have not been applied, in order.
 *
 * @throws {SchemaError} the schema is newer than this program, or a migration was changed after it had been applied.
 */
export async function planSchema(db: SqlReader): Promise<readonly Migration[]> {
  const applied = await appliedMigrations(db);
  const newest = applied.at(-1);
  if (newest !== undefined && newest.version > migrations.length) {
    throw new SchemaError(
      `Cannot run on schema version ${newest.version} (${newest.name}): this program knows versions up to ${migrations.length}; use a newer one`,
    );
  }
  for (const { version, name, checksum } of applied) {
    if (checksum !== await checksumOf(migrations[version - 1]!)) {
      throw new SchemaError(`Cannot trust migration ${version} (${name}): its text is not the one that was applied`);
    }
  }
  const versions = new Set(applied.map(({ version }) => version));
  return migrations.filter(({ version }) => !versions.has(version));
}

/**
 * Applies what {@linkcode planSchema} lists. Two processes at once end alike.
 *
 * @param appliedBy version of this program.
 * @returns the migrations that were applied.
 */
export async function applySchema(
  db: SqlDatabase,
  options: SchemaOptions & { readonly appliedBy: string },
): Promise<readonly Migration[]> {
  const plan = await planSchema(db);
  for (const step of plan) {
    for (const statement of statementsFor(step, options)) await db.execute(statement, {});
    const { version, name } = step;
    await db.execute(recordSql, { version, name, checksum: await checksumOf(step), applied_by: options.appliedBy });
    emit({ kind: "migration_applied", version, name });
  }
  return plan;
}

async function appliedMigrations(db: SqlReader): Promise<readonly AppliedMigration[]> {
  const known = await db.query<{ name: string }>(schemaTablesSql, { tables: [schemaVersionTable.name] });
  return known.length === 0 ? [] : await db.query<AppliedMigration>(versionsSql, {});
}

async function checksumOf({ text }: Migration): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text))).toHex();
}

/** One way in which the live schema is not what this program inserts into. */
export interface SchemaDifference {
  readonly table: string;
  readonly column?: string;
  /** `error`: inserts would fail or lose something. `warning`: they work. */
  readonly severity: "error" | "warning";
  readonly text: string;
}

interface LiveTable {
  readonly name: string;
  readonly engine: string;
  readonly engine_full: string;
  readonly sorting_key: string;
}

interface LiveColumn {
  readonly table: string;
  readonly name: string;
  readonly type: string;
}

/** Compares the live tables with the definitions. More columns than ours are fine. */
export async function diffSchema(db: SqlReader, { cluster }: SchemaOptions): Promise<readonly SchemaDifference[]> {
  const names = tables.flatMap(({ name }) => cluster === undefined ? [name] : [name, `${name}_local`]);
  const live = await db.query<LiveTable>(schemaTablesSql, { tables: names });
  const columns = Map.groupBy(
    await db.query<LiveColumn>(columnsSql, { tables: names }),
    (column) => column.table,
  );
  const byName = new Map(live.map((table) => [table.name, table]));
  return tables.flatMap((definition) => {
    const { name } = definition;
    if (!byName.has(name)) return [{ table: name, severity: "error" as const, text: "the table is missing" }];
    const stored = byName.get(cluster === undefined ? name : `${name}_local`);
    return [
      ...columnDifferences(definition, columns.get(name) ?? []),
      ...(stored === undefined
        ? [{ table: name, severity: "error" as const, text: `the table ${name}_local is missing` }]
        : engineDifferences(definition, stored)),
    ];
  });
}

function columnDifferences(definition: TableDefinition, live: readonly LiveColumn[]): SchemaDifference[] {
  const types = new Map(live.map((column) => [column.name, column.type]));
  return Object.entries(definition.columns).flatMap(([column, { type }]): SchemaDifference[] => {
    const found = types.get(column);
    const where = { table: definition.name, column };
    if (found === undefined) {
      return [{ ...where, severity: "error", text: `the column is missing; expected ${type.name}` }];
    }
    if (found === type.name) return [];
    const severity = widened(found) === widened(type.name) ? "warning" : "error";
    return [{ ...where, severity, text: `its type is ${found}; expected ${type.name}` }];
  });
}

/** The type without what an insert converts silently and without loss. */
function widened(type: string): string {
  return type.replace(/LowCardinality\(([^()]*(?:\([^()]*\))?)\)/g, "$1").replace(/^DateTime(64)?\b.*$/, "DateTime$1");
}

function engineDifferences(definition: TableDefinition, live: LiveTable): SchemaDifference[] {
  const table = definition.name;
  const found: SchemaDifference[] = [];
  const version = /ReplacingMergeTree\((?:'[^']*', '[^']*', )?(\w+)/.exec(live.engine_full)?.[1];
  if (!/ReplacingMergeTree$/.test(live.engine)) {
    found.push({
      table,
      severity: "error",
      text: `its engine is ${live.engine}; expected ReplacingMergeTree, or repeated inserts stay`,
    });
  } else if (version === "updated_date_time") {
    found.push({
      table,
      severity: "warning",
      text:
        `rows of one key are told apart by ${version}: of two attempts within a second, either may win; expected ${definition.version}`,
    });
  } else if (version !== definition.version) {
    found.push({
      table,
      severity: "error",
      text: `its version column is ${version ?? "none"}; expected ${definition.version}`,
    });
  }
  const key = live.sorting_key.replace(/[`()]/g, "");
  const expected = definition.orderBy.join(", ");
  if (key !== expected) {
    found.push({ table, severity: "warning", text: `its sorting key is (${key}); expected (${expected})` });
  }
  return found;
}

/**
 * Start-up check: the schema is not newer than this program, nothing is left to apply, and every table takes what will
 * be inserted. Warnings are events.
 *
 * @throws {SchemaError} naming each difference.
 */
export async function checkSchema(db: SqlReader, options: SchemaOptions = {}): Promise<void> {
  const pending = await planSchema(db);
  const differences = await diffSchema(db, options);
  const errors = differences.filter(({ severity }) => severity === "error");
  if (errors.length > 0 || pending.length > 0) {
    const lines = [
      ...pending.map(({ version, name }) => `migration ${version} (${name}) is not applied`),
      ...errors.map(describeDifference),
    ];
    throw new SchemaError(`Cannot insert into this schema; run "schema apply". Differences:\n  ${lines.join("\n  ")}`);
  }
  for (const { table, column, text } of differences) {
    emit({ kind: "schema_warning", table, text: column === undefined ? text : `column ${column}: ${text}` });
  }
}

/** One line. */
export function describeDifference({ table, column, text }: SchemaDifference): string {
  return column === undefined ? `${table}: ${text}` : `${table}.${column}: ${text}`;
}
