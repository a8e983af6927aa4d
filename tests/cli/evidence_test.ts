import assert from "node:assert/strict";
import { UsageError } from "../../src/cli/command.ts";
import { command } from "../../src/cli/evidence.ts";
import { EvidenceStore } from "../../src/pipeline/evidence.ts";
import { madeUpEvidence } from "../pipeline/made_up_evidence.ts";
import { outcomeOf } from "./world.ts";

async function withEvidence(
  test: (run: (...args: string[]) => ReturnType<typeof outcomeOf>, name: string, directory: string) => Promise<void>,
): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    const { name } = await new EvidenceStore(directory, 100_000).keep(madeUpEvidence(7));
    await test((...args) => outcomeOf((io) => command.run([...args, "--directory", directory], io)), name, directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("evidence ls names each file with its bytes and time", () =>
  withEvidence(async (run, name) => {
    const { code, stdout } = await run("ls");
    assert.equal(code, 0);
    assert.match(stdout, new RegExp(`^${name}  \\d+  \\d{4}-\\d\\d-\\d\\dT[\\d:.]+Z\n$`));
    const listed = JSON.parse((await run("ls", "--json")).stdout);
    assert.deepEqual(listed.map((file: { name: string }) => file.name), [name]);
  }));

Deno.test("evidence show tells the identity, the node, the record and both ends of the result", () =>
  withEvidence(async (run, name) => {
    const { code, stdout } = await run("show", name);
    assert.equal(code, 0);
    const { transactionHash } = madeUpEvidence(7);
    for (
      const expected of [
        "R3: gas by the trace 1, receipt 2",
        `network testnet, block 107, transaction ${transactionHash}`,
        "node a (Geth/v1.17.10)",
        '"verdict":"violated"',
        'result {"gas":1,\n… 12 bytes …\n"structLogs":[]}',
      ]
    ) assert.ok(stdout.includes(expected), `${expected} in ${stdout}`);
    const json = JSON.parse((await run("show", name, "--json")).stdout);
    assert.deepEqual([json.transactionHash, json.receipt], [transactionHash, { gasUsed: "0x2" }]);
  }));

Deno.test("evidence takes the directory from the configuration", () =>
  withEvidence(async (_run, name, directory) => {
    const file = `${directory}/config.yaml`;
    await Deno.writeTextFile(
      file,
      `networks:\n  - name: n\n    chainId: 1\n    nodes: [{ name: a, url: "http://127.0.0.1:8545" }]\nproof:\n  evidenceDirectory: ${directory}\n`,
    );
    const { code, stdout, stderr } = await outcomeOf((io) => command.run(["ls", "--config", file], io));
    assert.equal(code, 0, stderr.join("\n"));
    assert.ok(stdout.startsWith(name));
  }));

Deno.test("evidence of a file that is not there, or a wrong verb, says so", () =>
  withEvidence(async (run) => {
    const { code, stderr } = await run("show", "nothing.json.gz");
    assert.equal(code, 1);
    assert.match(stderr.join("\n"), /nothing\.json\.gz/);
    await assert.rejects(run("remove"), UsageError);
    await assert.rejects(run("show"), UsageError);
  }));
