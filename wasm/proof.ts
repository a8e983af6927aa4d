/** TRACE 7 and 8: what the whole transaction must add up to. */
import {
  BOUNDED_BY_FLOOR,
  FACT_AUTHORISATIONS,
  FACT_DIRECT_PRICE,
  FACT_FLOOR,
  FACT_GAS_LIMIT,
  FACT_INTRINSIC,
  FACT_RECEIPT_GAS,
  FACT_REFUND_AUTHORISATIONS,
  FACT_REFUND_POINT,
  FACT_REFUND_QUOTIENT,
  FACT_REFUND_SELFDESTRUCT,
  FACT_STOP_ROW,
  FACT_TOP_GAS_TRUSTED,
  HAS_REFUND_COUNTER,
  IS_BERLIN,
  IS_CREATION,
  IS_INPUT_EMPTY,
  IS_TO_PRECOMPILE,
  KNOWN_RECEIPT,
  KNOWN_RULES,
  KNOWN_STATUS,
  KNOWN_TRANSACTION,
  KNOWN_WARM,
  OUTCOME_EMPTY,
  OUTCOME_REVERT,
  OUTCOME_SUCCESS,
  OUTCOME_UNKNOWN,
  POINT_AFTER,
  POINT_BEFORE,
  RESULT_AGGREGATE_CHECKSUM,
  RESULT_AGGREGATE_ROWS,
  RESULT_CHECKSUM,
  RESULT_CODE_DEPOSIT,
  RESULT_COLD,
  RESULT_CREDITS,
  RESULT_FLAGS,
  RESULT_FRAMES,
  RESULT_IMPOSSIBLE_COSTS,
  RESULT_MADE_UP,
  RESULT_OUTCOME,
  RESULT_REFUND_APPLIED,
  RESULT_REFUND_COUNTER,
  RESULT_REFUND_HIGH,
  RESULT_REFUND_LOW,
  RESULT_REFUND_SOURCE,
  RESULT_ROOT_GAS,
  RESULT_ROWS,
  RESULT_SLOT_CREDITS,
  RESULT_VERDICT,
  RESULT_WARM_ACCOUNTS,
  RESULT_WARM_SLOTS,
  SAW_CAPPED_SETS,
  SAW_CAPPED_VALUES,
  SAW_NO_STACK,
  SOURCE_INTERVAL,
  SOURCE_NODE,
  SOURCE_OPERANDS,
  STATUS_SUCCESS,
  TOP_FAILED,
  TOP_FLAGS,
  TOP_GAS,
  TOP_HAS_ERROR,
  TOP_HAS_FAILED,
  TOP_HAS_GAS,
  TOP_HAS_STRUCTLOGS,
  VERDICT_BOUNDED,
  VERDICT_PROVED,
  VERDICT_UNPROVED,
} from "./facts";
import {
  A1,
  D_CHARGED_COLD,
  D_CHARGED_WARM_ACCOUNTS,
  D_CHARGED_WARM_SLOTS,
  D_EMPTY_TRACE,
  D_END_DEPTH,
  D_ERROR_MEMBER,
  D_FAILED_FLAG,
  D_FIRST_GAS,
  D_GAS_USED,
  D_NO_STRUCTLOGS,
  D_NOTHING_EXECUTED,
  D_REFUND_COUNTER,
  D_TOP_GAS,
  F6,
  N1,
  N2,
  NO_INDEX,
  R1,
  R2,
  R3,
  R4,
  R5,
  R6,
} from "./identities";
import { KIND_CALL, KIND_CREATE, KIND_RETURN, KIND_SELFDESTRUCT, KIND_SSTORE, KIND_STOP, RETURN } from "./kinds";
import { FACTS, RESULT } from "./layout";
import {
  coldMismatches,
  credits,
  firstColdIndex,
  firstWarmAccountIndex,
  firstWarmSlotIndex,
  isCapped,
  isDestroyed,
  slotCredits,
  warmAccounts,
  warmSlots,
} from "./access";
import { aggregateChecksum, aggregateRows, emitFrame, flushFrames, setRootSummary } from "./aggregate";
import { creates } from "./calls";
import { flushRows, rowChecksum } from "./columns";
import { closeFrame, endFrame, failedOperation } from "./frames";
import { hasMissingStack, impossibleCosts } from "./gas";
import { dropped } from "./made_up";
import { isRefundUnknown } from "./refund";
import { areValuesCapped, isRefundRecomputed, refundHigh, refundLow } from "./slots";
import {
  F,
  F_ENTRY_GAS,
  F_SELF,
  F_USED,
  fact32,
  fact64,
  frames,
  is,
  isOpen,
  level,
  P_CHILD,
  P_KIND,
  P_OP,
  P_REFUND,
  P_SIZE,
  rows,
} from "./state";
import { violate } from "./violations";

