// deno-fmt-ignore-file: the formatter drops the decorators of functions
/**
 * The fast reader: takes structlogs straight from the bytes of a reply while they have the plain form that clients print
 * (members in any order, blanks, numbers as digits or as text, strings without escapes), fills the record and calls
 * `structlog()`. It accepts nothing that is not valid JSON; whatever it does not take, it leaves to the general reader,
 * which reads the same text from the structlog's beginning.
 *
 * Nothing is kept between two calls. Zeros behind the last byte stop every loop, so no loop compares with the end.
 */
import * as R from "./record";
import {
  MAX_STACK_WORDS,
  NAME_BYTES,
  NAME_SLOTS,
  NAMES,
  PLACES,
  SCANNED,
  STACK_TEXT,
  STACK_WORDS,
  STOP_DECLINED,
  STOP_END,
  STOP_MORE,
  STOP_REASON,
} from "./memory";
import { structlog } from "./trace";

/** Members of which a structlog with an opcode needs each. */
const SEEN_PC = 1;
const SEEN_OP = 2;
const SEEN_GAS = 4;
const SEEN_DEPTH = 8;
const SEEN_ALL = 15;
const SEEN_STACK = 16;

/** Deepest nesting of a skipped value, in bits of an u64. */
const MAX_NESTING = 60;

const SIXTEEN_THEN_NONE = memory.data<u8>([
  255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
  0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
]);

/** 10 to the power of 0 to 7. */
const POWERS_OF_TEN = memory.data<u64>([1, 10, 100, 1000, 10000, 100000, 1000000, 10000000]);

/** What `longNumber()` read. */
let longValue: u64 = 0;
/** Where a reading function gave up. */
let stop: usize = 0;
/** What `slowNumber()` read. */
let slowValue: u64 = 0;
let slowNegative: bool = false;
/** Length of what `skipString()` passed, quotes not counted. */
let textLength: u32 = 0;

@inline
function isBlank(byte: u32): bool {
  return byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09;
}

@inline
function skipBlanks(at: usize): usize {
  while (isBlank(load<u8>(at))) at++;
  return at;
}

/** One bit per byte that is no hex digit. */
@inline
function notHex(text: v128): u32 {
  const digit = i8x16.le_u(i8x16.sub(text, i8x16.splat(0x30)), i8x16.splat(9));
  const letter = i8x16.le_u(
    i8x16.sub(v128.or(text, i8x16.splat(0x20)), i8x16.splat(0x61)),
    i8x16.splat(5),
  );
  return (i8x16.bitmask(v128.or(digit, letter)) as u32) ^ 0xffff;
}

/** Bits of the leading decimal digits among 8 bytes: 0 to 64, 8 each. */
@inline
function digitBits(text: u64): u64 {
  const digits = text ^ 0x3030303030303030;
  return ctz(((digits + 0x7676767676767676) | digits) & 0x8080808080808080) & ~7;
}

/**
 * Bytes of `bits`. That a number has as many digits as the one at its place in the structlog before is so likely that the
 * processor is let guess it and read on, instead of waiting for the count; hence a branch where none seems needed.
 */
@inline
function likely(bits: u64, place: usize): usize {
  let guess = load<u64>(place);
  if (guess != bits) {
    store<u64>(place, bits);
    guess = bits;
  }
  return (guess >> 3) as usize;
}

/** Value of the leading decimal digits that `digitBits` found (8 to 64 bits). */
@inline
function digitValue(text: u64, bits: u64): u64 {
  let digits = (text ^ 0x3030303030303030) << (64 - bits);
  digits = (digits * 10 + (digits >> 8)) & 0x00ff00ff00ff00ff;
  digits = (digits * 100 + (digits >> 16)) & 0x0000ffff0000ffff;
  return (digits * 10000 + (digits >> 32)) & 0xffffffff;
}

/** Whether `digitValue` gives the number that begins with `text`: 1 to 8 digits, no leading zero, no ninth digit. */
@inline
function isShortNumber(text: u64, bits: u64, at: usize): bool {
  if (bits - 8 > 48) return bits == 64 && <u32> load<u8>(at, 8) - 0x30 > 9 && (text & 0xff) != 0x30;
  return (text & 0xff) != 0x30 || bits == 8;
}

