import assert from "node:assert/strict";
import project from "../../deno.json" with { type: "json" };
import { DemoError } from "../../src/embedded/errors.ts";
import { processorArguments, startArguments } from "../../src/embedded/processor_command.ts";

const ROOT = new URL("file:///house/");

Deno.test("startArguments() keeps the task's permissions and makes its script absolute", () => {
  const task = "deno run --allow-net --allow-read=. main.ts start";
  assert.deepEqual(startArguments(task, ROOT, "/tmp/c.yaml"), [
    "run",
    "--allow-net",
    "--allow-read=.",
    "/house/main.ts",
    "start",
    "--config",
    "/tmp/c.yaml",
  ]);
});

Deno.test("startArguments() refuses a task that it cannot read word by word", () => {
  for (const task of ["deno task other", "deno run main.ts decode", 'deno run "--allow-read=a b" main.ts start']) {
    assert.throws(() => startArguments(task, ROOT, "c"), DemoError);
  }
});

Deno.test("processorArguments() reads the task that deno.json has", () => {
  const args = processorArguments("/tmp/c.yaml");
  for (const flag of project.tasks.start.split(" ").filter((word) => word.startsWith("--"))) {
    assert.ok(args.includes(flag), flag);
  }
  assert.deepEqual(args.slice(-3), ["start", "--config", "/tmp/c.yaml"]);
});
