/** The decoder's WebAssembly: compiled once an isolate, instantiated once a lane. */
import { opcodeNames } from "../../ethereum/opcodes.ts";

/** The exports that the readers call. */
export interface DecodeExports extends WebAssembly.Exports {
  readonly memory: WebAssembly.Memory;
  /** See `wasm/scan.ts`. */
  scan(from: number, end: number): number;
  nameOpcode(low: bigint, high: bigint, length: number, opcode: number): void;
  structlog(): void;
}

let compiled: Promise<WebAssembly.Module> | undefined;

/** The compiled module. @throws {Deno.errors.NotFound} where `wasm/build/decode.wasm` is not beside the sources. */
function decodeModule(): Promise<WebAssembly.Module> {
  compiled ??= Deno.readFile(new URL("../../../wasm/build/decode.wasm", import.meta.url))
    .then((bytes) => WebAssembly.compile(bytes));
  return compiled;
}

/** A new instance, its table of opcode names filled. A test brings a module of its own. */
export async function instantiateDecode(
  imports: WebAssembly.Imports,
  module?: WebAssembly.Module,
): Promise<DecodeExports> {
  const instance = await WebAssembly.instantiate(module ?? await decodeModule(), imports);
  const exports = instance.exports as DecodeExports;
  for (const [name, byte] of opcodeNames) nameOpcode(exports, name, byte);
  return exports;
}

function nameOpcode(exports: DecodeExports, name: string, byte: number): void {
  const text = new Uint8Array(16);
  const { read, written } = new TextEncoder().encodeInto(name, text);
  if (read !== name.length || written > 15) throw new Error(`Cannot name an opcode: current value is "${name}"`);
  const [low, high] = new BigUint64Array(text.buffer);
  exports.nameOpcode(low!, high!, written, byte);
}