/** Reads up to seven digits behind eight, which are `high`; returns the address behind them and leaves `longValue`, or 0. */
@inline
function longNumber(at: usize, high: u64): usize {
  const text = load<u64>(at);
  const bits = digitBits(text);
  if (bits == 64) return 0;
  if (bits == 0) {
    longValue = high;
    return at;
  }
  longValue = high * load<u64>(POWERS_OF_TEN + (bits as usize)) + digitValue(text, bits);
  return at + likely(bits, PLACES + 32);
}

/**
 * Any number: digits, or text of digits or of 0x and hex digits, each with a minus sign or not. Leaves `slowValue` and
 * `slowNegative`; returns the address behind it, or 0.
 */
function slowNumber(at: usize): usize {
  const quoted = load<u8>(at) == 0x22;
  if (quoted) at++;
  slowNegative = load<u8>(at) == 0x2d;
  if (slowNegative) at++;
  let value: u64 = 0;
  if (quoted && load<u16>(at) == 0x7830) {
    at += 2;
    const begin = at;
    while (true) {
      const byte = <u32> load<u8>(at);
      let digit = byte - 0x30;
      if (digit > 9) {
        digit = (byte | 0x20) - 0x61;
        if (digit > 5) break;
        digit += 10;
      }
      if (value >> 60 != 0) {
        stop = at;
        return 0;
      }
      value = value << 4 | digit;
      at++;
    }
    if (at == begin) {
      stop = at;
      return 0;
    }
  } else {
    const first = load<u8>(at);
    const begin = at;
    while (true) {
      const digit = <u32> load<u8>(at) - 0x30;
      if (digit > 9) break;
      if (value >= 1844674407370955161 && (value > 1844674407370955161 || digit > 5)) {
        stop = at;
        return 0;
      }
      value = value * 10 + digit;
      at++;
    }
    if (at == begin || (first == 0x30 && at - begin > 1)) {
      stop = at;
      return 0;
    }
  }
  if (quoted) {
    if (load<u8>(at) != 0x22) {
      stop = at;
      return 0;
    }
    at++;
  }
  slowValue = value;
  if (value == 0) slowNegative = false;
  return at;
}

/** Address of the quote that ends the string whose first byte is at `at`; 0 where something ends or needs decoding first. */
@inline
function stringEnd(at: usize): usize {
  while (true) {
    const text = v128.load(at);
    const special = v128.or(
      v128.or(i8x16.eq(text, i8x16.splat(0x22)), i8x16.eq(text, i8x16.splat(0x5c))),
      i8x16.le_u(text, i8x16.splat(0x1f)),
    );
    const bits = i8x16.bitmask(special);
    if (bits != 0) {
      at += ctz(bits);
      break;
    }
    at += 16;
  }
  if (load<u8>(at) == 0x22) return at;
  stop = at;
  return 0;
}

/** Passes a string, its opening quote at `at`; returns the address behind it, or 0. */
function skipString(at: usize): usize {
  if (load<u8>(at) != 0x22) {
    stop = at;
    return 0;
  }
  const end = stringEnd(at + 1);
  if (end == 0) return 0;
  textLength = (end - at - 1) as u32;
  return end + 1;
}

/** Passes the digits at `at`, at least one. */
function skipDigits(at: usize): usize {
  const begin = at;
  while (<u32> load<u8>(at) - 0x30 <= 9) at++;
  if (at != begin) return at;
  stop = at;
  return 0;
}

/** Passes a number, `true`, `false` or `null`; returns the address behind it, or 0. */
function skipScalar(at: usize): usize {
  const word = load<u32>(at);
  if (word == 0x6c6c756e /* null */ || word == 0x65757274 /* true */) return at + 4;
  if (word == 0x736c6166 /* fals */ && load<u8>(at, 4) == 0x65) return at + 5;
  if (load<u8>(at) == 0x2d) at++;
  const zero = load<u8>(at) == 0x30;
  const begin = at;
  at = skipDigits(at);
  if (at == 0) return 0;
  if (zero && at - begin > 1) {
    stop = begin;
    return 0;
  }
  if (load<u8>(at) == 0x2e) {
    at = skipDigits(at + 1);
    if (at == 0) return 0;
  }
  if ((load<u8>(at) | 0x20) == 0x65) {
    at++;
    const sign = load<u8>(at);
    if (sign == 0x2b || sign == 0x2d) at++;
    at = skipDigits(at);
  }
  return at;
}

