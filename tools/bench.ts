/** `deno task bench [NAME …]`: runs `bench/NAME_bench.ts`, all but the long ones where none is named. */
import { prepare } from "./prepare.ts";

/** Benches that have to be asked for by name: they take longer than all others together. */
const LONG = new Set(["memory"]);
const PERMISSIONS = [
  "--allow-read",
  "--allow-write",
  "--allow-net",
  "--allow-env",
  "--allow-run",
  "--allow-sys",
  "--allow-ffi",
];

const encoder = new TextEncoder();
const say = (line: string) => void Deno.stdout.writeSync(encoder.encode(`${line}\n`));

async function main(names: readonly string[]): Promise<number> {
  if (!await prepare(say)) return 1;
  const folder = new URL("../bench/", import.meta.url);
  const there: string[] = [];
  for await (const { name } of Deno.readDir(folder)) {
    if (name.endsWith("_bench.ts")) there.push(name.slice(0, -"_bench.ts".length));
  }
  there.sort();
  const chosen = names.length > 0 ? names : there.filter((name) => !LONG.has(name));
  for (const name of chosen) {
    if (!there.includes(name)) {
      say(`Cannot run the bench "${name}": there are ${there.join(", ")}`);
      return 2;
    }
    const { code } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--no-check",
        ...PERMISSIONS,
        "--v8-flags=--expose-gc",
        new URL(`${name}_bench.ts`, folder).pathname,
      ],
      stdin: "null",
    }).spawn().status;
    if (code !== 0) return code;
  }
  return 0;
}

Deno.exit(await main(Deno.args));
