/** `start`: runs the processor with a configuration. */
import type { ApiOptions } from "../api/port.ts";
import { serveApi } from "../api/server.ts";
import { loadConfig } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
import { classified } from "../errors.ts";
import { runProcess } from "../pipeline/process.ts";
import { subscribe } from "../telemetry/emit.ts";
import { emit } from "../telemetry/emit.ts";
import { logReader } from "../telemetry/logs.ts";
import { Metrics } from "../telemetry/metrics.ts";
import { Progress, showProgress } from "../telemetry/progress.ts";
import { serveTelemetry } from "../telemetry/server.ts";
import { type Command, type CommandIo, printText, readFlags } from "./command.ts";

const HELP = `Usage: main.ts start [--config FILE] [--dry-run]

Runs the processor: follows the head, backfills, traces, proves and stores, as the configuration says.

  --config FILE   the configuration (default: config.yaml)
  --dry-run       store nothing: everything else is done, and at the end the rows are told that would have been stored.
                  Begins at startBlock or the head, takes nothing from a shared queue, and needs no ClickHouse

SIGINT or SIGTERM drains: nothing more is claimed, what is in hand is finished and flushed. A second signal aborts:
tasks in hand go back to the queue, nothing is flushed, and the process ends within 5 s.
Exit 0: drained. Exit 1: it cannot go on; the last line says why. Exit 2: wrong arguments or configuration.
Exit 70: a trace worker span. Exit 130: a second signal ended it.`;

/** Lines of progress where stdout is no terminal. */
const LINE_MS = 60_000;
/** The exit code of a process that a spinning worker ended. */
const SPINNING_EXIT = 70;
/** The exit code of a process that a second signal ended. */
const ABORTED_EXIT = 130;
/** How long an abort may take. */
const ABORT_WITHIN_MS = 5_000;

async function run(args: readonly string[], io: CommandIo): Promise<number> {
  const { flags } = readFlags(args, { config: "text", "dry-run": "switch" });
  const dryRun = flags["dry-run"] === true;
  const path = flags.config ?? "config.yaml";
  let loaded;
  try {
    loaded = await loadConfig(path, (name) => Deno.env.get(name));
  } catch (error) {
    io.stderr(classified(error).message);
    return 2;
  }
  const { config, secrets, warnings } = loaded;
  const hidden = new Set(
    [...secrets, config.clickhouse.password, config.api.token ?? ""].filter((secret) => secret !== ""),
  );
  using closing = new DisposableStack();
  const encoder = new TextEncoder();
  closing.use(
    subscribe(logReader({
      ...config.telemetry.log,
      secrets: hidden,
      write: (line) => void Deno.stderr.writeSync(encoder.encode(line)),
    })),
  );
  const metrics = new Metrics();
  closing.use(subscribe(metrics.read));
  const progress = new Progress(() => performance.now());
  closing.use(subscribe(progress.read));
  const counted = new Map<string, { rows: number; bytes: number }>();
  if (dryRun) {
    closing.use(subscribe((event) => {
      if (event.kind !== "rows_inserted") return;
      const { rows, bytes } = counted.get(event.table) ?? { rows: 0, bytes: 0 };
      counted.set(event.table, { rows: rows + event.rows, bytes: bytes + event.bytes });
    }));
  }
  for (const text of warnings) emit({ kind: "configuration_warning", text });

  const drain = new AbortController();
  const abort = new AbortController();
  const onSignal = (signal: string) => {
    if (abort.signal.aborted) return;
    if (drain.signal.aborted) {
      // What does not answer must not hold up who has asked twice.
      const timer = setTimeout(() => Deno.exit(ABORTED_EXIT), ABORT_WITHIN_MS);
      closing.defer(() => clearTimeout(timer));
      return abort.abort();
    }
    emit({ kind: "process_draining", signal });
    drain.abort();
  };
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    const listener = () => onSignal(name);
    Deno.addSignalListener(name, listener);
    closing.defer(() => Deno.removeSignalListener(name, listener));
  }
  const onAbort = () => onSignal("abort");
  io.signal.addEventListener("abort", onAbort);
  closing.defer(() => io.signal.removeEventListener("abort", onAbort));

  let notReady: () => readonly string[] = () => ["starting"];
  const address = config.telemetry.address;
  const server = address === undefined ? undefined : serveTelemetry(address, () => metrics.text(), () => notReady());
  try {
    await runProcess(
      config,
      { dryRun, drain: drain.signal, abort: abort.signal, endProcess: () => Deno.exit(SPINNING_EXIT) },
      (process) => {
        notReady = () => drain.signal.aborted ? ["draining"] : process.notReady();
        const terminal = Deno.stdout.isTerminal();
        const how = config.telemetry.progress === "auto" ? terminal ? "bar" : "lines" : config.telemetry.progress;
        if (how !== "off") {
          const write = (text: string) => void Deno.stdout.writeSync(encoder.encode(text));
          const columns = terminal ? Deno.consoleSize().columns : 100;
          closing.use(showProgress(progress, { terminal: how === "bar", columns, write }, LINE_MS));
        }
        const api = apiOptions(config);
        return api === undefined ? undefined : serveApi(api, process.networks);
      },
    );
    for (const [table, { rows, bytes }] of counted) await printText(io, `${table}: ${rows} rows, ${bytes} bytes`);
    return abort.signal.aborted ? ABORTED_EXIT : 0;
  } catch (error) {
    const failure = classified(error);
    let text = failure.message;
    for (const secret of hidden) text = text.replaceAll(secret, "[redacted]");
    io.stderr(text);
    return 1;
  } finally {
    await server?.[Symbol.asyncDispose]();
  }
}

/** The operator API of this process; `undefined`: it has none. */
function apiOptions({ api, roles }: Config): ApiOptions | undefined {
  const { address, token, ratePerSecond, bodyBytes, timeout } = api;
  if (address === undefined || !roles.includes("api")) return undefined;
  return { address, ...(token === undefined ? {} : { token }), ratePerSecond, bodyBytes, timeoutMs: timeout };
}

export const command: Command = { name: "start", summary: "run the processor with a configuration", help: HELP, run };