/** Passes the key at `at` and its colon. */
function skipKey(at: usize): usize {
  at = skipString(skipBlanks(at));
  if (at == 0) return 0;
  at = skipBlanks(at);
  if (load<u8>(at) == 0x3a) return at + 1;
  stop = at;
  return 0;
}

/** Passes any value without escapes; returns the address behind it, or 0. */
function skipValue(at: usize): usize {
  let depth = 0;
  /** One bit per open container, the innermost lowest: 1 is an object. */
  let objects: u64 = 0;
  while (true) {
    at = skipBlanks(at);
    const byte = <u32> load<u8>(at);
    let closed = true;
    if (byte == 0x22) {
      at = skipString(at);
      if (at == 0) return 0;
    } else if (byte == 0x7b || byte == 0x5b) {
      if (depth == MAX_NESTING) {
        stop = at;
        return 0;
      }
      const isObject = byte == 0x7b;
      const inside = skipBlanks(at + 1);
      if (<u32> load<u8>(inside) == byte + 2) {
        at = inside + 1;
      } else {
        depth++;
        objects = objects << 1 | (isObject ? 1 : 0);
        at = inside;
        closed = false;
        if (isObject) {
          at = skipKey(at);
          if (at == 0) return 0;
        }
      }
    } else {
      at = skipScalar(at);
      if (at == 0) return 0;
    }
    while (closed) {
      if (depth == 0) return at;
      at = skipBlanks(at);
      const next = <u32> load<u8>(at);
      const inObject = (objects & 1) != 0;
      if (next == 0x2c) {
        at++;
        closed = false;
        if (inObject) {
          at = skipKey(at);
          if (at == 0) return 0;
        }
      } else if (next == (inObject ? 0x7d : 0x5d)) {
        at++;
        depth--;
        objects >>= 1;
      } else {
        stop = at;
        return 0;
      }
    }
  }
}

@inline
function nameSlot(low: u64, high: u64): u32 {
  return (((low ^ (high * 0x9e3779b97f4a7c15)) * 0xff51afd7ed558ccd) >> 55) as u32;
}

/** Byte of the opcode whose name has these bytes, unused ones zero; `OP_UNDEFINED` for other names. */
@inline
function opcodeOf(low: u64, high: u64, length: u32): i32 {
  let slot = nameSlot(low, high);
  while (true) {
    const entry = NAMES + slot * NAME_BYTES;
    const entryLength = load<u32>(entry, 16);
    if (entryLength == 0) return R.OP_UNDEFINED;
    if (load<u64>(entry) == low && load<u64>(entry, 8) == high && entryLength == length) return load<i32>(entry, 20);
    slot = (slot + 1) & (NAME_SLOTS - 1);
  }
}

/** Adds a name of 1 to 15 bytes to the table: its bytes as two u64, little-endian, unused ones zero. */
export function nameOpcode(low: u64, high: u64, length: u32, opcode: i32): void {
  let slot = nameSlot(low, high);
  while (load<u32>(NAMES + slot * NAME_BYTES, 16) != 0) slot = (slot + 1) & (NAME_SLOTS - 1);
  const entry = NAMES + slot * NAME_BYTES;
  store<u64>(entry, low);
  store<u64>(entry, high, 8);
  store<u32>(entry, length, 16);
  store<i32>(entry, opcode, 20);
}

/** Bytes of the stack text that were checked before, up to and with its `]`; 0 when there are none. */
let checkedBytes: usize = 0;
let checkedText: usize = 0;
let checkedHeight: i32 = 0;

/**
 * Reads a stack, `text` being the address behind its `[`; returns the address behind its `]`, or 0. A stack mostly
 * begins like the one before it: those words are compared, not read again.
 */
