/** TRACE 3: call frames, how they open, how they end. */
import {
  FACT_STOP_ROW,
  FACT_TARGET,
  IS_CREATION,
  KNOWN_RULES,
  KNOWN_TARGET,
  KNOWN_TO,
  OUTCOME_DEPOSIT,
  OUTCOME_HALT,
  OUTCOME_REVERT,
  OUTCOME_SUCCESS,
  OUTCOME_UNKNOWN,
} from "./facts";
import {
  D_DEPTH,
  D_DEPTH_LIMIT,
  D_FIRST_PC,
  D_FRAME_FLAG,
  D_LAST_OPCODE,
  D_NO_DEPOSIT_REASON,
  D_NO_REASON,
  D_OPENING,
  D_UNDEFINED,
  F4,
  F5,
  H1,
  P2,
  R2,
  S1,
} from "./identities";
import {
  CALL,
  KIND_CALL,
  KIND_CREATE,
  KIND_JUMPI,
  KIND_RETURN,
  KIND_SELFDESTRUCT,
  KIND_STOP,
  KIND_UNDEFINED,
  OPERATION_NONE,
  OPERATION_UNKNOWN,
  RETURN,
  REVERT,
  STATICCALL,
} from "./kinds";
import { FACTS, MAX_FRAMES } from "./layout";
import { GAS, HAS_ERROR, PC, RECORD } from "./record";
import { account, addCredit, forgetJournal, journalMark, makeToken, undoAccess, warm } from "./access";
import { emitFrame, pathElement } from "./aggregate";
import { flagOfRecord } from "./calls";
import { K13, K14 } from "./checksum";
import { KIND_ODD, resolveFailed, resolveLast, resolveNext } from "./gas";
import { canHalt, canRefuseDeposit } from "./halts";
import { mergeValues, refundHigh, refundLow, setRefundBounds, undoValues, valueMark } from "./slots";
import {
  F,
  F_CELLS,
  F_DEPTH,
  F_ENTRY_GAS,
  F_HAS_TARGET,
  F_ID,
  F_IN_CREATE,
  F_MARK,
  F_PATH_CELL,
  F_REFUND_BASE,
  F_REFUND_HIGH,
  F_REFUND_LOW,
  F_SELF,
  F_SQUARES,
  F_STATIC,
  F_TARGET,
  F_TOUCHED,
  F_TYPE,
  F_USED,
  F_VALUE_MARK,
  F_WORDS,
  fact32,
  frameAt,
  frames,
  HEIGHT_UNKNOWN,
  is,
  isOpen,
  level,
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
  P_EXPANSION,
  P_FLAGS,
  P_GAS,
  P_INDEX,
  P_KIND,
  P_NEXT_HEIGHT,
  P_OP,
  P_OPERANDS,
  P_REFUND,
  P_SIZE,
  P_TOKEN,
  P_TOO_LARGE,
  pathEnd,
  popFrame,
  pushFrame,
  rows,
} from "./state";
import { copyAddress, word } from "./u256";
import { violate } from "./violations";

/** What the root's summary row needs when no structlog ever comes. */
export function openEmptyRoot(): void {
  store<u32>(pathEnd(), 0);
  store<u32>(F, 0, F_ID);
  store<u32>(F, 1, F_DEPTH);
  store<u32>(F, OPERATION_NONE, F_TYPE);
  store<u64>(F, pathElement(0, 1), F_PATH_CELL);
  store<u64>(F, 0, F_USED);
  store<u32>(F, is(KNOWN_TO) ? 1 : 0, F_HAS_TARGET);
  if (is(KNOWN_TO)) copyAddress(F + F_TARGET, FACTS + FACT_TARGET);
}

/** Frame 0 begins with the structlog in the record. */
export function openRoot(depth: u32): void {
  isOpen = 1;
  if (depth != 1) violate(F5, D_DEPTH, 0, depth as u64, 1);
  store<u32>(F, OPERATION_NONE, F_TYPE);
  store<u32>(F, is(IS_CREATION) ? 1 : 0, F_IN_CREATE);
  store<u32>(F, 0, F_STATIC);
  store<u32>(F, is(KNOWN_TO) ? 1 : 0, F_HAS_TARGET);
  if (is(KNOWN_TO)) copyAddress(F + F_TARGET, FACTS + FACT_TARGET);
  store<u32>(F, is(KNOWN_TARGET) ? account(FACTS + FACT_TARGET) : makeToken(), F_SELF);
  store<i64>(F, 0, F_REFUND_BASE);
  begin(0, depth, 0);
}

