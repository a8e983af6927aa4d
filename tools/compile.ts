/**
 * `deno task compile [OUTPUT]`: one binary of `main.ts`, with the worker's entry and the decoder's module inside and
 * nothing of `embedded/`. `DENORT_BIN` names Deno's runtime where it cannot be downloaded.
 */

const INCLUDED = ["src/pipeline/trace_worker.ts", "src/stages/queue/heartbeat_worker.ts", "wasm/build/decode.wasm"];
/** What the binary may do: as `deno task start`, and read for the filters. */
const PERMISSIONS = [
  "--allow-read",
  "--allow-write=./spill,./evidence",
  "--allow-net",
  "--allow-env",
  "--allow-sys=hostname",
];

/** Arguments of `deno` for the binary `output`. */
export function compileArguments(output: string): string[] {
  return [
    "compile",
    "--no-check",
    ...PERMISSIONS,
    ...INCLUDED.flatMap((path) => ["--include", path]),
    "--output",
    output,
    "main.ts",
  ];
}

if (import.meta.main) {
  const { code } = await new Deno.Command(Deno.execPath(), {
    args: compileArguments(Deno.args[0] ?? "dist/execution-processor"),
    stdin: "null",
  }).spawn().status;
  Deno.exit(code);
}
