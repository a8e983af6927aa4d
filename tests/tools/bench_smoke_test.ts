import assert from "node:assert/strict";
import { best, fallen, readFigures } from "../../tools/bench_smoke.ts";

const COMMITTED = readFigures("a\t10\tratio\nb\t1\tshare\n");

Deno.test("fallen() names the figures that lost too much of the committed ones, or are missing", () => {
  assert.deepEqual(fallen(COMMITTED, readFigures("a\t6.01\tratio\nb\t0.96\tshare\nc\t0\tratio\n")), []);
  const wrong = fallen(COMMITTED, readFigures("a\t5.9\tratio\n"));
  assert.equal(wrong.length, 2);
  assert.match(wrong[0]!, /^a must be at least 6\.00: current value is 5\.9$/);
  assert.match(wrong[1]!, /^b .*missing$/);
});

Deno.test("best() keeps the greater of each figure, whichever run it is of", () => {
  const figures = best(readFigures("a\t5\tratio\nb\t1\tshare\n"), readFigures("a\t9\tratio\nb\t0.5\tshare\n"));
  assert.deepEqual(fallen(COMMITTED, figures), []);
});

Deno.test("readFigures() refuses a line that is no figure", () => {
  for (const line of ["a\t1", "a\tx\tratio", "\t1\tratio"]) assert.throws(() => readFigures(line), SyntaxError, line);
});

Deno.test("bench/committed.tsv holds a ratio of each client, and what the smoke bench prints", async () => {
  const committed = readFigures(await Deno.readTextFile(new URL("../../bench/committed.tsv", import.meta.url)));
  for (const client of ["geth", "erigon", "nethermind", "besu", "revm"]) {
    assert.equal(committed.get(`decode_all_vs_json_parse_${client}`)?.unit, "ratio");
    assert.equal(committed.get(`decode_fast_path_share_${client}`)?.unit, "share");
  }
  for (const name of ["decode_small_vs_json_parse", "decode_small_vs_large"]) assert.ok(committed.has(name), name);
});
