/** TRACE 4: words of memory from stack operands. */
import { NO_AREA, OPCODE_OFFSET, OPCODE_OFFSET_2, OPCODE_SIZE, OPCODE_SIZE_2, SIZE_1, SIZE_32 } from "./kinds";
import { F, F_SQUARES, F_WORDS, P_AFTER, P_BEFORE, P_EXPANSION, P_TOO_LARGE } from "./state";
import { saturated, word } from "./u256";

/** Offsets and sizes above it cannot be paid for on any chain. */
const LARGEST: u64 = 0x1fffffffffffff;
/** 128 GiB: no execution holds as many words, and their square still fits. */
const MOST_WORDS: u64 = 0xffffffff;
const TOO_LARGE: u64 = 0xffffffffffffffff;

/** ceil(bytes / 32) */

export function wordsOf(bytes: u64): u64 {
  return (bytes >> 5) + ((bytes & 31) != 0 ? 1 : 0);
}

function memoryCost(words: u64): u64 {
  return 3 * words + words * words / 512;
}

function areaEnd(offset: u32, size: u32): u64 {
  let bytes: u64;
  if (size == SIZE_32) bytes = 32;
  else if (size == SIZE_1) bytes = 1;
  else {
    bytes = saturated(word(size));
    if (bytes == 0) return 0;
  }
  const start = saturated(word(offset));
  return start > LARGEST || bytes > LARGEST ? TOO_LARGE : start + bytes;
}

/**
 * Words and expansion gas of the newest structlog, as if it succeeds. The frame's words are those afterwards; a structlog
 * that fails ends its frame, so they need not be taken back.
 */
export function expandMemory(table: usize): void {
  const before = load<u64>(F, F_WORDS);
  store<u64>(F, before, P_BEFORE);
  let end: u64 = 0;
  const first = load<u8>(table, OPCODE_OFFSET);
  if (first != NO_AREA) {
    end = areaEnd(first, load<u8>(table, OPCODE_SIZE));
    const second = load<u8>(table, OPCODE_OFFSET_2);
    if (second != NO_AREA) {
      const other = areaEnd(second, load<u8>(table, OPCODE_SIZE_2));
      if (other > end) end = other;
    }
  }
  const after = wordsOf(end);
  if (after <= before) {
    store<u64>(F, before, P_AFTER);
    store<u64>(F, 0, P_EXPANSION);
    store<u32>(F, 0, P_TOO_LARGE);
  } else if (after > MOST_WORDS) {
    store<u64>(F, before, P_AFTER);
    store<u64>(F, 0, P_EXPANSION);
    store<u32>(F, 1, P_TOO_LARGE);
  } else {
    store<u64>(F, after, P_AFTER);
    store<u64>(F, memoryCost(after) - memoryCost(before), P_EXPANSION);
    store<u32>(F, 0, P_TOO_LARGE);
    store<u64>(F, after, F_WORDS);
    store<u64>(F, after * after, F_SQUARES);
  }
}