@inline
function readStack(text: usize): usize {
  let height = 0;
  let at = text;
  if (checkedBytes != 0) {
    const before = checkedText;
    const bytes = checkedBytes;
    let same: usize = 0;
    while (true) {
      const low = i8x16.eq(v128.load(text + same), v128.load(before + same));
      const high = i8x16.eq(v128.load(text + same, 16), v128.load(before + same, 16));
      const bits = ((i8x16.bitmask(low) | (i8x16.bitmask(high) << 16)) as u32) ^ 0xffffffff;
      if (bits != 0) {
        same += ctz(bits);
        break;
      }
      same += 32;
      if (same >= bytes) break;
    }
    height = checkedHeight;
    if (same >= bytes) {
      checkedText = text;
      return text + bytes;
    }
    while (height > 0 && load<u32>(STACK_WORDS + (height << 3) - 8, 4) as usize >= same) height--;
    if (height > 0) at = text + load<u32>(STACK_WORDS + (height << 3) - 8, 4) + 1;
  }
  while (true) {
    let byte = <u32> load<u8>(at);
    if (byte == 0x2c && height > 0) {
      at++;
      byte = load<u8>(at);
    } else if (byte == 0x5d) {
      break;
    } else if (height > 0) {
      // A blank before the comma or the bracket, or something that does not belong here.
      at = skipBlanks(at);
      byte = load<u8>(at);
      if (byte == 0x5d) break;
      if (byte != 0x2c) {
        stop = at;
        return 0;
      }
      at++;
      byte = load<u8>(at);
    }
    if (byte != 0x22) {
      at = skipBlanks(at);
      byte = load<u8>(at);
      if (byte == 0x5d && height == 0) break;
      if (byte != 0x22) {
        stop = at;
        return 0;
      }
    }
    let digits = at + 1;
    if (load<u16>(digits) == 0x7830) digits += 2;
    let end = digits;
    while (true) {
      const bits = notHex(v128.load(end));
      if (bits != 0) {
        end += ctz(bits);
        break;
      }
      end += 16;
    }
    if (load<u8>(end) != 0x22 || digits == end || end - digits > 64 || height == MAX_STACK_WORDS) {
      stop = end;
      return 0;
    }
    store<u32>(STACK_WORDS + (height << 3), (digits - text) as u32);
    store<u32>(STACK_WORDS + (height << 3), (end - text) as u32, 4);
    height++;
    at = end + 1;
  }
  checkedText = text;
  checkedBytes = at + 1 - text;
  checkedHeight = height;
  return at + 1;
}

/** Reads `returnData`; returns the address behind it, or 0. Sets the record's text where it is not empty. */
function readReturnData(at: usize): usize {
  if (load<u32>(at) == 0x6c6c756e) {
    textLength = 0;
    return at + 4;
  }
  if (load<u8>(at) != 0x22) {
    stop = at;
    return 0;
  }
  at++;
  if (load<u16>(at) == 0x7830) at += 2;
  let end = at;
  while (true) {
    const text = v128.load(end);
    const digit = i8x16.le_u(i8x16.sub(text, i8x16.splat(0x30)), i8x16.splat(9));
    const letter = i8x16.le_u(i8x16.sub(text, i8x16.splat(0x61)), i8x16.splat(5));
    const bits = i8x16.bitmask(v128.or(digit, letter)) ^ 0xffff;
    if (bits != 0) {
      end += ctz(bits);
      break;
    }
    end += 16;
  }
  if (load<u8>(end) != 0x22) {
    stop = end;
    return 0;
  }
  textLength = (end - at) as u32;
  store<u32>(R.RECORD + R.RETURN_TEXT, at as u32);
  store<u32>(R.RECORD + R.RETURN_TEXT, textLength, 4);
  return end + 1;
}

/** Reads `error` where it is null, {}, or text; returns the address behind it, or 0. */
function readError(at: usize): usize {
  if (load<u32>(at) == 0x6c6c756e) {
    textLength = 0;
    return at + 4;
  }
  if (load<u16>(at) == 0x7d7b) {
    textLength = 0;
    return at + 2;
  }
  const behind = skipString(at);
  if (behind == 0) return 0;
  at++;
  // Rust's Some(X) means X.
  if (
    textLength >= 6 && load<u32>(at) == 0x656d6f53 && load<u8>(at, 4) == 0x28 && load<u8>(at + textLength - 1) == 0x29
  ) {
    at += 5;
    textLength -= 6;
  }
  store<u32>(R.RECORD + R.ERROR_TEXT, at as u32);
  store<u32>(R.RECORD + R.ERROR_TEXT, textLength, 4);
  return behind;
}

@inline
function stopped(reason: u32, count: u32, at: usize): usize {
  store<u32>(STOP_REASON, reason);
  store<u32>(SCANNED, count);
  return at;
}

/** Gives up on the structlog at `begin` because of the byte at `at`. */
@inline
function declined(at: usize, end: usize, count: u32, begin: usize): usize {
  return stopped(at >= end ? STOP_MORE : STOP_DECLINED, count, begin);
}

/**
 * Reads the members that most clients print first, in their order and plainest form, into the record: from behind the
 * brace to behind the depth. 0: they are not in that order, or one has another form. Written out member by member: told
 * apart by functions, the compiler joins their ways, and the processor waits for each address again (one tenth slower).
 */
