/**
 * What tests and benches need from the machine: programs of Debian. As root on Debian they are installed when they are
 * missing; otherwise the one command to run is said and nothing is skipped.
 */

/** A program and the Debian package that brings it. */
export interface Needed {
  readonly program: string;
  readonly debianPackage: string;
}

/** Programs of the test suite. */
export const NEEDED: readonly Needed[] = [
  { program: "redis-server", debianPackage: "redis-server" },
  { program: "clickhouse-server", debianPackage: "clickhouse-server" },
];

/** A mirror that says nothing is given up and asked again; no question is asked of anybody. */
const APT = ["-qq", "-o", "Acquire::http::Timeout=30", "-o", "Acquire::Retries=3"];

async function isThere(program: string): Promise<boolean> {
  for (const folder of (Deno.env.get("PATH") ?? "").split(":")) {
    try {
      const { isFile } = await Deno.stat(`${folder}/${program}`);
      if (isFile) return true;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory)) throw error;
    }
  }
  return false;
}

async function isDebian(): Promise<boolean> {
  try {
    return /^ID(_LIKE)?=.*debian/m.test(await Deno.readTextFile("/etc/os-release"));
  } catch {
    return false;
  }
}

async function run(command: string, args: readonly string[]): Promise<boolean> {
  const { success } = await new Deno.Command(command, {
    args: [...args],
    stdin: "null",
    stdout: "null",
    stderr: "inherit",
    env: { DEBIAN_FRONTEND: "noninteractive" },
  }).output();
  return success;
}

async function missing(): Promise<Needed[]> {
  const there = await Promise.all(NEEDED.map(({ program }) => isThere(program)));
  return NEEDED.filter((_, i) => !there[i]);
}

/** Installs what is missing. @returns whether everything is there now. */
export async function prepare(tell: (line: string) => void): Promise<boolean> {
  const wanted = await missing();
  if (wanted.length === 0) return true;
  const packages = wanted.map(({ debianPackage }) => debianPackage);
  const byHand = `apt-get update && apt-get install -y ${packages.join(" ")}`;
  if (Deno.uid() !== 0 || !await isDebian()) {
    tell(`Cannot go on without ${wanted.map(({ program }) => program).join(", ")}. Run: ${byHand}`);
    return false;
  }
  tell(`Installing ${packages.join(", ")} from Debian`);
  // What counts is that the programs are there. A mirror may be half up, and a package whose service cannot be started
  // here counts as failed: tests start servers of their own, on free ports.
  await run("apt-get", [...APT, "update"]);
  await run("apt-get", [...APT, "install", "-y", "--no-install-recommends", ...packages]);
  const installed = (await missing()).length === 0;
  if (!installed) tell(`Cannot install ${packages.join(", ")}. Run: ${byHand}`);
  return installed;
}
