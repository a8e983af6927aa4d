import assert from "node:assert/strict";
import { freshDatabase } from "./shared_engine.ts";

Deno.test("the engine has databases, MergeTree tables, lightweight deletes and parameterised views", async () => {
  await using db = await freshDatabase();
  await db.query(
    `CREATE TABLE t (n LowCardinality(String), b UInt64, h FixedString(4), m Map(LowCardinality(String), UInt32),
    v UInt64) ENGINE = ReplacingMergeTree(v) PARTITION BY (n, intDiv(b, 10)) ORDER BY (n, b, h)
    SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, max_suspicious_broken_parts = 1000`,
  );
  await db.query(
    `CREATE VIEW seen AS SELECT * FROM t FINAL WHERE n = {network:String} AND b BETWEEN {from:UInt64} AND {to:UInt64}`,
  );
  await db.query(
    "INSERT INTO t VALUES ('a', 1, 'aaaa', {'x': 1}, 1), ('a', 2, 'bbbb', {}, 1), ('b', 1, 'cccc', {}, 1)",
  );
  await db.query("INSERT INTO t VALUES ('a', 1, 'aaaa', {'x': 2}, 2)");
  assert.equal(
    await db.query("SELECT b, m['x'] FROM seen(network = 'a', from = 1, to = 9) ORDER BY b"),
    "1\t2\n2\t0\n",
  );
  await db.query("DELETE FROM t WHERE n = 'a' AND v = 2");
  assert.equal(
    await db.query("SELECT b, m['x'] FROM seen(network = 'a', from = 1, to = 9) ORDER BY b"),
    "1\t1\n2\t0\n",
  );
});
