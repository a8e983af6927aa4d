/** S1 and TRACE 5.4: the admissible prices of opcodes other than calls and creates, and what they say about cold accesses. */
import {
  FACT_COLD_ACCOUNT,
  FACT_COLD_SLOT,
  FACT_SSTORE_NOOP,
  FACT_SSTORE_RESET,
  IS_BERLIN,
  KNOWN_RULES,
} from "./facts";
import { D_PRICE, S1 } from "./identities";
import { KIND_ACCOUNT, KIND_EXTCODECOPY, KIND_SELFDESTRUCT, KIND_SLOAD, KIND_SSTORE, OPCODE_PRICE } from "./kinds";
import { OPCODE_BYTES, OPCODES } from "./layout";
import { coldAccesses } from "./access";
import { wordsOf } from "./memory_words";
import { F, fact32, is, P_ENTRY, P_EXPANSION, P_INDEX, P_OP, P_OPERANDS, P_SET_COLD, P_SIZE } from "./state";
import { violate } from "./violations";

const SSTORE_SET: u64 = 20000;

/** Constant price of the waiting structlog's opcode. */

export function constantPrice(): u64 {
  return load<u32>(OPCODES + (load<u32>(F, P_OP) as usize) * OPCODE_BYTES, OPCODE_PRICE) as u64;
}

export function wrongPrice(used: u64, expected: u64): void {
  if (is(KNOWN_RULES)) violate(S1, D_PRICE, load<u32>(F, P_INDEX), used, expected);
}

/** SSTORE: what it cost without the surcharge of a cold slot. */
export let storeClass: u64 = 0;

/**
 * Cold accesses of an SLOAD, SSTORE, access to an account, or SELFDESTRUCT that cost `used` and did not fail.
 *
 * @param isPriced false where the number is only printed, and impossible
 */
export function settleAccess(kind: i32, used: u64, isPriced: bool): u32 {
  if (load<u32>(F, P_OPERANDS) == 0) return 0;
  const warmPrice = constantPrice();
  let first: i32 = -1;
  if (kind == KIND_SLOAD) {
    first = decode(used, warmPrice, fact32(FACT_COLD_SLOT) as u64);
  } else if (kind == KIND_SSTORE) {
    const surcharge: u64 = is(IS_BERLIN) ? fact32(FACT_COLD_SLOT) as u64 : 0;
    if (isStoreClass(used)) first = 0;
    else if (surcharge != 0 && used > surcharge && isStoreClass(used - surcharge)) first = 1;
    storeClass = first == 1 ? used - surcharge : used;
  } else if (kind == KIND_ACCOUNT) {
    first = decode(used, warmPrice, fact32(FACT_COLD_ACCOUNT) as u64);
  } else if (kind == KIND_EXTCODECOPY) {
    const copying = load<u64>(F, P_EXPANSION) + 3 * wordsOf(load<u64>(F, P_SIZE));
    if (used >= copying) first = decode(used - copying, warmPrice, fact32(FACT_COLD_ACCOUNT) as u64);
  } else if (kind == KIND_SELFDESTRUCT) {
    if (used == 5000 || used == 30000) first = 0;
    else if (is(IS_BERLIN)) {
      const dear = fact32(FACT_COLD_ACCOUNT) as u64;
      if (used == 5000 + dear || used == 30000 + dear) first = 1;
    }
  }
  if (first < 0 && isPriced) wrongPrice(used, warmPrice);
  const isSlot = kind == KIND_SLOAD || kind == KIND_SSTORE;
  return coldAccesses(load<u32>(F, P_ENTRY), isSlot, load<u32>(F, P_SET_COLD), first, first > 0 ? 1 : 0);
}

function isStoreClass(cost: u64): bool {
  return cost == SSTORE_SET || cost == (fact32(FACT_SSTORE_RESET) as u64) || cost == (fact32(FACT_SSTORE_NOOP) as u64);
}

function decode(used: u64, warmPrice: u64, coldPrice: u64): i32 {
  if (used == warmPrice) return 0;
  return is(IS_BERLIN) && used == coldPrice ? 1 : -1;
}
