/**
 * A real ClickHouse engine for tests. Importing this file starts one engine for the importing test file (before any test,
 * so that the sanitizers do not see it as a test's leak) and ends it when the file is done.
 *
 * - {@linkcode freshDatabase}: an empty database on that engine; the cheap way.
 * - {@linkcode freshEngine}: an engine of one's own, for tests that kill or restart it.
 *
 * Needs `--allow-run --allow-net --allow-read --allow-write`.
 */
import { type Engine, startEngine } from "../../src/embedded/engine.ts";

/** Enough for 100,000-row batches, small enough for several engines on a laptop. */
const MAX_MEMORY_BYTES = 1.5e9;

/** An engine on a directory that is removed with it. */
export interface TestEngine extends AsyncDisposable {
  readonly engine: Engine;
  /** The engine's directory. */
  readonly path: string;
}

/** An empty database on the shared engine, dropped when it is disposed of. */
export interface TestDatabase extends AsyncDisposable {
  readonly url: string;
  readonly user: string;
  readonly password: string;
  /** Name of the database. */
  readonly database: string;
  /** Runs one statement in the database. @returns the body; throws the server's text otherwise. */
  query(sql: string, settings?: Readonly<Record<string, string>>): Promise<string>;
  /** Sends rows. @returns the body; throws the server's text otherwise. */
  insert(
    sql: string,
    rows: Uint8Array<ArrayBuffer> | string,
    settings?: Readonly<Record<string, string>>,
  ): Promise<string>;
}

/** Starts an engine on a new directory. */
export async function freshEngine(): Promise<TestEngine> {
  const path = await Deno.makeTempDir({ prefix: "engine-" });
  try {
    const engine = await startEngine({ path, port: 0, maxMemoryBytes: MAX_MEMORY_BYTES });
    return {
      engine,
      path,
      async [Symbol.asyncDispose]() {
        await engine.stop();
        await Deno.remove(path, { recursive: true });
      },
    };
  } catch (error) {
    await Deno.remove(path, { recursive: true });
    throw error;
  }
}

/** The engine of the importing test file. */
export const { engine: sharedEngine, path: sharedPath } = await freshEngine();

globalThis.addEventListener("unload", () => {
  Deno.kill(sharedEngine.pid, "SIGKILL");
  Deno.removeSync(sharedPath, { recursive: true });
});

/** Speaks to `engine` in `database`. */
export function speaker(engine: Engine, database: string): Pick<TestDatabase, "query" | "insert"> {
  const send = async (params: URLSearchParams, body: Uint8Array<ArrayBuffer> | string) => {
    const response = await fetch(`${engine.url}/?${params}`, {
      method: "POST",
      headers: { "X-ClickHouse-User": engine.user, "X-ClickHouse-Key": engine.password },
      body,
    });
    const text = await response.text();
    if (!response.ok) throw new Error(text);
    return text;
  };
  return {
    query: (sql, settings = {}) => send(new URLSearchParams({ database, ...settings }), sql),
    insert: (sql, rows, settings = {}) => send(new URLSearchParams({ database, query: sql, ...settings }), rows),
  };
}

/** Makes an empty database on the shared engine. */
export async function freshDatabase(): Promise<TestDatabase> {
  const database = `test_${crypto.randomUUID().replaceAll("-", "")}`;
  const server = speaker(sharedEngine, "default");
  await server.query(`CREATE DATABASE ${database}`);
  return {
    url: sharedEngine.url,
    user: sharedEngine.user,
    password: sharedEngine.password,
    database,
    ...speaker(sharedEngine, database),
    async [Symbol.asyncDispose]() {
      await server.query(`DROP DATABASE ${database} SYNC`);
    },
  };
}
