/**
 * `deno task compile [OUTPUT [PERMISSION …]]`: one binary of `main.ts`, with the worker's entries and the decoder's module inside and
 * nothing of `embedded/`. `DENORT_BIN` names Deno's runtime where it cannot be downloaded.
 *
 * Deno embeds every package of the lock file, the 544 MB engine of the demo included, so the binary is made with the part
 * of it that the program's own modules need: same versions, same checksums.
 */

/** Files that no import names: entries of workers, the decoder's module. */
export const INCLUDED = [
  "src/pipeline/trace_worker.ts",
  "src/stages/queue/heartbeat_worker.ts",
  "wasm/build/decode.wasm",
];
/** What the binary may do where nothing else is said: as `deno task start`. */
const PERMISSIONS: readonly string[] = [
  "--allow-read",
  "--allow-write=./spill,./evidence",
  "--allow-net",
  "--allow-env",
  "--allow-sys=hostname",
];

/** The parts of a lock file that matter here. */
export interface Lock {
  readonly version: string;
  readonly specifiers: Readonly<Record<string, string>>;
  readonly npm: Readonly<Record<string, LockedPackage>>;
}

interface LockedPackage {
  readonly dependencies?: readonly string[];
  readonly optionalDependencies?: readonly string[];
  readonly optionalPeers?: readonly string[];
}

interface Graph {
  readonly modules: readonly { readonly npmPackage?: string }[];
}

/** `lock` without the packages that none of `names` needs. */
export function prunedLock(lock: Lock, names: ReadonlySet<string>): Lock {
  const specifiers = Object.fromEntries(
    Object.entries(lock.specifiers).filter(([specifier]) =>
      names.has(specifier.replace(/^npm:/, "").replace(/(?<=.)@[^@/]*$/, ""))
    ),
  );
  const keys = Object.keys(lock.npm);
  const keyOf = (text: string) =>
    keys.find((key) => key === text) ?? keys.find((key) => key.startsWith(`${text}@`) || key.startsWith(`${text}_`));
  const kept = new Map<string, LockedPackage>();
  const keep = (text: string) => {
    const key = keyOf(text);
    if (key === undefined || kept.has(key)) return;
    const entry = lock.npm[key]!;
    kept.set(key, entry);
    for (const dependency of [...entry.dependencies ?? [], ...entry.optionalDependencies ?? []]) keep(dependency);
  };
  for (const [specifier, version] of Object.entries(specifiers)) {
    keep(`${specifier.replace(/^npm:/, "").replace(/(?<=.)@[^@/]*$/, "")}@${version}`);
  }
  return { version: lock.version, specifiers, npm: Object.fromEntries([...kept].sort(([a], [b]) => a < b ? -1 : 1)) };
}

async function graphPackages(): Promise<Set<string>> {
  const names = new Set<string>();
  for (const entry of ["main.ts", ...INCLUDED.filter((path) => path.endsWith(".ts"))]) {
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["info", "--json", entry],
      stdin: "null",
      stderr: "null",
    }).output();
    const graph = JSON.parse(new TextDecoder().decode(stdout)) as Graph;
    for (const { npmPackage } of graph.modules) {
      if (npmPackage !== undefined) names.add(npmPackage.slice(0, npmPackage.lastIndexOf("@")));
    }
  }
  return names;
}

function compileArguments(output: string, lock: string, permissions: readonly string[]): string[] {
  const included = INCLUDED.flatMap((path) => ["--include", path]);
  return ["compile", "--no-check", `--lock=${lock}`, ...permissions, ...included, "--output", output, "main.ts"];
}

/** Makes the binary; what Deno prints goes to `stdout`. @returns Deno's exit code, and the text where it was piped. */
export async function compile(
  output: string,
  stdout: "inherit" | "piped",
  options: { readonly permissions?: readonly string[]; readonly env?: Readonly<Record<string, string>> } = {},
): Promise<{ code: number; text: string }> {
  const folder = await Deno.makeTempDir({ prefix: "compile-" });
  try {
    const lock = JSON.parse(await Deno.readTextFile("deno.lock")) as Lock;
    const file = `${folder}/deno.lock`;
    await Deno.writeTextFile(file, JSON.stringify(prunedLock(lock, await graphPackages()), null, 2));
    const result = await new Deno.Command(Deno.execPath(), {
      args: compileArguments(output, file, options.permissions ?? PERMISSIONS),
      stdin: "null",
      stdout,
      stderr: stdout,
      env: { ...options.env },
    }).spawn().output();
    const decoder = new TextDecoder();
    return {
      code: result.code,
      text: stdout === "piped" ? decoder.decode(result.stdout) + decoder.decode(result.stderr) : "",
    };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

if (import.meta.main) {
  const [output = "dist/execution-processor", ...permissions] = Deno.args;
  const { code } = await compile(output, "inherit", permissions.length > 0 ? { permissions } : {});
  Deno.exit(code);
}
