/**
 * Finds the engine's library, of an exact version, and Deno's own directory. All through
 * `deno` itself, so that the caller needs no permission but to run it.
 */
import { EnginePlatformError, EngineStartError } from "./engine_errors.ts";
import { packageDirectory } from "./npm_package.ts";

/** Where the library is, and Deno's own directory. */
export interface EngineLibrary {
  /** Absolute path of `libchdb.so`. */
  readonly path: string;
  /** `DENO_DIR`, which the engine's process needs to run without the user's environment. */
  readonly denoDir: string;
}

/** Deno's target triples that the engine is published for and this program is tested on. */
const PLATFORMS: readonly string[] = ["x86_64-unknown-linux-gnu"];

/**
 * Finds the library; says so through `onDownload` before it is fetched.
 *
 * @throws {EnginePlatformError} there is no engine for this machine.
 * @throws {PackageUnavailableError} it is not in Deno's cache and cannot be fetched.
 */
export async function engineLibrary(
  onDownload: (text: string) => void,
  signal: AbortSignal | undefined,
): Promise<EngineLibrary> {
  assertPlatform(Deno.build.target);
  const wanted = {
    name: "@chdb/lib-linux-x64-gnu",
    version: "26.7.3-stable.1",
    title: "the ClickHouse engine",
    downloadBytes: 178e6,
    diskBytes: 544e6,
  };
  const directory = await packageDirectory(wanted, { onDownload, ...(signal === undefined ? {} : { signal }) });
  return { path: `${directory.replace(/\/$/, "")}/libchdb.so`, denoDir: await denoDirectory(signal) };
}

/** @throws {EnginePlatformError} naming the target. */
export function assertPlatform(target: string): void {
  if (PLATFORMS.includes(target)) return;
  throw new EnginePlatformError(
    `Cannot run the embedded ClickHouse engine on ${target}: supported is ${PLATFORMS.join(", ")}. ` +
      "Use a ClickHouse server instead (clickhouse.url)",
  );
}

async function denoDirectory(signal: AbortSignal | undefined): Promise<string> {
  const output = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", "--no-config"],
    cwd: "/",
    stdin: "null",
    stderr: "null",
    ...(signal === undefined ? {} : { signal }),
  }).output();
  signal?.throwIfAborted();
  if (!output.success) throw new EngineStartError("Cannot find Deno's directory as `deno info` names it: it failed");
  return (JSON.parse(new TextDecoder().decode(output.stdout)) as { denoDir: string }).denoDir;
}
