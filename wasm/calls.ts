/** TRACE 6: gas of calls and creates, precompiles, frames without structlogs. */
import { FACTS } from "./layout";
import {
  FACT_CALL_ACCESS,
  FACT_COLD_ACCOUNT,
  FACT_G1_DISCOUNTS,
  FACT_G2_DISCOUNTS,
  FACT_INIT_CODE_WORD,
  FACT_PRECOMPILES,
  FORMULA_AT_LEAST,
  FORMULA_G1,
  FORMULA_NONE,
  FORMULA_UNITS,
  FORMULA_WORDS,
  IS_BERLIN,
  IS_PRAGUE,
  KNOWN_RULES,
  OUTCOME_DEPOSIT,
  OUTCOME_SUCCESS,
  OUTCOME_UNKNOWN,
  PRECOMPILE_BYTES,
  PRECOMPILE_P256,
} from "./facts";
import {
  D_CALL_GAS,
  D_CHILDREN_GAS,
  D_CREATE_GAS,
  D_CREATE_WITHOUT_ROWS,
  D_ENTRY_GAS,
  D_PRECOMPILE,
  F1,
  F2,
  P1,
} from "./identities";
import { CALL, CALLCODE, CREATE2 } from "./kinds";
import { account, addCredit, adopt, coldAccesses, warm } from "./access";
import { addSums, emitCodeless } from "./aggregate";
import { emitRow } from "./columns";
import { printedCost } from "./gas";
import { expectMadeUp } from "./made_up";
import { expandMemory, wordsOf } from "./memory_words";
import { RECORD, STACK_HEIGHT } from "./record";
import { refundHigh, refundLow } from "./slots";
import {
  F,
  F_USED,
  fact32,
  frames,
  is,
  P_ADDRESS,
  P_AFTER,
  P_BEFORE,
  P_CALLEE,
  P_CHILD,
  P_CHILD_GAS,
  P_CHILD_OUTCOME,
  P_CHILD_RETURNED,
  P_CHILD_SIZE,
  P_CHILD_USED,
  P_ENTRY,
  P_EXPANSION,
  P_GAS,
  P_INDEX,
  P_OP,
  P_OPERANDS,
  P_PRICE,
  P_REFUND_HIGH,
  P_REFUND_LOW,
  P_REQUESTED,
  P_SET_COLD,
  P_SIZE,
  P_TOKEN,
  P_TOO_LARGE,
  P_VALUE,
  UNPAYABLE,
} from "./state";
import { copyAddress, isZero, saturated, word } from "./u256";
import { violate } from "./violations";
import { needWords } from "./words";

const CALL_VALUE: u64 = 9000;
const STIPEND: u64 = 2300;
const NEW_ACCOUNT: u64 = 25000;
const CODE_DEPOSIT: u64 = 200;

/** CREATE kinds seen in the transaction. */
export let creates: u32 = 0;

export function resetCalls(): void {
  creates = 0;
}

/** Success flag or address that the record's structlog has on top: 1, 0, or -1 when there is none. */
export function flagOfRecord(): i32 {
  if (load<i32>(RECORD, STACK_HEIGHT) <= 0) return -1;
  needWords(1);
  return isZero(word(0)) ? 0 : 1;
}

/** A call names its callee in the second word, also when words below are missing. */
export function takeCallee(): void {
  expectMadeUp(true, 0);
  const isKnown = load<i32>(RECORD, STACK_HEIGHT) >= 2;
  store<u32>(F, isKnown ? 1 : 0, P_CALLEE);
  if (!isKnown) return;
  needWords(2);
  copyAddress(F + P_ADDRESS, word(1));
}

/** Limbs of the callee of the waiting call, 0 when it is not known. */

function callee(): usize {
  return load<u32>(F, P_CALLEE) != 0 ? F + P_ADDRESS : 0;
}

