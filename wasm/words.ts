// deno-fmt-ignore-file: the formatter drops the decorators of functions
/** Stack words on demand: most opcodes need none, so their digits are looked at only when the semantics ask. */
import { RECORD, STACK_HEIGHT, WORDS, WORDS_LOADED } from "./record";
import { STACK_TEXT, STACK_WORDS } from "./memory";

/** The 16 hex digits at `address` as a number; the first digit counts most. */
@inline
export function hexDigits(address: usize): u64 {
  const text = v128.load(address);
  // '0'..'9' are 0x30.., 'A'.. 0x41.., 'a'.. 0x61..: bit 6 tells letters, which begin at low nibble 1 and value 10.
  const letter = v128.and(i16x8.shr_u(text, 6), i8x16.splat(1));
  const nibbles = i8x16.add(
    v128.and(text, i8x16.splat(15)),
    v128.or(i16x8.shl(letter, 3), letter),
  );
  const bytes = v128.or(i16x8.shl(nibbles, 4), i16x8.shr_u(nibbles, 8));
  const reversed = i8x16.shuffle(bytes, bytes, 14, 12, 10, 8, 6, 4, 2, 0, 14, 12, 10, 8, 6, 4, 2, 0);
  return i64x2.extract_lane(reversed, 0) as u64;
}

function loadWord(position: i32): void {
  const base = load<u32>(STACK_TEXT) as usize;
  const entry = STACK_WORDS + ((load<i32>(RECORD + STACK_HEIGHT) - 1 - position) << 3);
  let left = (load<u32>(entry, 4) - load<u32>(entry)) as i32;
  let end = base + load<u32>(entry, 4);
  const target = RECORD + WORDS + (position << 5);
  for (let limb = 0; limb < 4; limb++) {
    end -= 16;
    // Bytes before the word are read along with it and cut off: there is always text before it.
    let value: u64 = 0;
    if (left >= 16) value = hexDigits(end);
    else if (left > 0) value = hexDigits(end) & (((1 as u64) << (left << 2)) - 1);
    store<u64>(target + (limb << 3), value);
    left -= 16;
  }
}

/** Makes the `count` words from the top of the stack (fewer, where it is not that high) lie in the record. */
export function needWords(count: i32): void {
  const height = load<i32>(RECORD + STACK_HEIGHT);
  if (count > height) count = height;
  for (let position = load<i32>(RECORD + WORDS_LOADED); position < count; position++) {
    loadWord(position);
    store<i32>(RECORD + WORDS_LOADED, position + 1);
  }
}
