/** What the binary of `deno task compile` holds, read from the list of embedded files that Deno prints. */
import assert from "node:assert/strict";
import { compile, INCLUDED, type Lock, prunedLock } from "../../tools/compile.ts";

/** The tree that `deno compile` prints, as paths; a folder that it does not open ends in `/*`. */
function embeddedPaths(text: string): string[] {
  // deno-lint-ignore no-control-regex
  const lines = text.replace(/\x1b\[[0-9;]*m/g, "").split("\n");
  const parents: string[] = [];
  const paths: string[] = [];
  for (const line of lines) {
    const match = /^((?:[│ ] )*)[├└]─[─┬] (\S+)/u.exec(line);
    if (match === null) continue;
    const depth = match[1]!.length / 2;
    parents.length = depth;
    parents.push(match[2]!);
    paths.push(parents.join("/"));
  }
  return paths;
}

Deno.test("deno task compile embeds workers and wasm, and nothing of embedded/", async () => {
  const folder = await Deno.makeTempDir();
  try {
    // The runtime that would be downloaded: any Deno will do for the embedding step.
    const { code, text } = await compile(`${folder}/binary`, "piped", { env: { DENORT_BIN: Deno.execPath() } });
    assert.equal(code, 0, text);
    const paths = embeddedPaths(text);
    assert.ok(paths.length > 50, text);
    const holds = (path: string) => paths.some((found) => found === path || isFolded(found, path));
    for (const path of ["main.ts", "deno.json", ...INCLUDED]) assert.ok(holds(path), `${path} is missing in:\n${text}`);
    assert.ok(holds("src/stages/sink/migrations/x") && holds("src/stages/gate/sql/x"), "SQL is missing");
    const unwanted = /embedded\/|chdb|anvil|solc|assemblyscript|fast-check|viem|^tests|^bench/;
    assert.deepEqual(paths.filter((path) => unwanted.test(`${path}/`)), []);
    assert.ok((await Deno.stat(`${folder}/binary`)).size > 10e6);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

function isFolded(found: string, path: string): boolean {
  return found.endsWith("/*") && path.startsWith(found.slice(0, -1));
}

Deno.test("prunedLock() keeps what the named packages need, and no more", () => {
  const lock: Lock = {
    version: "5",
    specifiers: { "npm:a@1": "1.0.0", "npm:@s/b@2": "2.0.0_c@3.0.0", "npm:big@9": "9.0.0" },
    npm: {
      "a@1.0.0": { dependencies: ["d"] },
      "@s/b@2.0.0_c@3.0.0": { dependencies: ["c"], optionalPeers: ["big"] },
      "c@3.0.0": {},
      "d@4.0.0": { optionalDependencies: ["e@5.0.0"] },
      "e@4.0.0": {},
      "e@5.0.0": {},
      "big@9.0.0": {},
    },
  };
  const pruned = prunedLock(lock, new Set(["a", "@s/b"]));
  assert.deepEqual(Object.keys(pruned.specifiers), ["npm:a@1", "npm:@s/b@2"]);
  assert.deepEqual(Object.keys(pruned.npm), ["@s/b@2.0.0_c@3.0.0", "a@1.0.0", "c@3.0.0", "d@4.0.0", "e@5.0.0"]);
});
