/** One side of `memory_bench.ts`: `memory_way.ts make BYTES`, or `memory_way.ts decode CONTEXT` with the reply's context. */
import { openDecoder } from "../src/stages/decode/decoder.ts";
import type { ReplyContext } from "../src/stages/decode/port.ts";
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
const READ_BYTES = 256 * 1024;

/** The trace of about this size. */
export function traceOf(bytes: number): SyntheticTrace {
  return new SyntheticTrace("geth", SCRIPTS, bytes);
}

function make(bytes: number): void {
  for (const piece of traceOf(bytes).pieces()) {
    for (let at = 0; at < piece.length;) at += Deno.stdout.writeSync(piece.subarray(at));
  }
}

async function decode(context: ReplyContext): Promise<MemoryMeasurement> {
  const decoder = await openDecoder();
  const sink = new NativeSink(context);
  const buffer = new Uint8Array(READ_BYTES);
  decoder.begin(context, sink);
  const begin = performance.now();
  for (let read; (read = Deno.stdin.readSync(buffer)) !== null;) decoder.push(buffer.subarray(0, read));
  decoder.end();
  sink.flush();
  const { verdict, rows } = sink.record!;
  if (verdict !== "proved") throw new Error(`Cannot measure a trace that is ${verdict}`);
  const status = await Deno.readTextFile("/proc/self/status");
  return {
    bytes: decoder.progress.bytes,
    structlogs: rows,
    wallSeconds: (performance.now() - begin) / 1e3,
    peakRssMb: Number(/VmHWM:\s*(\d+) kB/.exec(status)![1]) / 1024,
  };
}

if (import.meta.main) {
  const [role, argument] = Deno.args;
  if (role === "make") make(Number(argument));
  else Deno.stdout.writeSync(new TextEncoder().encode(JSON.stringify(await decode(JSON.parse(argument!)))));
}
