import assert from "node:assert/strict";
import { PackageUnavailableError } from "../../src/embedded/errors.ts";
import { type NpmPackage, packageDirectory } from "../../src/embedded/npm_package.ts";

const ANVIL: NpmPackage = {
  name: "@foundry-rs/anvil-linux-amd64",
  version: "1.7.1",
  title: "the EVM node anvil",
  downloadBytes: 18_900_000,
  diskBytes: 44_300_000,
};

Deno.test("packageDirectory() is where the package's files are", async () => {
  const directory = await packageDirectory(ANVIL, { onDownload: () => {} });
  const manifest = JSON.parse(await Deno.readTextFile(`${directory}package.json`));
  assert.deepEqual([manifest.name, manifest.version], [ANVIL.name, ANVIL.version]);
  assert.ok((await Deno.stat(`${directory}bin/anvil`)).isFile);
});

Deno.test("packageDirectory() says what it fetches before it does, and refuses what the lock file does not pin", async () => {
  const lines: string[] = [];
  const wanted = { ...ANVIL, version: "1.7.0" };
  await assert.rejects(packageDirectory(wanted, { onDownload: (line) => lines.push(line) }), (error) => {
    assert.ok(error instanceof PackageUnavailableError);
    assert.match(
      error.message,
      /^Cannot fetch @foundry-rs\/anvil-linux-amd64 1\.7\.0 from npm: .*lockfile is out of date/,
    );
    return true;
  });
  assert.deepEqual(lines, [
    "First use: fetching the EVM node anvil (@foundry-rs/anvil-linux-amd64 1.7.0) from npm, 19 MB, 44 MB on disk",
  ]);
});

Deno.test("packageDirectory() stops for an abort", async () => {
  const lookup = { onDownload: () => {}, signal: AbortSignal.abort(new Error("not now")) };
  await assert.rejects(packageDirectory(ANVIL, lookup), /not now/);
});
