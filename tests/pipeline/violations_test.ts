import assert from "node:assert/strict";
import { Violations } from "../../src/pipeline/violations.ts";

Deno.test("Violations counts nodes, not times", () => {
  const violations = new Violations();
  assert.deepEqual(["a", "a", "b"].map((node) => violations.add("0x1", node, false)), [1, 1, 2]);
  assert.equal(violations.add("0x2", "a", false), 1);
});

Deno.test("Violations counts times where there is one node", () => {
  const violations = new Violations();
  assert.deepEqual([1, 2].map(() => violations.add("0x1", "a", true)), [1, 2]);
});

Deno.test("Violations forgets the oldest transaction beyond its bound", () => {
  const violations = new Violations();
  for (let at = 0; at <= 4_096; at++) violations.add(`0x${at}`, "a", true);
  assert.equal(violations.add("0x4096", "a", true), 2);
  assert.equal(violations.add("0x0", "a", true), 1);
});
