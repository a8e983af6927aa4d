/** 256-bit words in memory: four u64 limbs, least significant first. */
import { RECORD, WORDS } from "./record";

/** The word at a position of the stack, 0 is the top; `needWords` must have loaded it. */

export function word(position: usize): usize {
  return RECORD + WORDS + (position << 5);
}

export function isZero(at: usize): bool {
  return (load<u64>(at) | load<u64>(at, 8) | load<u64>(at, 16) | load<u64>(at, 24)) == 0;
}

export function equal(a: usize, b: usize): bool {
  return ((load<u64>(a) ^ load<u64>(b)) | (load<u64>(a, 8) ^ load<u64>(b, 8)) |
    (load<u64>(a, 16) ^ load<u64>(b, 16)) | (load<u64>(a, 24) ^ load<u64>(b, 24))) == 0;
}

/** The word, or 2^64 - 1 when it is larger. */

export function saturated(at: usize): u64 {
  return (load<u64>(at, 8) | load<u64>(at, 16) | load<u64>(at, 24)) == 0 ? load<u64>(at) : 0xffffffffffffffff;
}

export function copyWord(to: usize, from: usize): void {
  v128.store(to, v128.load(from));
  v128.store(to, v128.load(from, 16), 16);
}

/** The right-most 20 bytes as three limbs. */

export function copyAddress(to: usize, from: usize): void {
  store<u64>(to, load<u64>(from));
  store<u64>(to, load<u64>(from, 8), 8);
  store<u64>(to, load<u64>(from, 16) & 0xffffffff, 16);
}

/** Bytes without leading zeros. */
export function byteLength(at: usize): u64 {
  for (let limb = 24; limb >= 0; limb -= 8) {
    const value = load<u64>(at + limb);
    if (value != 0) return (limb + 8 - (clz<u64>(value) >> 3)) as u64;
  }
  return 0;
}
