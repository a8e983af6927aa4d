/** `start --dry-run`: the whole way but the store. */
import assert from "node:assert/strict";
import { startArguments } from "../../src/embedded/processor_command.ts";
import { structlogTable } from "../../src/stages/encode/structlog.ts";
import project from "../../deno.json" with { type: "json" };
import { endlessNode } from "./endless_node.ts";
import { freePort, metric, NETWORK, until } from "./stack.ts";

Deno.test("start --dry-run traces, proves and counts, and needs no database", async () => {
  await using node = endlessNode(5e6, { words: 1 });
  const directory = await Deno.makeTempDir({ prefix: "dry-run-" });
  try {
    const [file, address] = [`${directory}/config.yaml`, `127.0.0.1:${freePort()}`];
    await Deno.writeTextFile(
      file,
      JSON.stringify({
        networks: [{
          name: NETWORK,
          chainId: 31_337,
          startBlock: 1,
          forks: { osaka: 0 },
          nodes: [{ name: "endless", url: node.url }],
        }],
        clickhouse: { url: "http://127.0.0.1:1" },
        queue: { url: "redis://127.0.0.1:1" },
        work: { workers: 1 },
        telemetry: { address, progress: "off" },
      }),
    );
    await using child = new Deno.Command(Deno.execPath(), {
      args: [...startArguments(project.tasks.start, new URL("../../", import.meta.url), file), "--dry-run"],
      cwd: directory,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const [said, logged] = [new Response(child.stdout).text(), new Response(child.stderr).text()];
    await until("the rows", 120_000, async () => {
      const text = await fetch(`http://${address}/metrics`).then((answer) => answer.text(), () => "");
      return metric(text, "sink_attempts_total") === 1 && metric(text, "work_tasks_settled_total") === 1;
    });
    child.kill("SIGINT");
    assert.equal((await child.status).code, 0, await logged);
    assert.match(await said, new RegExp(`^${structlogTable.name}: ${node.structlogs} rows, \\d+ bytes$`, "m"));
    const left: string[] = [];
    for await (const { name } of Deno.readDir(directory)) left.push(name);
    assert.deepEqual(left, ["config.yaml"]);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
