/**
 * Resident memory of whole decode and Native encode of one trace that is larger than memory: calls down to depth 1,024,
 * fresh storage slots all along, frames that revert. A process decodes what another one makes; what is printed is the
 * peak of the former. Arguments: sizes in bytes.
 */
import type { MemoryMeasurement } from "./memory_way.ts";
import { figure } from "./figures.ts";

const SIZES = [4_000_000_000, 20_000_000_000];

async function measure(bytes: number): Promise<MemoryMeasurement> {
  const program = new URL("./memory_way.ts", import.meta.url).pathname;
  const { success, stdout } = await new Deno.Command(Deno.execPath(), {
    // `cat` reads the peak of memory, Deno makes the bytes.
    args: ["run", "--no-check", "--allow-read", `--allow-run=cat,${Deno.execPath()}`, program, "decode", String(bytes)],
    stdin: "null",
    stderr: "inherit",
  }).output();
  if (!success) throw new Error(`Cannot measure ${bytes} bytes: the process failed`);
  return JSON.parse(new TextDecoder().decode(stdout));
}

const sizes = Deno.args.length > 0 ? Deno.args.map(Number) : SIZES;
for (const [index, size] of sizes.entries()) {
  const { peakRssMb, bytes, structlogs, wallSeconds } = await measure(size);
  const gigabytes = Math.round(bytes / 1e9);
  // The figure without a size is that of the largest trace.
  if (index === sizes.length - 1) figure("decode_peak_rss_mb", peakRssMb, "MB", 1);
  figure(`decode_peak_rss_mb_${gigabytes}gb`, peakRssMb, "MB", 1);
  figure(`decode_stream_structlogs_per_second_${gigabytes}gb`, structlogs / wallSeconds, "structlogs/s", 1);
}
