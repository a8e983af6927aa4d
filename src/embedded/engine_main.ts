/**
 * The embedded ClickHouse engine as a program: one line of JSON on stdout says how to reach it, and it runs until its
 * stdin ends, so that it never outlives whoever started it.
 *
 * ```
 * deno run --allow-run=deno src/embedded/engine_main.ts DIRECTORY [PORT [MAX_MEMORY_BYTES]]
 * ```
 */
import { startEngine } from "./engine.ts";

const DEFAULT_MAX_MEMORY_BYTES = 2e9;

if (import.meta.main) Deno.exit(await main(Deno.args));

/** Runs one engine. @returns the exit code. */
async function main(args: readonly string[]): Promise<number> {
  const [path, port = "0", maxMemoryBytes = String(DEFAULT_MAX_MEMORY_BYTES)] = args;
  if (path === undefined || args.length > 3 || !/^\d+$/.test(port) || !/^\d+$/.test(maxMemoryBytes)) {
    say(Deno.stderr, "usage: engine_main.ts DIRECTORY [PORT [MAX_MEMORY_BYTES]]");
    return 2;
  }
  try {
    await using engine = await startEngine({
      path,
      port: Number(port),
      maxMemoryBytes: Number(maxMemoryBytes),
      onDownload: (text) => say(Deno.stderr, text),
    });
    const { url, user, password, database, pid } = engine;
    say(Deno.stdout, JSON.stringify({ url, user, password, database, pid }));
    const exit = await Promise.race([engine.exited, endOfInput()]);
    if (exit === undefined) return 0;
    say(Deno.stderr, `The ClickHouse engine ended unexpectedly with ${exit.signal ?? `code ${exit.code}`}`);
    return 1;
  } catch (error) {
    say(Deno.stderr, error instanceof Error ? error.message : String(error));
    return 1;
  }
}

async function endOfInput(): Promise<undefined> {
  for await (const _ of Deno.stdin.readable);
}

function say(stream: { writeSync(bytes: Uint8Array): number }, text: string): void {
  stream.writeSync(new TextEncoder().encode(`${text}\n`));
}