export function takeCall(table: usize, op: u32): void {
  const carries = op == CALL || op == CALLCODE;
  store<u64>(F, saturated(word(0)), P_REQUESTED);
  store<u32>(F, carries && !isZero(word(2)) ? 1 : 0, P_VALUE);
  store<u64>(F, saturated(word(carries ? 4 : 3)), P_SIZE);
  expandMemory(table);
  const position = account(word(1));
  store<u32>(F, position, P_ENTRY);
  store<u32>(F, is(IS_BERLIN) ? warm(position) : 0, P_SET_COLD);
  store<i64>(F, refundLow, P_REFUND_LOW);
  store<i64>(F, refundHigh, P_REFUND_HIGH);
}

export function takeCreate(table: usize, op: u32): void {
  creates++;
  const size = saturated(word(2));
  store<u64>(F, size, P_SIZE);
  expectMadeUp(false, size);
  expandMemory(table);
  const perWord = (fact32(FACT_INIT_CODE_WORD) + (op == CREATE2 ? 6 : 0)) as u64;
  const price = load<u32>(F, P_TOO_LARGE) != 0
    ? UNPAYABLE
    : 32000 + load<u64>(F, P_EXPANSION) + perWord * wordsOf(size);
  store<u64>(F, price, P_PRICE);
  store<i64>(F, refundLow, P_REFUND_LOW);
  store<i64>(F, refundHigh, P_REFUND_HIGH);
}

function stipend(): u64 {
  return load<u32>(F, P_VALUE) != 0 ? STIPEND : 0;
}

/** What a call that has paid `base` hands on, without the stipend. */
function forwarded(base: u64): u64 {
  const gas = load<u64>(F, P_GAS);
  if (base > gas) return 0;
  const left = gas - base;
  const most = left - left / 64;
  const requested = load<u64>(F, P_REQUESTED);
  return requested < most ? requested : most;
}

function complain(identity: u32, detail: u32, found: u64, expected: u64): void {
  if (is(KNOWN_RULES)) violate(identity, detail, load<u32>(F, P_INDEX), found, expected);
}

function childUsed(): u64 {
  return load<u32>(F, P_CHILD) != 0 ? load<u64>(F, P_CHILD_USED) : 0;
}

function withoutChild(used: u64): u64 {
  const child = childUsed();
  if (child <= used) return used - child;
  complain(F1, D_CHILDREN_GAS, child, used);
  return 0;
}

/** The row and its sums; `share` is what a precompile used. */
function finish(used: u64, self: u64, cost: u64, share: u64, cold: u32, callTo: usize): void {
  emitRow(used, self, cost, callTo);
  const own = self - share;
  addSums(own, used - own, load<u64>(F, P_BEFORE), load<u64>(F, P_AFTER), load<u64>(F, P_EXPANSION), cold);
  store<u64>(F, load<u64>(F, F_USED) + used, F_USED);
}

/** A call whose frame goes on with the structlog in the record. */
export function settleCall(used: u64): void {
  const flag = flagOfRecord();
  const self = withoutChild(used);
  const hasChild = load<u32>(F, P_CHILD) != 0;
  const type = load<u32>(F, P_OP);
  if (load<u32>(F, P_OPERANDS) == 0) {
    if (!hasChild) emitCodeless(++frames, type, callee(), 0, flag == 0 ? 1 : 0);
    return finish(used, self, printedCost(), 0, 0, callee());
  }
  let share: u64 = 0;
  let cold: u32;
  const slot = hasChild ? 0 : precompileSlot();
  if (slot != 0) {
    share = precompileShare(slot, self, flag);
    cold = coldAccesses(load<u32>(F, P_ENTRY), false, load<u32>(F, P_SET_COLD), 0, 0);
    emitCodeless(++frames, type, F + P_ADDRESS, share, hasShareFailed);
  } else {
    cold = coldOfCall(self, hasChild);
    if (!hasChild) emitCodeless(++frames, type, F + P_ADDRESS, 0, flag == 0 ? 1 : 0);
  }
  const base = self + stipend() - share;
  const handed = forwarded(base);
  if (hasChild) {
    const entryGas = load<u64>(F, P_CHILD_GAS);
    if (base > load<u64>(F, P_GAS) || entryGas != handed + stipend()) {
      complain(F1, D_ENTRY_GAS, entryGas, handed + stipend());
    }
  }
  finish(used, self, base + handed, share, cold, F + P_ADDRESS);
}

