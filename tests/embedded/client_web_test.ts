import { ClickHouseError, createClient } from "@clickhouse/client-web";
import assert from "node:assert/strict";
import { freshDatabase, type TestDatabase } from "./shared_engine.ts";

function clientOf(db: TestDatabase, more: Parameters<typeof createClient>[0] = {}) {
  return createClient({ url: db.url, username: db.user, password: db.password, database: db.database, ...more });
}

Deno.test("client-web commands, inserts and queries", async () => {
  await using db = await freshDatabase();
  const client = clientOf(db);
  const created = await client.command({
    query: "CREATE TABLE t (id UInt64, s Nullable(String)) ENGINE = MergeTree ORDER BY id",
  });
  assert.match(created.query_id, /^[0-9a-f-]{36}$/);
  const inserted = await client.insert({
    table: "t",
    values: [{ id: "18446744073709551615", s: "a\n\n;b" }, { id: 1, s: null }],
    format: "JSONEachRow",
  });
  assert.equal(inserted.executed, true);
  assert.equal(JSON.parse(String(inserted.response_headers["x-clickhouse-summary"])).written_rows, "2");
  const result = await client.query({
    query: "SELECT * FROM t ORDER BY id",
    format: "JSONEachRow",
    clickhouse_settings: { output_format_json_quote_64bit_integers: 1 },
  });
  assert.deepEqual(await result.json(), [{ id: "1", s: null }, { id: "18446744073709551615", s: "a\n\n;b" }]);
  const whole = await client.query({ query: "SELECT count() AS n FROM t", format: "JSON" });
  const { data, rows } = await whole.json<{ n: unknown }>();
  assert.equal(Number(data[0]!.n), 2);
  assert.equal(rows, 1);
  assert.equal(result.response_headers["x-clickhouse-format"], "JSONEachRow");
  assert.deepEqual(await client.ping(), { success: true });
  await client.close();
});

Deno.test("client-web query parameters reach the engine as typed values", async () => {
  await using db = await freshDatabase();
  const client = clientOf(db);
  const result = await client.query({
    query: "SELECT {n:UInt64} AS n, {s:String} AS s, {a:Array(String)} AS a, {d:Nullable(String)} AS d",
    query_params: { n: 7, s: "tab\tquote'back\\line\n", a: ["x'", "y"], d: null },
    format: "JSONEachRow",
    clickhouse_settings: { output_format_json_quote_64bit_integers: 0 },
  });
  assert.deepEqual(await result.json(), [{ n: 7, s: "tab\tquote'back\\line\n", a: ["x'", "y"], d: null }]);
  await client.close();
});

Deno.test("client-web gets the engine's errors with their codes", async () => {
  await using db = await freshDatabase();
  const client = clientOf(db);
  const failing: readonly [query: string, code: string, type: string][] = [
    ["SELECT * FROM missing", "60", "UNKNOWN_TABLE"],
    ["SELECT (", "62", "SYNTAX_ERROR"],
    ["SELECT 1; DROP TABLE t", "62", "SYNTAX_ERROR"],
    ["SELECT throwIf(1)", "395", "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO"],
    ["SELECT missing()", "46", "UNKNOWN_FUNCTION"],
  ];
  for (const [query, code, type] of failing) {
    await assert.rejects(client.query({ query, format: "JSONEachRow" }), (error: unknown) => {
      assert.ok(error instanceof ClickHouseError, String(error));
      assert.deepEqual([error.code, error.type], [code, type]);
      return true;
    });
  }
  await assert.rejects(
    client.query({ query: "SELECT 1", clickhouse_settings: { no_such_setting: "1" } as Record<string, string> }),
    (error: unknown) => error instanceof ClickHouseError && error.code === "115",
  );
  await client.close();
});

Deno.test("client-web reads a stream to its end, and an exception on the way as an error", async () => {
  await using db = await freshDatabase();
  const client = clientOf(db);
  const whole = await client.query({ query: "SELECT number AS n FROM numbers(300000)", format: "JSONEachRow" });
  let sum = 0;
  for await (const rows of whole.stream<{ n: string | number }>()) {
    for (const row of rows) sum += Number(row.json().n);
  }
  assert.equal(sum, 300000 * 299999 / 2);
  const cut = await client.query({
    query: "SELECT number AS n, throwIf(number = 290000) FROM numbers(300000)",
    format: "JSONEachRow",
    clickhouse_settings: { max_block_size: "16384", max_threads: 1 },
  });
  let rowsBefore = 0;
  await assert.rejects(async () => {
    for await (const rows of cut.stream()) rowsBefore += rows.length;
  });
  assert.ok(rowsBefore > 0);
  await client.close();
});

Deno.test("client-web decompresses what the engine compresses", async () => {
  await using db = await freshDatabase();
  const client = clientOf(db, { compression: { response: true } });
  const result = await client.query({ query: "SELECT number AS n FROM numbers(200000)", format: "JSONEachRow" });
  assert.equal((await result.json()).length, 200000);
  await client.close();
});

Deno.test("client-web is refused with a wrong password", async () => {
  await using db = await freshDatabase();
  const client = clientOf(db, { password: "wrong" });
  await assert.rejects(
    client.query({ query: "SELECT 1" }),
    (error: unknown) => error instanceof ClickHouseError && error.code === "516",
  );
  await client.close();
});
