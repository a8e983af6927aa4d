/**
 * Both readers without the semantics: a module whose `structlog()` tells the record to the test, and what
 * `JSON.parse` makes of the same reply. So what the readers hand over can be compared, not only what becomes of it.
 */
import * as R from "../../../wasm/record.ts";
import { MalformedReplyError, ReplyError } from "../../../src/stages/decode/errors.ts";
import type { ResultFacts, TraceMeaning } from "../../../src/stages/decode/meaning.ts";
import { instantiateDecode } from "../../../src/stages/decode/module.ts";
import type { ReplyContext, TraceSink } from "../../../src/stages/decode/port.ts";
import { ReplyDecoder } from "../../../src/stages/decode/reply_decoder.ts";
import { opcodeNames } from "../../../src/ethereum/opcodes.ts";
import { clientFlags } from "../../../src/ethereum/clients.ts";
import { buildModule } from "../../../tools/build_wasm.ts";

const TELLING = `
import { needWords } from "./words";
@external("host", "told")
declare function told(): void;
export function structlog(): void {
  needWords(7);
  told();
}
`;

const ONLY_READERS = `
export { nameOpcode, scan } from "./scan";
export * from "./trace";
`;

let built: Promise<WebAssembly.Module> | undefined;

/** The readers, and semantics that only tell the record. */
export function tellingModule(): Promise<WebAssembly.Module> {
  built ??= buildModule(new Map([["wasm/trace.ts", TELLING], ["wasm/index.ts", ONLY_READERS]]))
    .then((bytes) => WebAssembly.compile(bytes));
  return built;
}

/** A normalised structlog, as text where numbers would lose digits. */
export interface ToldStructlog {
  readonly op: string;
  readonly pc: number;
  readonly depth: number;
  readonly gas: string;
  readonly cost: string | undefined;
  readonly refund: string | undefined;
  /** -1: none was sent. */
  readonly height: number;
  /** Up to seven, the top first. */
  readonly words: readonly string[];
  readonly returnData: string | undefined;
  readonly error: string | undefined;
}

/** Everything that the readers said about a reply, in order. */
export interface Told {
  readonly transactions: readonly { readonly structlogs: readonly ToldStructlog[]; readonly facts: ResultFacts }[];
  /** Structlogs of a transaction whose end never came. */
  readonly unfinished: readonly ToldStructlog[];
  readonly error: MalformedReplyError | ReplyError | undefined;
  readonly fastBytes: number;
}

/** A way to read. */
export interface Way {
  readonly scan: boolean;
  readonly sliceBytes: number;
}

