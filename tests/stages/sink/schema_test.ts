import assert from "node:assert/strict";
import { createTable } from "../../../src/stages/encode/ddl.ts";
import { structlogTable } from "../../../src/stages/encode/structlog.ts";
import { tables } from "../../../src/stages/encode/tables.ts";
import { type ClickHouseStorage, openClickHouse } from "../../../src/stages/sink/clickhouse.ts";
import { SchemaError } from "../../../src/stages/sink/errors.ts";
import {
  applySchema,
  checkSchema,
  clusterForm,
  diffSchema,
  migrations,
  planSchema,
  statementsFor,
} from "../../../src/stages/sink/schema.ts";
import type { PipelineEvent } from "../../../src/telemetry/events.ts";
import { subscribe } from "../../../src/telemetry/emit.ts";
import { migrationTexts } from "../../../tools/write_migrations.ts";
import { tableReference } from "../../../tools/write_tables.ts";
import { freshDatabase, type TestDatabase } from "../../embedded/shared_engine.ts";
import contractSql from "./contract.sql" with { type: "text" };

function storageOf(database: Pick<TestDatabase, "url" | "database" | "user" | "password">): ClickHouseStorage {
  const { url, user, password } = database;
  return openClickHouse({
    url,
    database: database.database,
    user,
    password,
    requestTimeoutMs: 30_000,
    settings: { output_format_json_quote_64bit_integers: 1 },
  });
}

const APPLIED_BY = { appliedBy: "test" };

/** Everything about the tables that their users could rely on. */
async function described(database: TestDatabase): Promise<{ columns: string[]; tables: string[]; views: string[] }> {
  const lines = async (sql: string) => (await database.query(`${sql} FORMAT TSVRaw`)).trim().split("\n");
  const here = "database = currentDatabase()";
  return {
    columns: await lines(
      `SELECT table, position, name, type, default_kind, default_expression, compression_codec FROM system.columns
       WHERE ${here} AND table NOT LIKE '%_published' AND table NOT LIKE '%_proved' ORDER BY table, position`,
    ),
    tables: await lines(
      `SELECT name, engine, partition_key, sorting_key, replaceRegexpOne(engine_full, ' COMMENT .*', '') FROM system.tables
       WHERE ${here} AND engine != 'View' ORDER BY name`,
    ),
    views: await lines(
      `SELECT name, replaceAll(as_select, currentDatabase(), 'here') FROM system.tables
       WHERE ${here} AND name = 'canonical_execution_transaction_structlog_published'`,
    ),
  };
}

Deno.test("the migrations make exactly the tables of the contract", async () => {
  await using ours = await freshDatabase();
  await using contract = await freshDatabase();
  await applySchema(storageOf(ours), APPLIED_BY);
  for (const statement of contractSql.split(/;\s*(?:\n|$)/)) {
    if (statement.trim() !== "") await contract.query(statement);
  }
  assert.deepEqual(await described(ours), await described(contract));
});

Deno.test("the migrations' texts are those that the definitions give", async () => {
  for (const [name, text] of migrationTexts()) {
    const written = await Deno.readTextFile(new URL(`../../../src/stages/sink/migrations/${name}`, import.meta.url));
    assert.equal(written, text, `${name}: run tools/write_migrations.ts`);
  }
  assert.equal(migrations.length, migrationTexts().size);
});

Deno.test("docs/tables.md is what the definitions give", async () => {
  const squeezed = (text: string) => text.replaceAll(/\s+/g, " ").replaceAll(/-{3,}/g, "---");
  const written = await Deno.readTextFile(new URL("../../../docs/tables.md", import.meta.url));
  assert.equal(squeezed(written), squeezed(tableReference()), "run: deno task tables");
});

Deno.test("applySchema() applies what is pending once, and again does nothing", async () => {
  await using database = await freshDatabase();
  const storage = storageOf(database);
  assert.deepEqual((await planSchema(storage)).map(({ version }) => version), [1, 2, 3]);
  await assert.rejects(
    checkSchema(storage),
    (error) => error instanceof SchemaError && /migration 1 /.test(error.message),
  );
  assert.equal((await applySchema(storage, APPLIED_BY)).length, 3);
  assert.deepEqual(await applySchema(storage, APPLIED_BY), []);
  await checkSchema(storage);
  assert.deepEqual(await diffSchema(storage, {}), []);
});

Deno.test("every statement of every migration can be run again", async () => {
  await using database = await freshDatabase();
  for (const _ of [1, 2]) {
    for (const migration of migrations) for (const text of migration.statements) await database.query(text);
  }
  assert.deepEqual(await diffSchema(storageOf(database), {}), []);
});

