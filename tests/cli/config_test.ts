/** `config check`: what is in effect, without secrets; every mistake with its line. */
import assert from "node:assert/strict";
import { parse } from "yaml";
import { invoke } from "../../src/cli/command.ts";
import { command } from "../../src/cli/config.ts";
import { type CommandOutcome, outcomeOf } from "./world.ts";

const MINIMAL = `networks:
  - name: mainnet
    chainId: 1
    nodes:
      - name: local
        url: "http://127.0.0.1:8545"
        headers:
          authorization: Bearer a-token-that-nobody-may-see
clickhouse:
  url: "http://127.0.0.1:8123"
  password: a-password-that-nobody-may-see
`;

async function check(text: string, ...more: string[]): Promise<CommandOutcome & { readonly file: string }> {
  const folder = await Deno.makeTempDir();
  try {
    const file = `${folder}/config.yaml`;
    await Deno.writeTextFile(file, text);
    return { ...await outcomeOf((io) => invoke(command, ["check", "--config", file, ...more], io)), file };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("config check prints what is in effect, secrets redacted, as YAML and as JSON", async () => {
  const yaml = await check(MINIMAL);
  assert.equal(yaml.code, 0);
  const warnings = yaml.stderr.map((line) => line.slice(line.lastIndexOf("config.yaml")));
  assert.deepEqual(warnings.sort(), [
    "config.yaml:4: one node only: its outage stops the network",
    "config.yaml:5: local has no ws: heads are polled",
  ]);
  const json = await check(MINIMAL, "--json");
  assert.deepEqual(parse(yaml.stdout), JSON.parse(json.stdout));
  assert.equal(parse(yaml.stdout).proof.policy, "enforce");
  for (const { stdout } of [yaml, json]) assert.doesNotMatch(stdout, /nobody-may-see/);
});

Deno.test("config check names file, line, key and the nearest known key of a mistake", async () => {
  const { code, stdout, stderr, file } = await check(`${MINIMAL}proof:\n  polcy: record\n`);
  assert.deepEqual([code, stdout], [1, ""]);
  const text = stderr.join("\n");
  assert.ok(text.includes(`${file}:13`), text);
  assert.match(text, /polcy.*policy/s);
});

Deno.test("config check refuses other verbs and a file that is not there", async () => {
  const wrong = await outcomeOf((io) => invoke(command, ["show"], io));
  assert.deepEqual([wrong.code, wrong.stdout], [2, ""]);
  assert.match(wrong.stderr.join(), /the only verb is check/);
  const missing = await outcomeOf((io) => invoke(command, ["check", "--config", "/does/not/exist.yaml"], io));
  assert.equal(missing.code, 1);
  assert.match(missing.stderr.join(), /\/does\/not\/exist\.yaml/);
});