@inline
function readOrdered(at: usize): usize {
  if ((load<u64>(at) & 0xffffffffff) != 0x3a22637022 /* "pc": */) return 0;
  at += 5;
  let text = load<u64>(at);
  let bits = digitBits(text);
  if (!isShortNumber(text, bits, at)) return 0;
  store<u32>(R.RECORD + R.PC, digitValue(text, bits) as u32);
  at += likely(bits, PLACES);
  if ((load<u64>(at) & 0xffffffffffffff) != 0x223a22706f222c /* ,"op":" */) return 0;
  at += 7;
  let name = v128.load(at);
  const length = ctz((i8x16.bitmask(i8x16.eq(name, i8x16.splat(0x22))) as u32) | 0x10000) as usize;
  name = v128.and(name, v128.load(SIXTEEN_THEN_NONE + 16 - length));
  const opcode = opcodeOf(i64x2.extract_lane(name, 0) as u64, i64x2.extract_lane(name, 1) as u64, length as u32);
  if (opcode == R.OP_UNDEFINED) return 0;
  store<i32>(R.RECORD + R.OP, opcode);
  at += length;
  if (load<u64>(at) != 0x3a22736167222c22 /* ","gas": */) return 0;
  at += 8;
  text = load<u64>(at);
  bits = digitBits(text);
  if (bits == 64) {
    if ((text & 0xff) == 0x30) return 0;
    at = longNumber(at + 8, digitValue(text, 64));
    if (at == 0) return 0;
    store<u64>(R.RECORD + R.GAS, longValue);
  } else {
    if (!isShortNumber(text, bits, at)) return 0;
    store<u64>(R.RECORD + R.GAS, digitValue(text, bits));
    at += likely(bits, PLACES + 8);
  }
  if (load<u64>(at) != 0x736f43736167222c /* ,"gasCos */ || (load<u32>(at, 8) & 0xffffff) != 0x3a2274 /* t": */) return 0;
  at += 11;
  text = load<u64>(at);
  bits = digitBits(text);
  if (bits == 64) {
    if ((text & 0xff) == 0x30) return 0;
    at = longNumber(at + 8, digitValue(text, 64));
    if (at == 0) return 0;
    store<u64>(R.RECORD + R.COST, longValue);
  } else {
    if (!isShortNumber(text, bits, at)) return 0;
    store<u64>(R.RECORD + R.COST, digitValue(text, bits));
    at += likely(bits, PLACES + 16);
  }
  if (load<u64>(at) != 0x226874706564222c /* ,"depth" */ || load<u8>(at, 8) != 0x3a) return 0;
  at += 9;
  text = load<u64>(at);
  bits = digitBits(text);
  if (bits > 32 || !isShortNumber(text, bits, at)) return 0;
  store<u32>(R.RECORD + R.DEPTH, digitValue(text, bits) as u32);
  return at + likely(bits, PLACES + 24);
}

/**
 * Takes structlogs from `from`, where one begins (or blanks before it), up to `end`, each with the comma or bracket that
 * follows it. Returns the address of what it did not take; why, and how many it took, stand at STOP_REASON and SCANNED.
 */
