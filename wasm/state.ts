/**
 * What the semantics know while a transaction passes: the open frames, each with at most one structlog that waits for the
 * next one, and a few running totals. The innermost frame lies at `F`, a constant address, so that what every structlog
 * touches needs no bounds check; its callers lie behind each other at FRAMES and are copied to and fro.
 */
import { CURRENT, FACTS, FRAME_BYTES, FRAMES, PATH } from "./layout";
import { FACT_FLAGS } from "./facts";

/* ---- fields of a frame, offsets from F ----------------------------------------------------------------------------- */
/** u32: call frame id; depth of its structlogs; what opened it, a position in `operations`. */
export const F_ID = 0;
export const F_DEPTH = 4;
export const F_TYPE = 8;
/** u32 each: runs init code; writes are forbidden; the target address is known; a structlog waits. */
export const F_IN_CREATE = 12;
export const F_STATIC = 16;
export const F_HAS_TARGET = 20;
export const F_PENDING = 24;
/** u32: operations in the list at TOUCHED; entry of the account whose storage the code sees. */
export const F_TOUCHED = 28;
export const F_SELF = 32;
/** u32: lengths of the journals when the frame was opened. */
export const F_MARK = 36;
export const F_VALUE_MARK = 40;
/** u64: words of memory, and that squared; sum of gasUsed; gas of the first structlog. */
export const F_WORDS = 48;
export const F_SQUARES = 56;
export const F_USED = 64;
export const F_ENTRY_GAS = 72;
/** i64: what the counter of the frame is relative to; bounds of the recomputed refund when the frame was opened. */
export const F_REFUND_BASE = 80;
export const F_REFUND_LOW = 88;
export const F_REFUND_HIGH = 96;
/** Three limbs of an address. */
export const F_TARGET = 104;
/** u64: cell of the path, and the constant part of the row checksum. */
export const F_PATH_CELL = 128;
export const F_CELLS = 136;

/* ---- fields of its pending structlog ------------------------------------------------------------------------------- */
export const P_INDEX = 144; // u32
export const P_PC = 148; // u32
export const P_DEPTH = 152; // u32
export const P_OP = 156; // u32: EVM byte, 256 for undefined opcodes
export const P_OPERATION = 160; // u32: position in `operations`
export const P_KIND = 164; // u32
export const P_FLAGS = 168; // u32: HAS_* of the record
export const P_NEXT_HEIGHT = 176; // i32: expected height, HEIGHT_UNKNOWN, HEIGHT_IMPOSSIBLE
export const P_OPERANDS = 180; // u32: 1 when all operands are on the stack
export const P_GAS = 184; // u64
export const P_RAW = 200; // u64: magnitude of the cost as printed
export const P_NEXT_PC = 208; // u64: expected pc, PC_UNKNOWN, PC_NONE
export const P_PRICE = 216; // u64: price, or the part of it that is known before the outcome
export const P_AFTER = 224; // u64: words of memory afterwards
export const P_BEFORE = 232; // u64
export const P_EXPANSION = 240; // u64: gas
export const P_REFUND = 248; // i64
export const P_TEXTS = 256; // u32: where its texts begin
export const P_RETURN_LENGTH = 260; // u32
export const P_ERROR_LENGTH = 264; // u32
export const P_ENTRY = 268; // u32: entry of the slot or account that it accesses
export const P_SET_COLD = 272; // u32
export const P_VALUE = 276; // u32: 1 when a call carries value
export const P_ADDRESS = 280; // three limbs
export const P_REQUESTED = 304; // u64: gas that a call asks for
export const P_SIZE = 312; // u64: bytes of input, init code or return data
export const P_WORD = 320; // four limbs: value that SSTORE writes
export const P_TOKEN = 352; // u32: storage identity of the contract under construction
export const P_CHILD = 356; // u32: 1 when it opened a frame
export const P_CHILD_OUTCOME = 360; // u32
export const P_CHILD_RETURNED = 364; // u32: the child ended in RETURN
export const P_CHILD_USED = 368; // u64
export const P_CHILD_GAS = 376; // u64
export const P_CHILD_SIZE = 384; // u64: bytes that the child returned
export const P_REFUND_LOW = 392; // i64: bounds of the recomputed refund before it
export const P_REFUND_HIGH = 400; // i64
export const P_CALLEE = 412; // u32: 1 when the address that a call names is known
export const P_TOO_LARGE = 408; // u32: an area of memory ends beyond everything

export const HEIGHT_UNKNOWN: i32 = -1;
export const HEIGHT_IMPOSSIBLE: i32 = -2;
export const PC_UNKNOWN: u64 = 0xffffffffffffffff;
export const PC_NONE: u64 = 0xfffffffffffffffe;
/** More gas than there is. */
export const UNPAYABLE: u64 = 0xffffffffffffffff;

/** The innermost frame, and its position: 0 is the root. */
export const F: usize = CURRENT;
export let level: u32 = 0;
/** 0 before the first structlog. */
export let isOpen: u32 = 0;
/** Structlogs so far, frame ids so far. */
export let rows: u32 = 0;
export let frames: u32 = 0;
/** FACT_FLAGS. */
export let facts: u32 = 0;

export function is(flag: u32): bool {
  return (facts & flag) != 0;
}

export function fact32(offset: usize): u32 {
  return load<u32>(FACTS + offset);
}

export function fact64(offset: usize): u64 {
  return load<u64>(FACTS + offset);
}

/** A new frame becomes the innermost one; all its fields are still those of its caller, at `frameAt(level - 1)`. */
export function pushFrame(): void {
  memory.copy(frameAt(level), F, FRAME_BYTES);
  level++;
}

/** The caller becomes the innermost frame again. */
export function popFrame(): void {
  level--;
  memory.copy(F, frameAt(level), FRAME_BYTES);
}

/** An open frame other than the innermost. */
export function frameAt(position: u32): usize {
  return FRAMES + position * FRAME_BYTES;
}

export function pathEnd(): usize {
  return PATH + ((level as usize) << 2);
}

export function resetState(): void {
  level = 0;
  isOpen = 0;
  rows = 0;
  frames = 0;
  facts = fact32(FACT_FLAGS);
}
