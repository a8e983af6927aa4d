/** `start --dry-run`: the whole way but the store. */
import assert from "node:assert/strict";
import { startArguments } from "../../src/embedded/processor_command.ts";
import { structlogTable } from "../../src/stages/encode/structlog.ts";
import project from "../../deno.json" with { type: "json" };
import { endlessNode } from "./endless_node.ts";
import { ANY_PORT, listening, metric, NETWORK, PATIENCE_MS, until } from "./stack.ts";

Deno.test("start --dry-run traces, proves and counts, and needs no database", async () => {
  await using node = endlessNode(5e6, { words: 1 });
  const directory = await Deno.makeTempDir({ prefix: "dry-run-" });
  try {
    const file = `${directory}/config.yaml`;
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
        telemetry: { address: ANY_PORT, log: { format: "pretty" }, progress: "off" },
      }),
    );
    await using child = new Deno.Command(Deno.execPath(), {
      args: [...startArguments(project.tasks.start, new URL("../../", import.meta.url), file), "--dry-run"],
      cwd: directory,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const said = new Response(child.stdout).text();
    let log = "";
    const logged = (async () => {
      for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) log += text;
    })();
    const telemetry = await listening("telemetry", () => log);
    await until("the rows", PATIENCE_MS, async () => {
      const text = await (await fetch(`${telemetry}/metrics`)).text();
      return metric(text, "sink_attempts_total") === 1 && metric(text, "work_tasks_settled_total") === 1;
    }, () => log);
    child.kill("SIGINT");
    const { code } = await child.status;
    await logged;
    assert.equal(code, 0, log);
    assert.match(await said, new RegExp(`^${structlogTable.name}: ${node.structlogs} rows, \\d+ bytes$`, "m"));
    const left: string[] = [];
    for await (const { name } of Deno.readDir(directory)) left.push(name);
    assert.deepEqual(left, ["config.yaml"]);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
