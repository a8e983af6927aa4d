/** The arguments with which Deno runs the processor: the same permissions as `deno task start`, read from there. */
import project from "../../deno.json" with { type: "json" };
import { DemoError } from "./errors.ts";

const ROOT = new URL("../../", import.meta.url);

/** Arguments of `deno` for `main.ts start --config CONFIG`. */
export function processorArguments(config: string): string[] {
  return startArguments(project.tasks.start, ROOT, config);
}

/**
 * The words of a task's command from `run` on, with its script as an absolute path.
 *
 * @throws {DemoError} when the command has another form than `deno run FLAGS main.ts start`.
 */
export function startArguments(task: string, root: URL, config: string): string[] {
  const [deno, run, ...words] = task.split(/\s+/);
  const script = words.indexOf("main.ts");
  if (deno !== "deno" || run !== "run" || script === -1 || words[script + 1] !== "start" || /["'$`\\]/.test(task)) {
    throw new DemoError(
      `Cannot start the processor as the task "start" says: expected "deno run FLAGS main.ts start", current value is "${task}"`,
    );
  }
  return [
    "run",
    ...words.slice(0, script),
    new URL("main.ts", root).pathname,
    ...words.slice(script + 1),
    "--config",
    config,
  ];
}
