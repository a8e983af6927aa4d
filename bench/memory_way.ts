/** The sides of `memory_bench.ts`: `memory_way.ts make BYTES` writes a trace, `memory_way.ts decode BYTES` has one made and decodes it. */
import { openDecoder } from "../src/stages/decode/decoder.ts";
import { readReply } from "../src/stages/trace/read.ts";
import { peakBytes } from "../tests/embedded/process_status.ts";
import { NativeSink } from "./native_sink.ts";
import { DEEP, type Script, SyntheticTrace, WIDE_STORAGE } from "./synthetic_trace.ts";

/** What the decoding side measured. */
export interface MemoryMeasurement {
  readonly bytes: number;
  readonly structlogs: number;
  readonly wallSeconds: number;
  readonly peakRssMb: number;
}

/** One dive to depth 1,024 in twenty turns: the paths of its rows are thirty times as long as its text. */
const SCRIPTS: readonly Script[] = [...Array<Script>(20).fill(WIDE_STORAGE), DEEP];
/** Fewer would say nothing about the access sets. */
const LEAST_SLOTS = 100_000;

function traceOf(bytes: number): SyntheticTrace {
  return new SyntheticTrace("geth", SCRIPTS, bytes);
}

function make(bytes: number): void {
  for (const piece of traceOf(bytes).pieces()) {
    for (let at = 0; at < piece.length;) at += Deno.stdout.writeSync(piece.subarray(at));
  }
}

async function decode(size: number): Promise<MemoryMeasurement> {
  const { context, structlogs, slots } = traceOf(size);
  if (slots < LEAST_SLOTS) throw new Error(`Cannot measure ${size} bytes: current value of distinct slots is ${slots}`);
  const maker = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", import.meta.filename!, "make", String(size)],
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const decoder = await openDecoder();
  const sink = new NativeSink(context);
  const begin = performance.now();
  decoder.begin(context, sink);
  const bytes = await readReply(maker.stdout, new AbortController().signal, (piece) => {
    decoder.push(piece);
    return undefined;
  });
  decoder.end();
  sink.flush();
  const wallSeconds = (performance.now() - begin) / 1e3;
  await maker.status;
  const { verdict, rows } = sink.record!;
  if (verdict !== "proved" || rows !== structlogs) {
    throw new Error(`Cannot measure ${rows} of ${structlogs} structlogs that are ${verdict}`);
  }
  return { bytes, structlogs, wallSeconds, peakRssMb: await peakBytes(Deno.pid) / 1e6 };
}

if (import.meta.main) {
  const [role, size] = Deno.args;
  if (role === "make") make(Number(size));
  else Deno.stdout.writeSync(new TextEncoder().encode(JSON.stringify(await decode(Number(size)))));
}
