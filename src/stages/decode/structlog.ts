/**
 * One structlog as the general reader hears it: puts its members into the record of the module, in the normal form that
 * the scanner gives them too.
 */
import { opcodeNames } from "../../ethereum/opcodes.ts";
import * as M from "../../../wasm/memory.ts";
import * as R from "../../../wasm/record.ts";
import { hexValue } from "./json.ts";
import { normaliseHex, type Quantity, Text } from "./texts.ts";

/** Members of a structlog that are read; every other one is skipped. */
export const STRUCTLOG_MEMBERS: ReadonlySet<string> = new Set([
  "pc",
  "op",
  "gas",
  "gasCost",
  "depth",
  "stack",
  "refund",
  "error",
  "returnData",
]);

/** Members that a structlog with an opcode must have. */
const REQUIRED = ["pc", "gas", "depth"] as const;

/** Digits of a 256-bit word. */
const WORD_DIGITS = 64;

/** `undefined`: it fits. Otherwise what was expected in its place. */
type Complaint = string | undefined;

/** The record of one module instance, filled member by member. */
export class StructlogRecord {
  readonly #record: DataView;
  /** Digits of the newest words, as a ring. */
  readonly #words = new Uint8Array(8 * WORD_DIGITS);
  readonly #wordDigits = new Uint8Array(8);
  /** Required members that have not come. */
  readonly #pending = new Set<string>();
  #flags = 0;
  #height = -1;
  #hasOp = false;
  /** Where the bytes of a text member go. */
  readonly op: Text;
  readonly error: Text;
  readonly returnData: Text;

  constructor(memory: ArrayBufferLike) {
    this.#record = new DataView(memory, R.RECORD, R.RECORD_BYTES);
    this.op = new Text(new Uint8Array(memory, M.TEXT_OP, M.TEXT_OP_BYTES));
    this.error = new Text(new Uint8Array(memory, M.TEXT_ERROR, M.TEXT_ERROR_BYTES));
    this.returnData = new Text(new Uint8Array(memory, M.TEXT_RETURN, M.TEXT_RETURN_BYTES));
  }

  begin(): void {
    this.#flags = 0;
    this.#height = -1;
    this.#hasOp = false;
    this.#pending.clear();
    for (const member of REQUIRED) this.#pending.add(member);
  }

  /** `pc`, `gas`, `gasCost`, `depth` or `refund`; `undefined` is null. */
  number(member: string, quantity: Quantity | undefined): Complaint {
    switch (member) {
      case "gasCost":
        this.#signed(quantity, R.COST, R.HAS_COST, R.COST_NEGATIVE);
        return undefined;
      case "refund":
        this.#signed(quantity, R.REFUND, R.HAS_REFUND, R.REFUND_NEGATIVE);
        return undefined;
    }
    if (quantity === undefined) {
      this.#pending.add(member);
      return undefined;
    }
    this.#pending.delete(member);
    if (quantity.negative) return "a number that is not negative";
    if (member === "gas") {
      this.#record.setBigUint64(R.GAS, quantity.magnitude, true);
      return undefined;
    }
    const [at, most] = member === "pc" ? [R.PC, 0xffffffffn] : [R.DEPTH, 0xffffn];
    if (quantity.magnitude > most) return `a number of at most ${most}`;
    this.#record.setUint32(at, Number(quantity.magnitude), true);
    return undefined;
  }

