/**
 * Finds the engine's library in Deno's npm cache, and has Deno fetch it when it is not there. All through `deno` itself, so
 * that the caller needs no permission but to run it. The version is that of the import map in `deno.json`.
 */
import { EngineDownloadError, EnginePlatformError } from "./engine_errors.ts";

/** Where the library is, and Deno's own directory. */
export interface EngineLibrary {
  /** Absolute path of `libchdb.so`. */
  readonly path: string;
  /** `DENO_DIR`, which the engine's process needs to run without the user's environment. */
  readonly denoDir: string;
}

/** Deno's target triples that the engine is published for and this program is tested on. */
const PLATFORMS: readonly string[] = ["x86_64-unknown-linux-gnu"];

/** Finds the library; says so through `onDownload` before it is fetched. */
export async function engineLibrary(onDownload: (text: string) => void, signal: AbortSignal): Promise<EngineLibrary> {
  assertPlatform(Deno.build.target);
  const specifier = import.meta.resolve("@chdb/lib-linux-x64-gnu");
  // Runs in a place of its own: no configuration, lock file or node_modules of the directory we were started in.
  const cached = await deno(
    ["eval", "--no-config", "--no-lock", "--cached-only", `import "${specifier}/package.json" with { type: "json" }`],
    signal,
  );
  if (!cached.success) {
    onDownload(
      `Downloading the ClickHouse engine (${specifier}) once into Deno's cache: 178 MB to fetch, 544 MB on disk`,
    );
  }
  const [found, directories] = [
    await deno(["info", "--json", "--no-config", "--no-lock", specifier], signal),
    await deno(["info", "--json", "--no-config"], signal),
  ];
  const path = localPath(found.stdout);
  if (!found.success || !directories.success || path === undefined) {
    throw new EngineDownloadError(
      `Cannot fetch the ClickHouse engine as ${specifier}: ${
        lastLines(found.stderr) || "deno info names no local path"
      }. ` +
        "Check the connection to the npm registry and the free space of Deno's cache (544 MB), then start again",
    );
  }
  return { path: `${path}/libchdb.so`, denoDir: (JSON.parse(directories.stdout) as { denoDir: string }).denoDir };
}

/** @throws {EnginePlatformError} naming the target. */
export function assertPlatform(target: string): void {
  if (PLATFORMS.includes(target)) return;
  throw new EnginePlatformError(
    `Cannot run the embedded ClickHouse engine on ${target}: supported is ${PLATFORMS.join(", ")}. ` +
      "Use a ClickHouse server instead (clickhouse.url)",
  );
}

function localPath(infoJson: string): string | undefined {
  if (infoJson === "") return undefined;
  const info = JSON.parse(infoJson) as { npmPackages?: Record<string, { localPath?: string }> };
  return Object.values(info.npmPackages ?? {})[0]?.localPath;
}

async function deno(
  args: readonly string[],
  signal: AbortSignal,
): Promise<{ success: boolean; stdout: string; stderr: string }> {
  const output = await new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd: "/",
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    signal,
  }).output();
  signal.throwIfAborted();
  const decoder = new TextDecoder();
  return { success: output.success, stdout: decoder.decode(output.stdout), stderr: decoder.decode(output.stderr) };
}

function lastLines(text: string): string {
  // deno-lint-ignore no-control-regex -- colours of Deno's messages
  return text.replaceAll(/\x1b\[[0-9;]*m/g, "").trim().split("\n").slice(0, 3).join(" ");
}
