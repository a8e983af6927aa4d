/** The committed module is the one that the sources make. */
import assert from "node:assert/strict";
import { buildModule, BUILT_MODULE } from "../../tools/build_wasm.ts";

Deno.test("a rebuild of the module is byte-identical to the committed one", async () => {
  const committed = await Deno.readFile(BUILT_MODULE);
  const rebuilt = await buildModule();
  assert.equal(rebuilt.length, committed.length, "wasm/build is not what wasm/ makes: run deno task build:wasm");
  assert.ok(rebuilt.every((byte, index) => byte === committed[index]), "run deno task build:wasm");
});

Deno.test("buildModule() says what the compiler says", async () => {
  const broken = new Map([["wasm/trace.ts", "export function structlog(): void { nothing(); }"]]);
  await assert.rejects(buildModule(broken), /Cannot build wasm\/index\.ts: [^]*nothing/);
});
