/**
 * TRACE 8.4: what is known of the values of slots, and the refund counter that follows from it. An original or current
 * value is unknown, known not to be zero, or a word. A current value that is only known not to be zero is the original one.
 */
import { MAX_VALUES, VALUE_BYTES, VALUES } from "./layout";
import {
  FACT_REFUND_CLEAR,
  FACT_REFUND_SELFDESTRUCT,
  FACT_RESTORE_NONZERO,
  FACT_RESTORE_ZERO,
  FACT_SSTORE_NOOP,
  FACT_SSTORE_RESET,
  IS_ISTANBUL,
  KNOWN_RULES,
} from "./facts";
import { D_LOADED_VALUE, D_STORE_CLASS, V1 } from "./identities";
import {
  destroy,
  E_CURRENT,
  E_CURRENT_WORD,
  E_JOURNALED,
  E_ORIGINAL,
  E_ORIGINAL_WORD,
  entry,
  isCapped,
} from "./access";
import { F, F_SELF, F_VALUE_MARK, fact32, frameAt, is, level, P_INDEX, P_WORD } from "./state";
import { copyWord, equal, isZero } from "./u256";
import { violate } from "./violations";

const UNKNOWN: u8 = 0;
const NON_ZERO: u8 = 1;
const WORD: u8 = 2;
const SSTORE_SET: u64 = 20000;

let length: u32 = 0;
/** There was no room for the values of all frames: from then on nothing is concluded from values. */
export let areValuesCapped: u32 = 0;
export let refundLow: i64 = 0;
export let refundHigh: i64 = 0;

export function resetSlots(): void {
  length = 0;
  areValuesCapped = 0;
  refundLow = 0;
  refundHigh = 0;
}

export function valueMark(): u32 {
  return length;
}

function value(position: u32): usize {
  return VALUES + (position as usize) * VALUE_BYTES;
}

/** Keeps the current value of a slot, once per frame, before it is overwritten. */
function keep(slot: u32): void {
  if (level == 0) return;
  const at = entry(slot);
  const journaled = load<u32>(at, E_JOURNALED);
  if (journaled > load<u32>(F, F_VALUE_MARK)) return;
  if (length >= (MAX_VALUES as u32)) {
    areValuesCapped = 1;
    return;
  }
  const saved = value(length);
  store<u32>(saved, slot);
  store<u32>(saved, journaled, 4);
  store<u8>(saved, load<u8>(at, E_CURRENT), 8);
  copyWord(saved + 16, at + E_CURRENT_WORD);
  length++;
  store<u32>(at, length, E_JOURNALED);
}

/** A frame failed: its writes are taken back. What was learned about the values before them stays. */
export function undoValues(mark: u32): void {
  while (length > mark) {
    length--;
    const saved = value(length);
    const at = entry(load<u32>(saved));
    store<u32>(at, load<u32>(saved, 4), E_JOURNALED);
    store<u8>(at, load<u8>(saved, 8), E_CURRENT);
    copyWord(at + E_CURRENT_WORD, saved + 16);
  }
}

/** A frame succeeded: its parent needs one earlier value of each slot, the root frame none. */
export function mergeValues(mark: u32, parent: u32): void {
  const isRoot = parent == 0;
  const parentMark = load<u32>(frameAt(parent), F_VALUE_MARK);
  let end = mark;
  for (let position = mark; position < length; position++) {
    const saved = value(position);
    const at = entry(load<u32>(saved));
    const earlier = load<u32>(saved, 4);
    if (isRoot) store<u32>(at, 0, E_JOURNALED);
    else if (earlier > parentMark) store<u32>(at, earlier, E_JOURNALED);
    else {
      const kept = value(end);
      if (kept != saved) memory.copy(kept, saved, VALUE_BYTES);
      end++;
      store<u32>(at, end, E_JOURNALED);
    }
  }
  length = isRoot ? 0 : end;
}

export function setRefundBounds(low: i64, high: i64): void {
  refundLow = low;
  refundHigh = high;
}

function knows(): bool {
  return areValuesCapped == 0;
}

function complain(detail: u32, found: u64): void {
  if (is(KNOWN_RULES)) violate(V1, detail, load<u32>(F, P_INDEX), found, 0);
}

/** SLOAD pushed the word at `loaded`. */
export function sloadValue(slot: u32, loaded: usize): void {
  if (slot == 0 || !knows()) return;
  const at = entry(slot);
  const current = load<u8>(at, E_CURRENT);
  if (current == WORD) {
    if (!equal(at + E_CURRENT_WORD, loaded)) complain(D_LOADED_VALUE, load<u64>(loaded));
    return;
  }
  const original = load<u8>(at, E_ORIGINAL);
  if (current == NON_ZERO) {
    const known = original == WORD;
    if (known ? !equal(at + E_ORIGINAL_WORD, loaded) : isZero(loaded)) {
      return complain(D_LOADED_VALUE, load<u64>(loaded));
    }
  }
  store<u8>(at, WORD, E_CURRENT);
  copyWord(at + E_CURRENT_WORD, loaded);
  if (original == UNKNOWN || (original == NON_ZERO && current == NON_ZERO)) {
    store<u8>(at, WORD, E_ORIGINAL);
    copyWord(at + E_ORIGINAL_WORD, loaded);
  }
}

function becomes(at: usize, written: usize): void {
  store<u8>(at, WORD, E_CURRENT);
  copyWord(at + E_CURRENT_WORD, written);
}

