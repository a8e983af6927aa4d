/**
 * Feeds structlogs to the semantics without any JSON: fills the record and calls the module, as the readers do. Tests of
 * the sections of the meaning say what was executed; the feeder keeps pc and gas in order.
 */
import { frameLines, structlogLines } from "../../src/cli/ndjson.ts";
import { clientFlags } from "../../src/ethereum/clients.ts";
import { opcodeNames, OPCODES } from "../../src/ethereum/opcodes.ts";
import { Meaning } from "../../src/stages/decode/context.ts";
import { type DecodeExports, instantiateDecode } from "../../src/stages/decode/module.ts";
import type {
  FrameColumns,
  JsonObject,
  ProofRecord,
  ReplyContext,
  StructlogColumns,
  TraceSink,
} from "../../src/stages/decode/port.ts";
import { TEXT_ERROR, TEXT_OP, TEXT_RETURN } from "../../wasm/memory.ts";
import * as R from "../../wasm/record.ts";

export const SENDER = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266";
export const CALLEE = "0x00000000000000000000000000000000000c0de1";

/** Enough for everything; the receipt says what a test wants it to say. */
export const GAS_LIMIT = 1_000_000_000_000n;
const INTRINSIC = 21_000n;

/** One structlog; pc and gas come from the feeder unless they are given. */
export interface Fed {
  readonly op: string;
  /** Words, top of the stack last. */
  readonly stack?: readonly bigint[];
  /** What the opcode uses up; for a call or create with a frame of its own what it pays before that. */
  readonly cost?: bigint;
  readonly pc?: number;
  readonly gas?: bigint;
  readonly depth?: number;
  readonly refund?: bigint;
  readonly error?: string;
  readonly returnData?: string;
}

/** What leaves the semantics. Rows are kept only when asked for. */
export class Kept implements TraceSink {
  record: ProofRecord | undefined;
  readonly blocks = { structlogs: [] as number[], frames: [] as number[] };
  #lines = { structlogs: "", frames: "" };
  readonly #keepsRows: boolean;

  constructor(keepsRows = true) {
    this.#keepsRows = keepsRows;
  }

  structlogs(_position: number, columns: StructlogColumns, operations: readonly string[]): void {
    this.blocks.structlogs.push(columns.rows);
    if (this.#keepsRows) this.#add("structlogs", structlogLines(columns, operations, new Map(), new Set()));
  }

  frames(_position: number, columns: FrameColumns, operations: readonly string[]): void {
    this.blocks.frames.push(columns.rows);
    if (this.#keepsRows) this.#add("frames", frameLines(columns, operations, new Map(), new Set()));
  }

  returnValue(): void {}

  finished(_position: number, record: ProofRecord): void {
    this.record = record;
  }

  /** Rows in the order in which they left. */
  rows(table: "structlogs" | "frames"): JsonObject[] {
    return this.#lines[table].split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
  }

  #add(table: "structlogs" | "frames", chunks: Iterable<Uint8Array>): void {
    const decoder = new TextDecoder();
    for (const chunk of chunks) this.#lines[table] += decoder.decode(chunk);
  }
}

/** The context of a call to {@linkcode CALLEE} that succeeded, with what a test changes. */
export function callContext(
  changes: {
    fork?: ReplyContext["fork"];
    client?: string;
    gasUsed?: bigint;
    status?: string;
    transaction?: JsonObject;
  },
): ReplyContext {
  const fork = "fork" in changes ? changes.fork : "prague";
  return {
    shape: "transaction",
    flags: clientFlags(changes.client ?? "Geth/v1.17.10"),
    ...(fork !== undefined && { fork }),
    chainId: 31_337,
    block: { miner: "0x0000000000000000000000000000000000000000" },
    transactions: [{
      transaction: {
        type: "0x2",
        from: SENDER,
        to: CALLEE,
        gas: `0x${GAS_LIMIT.toString(16)}`,
        input: "0x",
        nonce: "0x0",
        accessList: [],
        ...changes.transaction,
      },
      receipt: {
        status: changes.status ?? "0x1",
        gasUsed: `0x${(changes.gasUsed ?? 0n).toString(16)}`,
      },
    }],
  };
}

const bytes = new TextEncoder();

/** One module instance and the transaction that passes through it. */
export class Feeder {
  readonly #meaning: Meaning;
  readonly #exports: DecodeExports;
  readonly #record: DataView;
  readonly #memory: Uint8Array;
  /** Of the innermost frame last. */
  #frames: { pc: number; gas: bigint }[] = [];