/** TRACE 5.4 for calls; F2 where nothing fits. */
function coldOfCall(self: u64, hasChild: bool): u32 {
  const hasValue = load<u32>(F, P_VALUE) != 0;
  const setCold = load<u32>(F, P_SET_COLD);
  const access = fact32(FACT_CALL_ACCESS) as i64;
  let rest = (self as i64) - (load<u64>(F, P_EXPANSION) as i64) - (hasValue ? ((CALL_VALUE - STIPEND) as i64) : 0);
  if (hasValue && !hasChild && load<u32>(F, P_OP) == CALL && rest >= access + (NEW_ACCOUNT as i64)) {
    rest -= NEW_ACCOUNT as i64;
  }
  if (!is(IS_BERLIN)) {
    if (rest != access) complain(F2, D_CALL_GAS, self, 0);
    return 0;
  }
  const dear = fact32(FACT_COLD_ACCOUNT) as i64;
  for (let attempt: u32 = 0; attempt < 2; attempt++) {
    const first = attempt == 0 ? setCold : 1 - setCold;
    const delegation = rest - (first != 0 ? dear : access);
    if (delegation == 0 || (is(IS_PRAGUE) && (delegation == access || delegation == dear))) {
      if (delegation == dear) addCredit();
      return coldAccesses(load<u32>(F, P_ENTRY), false, setCold, first as i32, first + (delegation == dear ? 1 : 0));
    }
  }
  complain(F2, D_CALL_GAS, self, 0);
  return setCold;
}

/** Table slot of the precompile that the waiting call addresses, 0 for an ordinary account. */
function precompileSlot(): u32 {
  if ((load<u64>(F, P_ADDRESS + 8) | load<u64>(F, P_ADDRESS + 16)) != 0) return 0;
  const address = load<u64>(F, P_ADDRESS);
  const slot: u32 = address == 0x100 ? PRECOMPILE_P256 : address < (PRECOMPILE_P256 as u64) ? address as u32 : 0;
  return slot != 0 && load<u32>(precompile(slot)) != FORMULA_NONE ? slot : 0;
}

function precompile(slot: u32): usize {
  return FACTS + FACT_PRECOMPILES + (slot as usize) * PRECOMPILE_BYTES;
}

let hasShareFailed: u64 = 0;

/** TRACE 6.3. */
function precompileShare(slot: u32, self: u64, flag: i32): u64 {
  const hasValue = load<u32>(F, P_VALUE) != 0;
  const stip = stipend();
  const plain = (fact32(FACT_CALL_ACCESS) as u64) + load<u64>(F, P_EXPANSION) + (hasValue ? CALL_VALUE : 0);
  const formula = load<u32>(precompile(slot));
  const price = precompilePrice(slot, load<u64>(F, P_SIZE));
  const attempts = hasValue && load<u32>(F, P_OP) == CALL ? 2 : 1;
  for (let attempt = 0; attempt < attempts; attempt++) {
    const base = attempt == 0 ? plain : plain + NEW_ACCOUNT;
    if (self + stip < base) continue;
    const share = self + stip - base;
    const given = forwarded(base) + stip;
    if (flag != 0) {
      if (formula == FORMULA_AT_LEAST ? share >= price && share <= given : share == price) {
        hasShareFailed = 0;
        return share;
      }
    } else if (share == given || share == 0) {
      hasShareFailed = 1;
      return share;
    }
  }
  complain(P1, D_PRECOMPILE, self, price);
  hasShareFailed = flag == 0 ? 1 : 0;
  return self + stip > plain ? self + stip - plain : 0;
}

/** Price by the length of the input; the least one where it depends on the content. */
function precompilePrice(slot: u32, length: u64): u64 {
  const at = precompile(slot);
  const formula = load<u32>(at);
  const base = load<u32>(at, 4) as u64;
  const per = load<u32>(at, 8) as u64;
  if (formula == FORMULA_WORDS) return base + per * wordsOf(length);
  const count = length / (load<u32>(at, 12) as u64);
  if (formula == FORMULA_UNITS) return base + per * count;
  if (formula == FORMULA_AT_LEAST) return base;
  const table = FACTS + (formula == FORMULA_G1 ? FACT_G1_DISCOUNTS : FACT_G2_DISCOUNTS);
  const position = (count < 128 ? count : 128) as usize;
  return count * per * (load<u16>(table + (position << 1)) as u64) / 1000;
}

