/**
 * Whole decode against `JSON.parse` and a streaming JSON parser, on the same bytes. Every way runs in a process of its own,
 * since `JSON.parse` of large texts leaves a heap behind that slows others down; ways take turns, and medians of the
 * processor's time are compared. Figures go to stdout, a line each: name, value, unit. `--smoke`: the ratios alone, on less.
 */
import type { Measurement } from "./decode_way.ts";
import { type Client, SHAPES } from "./synthetic_trace.ts";
import { figure, median } from "./figures.ts";

/** How much is measured. */
interface Amount {
  /** A large trace. */
  readonly largeBytes: number;
  /** Processes a way. */
  readonly rounds: number;
  /** Runs in each process, of the decoder and of the slower others. */
  readonly runs: number;
  readonly slowRuns: number;
}

const FULL: Amount = { largeBytes: 128_000_000, rounds: 3, runs: 5, slowRuns: 2 };
const SMOKE: Amount = { largeBytes: 48_000_000, rounds: 3, runs: 3, slowRuns: 1 };
/** About 1,000 structlogs. */
const SMALL_BYTES = 310_000;
/** Replies of {@linkcode SMALL_BYTES} that are compared with one of as many bytes. */
const SMALL_IN_LARGE = 200;
/** The streaming parser is too slow for more. */
const STREAMING_BYTES = 32_000_000;

const isSmoke = Deno.args.includes("--smoke");
const amount = isSmoke ? SMOKE : FULL;

/** One process. */
async function measure(way: string, client: Client, script: string, bytes: number, runs: number): Promise<Measurement> {
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-check",
      "--allow-read",
      "--allow-run=cat", // reads the peak of memory
      new URL("./decode_way.ts", import.meta.url).pathname,
      way,
      client,
      script,
      String(bytes),
      String(runs),
    ],
    stdin: "null",
    stderr: "inherit",
  }).output();
  if (code !== 0) throw new Error(`Cannot measure ${way} of ${client}: the process ended with ${code}`);
  return JSON.parse(new TextDecoder().decode(stdout));
}

/** Structlogs per second of the processor, over the runs of all processes. */
function rate(measurements: readonly Measurement[]): number {
  return measurements[0]!.structlogs / median(measurements.flatMap(({ cpuSeconds }) => cpuSeconds));
}

/** Several ways in turns, each in as many processes. */
async function inTurns(ways: readonly (() => Promise<Measurement>)[]): Promise<Measurement[][]> {
  const results: Measurement[][] = ways.map(() => []);
  for (let round = 0; round < amount.rounds; round++) {
    for (const [index, way] of ways.entries()) results[index]!.push(await way());
  }
  return results;
}

async function clients(): Promise<void> {
  const { largeBytes, runs, slowRuns } = amount;
  for (const client of Object.keys(SHAPES) as Client[]) {
    const [decoded, parsed] = await inTurns([
      () => measure("decode", client, "wide", largeBytes, runs),
      () => measure("parse", client, "wide", largeBytes, slowRuns),
    ]);
    figure(`decode_all_vs_json_parse_${client}`, rate(decoded!) / rate(parsed!), "ratio", 2);
    figure(`decode_fast_path_share_${client}`, decoded![0]!.fastShare!, "share", 4);
    if (client === "geth" && !isSmoke) figure("decode_structlogs_per_second", rate(decoded!), "structlogs/s", 0);
  }
}

async function streaming(): Promise<void> {
  const [decoded, parsed] = await inTurns([
    () => measure("decode", "geth", "wide", STREAMING_BYTES, amount.runs),
    () => measure("streamparser", "geth", "wide", STREAMING_BYTES, 1),
  ]);
  figure("decode_all_vs_streaming_parser", rate(decoded!) / rate(parsed!), "ratio", 1);
}

async function encoded(): Promise<void> {
  const [native] = await inTurns([() => measure("native", "geth", "wide", amount.largeBytes, amount.runs)]);
  figure("decode_native_structlogs_per_second", rate(native!), "structlogs/s", 0);
}

async function smallReplies(): Promise<void> {
  const [native, parsed] = await inTurns([
    () => measure("small_native", "geth", "small", SMALL_BYTES, 2),
    () => measure("small_parse", "geth", "small", SMALL_BYTES, 1),
  ]);
  figure("decode_small_vs_json_parse", rate(native!) / rate(parsed!), "ratio", 2);
  if (!isSmoke) figure("decode_small_structlogs_per_second", rate(native!), "structlogs/s", 0);
  const [small, large] = await inTurns([
    () => measure("small_decode", "geth", "small", SMALL_BYTES, 5),
    () => measure("decode", "geth", "small", SMALL_IN_LARGE * SMALL_BYTES, 5),
  ]);
  figure("decode_small_vs_large", rate(small!) / rate(large!), "ratio", 2);
}

await clients();
await smallReplies();
if (!isSmoke) {
  await streaming();
  await encoded();
}