  private constructor(meaning: Meaning, exports: DecodeExports) {
    this.#meaning = meaning;
    this.#exports = exports;
    this.#memory = new Uint8Array(exports.memory.buffer);
    this.#record = new DataView(exports.memory.buffer, R.RECORD, R.RECORD_BYTES);
  }

  static async open(): Promise<Feeder> {
    const meaning = new Meaning();
    const exports = await instantiateDecode(meaning.imports);
    meaning.attach(exports);
    return new Feeder(meaning, exports);
  }

  begin(context: ReplyContext, sink: TraceSink): this {
    this.#meaning.begin(context, sink);
    this.#meaning.beginTransaction(0);
    this.#frames = [{ pc: 0, gas: GAS_LIMIT - INTRINSIC }];
    return this;
  }

  /** Gas left in the innermost frame. */
  get gas(): bigint {
    return this.#frames.at(-1)!.gas;
  }

  get depth(): number {
    return this.#frames.length;
  }

  feed(...structlogs: readonly Fed[]): this {
    for (const structlog of structlogs) this.#feedOne(structlog);
    return this;
  }

  /** What comes next is a frame that begins with this gas. */
  enter(gas: bigint): this {
    this.#frames.push({ pc: 0, gas });
    return this;
  }

  /** The innermost frame is over; what it did not use goes back to its caller. */
  leave(left = 0n): this {
    this.#frames.pop();
    this.#frames.at(-1)!.gas += left;
    return this;
  }

  end(facts: { gas?: bigint; failed?: boolean; error?: string; structLogs?: boolean } = {}): void {
    this.#meaning.endTransaction({ structLogs: true, offset: 0, bytes: 0, failed: false, ...facts });
  }

  #feedOne({ op, stack = [], cost = 0n, ...given }: Fed): void {
    const frame = this.#frames.at(-1)!;
    const byte = opcodeNames.get(op);
    const record = this.#record;
    const gas = given.gas ?? frame.gas;
    const pc = given.pc ?? frame.pc;
    record.setUint32(
      R.FLAGS,
      R.HAS_GAS | R.HAS_COST | (given.refund === undefined ? 0 : R.HAS_REFUND) |
        (given.error === undefined ? 0 : R.HAS_ERROR) | (given.returnData === undefined ? 0 : R.HAS_RETURN_DATA),
      true,
    );
    record.setUint32(R.PC, pc, true);
    record.setUint32(R.DEPTH, given.depth ?? this.#frames.length, true);
    record.setInt32(R.OP, byte ?? R.OP_UNDEFINED, true);
    record.setBigUint64(R.GAS, gas, true);
    record.setBigUint64(R.COST, cost, true);
    record.setBigUint64(R.REFUND, given.refund ?? 0n, true);
    record.setInt32(R.STACK_HEIGHT, stack.length, true);
    const loaded = Math.min(stack.length, R.MAX_WORDS);
    record.setUint32(R.WORDS_LOADED, loaded, true);
    for (let position = 0; position < loaded; position++) {
      let word = stack[stack.length - 1 - position]!;
      for (let limb = 0; limb < 4; limb++, word >>= 64n) {
        record.setBigUint64(R.WORDS + 32 * position + 8 * limb, BigInt.asUintN(64, word), true);
      }
    }
    if (byte === undefined) this.#text(R.OP_TEXT, TEXT_OP, op);
    if (given.error !== undefined) this.#text(R.ERROR_TEXT, TEXT_ERROR, given.error);
    if (given.returnData !== undefined) this.#text(R.RETURN_TEXT, TEXT_RETURN, given.returnData);
    this.#exports.structlog();
    frame.gas = gas - cost;
    frame.pc = pc + 1 + (OPCODES.find((opcode) => opcode.byte === byte)?.immediate ?? 0);
  }

  #text(field: number, address: number, text: string): void {
    const { written } = bytes.encodeInto(text, this.#memory.subarray(address));
    this.#record.setUint32(field, address, true);
    this.#record.setUint32(field + 4, written, true);
  }
}
