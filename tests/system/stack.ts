/** The assembled product for one test: a chain, a database, and the processor as a process of its own. */
import { DEV_CHAIN_ID } from "../../src/embedded/chain.ts";
import { startArguments } from "../../src/embedded/processor_command.ts";
import { applySchema } from "../../src/stages/sink/schema.ts";
import { openClickHouse } from "../../src/stages/sink/clickhouse.ts";
import project from "../../deno.json" with { type: "json" };
import { freshDatabase } from "../embedded/shared_engine.ts";

/** How long a machine that is much slower than usual may need for one step. */
export const PATIENCE_MS = 240_000;

/** Name of the network in every test. */
export const NETWORK = "devnet";

/** A database with the schema applied. */
export async function openStore() {
  const database = await freshDatabase();
  const { url, user, password } = database;
  const clickhouse = openClickHouse({
    url,
    user,
    password,
    database: database.database,
    settings: {},
    requestTimeoutMs: 60_000,
  });
  await applySchema(clickhouse, { appliedBy: "test" });
  return {
    /** The configuration's `clickhouse` section. */
    section: { url, user, password, database: database.database },
    /** Rows of a SELECT. */
    query: <T>(sql: string, params: Readonly<Record<string, unknown>> = {}) => clickhouse.query<T>(sql, params),
    /** A statement without an answer. */
    execute: (sql: string, params: Readonly<Record<string, unknown>> = {}) => clickhouse.execute(sql, params),
    async [Symbol.asyncDispose]() {
      await clickhouse.close();
      await database[Symbol.asyncDispose]();
    },
  };
}

/** What a test configures; JSON is YAML. */
export interface StackConfig {
  readonly nodes: readonly Readonly<Record<string, unknown>>[];
  readonly clickhouse: Readonly<Record<string, unknown>>;
  readonly network?: Readonly<Record<string, unknown>>;
  readonly rest?: Readonly<Record<string, unknown>>;
}

/** A running `main.ts start`. */
export interface Processor extends AsyncDisposable {
  readonly pid: number;
  /** Where it runs. */
  readonly directory: string;
  /** Its configuration. */
  readonly file: string;
  /** What it has written to stderr so far. */
  log(): string;
  /** Sends a signal and waits for its end. @returns the exit code. */
  end(signal: Deno.Signal): Promise<number>;
  /** Starts it again where it was, once it has ended. */
  again(): Promise<void>;
}

/** Starts the processor with the permissions of `deno task start`; ended by `await using`. */
export async function startProcessor(config: StackConfig): Promise<Processor> {
  const directory = await Deno.makeTempDir({ prefix: "processor-" });
  const file = `${directory}/config.yaml`;
  const { telemetry, ...rest } = (config.rest ?? {}) as { telemetry?: object };
  await Deno.writeTextFile(
    file,
    JSON.stringify({
      networks: [{
        name: NETWORK,
        chainId: DEV_CHAIN_ID,
        blockTime: "1s",
        startBlock: 1,
        nodes: config.nodes,
        ...config.network,
      }],
      clickhouse: config.clickhouse,
      roles: ["discover", "work"],
      telemetry: { log: { level: "info", format: "pretty" }, progress: "off", ...telemetry },
      ...rest,
    }),
  );
  let log = "";
  const start = () => {
    const child = new Deno.Command(Deno.execPath(), {
      args: startArguments(project.tasks.start, new URL("../../", import.meta.url), file),
      cwd: directory,
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    const logged = (async () => {
      for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) log += text;
    })();
    let ended = false;
    const status = child.status.then((result) => {
      ended = true;
      return result;
    });
    const end = async (signal: Deno.Signal) => {
      if (!ended) child.kill(signal);
      const { code } = await status;
      await logged;
      return code;
    };
    return { pid: child.pid, end };
  };
  let running = start();
  return {
    get pid() {
      return running.pid;
    },
    directory,
    file,
    log: () => log,
    end: (signal) => running.end(signal),
    async again() {
      await running.end("SIGKILL");
      running = start();
    },
    async [Symbol.asyncDispose]() {
      await running.end("SIGKILL");
      await Deno.remove(directory, { recursive: true });
    },
  };
}

/** Runs another command of `main.ts` with the configuration of a processor. @returns what it printed, and its exit code. */
export async function runMain(file: string, args: readonly string[]): Promise<{ code: number; output: string }> {
  const main = new URL("../../main.ts", import.meta.url).pathname;
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", "--allow-read", "--allow-net", "--allow-env", main, ...args, "--config", file],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).output();
  const decoder = new TextDecoder();
  return { code, output: `${decoder.decode(stdout)}${decoder.decode(stderr)}` };
}

/** Waits until `holds` does. @throws {Error} after `withinMs`, with what `otherwise` says. */
export async function until(
  what: string,
  withinMs: number,
  holds: () => Promise<boolean>,
  otherwise = () => "",
): Promise<void> {
  const end = performance.now() + withinMs;
  while (!await holds()) {
    if (performance.now() > end) throw new Error(`Cannot wait longer for ${what}\n${otherwise()}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Waits until nothing is left. @throws {Error} when it was not less for a while, with what `otherwise` says. */
export async function untilNone(what: string, left: () => Promise<number>, otherwise: () => string): Promise<void> {
  for (let now = await left(); now > 0;) {
    const before = now;
    await until(`${what}, ${before} left`, PATIENCE_MS, async () => (now = await left()) < before, otherwise);
  }
}

/** Configured for a server that chooses a port itself, see {@linkcode listening}: one that is chosen for it may be taken. */
export const ANY_PORT = "127.0.0.1:0";

/** Where the server of this name listens, once a processor with that log has said so. */
export async function listening(what: "the operator API" | "telemetry", log: () => string): Promise<string> {
  const find = () => new RegExp(`${what} listens {2}url=(\\S+)`).exec(log())?.[1];
  await until(what, PATIENCE_MS, () => Promise.resolve(find() !== undefined), log);
  return find()!;
}

/** Samples of one metric in a text of `/metrics`, summed over its labels. */
export function metric(text: string, name: string): number {
  return [...text.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, "gm"))].reduce(
    (sum, match) => sum + Number(match[1]),
    0,
  );
}

/** JSON-RPC to a node, beside the product. */
export async function ask<T>(url: string, method: string, params: readonly unknown[]): Promise<T> {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
  });
  const { result, error } = await response.json() as { result: T; error?: { message: string } };
  if (error !== undefined) throw new Error(`${method}: ${error.message}`);
  return result;
}