const AUTHORISATION: u64 = 12500;

/** Refund counter of the first structlog: that of the authorisations, where the counter holds it. */
let firstCounter: i64 = 0;

/* What is found on the way and ends in the results. */
let verdict: u32 = 0;
let outcome: u32 = 0;
let source: u32 = 0;
let flags: u32 = 0;
let counter: i64 = 0;
let applied: u64 = 0;
let deposit: u64 = 0;

export function noteFirstCounter(): void {
  firstCounter = isRefundUnknown != 0 ? 0 : load<i64>(F, P_REFUND);
}

function top(flag: u32): bool {
  return (load<u32>(FACTS, TOP_FLAGS) & flag) != 0;
}

/** 1 success, 0 failure, -1 when neither receipt nor reply says. */
function rootFlag(): i32 {
  if (is(KNOWN_STATUS)) return is(STATUS_SUCCESS) ? 1 : 0;
  if (top(TOP_HAS_FAILED)) return top(TOP_FAILED) ? 0 : 1;
  return -1;
}

export function prove(): void {
  verdict = VERDICT_PROVED;
  source = SOURCE_NODE;
  flags = 0;
  counter = 0;
  applied = 0;
  deposit = 0;
  checkReply();
  const flag = rootFlag();
  let rootGas: u64 = 0;
  if (isOpen == 0) proveEmpty(flag);
  else {
    if (level != 0) violate(F6, D_END_DEPTH, rows - 1, level as u64 + 1, 1);
    while (level > 0) closeFrame(-1);
    rootGas = closeRoot(flag);
  }
  checkAccess();
  flushRows();
  flushFrames();
  writeResults(rootGas);
}

function checkReply(): void {
  if (top(TOP_HAS_ERROR)) violate(N1, D_ERROR_MEMBER, NO_INDEX, 0, 0);
  if (!top(TOP_HAS_STRUCTLOGS)) violate(N2, D_NO_STRUCTLOGS, NO_INDEX, 0, 0);
  if (is(KNOWN_STATUS) && top(TOP_HAS_FAILED) && top(TOP_FAILED) == is(STATUS_SUCCESS)) {
    violate(R2, D_FAILED_FLAG, NO_INDEX, top(TOP_FAILED) ? 1 : 0, is(STATUS_SUCCESS) ? 1 : 0);
  }
  if (is(KNOWN_RECEIPT) && is(KNOWN_RULES) && top(TOP_HAS_GAS) && fact32(FACT_TOP_GAS_TRUSTED) != 0) {
    const printed = load<u64>(FACTS, TOP_GAS);
    if (printed != fact64(FACT_RECEIPT_GAS)) violate(R4, D_TOP_GAS, NO_INDEX, printed, fact64(FACT_RECEIPT_GAS));
  }
}

/** Whether the sums of the transaction can be compared with its receipt. */
function isComparable(): bool {
  return is(KNOWN_TRANSACTION) && is(KNOWN_RECEIPT) && is(KNOWN_RULES);
}

function appliedRefund(used: u64, refund: i64): u64 {
  const most = used / (fact32(FACT_REFUND_QUOTIENT) as u64);
  const wanted: u64 = refund > 0 ? refund as u64 : 0;
  return wanted < most ? wanted : most;
}

/** TRACE 7: gas of the receipt, from gas used and refund counter. */
function settled(used: u64, refund: i64): u64 {
  const result = used - appliedRefund(used, refund);
  const floor = fact64(FACT_FLOOR);
  return result > floor ? result : floor;
}

/** The refund counter: `base`, and the first number of useful authorisations that explains the receipt. */
function settleWith(used: u64, base: i64, identity: u32, detail: u32): void {
  const authorisations = fact32(FACT_AUTHORISATIONS);
  counter = base;
  flags |= HAS_REFUND_COUNTER;
  if (isComparable()) {
    const receipt = fact64(FACT_RECEIPT_GAS);
    let isFound = false;
    for (let useful: u32 = 0; useful <= authorisations && !isFound; useful++) {
      const attempt = base + (((useful as u64) * AUTHORISATION) as i64);
      if (settled(used, attempt) == receipt) {
        counter = attempt;
        isFound = true;
      }
    }
    if (!isFound) violate(identity, detail, NO_INDEX, settled(used, base), receipt);
  }
  applied = appliedRefund(used, counter);
}

