import assert from "node:assert/strict";
import { freshDatabase, freshEngine, speaker } from "./shared_engine.ts";

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

Deno.test("statements for a cluster can be explained without one", async () => {
  await using fresh = await freshEngine({ clusters: { two: ["127.0.0.2:9000", "127.0.0.3:9001"] } });
  const db = speaker(fresh.engine, "default");
  assert.equal(
    await db.query("SELECT cluster, shard_num, host_name, port FROM system.clusters ORDER BY shard_num"),
    "two\t1\t127.0.0.2\t9000\ntwo\t2\t127.0.0.3\t9001\n",
  );
  await db.query("CREATE TABLE t_local (a UInt8) ENGINE = MergeTree ORDER BY a");
  await db.query("CREATE TABLE t AS t_local ENGINE = Distributed('two', 'default', 't_local', a)");
  assert.match(await db.query("EXPLAIN SELECT count() FROM t"), /ReadFromRemote/);
  await assert.rejects(db.query("EXPLAIN SELECT count() FROM t WHERE a IN (SELECT a FROM t)"), /Code: 288/);
  await assert.rejects(db.query("DELETE FROM t WHERE a = 1"), /Code: 36/);
});
