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
export const NEEDED: readonly Needed[] = [{ program: "redis-server", debianPackage: "redis-server" }];

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

/** Installs what is missing. @returns whether everything is there now. */
export async function prepare(tell: (line: string) => void): Promise<boolean> {
  const missing: Needed[] = [];
  for (const needed of NEEDED) if (!await isThere(needed.program)) missing.push(needed);
  if (missing.length === 0) return true;
  const packages = missing.map(({ debianPackage }) => debianPackage);
  const byHand = `apt-get update && apt-get install -y ${packages.join(" ")}`;
  if (Deno.uid() !== 0 || !await isDebian()) {
    tell(`Cannot go on without ${missing.map(({ program }) => program).join(", ")}. Run: ${byHand}`);
    return false;
  }
  tell(`Installing ${packages.join(", ")} from Debian`);
  // A service that starts by itself is not wanted: tests start their own servers on free ports.
  const installed = await run("apt-get", ["update", "-qq"]) &&
    await run("apt-get", ["install", "-y", "-qq", "--no-install-recommends", ...packages]);
  if (!installed) tell(`Cannot install ${packages.join(", ")}. Run: ${byHand}`);
  return installed;
}