/** A create whose frame goes on with the structlog in the record. */
export function settleCreate(used: u64): void {
  const flag = flagOfRecord();
  const self = withoutChild(used);
  const hasChild = load<u32>(F, P_CHILD) != 0;
  const callTo = flag < 0 ? 0 : F + P_ADDRESS;
  if (flag >= 0) copyAddress(F + P_ADDRESS, word(0));
  if (flag > 0) {
    if (!hasChild) warm(account(word(0)));
    else if (load<u32>(F, P_CHILD_OUTCOME) == OUTCOME_SUCCESS) adopt(word(0), load<u32>(F, P_TOKEN));
  } else if (flag == 0 && !hasChild) addCredit();
  if (load<u32>(F, P_OPERANDS) == 0) return finish(used, self, printedCost(), 0, 0, callTo);
  const base = load<u64>(F, P_PRICE);
  const gas = load<u64>(F, P_GAS);
  const left = base <= gas ? gas - base : 0;
  const given = left - left / 64;
  if (hasChild) {
    const outcome = load<u32>(F, P_CHILD_OUTCOME);
    let expected = base;
    if (outcome == OUTCOME_SUCCESS && load<u32>(F, P_CHILD_RETURNED) != 0) {
      expected += CODE_DEPOSIT * load<u64>(F, P_CHILD_SIZE);
    }
    if (outcome == OUTCOME_DEPOSIT) expected += load<u64>(F, P_CHILD_GAS) - load<u64>(F, P_CHILD_USED);
    if (outcome != OUTCOME_UNKNOWN && self != expected) complain(F2, D_CREATE_GAS, self, expected);
    if (load<u64>(F, P_CHILD_GAS) != given) complain(F1, D_ENTRY_GAS, load<u64>(F, P_CHILD_GAS), given);
  } else if (flag > 0 && load<u64>(F, P_SIZE) != 0) {
    complain(F2, D_CREATE_WITHOUT_ROWS, load<u64>(F, P_SIZE), 0);
  } else if (self != base && !(flag == 0 && self == base + given)) {
    complain(F2, D_CREATE_GAS, self, base);
  }
  finish(used, self, base, 0, 0, callTo);
}

/** A call or create after which its frame ends, without failing: only where an implicit STOP has no structlog. */
export function settleLastCall(isCall: bool): void {
  const printed = printedCost();
  const hasOperands = load<u32>(F, P_OPERANDS) != 0;
  const callTo = isCall ? callee() : 0;
  const cold = load<u32>(F, P_SET_COLD);
  if (load<u32>(F, P_CHILD) == 0) return finish(printed, printed, printed, 0, cold, callTo);
  const stip = isCall ? stipend() : 0;
  const entryGas = load<u64>(F, P_CHILD_GAS);
  const handed = entryGas > stip ? entryGas - stip : 0;
  const overhead = printed >= handed ? printed - handed : printed;
  const self = overhead > stip ? overhead - stip : 0;
  let cost = printed;
  if (hasOperands) cost = isCall ? self + stip + forwarded(self + stip) : load<u64>(F, P_PRICE);
  finish(self + childUsed(), self, cost, 0, cold, callTo);
}

/** A call or create that halts its frame. */
export function failCall(isCall: bool): void {
  const used = load<u64>(F, P_GAS);
  const child = childUsed();
  const self = child <= used ? used - child : 0;
  const callTo = isCall ? callee() : 0;
  emitRow(used, self, printedCost(), callTo);
  const before = load<u64>(F, P_BEFORE);
  addSums(self, used - self, before, before, 0, load<u32>(F, P_SET_COLD));
  store<u64>(F, load<u64>(F, F_USED) + used, F_USED);
}