/** The same where the counter holds the refund of the authorisations already. */
function settleExactly(used: u64, refund: i64): void {
  counter = refund;
  flags |= HAS_REFUND_COUNTER;
  applied = appliedRefund(used, refund);
  if (isComparable() && settled(used, refund) != fact64(FACT_RECEIPT_GAS)) {
    violate(R3, D_GAS_USED, NO_INDEX, settled(used, refund), fact64(FACT_RECEIPT_GAS));
  }
}

function closeRoot(flag: i32): u64 {
  const entryGas = load<u64>(F, F_ENTRY_GAS);
  const kind = load<i32>(F, P_KIND);
  const isReturned = load<u32>(F, P_OP) == RETURN;
  const hasCounter = isRefundUnknown == 0 && !isLastCounterStale(kind);
  let last = load<i64>(F, P_REFUND);
  if (kind == KIND_SELFDESTRUCT && fact32(FACT_REFUND_POINT) != POINT_AFTER && !isDestroyed(load<u32>(F, F_SELF))) {
    last += fact32(FACT_REFUND_SELFDESTRUCT) as i64;
  }
  const size = load<u64>(F, P_SIZE);
  outcome = endFrame(flag);
  const rootGas = load<u64>(F, F_USED);
  if (is(KNOWN_TRANSACTION) && is(KNOWN_RULES)) {
    const expected = fact64(FACT_GAS_LIMIT) - fact64(FACT_INTRINSIC);
    if (entryGas != expected) violate(R1, D_FIRST_GAS, 0, entryGas, expected);
  }
  checkFirstCounter();
  let used = fact64(FACT_INTRINSIC) + rootGas;
  const holds = firstCounter > 0 || fact32(FACT_REFUND_AUTHORISATIONS) != 0;
  if (outcome == OUTCOME_SUCCESS || outcome == OUTCOME_UNKNOWN) {
    if (is(IS_CREATION) && kind == KIND_RETURN && isReturned) deposit = 200 * size;
    used += deposit;
    settleSuccess(used, hasCounter, last, holds);
  } else {
    if (outcome != OUTCOME_REVERT) used = fact64(FACT_GAS_LIMIT);
    if (isRefundUnknown == 0 && holds) settleExactly(used, firstCounter);
    else settleWith(used, 0, R3, D_GAS_USED);
  }
  const failure = flag == 0 && failedOperation(outcome) < 0;
  setRootSummary(flags & HAS_REFUND_COUNTER, counter, is(KNOWN_TRANSACTION) ? 1 : 0, fact64(FACT_INTRINSIC));
  emitFrame(failedOperation(outcome), failure ? 1 : 0);
  return rootGas;
}

/** Before the first opcode the counter holds refunds of authorisations and nothing else. */
function checkFirstCounter(): void {
  if (!isComparable()) return;
  const most = (fact32(FACT_AUTHORISATIONS) as u64) * AUTHORISATION;
  const first = firstCounter as u64;
  if (first > most || first % AUTHORISATION != 0) violate(R5, D_REFUND_COUNTER, 0, first, most);
}

/** Without a structlog for the implicit STOP, what the last structlog itself did to the counter is never printed. */
function isLastCounterStale(kind: i32): bool {
  if (fact32(FACT_STOP_ROW) != 0) return false;
  if (kind == KIND_SSTORE) return fact32(FACT_REFUND_POINT) == POINT_BEFORE;
  return (kind == KIND_CALL || kind == KIND_CREATE) && load<u32>(F, P_CHILD) != 0;
}

function settleSuccess(used: u64, hasCounter: bool, last: i64, holds: bool): void {
  const isRecomputed = isRefundRecomputed() && hasMissingStack == 0 && is(KNOWN_RULES);
  if (hasCounter) {
    if (holds) settleExactly(used, last);
    else settleWith(used, last, R3, D_GAS_USED);
    const own = last - firstCounter;
    if (isRecomputed && (own < refundLow || own > refundHigh)) {
      violate(R5, D_REFUND_COUNTER, NO_INDEX, own as u64, own < refundLow ? refundLow as u64 : refundHigh as u64);
    }
  } else if (isRecomputed && refundLow == refundHigh) {
    source = SOURCE_OPERANDS;
    settleWith(used, refundLow, R3, D_GAS_USED);
  } else if (isRecomputed) {
    source = SOURCE_INTERVAL;
    verdict = VERDICT_BOUNDED;
    if (!isComparable()) return;
    const most = refundHigh + (((fact32(FACT_AUTHORISATIONS) as u64) * AUTHORISATION) as i64);
    const receipt = fact64(FACT_RECEIPT_GAS);
    if (receipt < settled(used, most) || receipt > settled(used, refundLow)) {
      violate(R3, D_GAS_USED, NO_INDEX, settled(used, refundLow), receipt);
    }
  } else {
    source = SOURCE_INTERVAL;
    verdict = VERDICT_UNPROVED;
  }
}

