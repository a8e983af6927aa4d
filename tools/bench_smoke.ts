/**
 * `deno task bench:smoke`: the decode bench on less, against the figures of `bench/committed.tsv`. Both sides of a ratio are
 * measured in the same run, by the processor's time, so that a slow machine passes and a slower decoder does not.
 */

/** A figure by its name. */
export type Figures = ReadonlyMap<string, { readonly value: number; readonly unit: string }>;

/** What a figure of a unit may lose of the committed one. */
const LEAST_SHARE: Readonly<Record<string, number>> = { ratio: 0.6, share: 0.95 };
/** A machine may be busy for once; a decoder that has become slower is so each time. */
const ATTEMPTS = 3;

const encoder = new TextEncoder();
const say = (line: string) => void Deno.stdout.writeSync(encoder.encode(`${line}\n`));

/** Lines of name, value and unit with a tab in between. @throws {SyntaxError} */
export function readFigures(text: string): Figures {
  const lines = text.split("\n").filter((line) => line !== "");
  return new Map(lines.map((line) => {
    const [name, value, unit] = line.split("\t");
    if (!name || !unit || !Number.isFinite(Number(value))) {
      throw new SyntaxError(`Cannot read a figure as NAME<TAB>VALUE<TAB>UNIT: current value is "${line}"`);
    }
    return [name, { value: Number(value), unit }];
  }));
}

/** A line for each committed figure that is missing or has fallen too far. */
export function fallen(committed: Figures, measured: Figures): string[] {
  return [...committed].flatMap(([name, { value, unit }]) => {
    const found = measured.get(name)?.value;
    const least = value * (LEAST_SHARE[unit] ?? 1);
    if (found !== undefined && found >= least) return [];
    return [`${name} must be at least ${least.toFixed(2)}: current value is ${found ?? "missing"}`];
  });
}

/** The better of two measurements of each figure. */
export function best(one: Figures, other: Figures): Figures {
  const better = new Map(one);
  for (const [name, figure] of other) {
    const known = better.get(name);
    if (known === undefined || known.value < figure.value) better.set(name, figure);
  }
  return better;
}

async function measure(): Promise<Figures> {
  const { success, stdout } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-check",
      "--allow-read",
      "--allow-run",
      new URL("../bench/decode_bench.ts", import.meta.url).pathname,
      "--smoke",
    ],
    stdin: "null",
    stderr: "inherit",
  }).output();
  const text = new TextDecoder().decode(stdout);
  Deno.stdout.writeSync(stdout);
  if (!success) throw new Error("Cannot measure: the bench failed");
  return readFigures(text);
}

async function main(): Promise<number> {
  const committed = readFigures(await Deno.readTextFile(new URL("../bench/committed.tsv", import.meta.url)));
  let measured: Figures = new Map();
  let wrong: string[] = [];
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    measured = best(measured, await measure());
    wrong = fallen(committed, measured);
    if (wrong.length === 0) return 0;
    for (const line of wrong) say(line);
  }
  return 1;
}

if (import.meta.main) Deno.exit(await main());