/** The slot is as it was at the start of the transaction: what is known of one value is known of the other. */
function unify(at: usize): void {
  if (load<u8>(at, E_CURRENT) == WORD) {
    if (load<u8>(at, E_ORIGINAL) != WORD) {
      store<u8>(at, WORD, E_ORIGINAL);
      copyWord(at + E_ORIGINAL_WORD, at + E_CURRENT_WORD);
    }
  } else if (load<u8>(at, E_ORIGINAL) == WORD) {
    becomes(at, at + E_ORIGINAL_WORD);
  } else {
    store<u8>(at, NON_ZERO, E_ORIGINAL);
    store<u8>(at, NON_ZERO, E_CURRENT);
  }
}

/** SSTORE wrote the word at P_WORD and cost `cost` without the surcharge of a cold slot. */
export function sstoreValue(slot: u32, cost: u64): void {
  if (slot == 0 || !knows()) return;
  const at = entry(slot);
  const written = F + P_WORD;
  if (load<u8>(at, E_CURRENT) == NON_ZERO && load<u8>(at, E_ORIGINAL) == WORD) becomes(at, at + E_ORIGINAL_WORD);
  if (!is(IS_ISTANBUL)) storeBeforeIstanbul(at, slot, written, cost);
  else if (cost == SSTORE_SET) storeSet(at, slot, written);
  else if (cost == fact32(FACT_SSTORE_RESET)) storeReset(at, slot, written);
  else if (cost == fact32(FACT_SSTORE_NOOP)) storeDirty(at, slot, written);
  else keep(slot);
  if (knows()) becomes(at, written);
}

function storeSet(at: usize, slot: u32, written: usize): void {
  const original = load<u8>(at, E_ORIGINAL);
  const current = load<u8>(at, E_CURRENT);
  if (
    isZero(written) || original == NON_ZERO || current == NON_ZERO ||
    (original == WORD && !isZero(at + E_ORIGINAL_WORD)) ||
    (current == WORD && !isZero(at + E_CURRENT_WORD))
  ) complain(D_STORE_CLASS, SSTORE_SET);
  store<u8>(at, WORD, E_ORIGINAL);
  store<u8>(at, WORD, E_CURRENT);
  memory.fill(at + E_ORIGINAL_WORD, 0, 64);
  keep(slot);
}

function storeReset(at: usize, slot: u32, written: usize): void {
  const original = load<u8>(at, E_ORIGINAL) == WORD;
  const current = load<u8>(at, E_CURRENT) == WORD;
  if (
    (original && isZero(at + E_ORIGINAL_WORD)) || (current && isZero(at + E_CURRENT_WORD)) ||
    (original && current && !equal(at + E_ORIGINAL_WORD, at + E_CURRENT_WORD)) ||
    (current && equal(at + E_CURRENT_WORD, written))
  ) complain(D_STORE_CLASS, fact32(FACT_SSTORE_RESET));
  unify(at);
  keep(slot);
  if (isZero(written)) addRefund(fact32(FACT_REFUND_CLEAR), fact32(FACT_REFUND_CLEAR));
}

function storeDirty(at: usize, slot: u32, written: usize): void {
  const current = load<u8>(at, E_CURRENT);
  const original = load<u8>(at, E_ORIGINAL);
  if (current != WORD) {
    // Unknown, or clean and not zero: the price of a slot that does not change.
    becomes(at, written);
    if (original != WORD) {
      store<u8>(at, WORD, E_ORIGINAL);
      copyWord(at + E_ORIGINAL_WORD, written);
    }
    return keep(slot);
  }
  const currentWord = at + E_CURRENT_WORD;
  const originalWord = at + E_ORIGINAL_WORD;
  keep(slot);
  if (equal(currentWord, written)) return;
  if (original == WORD && equal(originalWord, currentWord)) return complain(D_STORE_CLASS, fact32(FACT_SSTORE_NOOP));
  const clear = fact32(FACT_REFUND_CLEAR) as i64;
  const wasZero = original == WORD && isZero(originalWord);
  let change: i64 = 0;
  if (!wasZero) {
    if (isZero(currentWord)) change -= clear;
    else if (isZero(written)) change += clear;
  }
  if (original == WORD) {
    if (equal(originalWord, written)) {
      change += wasZero ? fact32(FACT_RESTORE_ZERO) as i64 : fact32(FACT_RESTORE_NONZERO) as i64;
    }
    addRefund(change, change);
  } else {
    addRefund(change, isZero(written) ? change : change + (fact32(FACT_RESTORE_NONZERO) as i64));
  }
}

function storeBeforeIstanbul(at: usize, slot: u32, written: usize, cost: u64): void {
  const known = load<u8>(at, E_CURRENT) == WORD;
  const isCleared = isZero(written);
  if (cost == SSTORE_SET) {
    if (isCleared || (known && !isZero(at + E_CURRENT_WORD))) complain(D_STORE_CLASS, cost);
  } else if (cost == fact32(FACT_SSTORE_RESET)) {
    if (known && isZero(at + E_CURRENT_WORD) && !isCleared) complain(D_STORE_CLASS, cost);
    const clear = fact32(FACT_REFUND_CLEAR) as i64;
    if (isCleared) {
      addRefund(
        known ? (isZero(at + E_CURRENT_WORD) ? 0 : clear) : 0,
        known && isZero(at + E_CURRENT_WORD) ? 0 : clear,
      );
    }
  }
  keep(slot);
}

/** SELFDESTRUCT of the account whose code runs: refunded once per account, before London. */
export function selfdestructRefund(): void {
  const refund = fact32(FACT_REFUND_SELFDESTRUCT) as i64;
  if (destroy(load<u32>(F, F_SELF)) != 0) addRefund(refund, refund);
}

function addRefund(low: i64, high: i64): void {
  refundLow += low;
  refundHigh += high;
}

/** Whether the recomputed bounds are to be relied on. */
export function isRefundRecomputed(): bool {
  return areValuesCapped == 0 && isCapped == 0;
}