function begin(id: u32, depth: u32, parentCell: u64): void {
  const cell = parentCell + pathElement(id, level + 1);
  store<u32>(pathEnd(), id);
  store<u32>(F, id, F_ID);
  store<u32>(F, depth, F_DEPTH);
  store<u64>(F, cell, F_PATH_CELL);
  store<u64>(F, (id as u64) * K13 + cell * K14, F_CELLS);
  store<u32>(F, journalMark(), F_MARK);
  store<u32>(F, valueMark(), F_VALUE_MARK);
  store<u64>(F, 0, F_WORDS);
  store<u64>(F, 0, F_SQUARES);
  store<u32>(F, 0, F_TOUCHED);
  store<u64>(F, 0, F_USED);
  store<u64>(F, load<u64>(RECORD, GAS), F_ENTRY_GAS);
  store<i64>(F, refundLow, F_REFUND_LOW);
  store<i64>(F, refundHigh, F_REFUND_HIGH);
  const pc = load<u32>(RECORD, PC);
  if (pc != 0) violate(P2, D_FIRST_PC, rows, pc as u64, 0);
}

/** The structlog in the record is deeper than the innermost frame: its waiting structlog opened a frame. */
function open(depth: u32): void {
  const kind = load<i32>(F, P_KIND);
  const type = load<u32>(F, P_OP);
  const isCall = kind == KIND_CALL;
  const isCreate = kind == KIND_CREATE;
  if (depth != load<u32>(F, F_DEPTH) + 1) {
    violate(F5, D_DEPTH, rows, depth as u64, load<u32>(F, F_DEPTH) as u64 + 1);
  }
  if (!isCall && !isCreate) {
    violate(F5, D_OPENING, load<u32>(F, P_INDEX), type as u64, 0);
    if (kind <= KIND_JUMPI) {
      store<u64>(F, load<u64>(F, F_WORDS), P_BEFORE);
      store<u64>(F, load<u64>(F, F_WORDS), P_AFTER);
      store<u64>(F, 0, P_EXPANSION);
    }
    store<u32>(F, KIND_ODD, P_KIND);
  }
  const hasCallee = isCall && load<u32>(F, P_CALLEE) != 0;
  store<u32>(F, 1, P_CHILD);
  store<u64>(F, load<u64>(RECORD, GAS), P_CHILD_GAS);
  let self = load<u32>(F, F_SELF);
  if (isCreate) {
    self = makeToken();
    store<u32>(F, self, P_TOKEN);
    warm(self);
    addCredit();
  } else if (isCall && (type == CALL || type == STATICCALL)) {
    self = hasCallee ? account(F + P_ADDRESS) : makeToken();
  }
  const id = ++frames;
  pushFrame();
  const parent = frameAt(level - 1);
  store<u32>(F, isCall || isCreate ? type : OPERATION_UNKNOWN, F_TYPE);
  store<u32>(F, isCreate ? 1 : 0, F_IN_CREATE);
  store<u32>(F, load<u32>(parent, F_STATIC) | (type == STATICCALL ? 1 : 0), F_STATIC);
  store<u32>(F, hasCallee ? 1 : 0, F_HAS_TARGET);
  copyAddress(F + F_TARGET, parent + P_ADDRESS);
  store<u32>(F, self, F_SELF);
  store<i64>(F, load<i64>(parent, P_REFUND), F_REFUND_BASE);
  begin(id, depth, load<u64>(parent, F_PATH_CELL));
}

/** The structlog in the record has another depth than the innermost frame. */
export function changeDepth(depth: u32): void {
  while (level > 0 && load<u32>(F, F_DEPTH) > depth) {
    const isParentNext = load<u32>(frameAt(level - 1), F_DEPTH) == depth;
    closeFrame(isParentNext ? flagOfRecord() : -1);
  }
  const own = load<u32>(F, F_DEPTH);
  if (own >= depth) {
    if (own > depth) violate(F5, D_DEPTH, rows, depth as u64, own as u64);
    resolveNext();
  } else if (level + 1 < (MAX_FRAMES as u32)) open(depth);
  else {
    violate(F5, D_DEPTH_LIMIT, rows, depth as u64, MAX_FRAMES as u64);
    resolveNext();
  }
}

