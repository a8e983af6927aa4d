/** The checks of `deno task check` that are ours can fail. */
import assert from "node:assert/strict";
import { importCycle } from "../../tools/check.ts";

function module(specifier: string, ...imports: string[]) {
  return {
    specifier: `file:///project/src/${specifier}`,
    dependencies: imports.map((name) => ({ code: { specifier: `file:///project/src/${name}` } })),
  };
}

Deno.test("importCycle() names the files of a cycle, and accepts a graph without one", () => {
  assert.equal(importCycle([module("a.ts", "b.ts", "c.ts"), module("b.ts", "c.ts"), module("c.ts")]), undefined);
  assert.equal(
    importCycle([module("a.ts", "b.ts"), module("b.ts", "c.ts"), module("c.ts", "b.ts")]),
    "b.ts -> c.ts -> b.ts",
  );
  assert.equal(importCycle([module("a.ts", "a.ts")]), "a.ts -> a.ts");
});