/** TRACE 8.5: no structlog. */
function proveEmpty(flag: i32): void {
  outcome = OUTCOME_EMPTY;
  const intrinsic = fact64(FACT_INTRINSIC);
  let used = intrinsic;
  if (is(IS_TO_PRECOMPILE)) {
    used = flag == 0 ? fact64(FACT_GAS_LIMIT) : intrinsic + fact64(FACT_DIRECT_PRICE);
  } else if (flag == 0 || (is(IS_CREATION) && !is(IS_INPUT_EMPTY))) {
    if (is(KNOWN_RULES)) violate(R6, D_NOTHING_EXECUTED, NO_INDEX, fact64(FACT_RECEIPT_GAS), intrinsic);
  } else if (fact64(FACT_FLOOR) > intrinsic && !is(IS_CREATION)) {
    verdict = VERDICT_BOUNDED;
    flags |= BOUNDED_BY_FLOOR;
  }
  settleWith(used, 0, R6, D_EMPTY_TRACE);
  setRootSummary(1, counter, is(KNOWN_TRANSACTION) ? 1 : 0, intrinsic);
  emitFrame(-1, flag == 0 ? 1 : 0);
}

function checkAccess(): void {
  if (!is(IS_BERLIN) || !is(KNOWN_RULES) || !is(KNOWN_WARM) || isCapped != 0) return;
  if (coldMismatches != 0) violate(A1, D_CHARGED_COLD, firstColdIndex, coldMismatches as u64, 0);
  if (warmAccounts > credits) {
    violate(A1, D_CHARGED_WARM_ACCOUNTS, firstWarmAccountIndex, warmAccounts as u64, credits as u64);
  }
  const slots = slotCredits(creates);
  if (warmSlots > slots) violate(A1, D_CHARGED_WARM_SLOTS, firstWarmSlotIndex, warmSlots as u64, slots as u64);
}

function writeResults(rootGas: u64): void {
  if (hasMissingStack != 0) flags |= SAW_NO_STACK;
  if (isCapped != 0) flags |= SAW_CAPPED_SETS;
  if (areValuesCapped != 0) flags |= SAW_CAPPED_VALUES;
  store<u32>(RESULT, verdict, RESULT_VERDICT);
  store<u32>(RESULT, outcome, RESULT_OUTCOME);
  store<u32>(RESULT, source, RESULT_REFUND_SOURCE);
  store<u32>(RESULT, flags, RESULT_FLAGS);
  store<u32>(RESULT, rows, RESULT_ROWS);
  store<u32>(RESULT, frames + 1, RESULT_FRAMES);
  store<u32>(RESULT, aggregateRows, RESULT_AGGREGATE_ROWS);
  store<u32>(RESULT, dropped, RESULT_MADE_UP);
  store<u32>(RESULT, warmAccounts, RESULT_WARM_ACCOUNTS);
  store<u32>(RESULT, warmSlots, RESULT_WARM_SLOTS);
  store<u32>(RESULT, coldMismatches, RESULT_COLD);
  store<u32>(RESULT, credits, RESULT_CREDITS);
  store<u32>(RESULT, slotCredits(creates), RESULT_SLOT_CREDITS);
  store<u32>(RESULT, impossibleCosts, RESULT_IMPOSSIBLE_COSTS);
  store<u64>(RESULT, rootGas, RESULT_ROOT_GAS);
  store<u64>(RESULT, deposit, RESULT_CODE_DEPOSIT);
  store<i64>(RESULT, counter, RESULT_REFUND_COUNTER);
  store<u64>(RESULT, applied, RESULT_REFUND_APPLIED);
  store<i64>(RESULT, refundLow, RESULT_REFUND_LOW);
  store<i64>(RESULT, refundHigh, RESULT_REFUND_HIGH);
  store<u64>(RESULT, rowChecksum, RESULT_CHECKSUM);
  store<u64>(RESULT, aggregateChecksum, RESULT_AGGREGATE_CHECKSUM);
}
