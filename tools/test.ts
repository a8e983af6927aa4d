/**
 * `deno task test [paths and flags of deno test]`: prepares the machine, then runs every test. Ends with a plain line of
 * counts. `deno task soak` runs the long ones.
 */
import { prepare } from "./prepare.ts";

/** Spelled out here once: what tests may do. They start servers and read what they write. */
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

async function main(args: readonly string[]): Promise<number> {
  if (!await prepare(say)) return 1;
  const soak = args[0] === "--soak";
  const rest = soak ? args.slice(1) : args;
  const paths = rest.some((word) => !word.startsWith("-"))
    ? []
    : soak
    ? ["tests/soak"]
    : ["tests", "--ignore=tests/soak"];
  const child = new Deno.Command(Deno.execPath(), {
    args: ["test", "--no-check", ...PERMISSIONS, ...(soak ? [] : ["--parallel"]), ...rest, ...paths],
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
    env: { DENO_JOBS: "3", NO_COLOR: "1" },
  }).spawn();
  let tail = "";
  const decoder = new TextDecoder();
  for await (const chunk of child.stdout) {
    Deno.stdout.writeSync(chunk);
    tail = (tail + decoder.decode(chunk, { stream: true })).slice(-4096);
  }
  const { code } = await child.status;
  const counts = [...tail.matchAll(/(\d+) passed(?: \(\d+ steps?\))? \| (\d+) failed/g)].at(-1);
  if (counts === undefined) {
    say("Cannot read the counts of the test run: did it run any test?");
    return code === 0 ? 1 : code;
  }
  if (/\d+ ignored/.test(tail.slice(counts.index))) {
    say("Cannot accept a run with ignored tests");
    return 1;
  }
  say(`${counts[1]} passed, ${counts[2]} failed`);
  return code;
}

Deno.exit(await main(Deno.args));