export function scan(from: usize, end: usize): usize {
  const zero = i8x16.splat(0);
  v128.store(end, zero);
  v128.store(end, zero, 16);
  v128.store(end, zero, 32);
  v128.store(end, zero, 48);
  checkedBytes = 0;
  let count: u32 = 0;
  let begin = from;
  while (true) {
    let at = begin;
    if (load<u8>(at) != 0x7b) {
      at = skipBlanks(at);
      if (load<u8>(at) != 0x7b) return declined(at, end, count, begin);
    }
    at++;
    let flags = 0;
    let seen = 0;
    let isFirst = true;
    const ordered = readOrdered(at);
    if (ordered != 0) {
      isFirst = false;
      flags = R.HAS_COST;
      seen = SEEN_ALL;
      at = ordered;
      if (load<u64>(at) == 0x226b63617473222c /* ,"stack" */ && load<u16>(at, 8) == 0x5b3a) {
        at = readStack(at + 10);
        if (at == 0) return declined(stop, end, count, begin);
        seen |= SEEN_STACK;
      }
    }
    while (true) {
      if (!isFirst) {
        let next = <u32> load<u8>(at);
        if (next != 0x2c) {
          if (next == 0x7d) break;
          at = skipBlanks(at);
          next = load<u8>(at);
          if (next == 0x7d) break;
          if (next != 0x2c) return declined(at, end, count, begin);
        }
        at++;
      }
      isFirst = false;
      let key = load<u64>(at);
      if ((key & 0xff) != 0x22) {
        at = skipBlanks(at);
        key = load<u64>(at);
        if ((key & 0xff) != 0x22) return declined(at, end, count, begin);
      }
      if ((key & 0xffffffff) == 0x22637022 /* "pc" */) {
        at = toValue(at + 4);
        if (at == 0) return declined(stop, end, count, begin);
        const text = load<u64>(at);
        const bits = digitBits(text);
        if (isShortNumber(text, bits, at)) {
          store<u32>(R.RECORD + R.PC, digitValue(text, bits) as u32);
          at += (bits >> 3) as usize;
        } else {
          at = slowNumber(at);
          if (at == 0) return declined(stop, end, count, begin);
          if (slowNegative || slowValue > 0xffffffff) return declined(at, end, count, begin);
          store<u32>(R.RECORD + R.PC, slowValue as u32);
        }
        seen |= SEEN_PC;
      } else if ((key & 0xffffffff) == 0x22706f22 /* "op" */) {
        at = toValue(at + 4);
        if (at == 0) return declined(stop, end, count, begin);
        if (load<u8>(at) == 0x22) {
          at++;
          let name = v128.load(at);
          const length = ctz((i8x16.bitmask(i8x16.eq(name, i8x16.splat(0x22))) as u32) | 0x10000) as usize;
          name = v128.and(name, v128.load(SIXTEEN_THEN_NONE + 16 - length));
          const opcode = opcodeOf(
            i64x2.extract_lane(name, 0) as u64,
            i64x2.extract_lane(name, 1) as u64,
            length as u32,
          );
          store<i32>(R.RECORD + R.OP, opcode);
          if (opcode != R.OP_UNDEFINED) {
            at += length + 1;
          } else {
            const close = stringEnd(at);
            if (close == 0) return declined(stop, end, count, begin);
            if (close == at) return declined(at, end, count, begin);
            store<u32>(R.RECORD + R.OP_TEXT, at as u32);
            store<u32>(R.RECORD + R.OP_TEXT, (close - at) as u32, 4);
            at = close + 1;
          }
          seen |= SEEN_OP;
        } else if (load<u32>(at) == 0x6c6c756e) {
          at += 4;
          seen &= ~SEEN_OP;
        } else {
          return declined(at, end, count, begin);
        }
      } else if ((key & 0xffffffffff) == 0x2273616722 /* "gas" */) {
        at = toValue(at + 5);
        if (at == 0) return declined(stop, end, count, begin);
        const text = load<u64>(at);
        const bits = digitBits(text);
        if (isShortNumber(text, bits, at)) {
          store<u64>(R.RECORD + R.GAS, digitValue(text, bits));
          at += (bits >> 3) as usize;
        } else {
          at = slowNumber(at);
          if (at == 0) return declined(stop, end, count, begin);
          if (slowNegative) return declined(at, end, count, begin);
          store<u64>(R.RECORD + R.GAS, slowValue);
        }
        seen |= SEEN_GAS;
      } else if (key == 0x74736f4373616722 /* "gasCost */ && load<u8>(at, 8) == 0x22) {
        at = toValue(at + 9);
        if (at == 0) return declined(stop, end, count, begin);
        const text = load<u64>(at);
        const bits = digitBits(text);
        flags &= ~(R.HAS_COST | R.COST_NEGATIVE);
        if (isShortNumber(text, bits, at)) {
          store<u64>(R.RECORD + R.COST, digitValue(text, bits));
          at += (bits >> 3) as usize;
          flags |= R.HAS_COST;
        } else if ((text & 0xffffffff) as u32 == 0x6c6c756e) {
          at += 4;
        } else {
          at = slowNumber(at);
          if (at == 0) return declined(stop, end, count, begin);
          store<u64>(R.RECORD + R.COST, slowValue);
          flags |= slowNegative ? R.HAS_COST | R.COST_NEGATIVE : R.HAS_COST;
        }
      } else if ((key & 0xffffffffffffff) == 0x22687470656422 /* "depth" */) {
        at = toValue(at + 7);
        if (at == 0) return declined(stop, end, count, begin);
        const text = load<u64>(at);
        const bits = digitBits(text);
        let depth: u64;
        if (isShortNumber(text, bits, at)) {
          depth = digitValue(text, bits);
          at += (bits >> 3) as usize;
        } else {
          at = slowNumber(at);
          if (at == 0) return declined(stop, end, count, begin);
          if (slowNegative) return declined(at, end, count, begin);
          depth = slowValue;
        }
        if (depth > 0xffff) return declined(at, end, count, begin);
        store<u32>(R.RECORD + R.DEPTH, depth as u32);
        seen |= SEEN_DEPTH;
      } else if ((key & 0xffffffffffffff) == 0x226b6361747322 /* "stack" */) {
        at = toValue(at + 7);
        if (at == 0) return declined(stop, end, count, begin);
        if (load<u8>(at) != 0x5b || (seen & SEEN_STACK) != 0) return declined(at, end, count, begin);
        at = readStack(at + 1);
        if (at == 0) return declined(stop, end, count, begin);
        seen |= SEEN_STACK;
      } else if (key == 0x22646e7566657222 /* "refund" */) {
        at = toValue(at + 8);
        if (at == 0) return declined(stop, end, count, begin);
        flags &= ~(R.HAS_REFUND | R.REFUND_NEGATIVE);
        const text = load<u64>(at);
        const bits = digitBits(text);
        if (isShortNumber(text, bits, at)) {
          store<u64>(R.RECORD + R.REFUND, digitValue(text, bits));
          at += (bits >> 3) as usize;
          flags |= R.HAS_REFUND;
        } else if ((text & 0xffffffff) as u32 == 0x6c6c756e) {
          at += 4;
        } else {
          at = slowNumber(at);
          if (at == 0) return declined(stop, end, count, begin);
          store<u64>(R.RECORD + R.REFUND, slowValue);
          flags |= slowNegative ? R.HAS_REFUND | R.REFUND_NEGATIVE : R.HAS_REFUND;
        }
      } else if ((key & 0xffffffffffffff) == 0x22726f72726522 /* "error" */) {
        at = toValue(at + 7);
        if (at == 0) return declined(stop, end, count, begin);
        at = readError(at);
        if (at == 0) return declined(stop, end, count, begin);
        flags = textLength == 0 ? flags & ~R.HAS_ERROR : flags | R.HAS_ERROR;
      } else if (key == 0x446e727574657222 /* "returnD */ && load<u32>(at, 8) == 0x22617461 /* ata" */) {
        at = toValue(at + 12);
        if (at == 0) return declined(stop, end, count, begin);
        at = readReturnData(at);
        if (at == 0) return declined(stop, end, count, begin);
        flags = textLength == 0 ? flags & ~R.HAS_RETURN_DATA : flags | R.HAS_RETURN_DATA;
      } else {
        at = skipKey(at);
        if (at == 0) return declined(stop, end, count, begin);
        at = skipValue(at);
        if (at == 0) return declined(stop, end, count, begin);
      }
    }
    at++;
    let terminator = load<u8>(at);
    if (terminator <= 0x20) {
      at = skipBlanks(at);
      terminator = load<u8>(at);
    }
    if (terminator != 0x2c && terminator != 0x5d) return declined(at, end, count, begin);
    if ((seen & SEEN_OP) != 0) {
      if ((seen & SEEN_ALL) != SEEN_ALL) return stopped(STOP_DECLINED, count, begin);
      if ((seen & SEEN_STACK) != 0) {
        store<i32>(R.RECORD + R.STACK_HEIGHT, checkedHeight);
        store<u32>(STACK_TEXT, checkedText as u32);
      } else {
        store<i32>(R.RECORD + R.STACK_HEIGHT, -1);
      }
      store<u32>(R.RECORD + R.FLAGS, flags | R.HAS_GAS);
      store<u32>(R.RECORD + R.WORDS_LOADED, 0);
      structlog();
    }
    count++;
    begin = at + 1;
    if (terminator == 0x5d) return stopped(STOP_END, count, begin);
  }
}

/** From behind a key to its value; 0 where no colon follows. */
@inline
function toValue(at: usize): usize {
  if (load<u8>(at) != 0x3a) {
    at = skipBlanks(at);
    if (load<u8>(at) != 0x3a) {
      stop = at;
      return 0;
    }
  }
  at++;
  return load<u8>(at) <= 0x20 ? skipBlanks(at) : at;
}