  #signed(quantity: Quantity | undefined, at: number, has: number, negative: number): void {
    this.#flags &= ~(has | negative);
    if (quantity === undefined) return;
    this.#record.setBigUint64(at, quantity.magnitude, true);
    this.#flags |= quantity.negative ? has | negative : has;
  }

  /** The text in {@linkcode op} is complete. */
  endOp(): void {
    this.#hasOp = this.op.length > 0;
    const byte = this.op.length < 16 ? opcodeNames.get(this.op.toString()) : undefined;
    this.#record.setInt32(R.OP, byte ?? R.OP_UNDEFINED, true);
    this.#record.setUint32(R.OP_TEXT, M.TEXT_OP, true);
    this.#record.setUint32(R.OP_TEXT + 4, this.op.length, true);
  }

  /** `op` is null. */
  noOp(): void {
    this.#hasOp = false;
  }

  /** The text in {@linkcode error} is complete, as printed: TRACE 1.7. */
  endError(): void {
    const text = this.error.bytes();
    if (startsWithSome(text) && text[text.length - 1] === 0x29) this.#setError(5, text.length - 1);
    else this.#setError(0, text.length);
  }

  /** `error` is something else than text: what it means. `false`: it does not fit. */
  setError(text: string): boolean {
    const fits = this.error.set(text);
    this.#setError(0, this.error.length);
    return fits;
  }

  #setError(from: number, to: number): void {
    this.#flags &= ~R.HAS_ERROR;
    if (from === to) return;
    this.#flags |= R.HAS_ERROR;
    this.#record.setUint32(R.ERROR_TEXT, M.TEXT_ERROR + from, true);
    this.#record.setUint32(R.ERROR_TEXT + 4, to - from, true);
  }

  /** The text in {@linkcode returnData} is complete. */
  endReturnData(): Complaint {
    const text = this.returnData.bytes();
    const from = normaliseHex(text);
    if (from < 0) return "hex text";
    this.#flags &= ~R.HAS_RETURN_DATA;
    if (from === text.length) return undefined;
    this.#flags |= R.HAS_RETURN_DATA;
    this.#record.setUint32(R.RETURN_TEXT, M.TEXT_RETURN + from, true);
    this.#record.setUint32(R.RETURN_TEXT + 4, text.length - from, true);
    return undefined;
  }

  beginStack(): void {
    this.#height = 0;
  }

  /** `stack` is null. */
  noStack(): void {
    this.#height = -1;
  }

  /** The next word, towards the top. */
  word(text: Uint8Array): Complaint {
    const from = normaliseHex(text);
    const digits = text.length - from;
    if (from < 0 || digits < 1 || digits > WORD_DIGITS) return "a word of 1 to 64 hex digits";
    const slot = this.#height & 7;
    this.#words.set(text.subarray(from), slot * WORD_DIGITS);
    this.#wordDigits[slot] = digits;
    this.#height++;
    return undefined;
  }

  /** Whether the structlog has an opcode; without one it is dropped. */
  get hasOp(): boolean {
    return this.#hasOp;
  }

  /** Completes the record of a structlog with an opcode. */
  end(): Complaint {
    const missing = REQUIRED.find((member) => this.#pending.has(member));
    if (missing !== undefined) return `member ${missing} in the structlog`;
    const loaded = Math.max(0, Math.min(this.#height, R.MAX_WORDS));
    for (let position = 0; position < loaded; position++) this.#storeWord(position);
    this.#record.setUint32(R.FLAGS, this.#flags | R.HAS_GAS, true);
    this.#record.setInt32(R.STACK_HEIGHT, this.#height, true);
    this.#record.setUint32(R.WORDS_LOADED, loaded, true);
    return undefined;
  }

  #storeWord(position: number): void {
    const slot = (this.#height - 1 - position) & 7;
    const begin = slot * WORD_DIGITS;
    let at = begin + this.#wordDigits[slot]!;
    for (let lane = 0; lane < 8; lane++) {
      let value = 0;
      for (let digit = 0; digit < 8 && at > begin; digit++) {
        at--;
        value |= hexValue(this.#words[at]!) << (4 * digit);
      }
      this.#record.setUint32(R.WORDS + position * 32 + lane * 4, value >>> 0, true);
    }
  }
}

/** Rust prints `Some(X)` for X. */
function startsWithSome(text: Uint8Array): boolean {
  return text.length >= 6 && text[0] === 0x53 && text[1] === 0x6f && text[2] === 0x6d && text[3] === 0x65 &&
    text[4] === 0x28;
}
