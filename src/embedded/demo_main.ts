/** `deno task demo [--keep]`: prepares what the demo needs of this process, and turns its end into an exit code. */
import { PipelineError } from "../errors.ts";
import { runDemo } from "./demo.ts";
import type { Screen } from "./screen.ts";

const HELP = `deno task demo [--keep]

Starts a real EVM node (anvil) and the real ClickHouse engine, makes a workload, runs the processor over
it, shows what is in ClickHouse, and checks it against the node. Both are fetched from npm at first use.

  --keep   leave everything running at the end, and print the SQL endpoint; Ctrl-C ends it
  --help   this text

Exit code: 0 everything agrees, 1 something is amiss, 2 wrong arguments, 130 interrupted.
`;

/** How often the process looks whether whoever started it is still there. */
const PARENT_POLL_MS = 500;
const SEED = 1;

const encoder = new TextEncoder();

async function main(args: readonly string[]): Promise<number> {
  if (args.includes("--help") || args.includes("-h")) {
    writeAll(Deno.stdout, HELP);
    return 0;
  }
  const unknown = args.find((argument) => argument !== "--keep");
  if (unknown !== undefined) {
    writeAll(Deno.stderr, `Cannot take the argument "${unknown}": expected --keep or --help\n`);
    return 2;
  }
  const interrupted = new AbortController();
  const interrupt = () => interrupted.abort(new Error("interrupted"));
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) Deno.addSignalListener(signal, interrupt);
  const parent = Deno.ppid;
  setInterval(() => Deno.ppid === parent || interrupt(), PARENT_POLL_MS); // `deno task` passes no SIGKILL on
  await Deno.mkdir(".demo", { recursive: true });
  const directory = await Deno.realPath(await Deno.makeTempDir({ dir: ".demo" }));
  try {
    await runDemo({
      directory,
      seed: SEED,
      keep: args.includes("--keep"),
      screen: stdoutScreen(),
      signal: interrupted.signal,
    });
    return 0;
  } catch (error) {
    if (interrupted.signal.aborted) {
      writeAll(Deno.stderr, "\nInterrupted; nothing is left running.\n");
      return 130;
    }
    if (!(error instanceof PipelineError)) throw error;
    writeAll(Deno.stderr, `\n${error.message}\n`);
    return 1;
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

function stdoutScreen(): Screen {
  const terminal = Deno.stdout.isTerminal();
  return {
    terminal,
    colour: terminal && !Deno.noColor,
    columns: terminal ? Deno.consoleSize().columns : 100,
    write: (text) => writeAll(Deno.stdout, text),
  };
}

function writeAll(output: typeof Deno.stdout | typeof Deno.stderr, text: string): void {
  let bytes = encoder.encode(text);
  while (bytes.length > 0) bytes = bytes.subarray(output.writeSync(bytes));
}

Deno.exit(await main(Deno.args));
