/** `deno task check`: every static check, all of them even when one fails. */

const deno = Deno.execPath();
const encoder = new TextEncoder();
const say = (line: string) => void Deno.stdout.writeSync(encoder.encode(`${line}\n`));

/** Ports and primitives whose documentation is part of the contract. */
const DOCUMENTED = ["src/flow", "src/ethereum"];

const CHECKS: readonly (readonly [name: string, args: readonly string[]])[] = [
  ["format", ["fmt", "--check", "--quiet"]],
  ["lint", ["lint", "--quiet"]],
  ["types", ["check", "--quiet", "main.ts", "src", "tests", "bench", "tools"]],
];

async function output(args: readonly string[]): Promise<{ success: boolean; stdout: string }> {
  const { success, stdout } = await new Deno.Command(deno, { args: [...args], stdin: "null", stderr: "inherit" })
    .output();
  return { success, stdout: new TextDecoder().decode(stdout) };
}

/** A file that imports itself over others. @returns the cycle as text. */
export function importCycle(
  modules: readonly { specifier: string; dependencies?: readonly { code?: { specifier?: string } }[] }[],
): string | undefined {
  const edges = new Map(
    modules.map((module) => [module.specifier, (module.dependencies ?? []).flatMap((to) => to.code?.specifier ?? [])]),
  );
  const state = new Map<string, "open" | "done">();
  const path: string[] = [];
  const visit = (file: string): string | undefined => {
    if (state.get(file) === "done" || !edges.has(file)) return undefined;
    if (state.get(file) === "open") {
      return [...path.slice(path.indexOf(file)), file].map((name) => name.split("/src/").at(-1)).join(" -> ");
    }
    state.set(file, "open");
    path.push(file);
    for (const next of edges.get(file)!) {
      const cycle = visit(next);
      if (cycle !== undefined) return cycle;
    }
    path.pop();
    state.set(file, "done");
    return undefined;
  };
  for (const file of edges.keys()) {
    const cycle = visit(file);
    if (cycle !== undefined) return cycle;
  }
  return undefined;
}

/**
 * Who may open a connection besides `rpc/`: the embedded chain and its demo, the sink (to ClickHouse), and the command
 * that asks a running process over its own API.
 */
const CONNECTS = /^src\/(rpc|embedded|stages\/sink)\/|^src\/cli\/nodes\.ts$/;

/** Files of `src/` that open a connection and may not. */
async function strayConnections(): Promise<string[]> {
  const stray: string[] = [];
  const visit = async (folder: string): Promise<void> => {
    for await (const entry of Deno.readDir(folder)) {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory) await visit(path);
      else if (path.endsWith(".ts") && !CONNECTS.test(path)) {
        const text = await Deno.readTextFile(path);
        if (/(?:await|return|=>|[=(,])\s*fetch\(|new WebSocket\(|createHttpClient\(/.test(text)) stray.push(path);
      }
    }
  };
  await visit("src");
  return stray;
}

/**
 * What `deno doc --lint` finds in `files`. It takes a type for private that another file exports, be it a package's: such a
 * type is documented where it lives.
 */
async function missingDocumentation(files: readonly string[]): Promise<string[]> {
  const { success, stderr } = await new Deno.Command(deno, {
    args: ["doc", "--lint", "--quiet", ...files],
    stdin: "null",
    env: { NO_COLOR: "1" },
  }).output();
  if (success) return [];
  const found = new TextDecoder().decode(stderr).split(/^(?=error)/m).filter((finding) => finding.startsWith("error"));
  if (found.length === 0) throw new Error("Cannot read what deno doc --lint says");
  return found.filter((finding) => !isExportedElsewhere(finding) && !finding.startsWith("error: Found "));
}

function isExportedElsewhere(finding: string): boolean {
  return finding.startsWith("error[private-type-ref]") &&
    /\| export (?:declare )?\w+[^]*this is the referenced type/.test(finding);
}

async function main(): Promise<number> {
  let failed = 0;
  const tell = (name: string, ok: boolean, more = "") => {
    say(`${ok ? "ok    " : "FAILED"} ${name}${more === "" ? "" : `: ${more}`}`);
    if (!ok) failed++;
  };
  for (const [name, args] of CHECKS) {
    const { success, stdout } = await output(args);
    tell(name, success);
    if (!success) say(stdout);
  }
  const files: string[] = [];
  for (const folder of DOCUMENTED) {
    for await (const { name } of Deno.readDir(folder)) if (name.endsWith(".ts")) files.push(`${folder}/${name}`);
  }
  const undocumented = await missingDocumentation(files);
  tell("documentation", undocumented.length === 0, undocumented.join("\n"));
  tell("examples", (await output(["test", "--doc", "--quiet", "--no-check", "src/flow"])).success);
  const graph = JSON.parse((await output(["info", "--json", "main.ts"])).stdout) as {
    modules: Parameters<typeof importCycle>[0];
  };
  const cycle = importCycle(graph.modules.filter((module) => module.specifier.includes("/src/")));
  tell("no import cycle", cycle === undefined, cycle);
  const stray = await strayConnections();
  tell("connections to nodes only in rpc/", stray.length === 0, stray.join(", "));
  const lean = graph.modules.every((module) => !/\/src\/embedded\/|chdb|anvil/.test(module.specifier));
  tell("main.ts holds nothing of embedded/", lean);
  return failed === 0 ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main());
