/** The command line. One file per command in `src/cli/`; each is loaded when it is asked for. */
import { type Command, type CommandIo, invoke } from "./src/cli/command.ts";
import { nearest } from "./src/config/nearest.ts";
import { VERSION } from "./src/version.ts";

interface Entry {
  readonly summary: string;
  readonly load: () => Promise<{ readonly command: Command }>;
}

const COMMANDS: Readonly<Record<string, Entry>> = {
  start: { summary: "run the processor with a configuration", load: () => import("./src/cli/start.ts") },
  config: { summary: "check the configuration and print what is in effect", load: () => import("./src/cli/config.ts") },
  decode: {
    summary: "a trace on stdin becomes rows or a verdict on stdout",
    load: () => import("./src/cli/decode.ts"),
  },
  trace: { summary: "the same for a transaction of a node", load: () => import("./src/cli/trace.ts") },
  schema: { summary: "plan, apply or compare the tables", load: () => import("./src/cli/schema.ts") },
  queue: { summary: "figures, dead letters, pause and resume", load: () => import("./src/cli/queue.ts") },
  verify: { summary: "what is complete, missing or stuck", load: () => import("./src/cli/verify.ts") },
  spill: { summary: "rows that wait on disk for ClickHouse", load: () => import("./src/cli/spill.ts") },
  evidence: { summary: "list and show what is kept of refused traces", load: () => import("./src/cli/evidence.ts") },
  nodes: { summary: "the nodes: state, lag, limits, breakers", load: () => import("./src/cli/nodes.ts") },
  doctor: { summary: "what a node lacks, and the line that switches it on", load: () => import("./src/cli/doctor.ts") },
};

function usage(): string {
  const width = Math.max(...Object.keys(COMMANDS).map((name) => name.length));
  const lines = Object.entries(COMMANDS).map(([name, { summary }]) => `  ${name.padEnd(width)}  ${summary}`);
  return `execution-processor ${VERSION}: Ethereum execution traces as proved rows in ClickHouse

Usage: main.ts COMMAND [flags]; main.ts COMMAND --help says more

${lines.join("\n")}

  --help, --version`;
}

async function main(args: readonly string[]): Promise<number> {
  const encoder = new TextEncoder();
  const print = (text: string) => Deno.stdout.writeSync(encoder.encode(`${text}\n`));
  const complain = (line: string) => void Deno.stderr.writeSync(encoder.encode(`${line}\n`));
  const [name, ...rest] = args;
  if (name === undefined || name === "--help" || name === "-h" || name === "help") {
    print(usage());
    return name === undefined ? 2 : 0;
  }
  if (name === "--version") {
    print(VERSION);
    return 0;
  }
  const entry = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (entry === undefined) {
    const guess = nearest(name, Object.keys(COMMANDS));
    complain(
      `Cannot run "${name}", there is no such command${
        guess === undefined ? "" : `: did you mean ${guess}?`
      } See main.ts --help.`,
    );
    return 2;
  }
  const abort = new AbortController();
  const io: CommandIo = {
    stdin: Deno.stdin.readable,
    stdout: Deno.stdout.writable,
    stderr: complain,
    signal: abort.signal,
  };
  const { command } = await entry.load();
  return await invoke(command, rest, io);
}

if (import.meta.main) Deno.exit(await main(Deno.args));
