/**
 * The process that owns the dev chain, the engine and whatever else the demo runs, for as long as its stdin is open. A
 * killed owner closes it without a word: that is why these parts have an owner of their own, and why it is a process.
 */
import { startChain } from "./chain.ts";
import { startEngine } from "./engine.ts";
import { jsonLine, readJsonLines, readLines } from "./lines.ts";
import type { Program, SupervisorOrder, SupervisorReport } from "./supervisor_protocol.ts";

/** From a program's SIGTERM, when all ends, to its SIGKILL: what it could save ends a moment later. */
const PROGRAM_ENDS_WITHIN_MS = 1_000;

type Begin = Extract<SupervisorOrder, { kind: "begin" }>;

/** Everything that this process has started, newest last: it is ended in reverse. */
const parts: (() => Promise<void>)[] = [];
const programs = new Map<number, Deno.ChildProcess>();
let ending: Promise<never> | undefined;

function report(line: SupervisorReport): void {
  try {
    Deno.stdout.writeSync(jsonLine(line));
  } catch {
    // The owner is gone; the end of stdin says so too.
  }
}

/** Ends all parts, then this process. */
function end(code: number): Promise<never> {
  ending ??= (async () => {
    for (const stop of parts.toReversed()) await stop().catch(() => {});
    Deno.exit(code);
  })();
  return ending;
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

async function begin(order: Begin): Promise<void> {
  const aborted = new AbortController();
  const { signal } = aborted;
  const starting = Promise.all([
    startChain({ ...order.chain, signal }).then((chain) => {
      parts.push(() => chain.stop());
      void chain.exited.then((said) => lose(`the dev chain ended and said "${said}"`));
      return chain;
    }),
    startEngine({ ...order.engine, signal, onDownload: (line) => report({ kind: "download", line }) }).then(
      (engine) => {
        parts.push(() => engine.stop());
        void engine.exited.then(({ code, signal }) => lose(`the engine ended with ${signal ?? `code ${code}`}`));
        return engine;
      },
    ),
  ]);
  parts.push(async () => {
    aborted.abort();
    await Promise.allSettled([starting]);
  });
  try {
    const [{ httpUrl, wsUrl, pid }, engine] = await starting;
    const { url, user, password, database } = engine;
    const endpoint = { url, user, password, database, pid: engine.pid };
    report({ kind: "ready", chain: { httpUrl, wsUrl, pid }, engine: endpoint });
  } catch (error) {
    if (ending === undefined) report({ kind: "failed", reason: textOf(error) });
    await end(1);
  }
}

function lose(reason: string): void {
  if (ending !== undefined) return;
  report({ kind: "lost", reason });
  void end(1);
}

function run(id: number, { args, cwd }: Program): void {
  const program = new Deno.Command(Deno.execPath(), {
    args: [...args],
    ...(cwd !== undefined && { cwd }),
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const forward = async (output: ReadableStream<Uint8Array>) => {
    for await (const line of readLines(output)) report({ kind: "printed", id, line });
  };
  programs.set(id, program);
  report({ kind: "running", id, pid: program.pid });
  parts.push(async () => {
    if (!programs.has(id)) return;
    program.kill("SIGTERM");
    const timer = setTimeout(() => programs.get(id)?.kill("SIGKILL"), PROGRAM_ENDS_WITHIN_MS);
    await program.status;
    clearTimeout(timer);
  });
  const outputs = Promise.allSettled([forward(program.stdout), forward(program.stderr)]);
  void program.status.then(async ({ code, signal }) => {
    programs.delete(id);
    await outputs;
    report({ kind: "exited", id, exit: signal === null ? { code } : { signal } });
  });
}

// Ctrl-C reaches every process of a terminal: what ends, and when, is the owner's decision.
Deno.addSignalListener("SIGINT", () => {});
Deno.addSignalListener("SIGHUP", () => void end(0));
Deno.addSignalListener("SIGTERM", () => void end(0));

for await (const order of readJsonLines<SupervisorOrder>(Deno.stdin.readable)) {
  if (order.kind === "begin") void begin(order);
  if (order.kind === "run") run(order.id, order.program);
  if (order.kind === "signal") programs.get(order.id)?.kill(order.signal);
}
await end(0);