Deno.test("two applies at once end alike", async () => {
  await using database = await freshDatabase();
  await Promise.all([1, 2, 3].map(() => applySchema(storageOf(database), APPLIED_BY)));
  await checkSchema(storageOf(database));
  assert.equal((await database.query("SELECT count() FROM schema_version FINAL")).trim(), "3");
});

Deno.test("a schema newer than the program is refused", async () => {
  await using database = await freshDatabase();
  const storage = storageOf(database);
  await applySchema(storage, APPLIED_BY);
  await database.query("INSERT INTO schema_version VALUES (99, 'later', 'x', now64(3), 'test')");
  for (const run of [planSchema, checkSchema] as const) {
    await assert.rejects(run(storage), (error) => error instanceof SchemaError && /version 99/.test(error.message));
  }
  await assert.rejects(applySchema(storage, APPLIED_BY), SchemaError);
});

Deno.test("a migration that was changed after it had been applied is refused", async () => {
  await using database = await freshDatabase();
  const storage = storageOf(database);
  await applySchema(storage, APPLIED_BY);
  await database.query("INSERT INTO schema_version VALUES (2, 'added_columns', 'other', now64(3) + 10, 'test')");
  await assert.rejects(
    planSchema(storage),
    (error) => error instanceof SchemaError && /migration 2/.test(error.message),
  );
});

Deno.test("tables that were there before get the added columns, with a warning about their version column", async () => {
  await using database = await freshDatabase();
  const storage = storageOf(database);
  const added = Object.entries(structlogTable.columns).filter(([, column]) => column.added).map(([name]) => name);
  const before = createTable(structlogTable).split("\n")
    .filter((line) => !added.some((name) => line.startsWith(`  \`${name}\``)))
    .join("\n")
    .replace("ReplacingMergeTree(row_version)", "ReplacingMergeTree(updated_date_time)")
    .replace(/,\n\) ENGINE/, ",\n  `of_their_own` String\n) ENGINE");
  await database.query(before);
  await applySchema(storage, APPLIED_BY);
  const events: PipelineEvent[] = [];
  {
    using _reader = subscribe((event) => events.push(event));
    await checkSchema(storage);
  }
  assert.deepEqual(events.map((event) => event.kind === "schema_warning" ? event.table : event.kind), [
    structlogTable.name,
  ]);
  const columns = await database.query(
    `SELECT name FROM system.columns WHERE database = currentDatabase() AND table = '${structlogTable.name}' FORMAT TSV`,
  );
  for (const name of [...added, "of_their_own"]) assert.ok(columns.split("\n").includes(name), name);
});

Deno.test("checkSchema() names each difference", async () => {
  await using database = await freshDatabase();
  const storage = storageOf(database);
  await applySchema(storage, APPLIED_BY);
  await database.query("ALTER TABLE execution_transaction DROP COLUMN gas_used");
  await database.query("ALTER TABLE execution_block MODIFY COLUMN attempts UInt8");
  await database.query("ALTER TABLE execution_block MODIFY COLUMN direction String");
  await database.query("DROP TABLE execution_transaction_audit");
  const differences = await diffSchema(storage, {});
  assert.deepEqual(
    differences.map(({ table, column, severity }) => `${severity} ${table} ${column ?? ""}`).sort(),
    [
      "error execution_block attempts",
      "error execution_transaction gas_used",
      "error execution_transaction_audit ",
      "warning execution_block direction",
    ],
  );
  await assert.rejects(checkSchema(storage), (error) => {
    assert.ok(error instanceof SchemaError);
    for (const text of ["gas_used", "attempts", "UInt8", "execution_transaction_audit: the table is missing"]) {
      assert.ok(error.message.includes(text), text);
    }
    return true;
  });
});

Deno.test("the cluster form says ON CLUSTER everywhere, replicates X_local and distributes X", () => {
  const statements = migrations.flatMap((migration) => statementsFor(migration, { cluster: "main" }));
  for (const statement of statements) assert.match(statement, /ON CLUSTER `main`/);
  for (const { name } of tables) {
    const [local] = statements.filter((text) => text.startsWith(`CREATE TABLE IF NOT EXISTS ${name}_local ON`));
    assert.match(local!, /ENGINE = ReplicatedReplacingMergeTree\(\w+\)/);
    const [distributed] = statements.filter((text) => text.startsWith(`CREATE TABLE IF NOT EXISTS ${name} ON`));
    assert.match(distributed!, /ENGINE = Distributed\('main', currentDatabase\(\), '\w+_local', sipHash64\(/);
  }
  for (const view of statements.filter((text) => text.startsWith("CREATE VIEW"))) assert.match(view, /\) GLOBAL IN \(/);
  assert.throws(() => clusterForm("DROP TABLE x", "main"), SchemaError);
});
