/** The cluster form without a cluster: the engine knows two shards by name, and explains what it would do on them. */
import assert from "node:assert/strict";
import boundsSql from "../../../src/stages/gate/sql/ledger_bounds.sql" with { type: "text" };
import openSql from "../../../src/stages/gate/sql/ledger_open.sql" with { type: "text" };
import unverifiedSql from "../../../src/stages/gate/sql/ledger_unverified.sql" with { type: "text" };
import { structlogTable } from "../../../src/stages/encode/structlog.ts";
import { tables } from "../../../src/stages/encode/tables.ts";
import { openClickHouse } from "../../../src/stages/sink/clickhouse.ts";
import { diffSchema, migrations, statementsFor } from "../../../src/stages/sink/schema.ts";
import deleteAttemptsSql from "../../../src/stages/sink/sql/delete_attempts.sql" with { type: "text" };
import recordsSql from "../../../src/stages/sink/sql/records.sql" with { type: "text" };
import { freshEngine, type TestEngine } from "../../embedded/shared_engine.ts";
import { speaker } from "../../embedded/test_database.ts";

const CLUSTER = "two";
const STATEMENTS = migrations.flatMap((migration) => statementsFor(migration, { cluster: CLUSTER }));
const PARAMS = { param_network: "testnet", param_from_block: "1", param_to_block: "9" };

function open(): Promise<TestEngine> {
  return freshEngine({ clusters: { [CLUSTER]: ["127.0.0.2:9000", "127.0.0.3:9001"] } });
}

/** The statement as one server can run it: there is no keeper here that would carry it to others, or replicate. */
function alone(statement: string): string {
  return statement.replace(` ON CLUSTER \`${CLUSTER}\``, "").replace(
    "ReplicatedReplacingMergeTree",
    "ReplacingMergeTree",
  );
}

Deno.test("the engine parses every statement of the cluster form", async () => {
  await using fresh = await open();
  const db = speaker(fresh.engine, "default");
  for (const statement of STATEMENTS) {
    // A view's parameters have no values yet, so a statement with them is only formatted.
    const query = statement.startsWith("CREATE VIEW")
      ? `SELECT formatQuery(${quoted(statement)})`
      : `EXPLAIN AST ${statement}`;
    assert.notEqual(await db.query(query), "", statement);
  }
});

Deno.test("the cluster form reads from both shards, and its views and the ledger need GLOBAL IN", async () => {
  await using fresh = await open();
  const db = speaker(fresh.engine, "default");
  for (const statement of STATEMENTS) await db.query(alone(statement));
  for (const { name } of tables) {
    assert.match(await db.query(`EXPLAIN SELECT count() FROM ${name}`), /ReadFromRemote/, name);
  }
  // To explain a GLOBAL IN the engine asks the shards for the inner part: that it gets as far as that is the proof.
  const unreachable = /Code: 279\b.*127\.0\.0\.[23]:9000/s;
  const of = (name: string) => `SELECT count() FROM ${name}(network = 'testnet', from_block = 1, to_block = 9)`;
  for (const name of ["structlog_published", "structlog_proved", "structlog_agg_published", "structlog_agg_proved"]) {
    await assert.rejects(db.query(`EXPLAIN ${of(`canonical_execution_transaction_${name}`)}`), unreachable, name);
  }
  const view = STATEMENTS.find((statement) => statement.includes("structlog_published"))!;
  const select = alone(view).split(" AS\n")[1]!;
  await assert.rejects(db.query(`EXPLAIN ${select}`, PARAMS), unreachable);
  await assert.rejects(db.query(`EXPLAIN ${select.replace("GLOBAL IN", "IN")}`, PARAMS), /Code: 288/);
  const part = { param_network: "testnet", param_directions: "['forwards']", param_processors: "['any']" };
  const numbers = { param_from: "0", param_after: "-1", param_upTo: "9", param_before: "9", param_max: "9" };
  for (const sql of [boundsSql, openSql, unverifiedSql]) {
    await assert.rejects(db.query(`EXPLAIN ${sql}`, { ...part, ...numbers }), unreachable, sql);
  }
});

Deno.test("the sink's look-up works on a cluster; a delete goes to the local tables", async () => {
  await using fresh = await open();
  const db = speaker(fresh.engine, "default");
  for (const statement of STATEMENTS) await db.query(alone(statement));
  const keys = { param_network: "testnet", param_blocks: "[1]", param_keys: "['1:0x00:7']" };
  assert.match(await db.query(`EXPLAIN ${recordsSql.trim()}`, keys), /ReadFromRemote/);
  await assert.rejects(db.query(deleteAttemptsSql.replace(":target", structlogTable.name), keys), /Code: 36/);
  await db.query(deleteAttemptsSql.replace(":target", `${structlogTable.name}_local`), keys);
});

Deno.test("diffSchema() looks at the local tables of a cluster for their engine", async () => {
  await using fresh = await open();
  const { engine } = fresh;
  const db = speaker(engine, "default");
  for (const statement of STATEMENTS) await db.query(alone(statement));
  const storage = openClickHouse({
    url: engine.url,
    database: "default",
    user: engine.user,
    password: engine.password,
    cluster: CLUSTER,
    requestTimeoutMs: 30_000,
    settings: {},
  });
  assert.deepEqual(await diffSchema(storage, { cluster: CLUSTER }), []);
  const single = await diffSchema(storage, {});
  assert.ok(single.some(({ text }) => text.includes("its engine is Distributed")));
  await db.query("DROP TABLE execution_block_local SYNC");
  const missing = await diffSchema(storage, { cluster: CLUSTER });
  assert.deepEqual(missing.map(({ table, text }) => `${table}: ${text}`), [
    "execution_block: the table execution_block_local is missing",
  ]);
});

function quoted(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}
