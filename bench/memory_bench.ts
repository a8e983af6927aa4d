/**
 * Resident memory of whole decode and Native encode of one trace that is larger than memory: calls down to depth 1,024,
 * fresh storage slots all along, frames that revert. One process makes the bytes, another decodes them from its stdin;
 * what is printed is the peak of the latter. Arguments: sizes in bytes.
 */
import { type MemoryMeasurement, traceOf } from "./memory_way.ts";

const SIZES = [4_000_000_000, 20_000_000_000];

const encoder = new TextEncoder();

function figure(name: string, value: number, unit: string): void {
  Deno.stdout.writeSync(encoder.encode(`${name}\t${value.toFixed(1)}\t${unit}\n`));
}

function start(role: "make" | "decode", argument: string, stdin: "null" | "piped"): Deno.ChildProcess {
  const program = new URL("./memory_way.ts", import.meta.url).pathname;
  // Reading the peak from the kernel needs all permissions.
  const args = ["run", "--no-check", "--allow-all", program, role, argument];
  return new Deno.Command(Deno.execPath(), { args, stdin, stdout: "piped", stderr: "inherit" }).spawn();
}

async function measure(bytes: number): Promise<MemoryMeasurement> {
  const { context, structlogs } = traceOf(bytes);
  const maker = start("make", String(bytes), "null");
  const decoder = start("decode", JSON.stringify(context), "piped");
  const [, output, made] = await Promise.all([
    maker.stdout.pipeTo(decoder.stdin),
    new Response(decoder.stdout).text(),
    maker.status,
    decoder.status,
  ]);
  if (!made.success || output === "") throw new Error(`Cannot measure ${bytes} bytes: a process failed`);
  const measurement: MemoryMeasurement = JSON.parse(output);
  if (measurement.structlogs !== structlogs) {
    throw new Error(`Cannot measure ${measurement.structlogs} of ${structlogs}`);
  }
  return measurement;
}

const sizes = Deno.args.length > 0 ? Deno.args.map(Number) : SIZES;
for (const [index, size] of sizes.entries()) {
  const { peakRssMb, bytes, structlogs, wallSeconds } = await measure(size);
  const gigabytes = Math.round(bytes / 1e9);
  // The figure without a size is that of the largest trace.
  if (index === sizes.length - 1) figure("decode_peak_rss_mb", peakRssMb, "MB");
  figure(`decode_peak_rss_mb_${gigabytes}gb`, peakRssMb, "MB");
  figure(`decode_stream_structlogs_per_second_${gigabytes}gb`, structlogs / wallSeconds, "structlogs/s");
}