/** The innermost frame, which is not the root, ends. `flag`: what its caller found on the stack, -1 when that is not known. */
export function closeFrame(flag: i32): void {
  const outcome = endFrame(flag);
  const parent = level - 1;
  if (outcome == OUTCOME_SUCCESS || outcome == OUTCOME_UNKNOWN) {
    mergeValues(load<u32>(F, F_VALUE_MARK), parent);
    if (parent == 0) forgetJournal();
  } else {
    undoAccess(load<u32>(F, F_MARK));
    undoValues(load<u32>(F, F_VALUE_MARK));
    setRefundBounds(load<i64>(F, F_REFUND_LOW), load<i64>(F, F_REFUND_HIGH));
  }
  if (load<u32>(F, F_IN_CREATE) != 0 && flag >= 0) {
    copyAddress(F + F_TARGET, word(0));
    store<u32>(F, 1, F_HAS_TARGET);
  }
  const used = load<u64>(F, F_USED);
  const isReturned = load<u32>(F, P_OP) == RETURN;
  const size = isReturned ? load<u64>(F, P_SIZE) : 0;
  emitFrame(failedOperation(outcome), 0);
  popFrame();
  store<u32>(F, outcome, P_CHILD_OUTCOME);
  store<u32>(F, isReturned ? 1 : 0, P_CHILD_RETURNED);
  store<u64>(F, size, P_CHILD_SIZE);
  store<u64>(F, used, P_CHILD_USED);
}

export function failedOperation(outcome: u32): i32 {
  return outcome == OUTCOME_HALT ? load<i32>(F, P_OP) : -1;
}

/** Decides how the innermost frame ended (TRACE 3.4) and finishes its last structlog. */
export function endFrame(flag: i32): u32 {
  const outcome = decide(flag);
  if (outcome == OUTCOME_HALT) {
    if (is(KNOWN_RULES) && !canHalt()) {
      violate(H1, D_NO_REASON, load<u32>(F, P_INDEX), load<u32>(F, P_OP) as u64, load<u64>(F, P_GAS));
    }
    resolveFailed();
  } else {
    if (outcome == OUTCOME_DEPOSIT && is(KNOWN_RULES) && !canRefuseDeposit()) {
      violate(H1, D_NO_DEPOSIT_REASON, load<u32>(F, P_INDEX), load<u64>(F, P_SIZE), load<u64>(F, P_GAS));
    }
    if (load<i32>(F, P_KIND) == KIND_UNDEFINED && outcome != OUTCOME_UNKNOWN && is(KNOWN_RULES)) {
      violate(S1, D_UNDEFINED, load<u32>(F, P_INDEX), load<u32>(F, P_OP) as u64, 0);
    }
    resolveLast();
  }
  return outcome;
}

function decide(flag: i32): u32 {
  const kind = load<i32>(F, P_KIND);
  const op = load<u32>(F, P_OP);
  const isTooDear = kind == KIND_RETURN && load<i32>(F, P_NEXT_HEIGHT) != HEIGHT_UNKNOWN &&
    (load<u32>(F, P_OPERANDS) == 0 || load<u32>(F, P_TOO_LARGE) != 0 ||
      load<u64>(F, P_EXPANSION) > load<u64>(F, P_GAS));
  const hasError = (load<u32>(F, P_FLAGS) & HAS_ERROR) != 0;
  if (isTooDear || op == REVERT) {
    if (flag == 1) unfit();
    return isTooDear ? OUTCOME_HALT : OUTCOME_REVERT;
  }
  if (kind == KIND_STOP || kind == KIND_RETURN || kind == KIND_SELFDESTRUCT) {
    if (flag == 0) return kind == KIND_RETURN && load<u32>(F, F_IN_CREATE) != 0 ? OUTCOME_DEPOSIT : OUTCOME_HALT;
    return flag < 0 && hasError ? OUTCOME_HALT : OUTCOME_SUCCESS;
  }
  if (flag == 1) {
    if (fact32(FACT_STOP_ROW) != 0) unfit();
    return OUTCOME_SUCCESS;
  }
  return flag == 0 || hasError ? OUTCOME_HALT : OUTCOME_UNKNOWN;
}

/** The frame cannot have succeeded with this last opcode. */
function unfit(): void {
  const isRoot = level == 0;
  violate(isRoot ? R2 : F4, isRoot ? D_LAST_OPCODE : D_FRAME_FLAG, load<u32>(F, P_INDEX), load<u32>(F, P_OP) as u64, 0);
}
