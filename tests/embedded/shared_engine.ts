/**
 * A real ClickHouse engine for tests. Importing this file starts one engine for the importing test file (before any test,
 * so that the sanitizers do not see it as a test's leak) and ends it when the file is done.
 *
 * - {@linkcode freshDatabase}: an empty database on that engine; the cheap way.
 * - {@linkcode freshEngine}: an engine of one's own, for tests that kill or restart it.
 *
 * Needs `--allow-run --allow-net --allow-read --allow-write`.
 */
import { type Engine, type EngineOptions, startEngine } from "../../src/embedded/engine.ts";
import { freshDatabase as freshDatabaseOn, type TestDatabase } from "./test_database.ts";

export { speaker, type TestDatabase } from "./test_database.ts";

/** Enough for 100,000-row batches, small enough for several engines on a laptop. */
const MAX_MEMORY_BYTES = 1.5e9;

/** An engine on a directory that is removed with it. */
export interface TestEngine extends AsyncDisposable {
  readonly engine: Engine;
  /** The engine's directory. */
  readonly path: string;
}

/** Starts an engine on a new directory; it may know clusters that are not there. */
export async function freshEngine(options: Pick<EngineOptions, "clusters"> = {}): Promise<TestEngine> {
  const path = await Deno.makeTempDir({ prefix: "engine-" });
  try {
    const engine = await startEngine({ path, port: 0, maxMemoryBytes: MAX_MEMORY_BYTES, ...options });
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

/** Makes an empty database on the shared engine. */
export function freshDatabase(): Promise<TestDatabase> {
  return freshDatabaseOn(sharedEngine);
}