class ToldMeaning implements TraceMeaning {
  readonly imports: WebAssembly.Imports = { host: { told: () => this.structlogs.push(this.#read()) } };
  transactions: { structlogs: ToldStructlog[]; facts: ResultFacts }[] = [];
  structlogs: ToldStructlog[] = [];
  /** The last `returnValue` of the transaction. */
  #returnValue: string | undefined;
  #memory: DataView = new DataView(new ArrayBuffer(0));

  attach(exports: WebAssembly.Exports): void {
    this.#memory = new DataView((exports.memory as WebAssembly.Memory).buffer);
  }

  begin(_context: ReplyContext, _sink: TraceSink): void {
    this.transactions = [];
    this.structlogs = [];
  }

  beginTransaction(position: number): void {
    if (position !== this.transactions.length) throw new Error(`position ${position}`);
    this.structlogs = [];
    this.#returnValue = undefined;
  }

  returnValue(hex: string | undefined): void {
    this.#returnValue = hex;
  }

  endTransaction(facts: ResultFacts): void {
    if (facts.returnValue !== this.#returnValue) throw new Error("facts differ from what was told before");
    this.transactions.push({ structlogs: this.structlogs, facts: { ...facts } });
    this.structlogs = [];
  }

  #read(): ToldStructlog {
    const memory = this.#memory;
    const u32 = (at: number) => memory.getUint32(R.RECORD + at, true);
    const u64 = (at: number) => memory.getBigUint64(R.RECORD + at, true).toString();
    const flags = u32(R.FLAGS);
    const text = (at: number) => new TextDecoder().decode(new Uint8Array(memory.buffer, u32(at), u32(at + 4)));
    const signed = (has: number, negative: number, at: number) =>
      (flags & has) === 0 ? undefined : (flags & negative) === 0 ? u64(at) : `-${u64(at)}`;
    const op = memory.getInt32(R.RECORD + R.OP, true);
    const words: string[] = [];
    for (let position = 0; position < u32(R.WORDS_LOADED); position++) {
      let word = 0n;
      for (let limb = 3; limb >= 0; limb--) {
        word = word << 64n | memory.getBigUint64(R.RECORD + R.WORDS + position * 32 + limb * 8, true);
      }
      words.push(word.toString(16));
    }
    return {
      op: op === R.OP_UNDEFINED ? `undefined ${text(R.OP_TEXT)}` : String(op),
      pc: u32(R.PC),
      depth: u32(R.DEPTH),
      gas: u64(R.GAS),
      cost: signed(R.HAS_COST, R.COST_NEGATIVE, R.COST),
      refund: signed(R.HAS_REFUND, R.REFUND_NEGATIVE, R.REFUND),
      height: memory.getInt32(R.RECORD + R.STACK_HEIGHT, true),
      words,
      returnData: (flags & R.HAS_RETURN_DATA) === 0 ? undefined : text(R.RETURN_TEXT),
      error: (flags & R.HAS_ERROR) === 0 ? undefined : text(R.ERROR_TEXT),
    };
  }
}

/** Reads replies one after the other, in one way, with one module instance. */
export class Probe {
  readonly #meaning: ToldMeaning;
  readonly #decoder: ReplyDecoder;

  private constructor(meaning: ToldMeaning, decoder: ReplyDecoder) {
    this.#meaning = meaning;
    this.#decoder = decoder;
  }

  static async open(way: Way): Promise<Probe> {
    const meaning = new ToldMeaning();
    const exports = await instantiateDecode(meaning.imports, await tellingModule());
    meaning.attach(exports);
    return new Probe(meaning, new ReplyDecoder(way, meaning, exports));
  }

  /** What is said about a reply that arrives in these pieces. */
  read(pieces: Iterable<Uint8Array>, shape: ReplyContext["shape"] = "transaction", transactions = 0): Told {
    const context: ReplyContext = {
      shape,
      flags: clientFlags("Geth/v1.17.10"),
      transactions: Array.from({ length: transactions }, () => ({})),
    };
    let error: Told["error"];
    this.#decoder.begin(context, NO_SINK);
    try {
      for (const piece of pieces) this.#decoder.push(piece);
      this.#decoder.end();
    } catch (thrown) {
      if (!(thrown instanceof MalformedReplyError || thrown instanceof ReplyError)) throw thrown;
      error = thrown;
    }
    const { transactions: told, structlogs: unfinished } = this.#meaning;
    return { transactions: told, unfinished, error, fastBytes: this.#decoder.progress.fastBytes };
  }
}

const NO_SINK: TraceSink = { structlogs: () => {}, frames: () => {}, returnValue: () => {}, finished: () => {} };

/** What was said as one text, to compare. */
export function said({ transactions, unfinished, error }: Told): string {
  return JSON.stringify(
    { transactions, unfinished, error: error?.message },
    (_key, value: unknown) => typeof value === "bigint" ? String(value) : value,
  );
}

/** Pieces of `bytes` behind each of the positions. */
export function cut(bytes: Uint8Array, positions: readonly number[]): Uint8Array[] {
  const ends = [...positions, bytes.length];
  return ends.map((end, index) => bytes.subarray(index === 0 ? 0 : ends[index - 1], end));
}

type Json = { readonly [member: string]: unknown };

/** What the readers must say about a valid trace: the same from `JSON.parse`, numbers above 2^53 given as text. */
export function parseStructlogs(result: Json): ToldStructlog[] {
  const told: ToldStructlog[] = [];
  for (const log of result.structLogs as Json[]) {
    if (log.op === null || log.op === undefined || log.op === "") continue;
    const stack = log.stack as string[] | null | undefined;
    const name = log.op as string;
    told.push({
      op: opcodeNames.has(name) ? String(opcodeNames.get(name)) : `undefined ${name}`,
      pc: Number(log.pc) + 0,
      depth: Number(log.depth) + 0,
      gas: integer(log.gas)!,
      cost: integer(log.gasCost),
      refund: integer(log.refund),
      height: stack === null || stack === undefined ? -1 : stack.length,
      words: (stack ?? []).slice(-7).reverse().map((word) => BigInt(`0x${word.replace(/^0x/, "")}`).toString(16)),
      returnData: ((log.returnData ?? "") as string).replace(/^0x/, "").toLowerCase() || undefined,
      error: errorOf(log.error),
    });
  }
  return told;
}

/** A number however it is printed, as digits. */
export function integer(value: unknown): string | undefined {
  if (value === null || value === undefined) return undefined;
  const text = String(value);
  const magnitude = BigInt(text.replace(/^-/, ""));
  return text.startsWith("-") ? String(-magnitude) : String(magnitude);
}

/** The text of an error in any form (TRACE 1.7). */
export function errorOf(value: unknown): string | undefined {
  if (value === null || value === undefined) return undefined;
  if (Array.isArray(value)) return value.map(errorOf).filter((text) => text !== undefined).join(",") || undefined;
  if (typeof value === "object") return Object.keys(value).length === 0 ? undefined : JSON.stringify(value);
  const text = String(value);
  return (text.startsWith("Some(") && text.endsWith(")") ? text.slice(5, -1) : text) || undefined;
}

/** `JSON.parse` that keeps the digits of numbers which a double cannot hold. */
export function parseExactly(bytes: Uint8Array): Json {
  return JSON.parse(
    new TextDecoder().decode(bytes),
    (_key, value: unknown, context?: { readonly source?: string }) =>
      typeof value === "number" && !Number.isSafeInteger(value) ? context?.source : value,
  );
}
