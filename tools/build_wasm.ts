/**
 * Compiles `wasm/index.ts` to `wasm/build/decode.wasm`. The same sources and the same compiler give the same bytes, so the
 * built module is committed and a test compares it with a rebuild.
 */
import asc from "assemblyscript/asc";
import { MEMORY_BYTES, READER_END, STATIC, STATIC_BYTES } from "../wasm/memory.ts";
import { SEMANTICS } from "../wasm/layout.ts";

const ROOT = new URL("../", import.meta.url);

/** Where the built module is kept. */
export const BUILT_MODULE = new URL("wasm/build/decode.wasm", ROOT);

/** Sources that stand in for those of the repository, by their path in it. */
export type Replacements = ReadonlyMap<string, string>;

/** The module made of the sources as they are now. @throws {Error} with the compiler's messages. */
export async function buildModule(replacements: Replacements = new Map()): Promise<Uint8Array<ArrayBuffer>> {
  let built: Uint8Array<ArrayBuffer> | undefined;
  const pages = MEMORY_BYTES / 65536;
  // The compiler adds `.ts` to every import; files that Deno reads too write it themselves.
  const { error, stderr } = await asc.main([
    "wasm/index.ts",
    "--outFile=decode.wasm",
    "--runtime=stub",
    "--enable=simd",
    "--optimizeLevel=3",
    "--shrinkLevel=0",
    "--converge",
    "--noAssert",
    "--use=abort=",
    `--memoryBase=${STATIC}`,
    `--initialMemory=${pages}`,
    `--maximumMemory=${pages}`,
  ], {
    readFile: (name: string) => readSource(name.replace(/\.ts\.ts$/, ".ts"), replacements),
    writeFile: (_name: string, contents: Uint8Array | string) => {
      if (typeof contents !== "string") built = new Uint8Array(contents);
    },
    listFiles: () => [],
  });
  if (error !== null) throw new Error(`Cannot build wasm/index.ts: ${stderr.toString()}`, { cause: error });
  if (built === undefined) throw new Error("Cannot build wasm/index.ts: the compiler wrote no module");
  checkPlan(built);
  return built;
}

async function readSource(name: string, replacements: Replacements): Promise<string | null> {
  try {
    return replacements.get(name) ?? await Deno.readTextFile(new URL(name, ROOT));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return null;
    throw error;
  }
}

/** The regions of the memory plan must not overlap. */
function checkPlan(built: Uint8Array<ArrayBuffer>): void {
  const end = constantsEnd(built);
  if (end > STATIC + STATIC_BYTES) {
    throw new Error(`Cannot place the compiler's constants before ${STATIC + STATIC_BYTES}: they end at ${end}`);
  }
  if (READER_END > SEMANTICS) {
    throw new Error(`Cannot place the semantics at ${SEMANTICS}: the reading side ends at ${READER_END}`);
  }
}

/** Address behind the last data segment of a module. */
function constantsEnd(module: Uint8Array): number {
  let at = 8;
  const number = (): number => {
    let value = 0;
    for (let shift = 0;; shift += 7) {
      const byte = module[at++]!;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  let end = 0;
  while (at < module.length) {
    const section = module[at++]!;
    const behind = number() + at;
    if (section === 11) {
      for (let left = number(); left > 0; left--) {
        number(); // active segment of memory 0
        at++; // i32.const
        const address = number();
        at++; // end
        const length = number();
        end = Math.max(end, address + length);
        at += length;
      }
    }
    at = behind;
  }
  return end;
}

if (import.meta.main) {
  const module = await buildModule();
  await Deno.mkdir(new URL(".", BUILT_MODULE), { recursive: true });
  await Deno.writeFile(BUILT_MODULE, module);
  await Deno.stdout.write(new TextEncoder().encode(`${module.length} bytes\n`));
}
