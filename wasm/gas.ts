/** TRACE 2: one structlog waits per open frame; the next one of that frame resolves it. */
import { FACT_REFUND_POINT, IS_BERLIN, POINT_BEFORE } from "./facts";
import { D_GAS_RISES, D_NEXT_PC, D_NOTHING_FOLLOWS, D_STACK, F3, K1, P2 } from "./identities";
import {
  KIND_ACCOUNT,
  KIND_CALL,
  KIND_CREATE,
  KIND_EXP,
  KIND_EXTCODECOPY,
  KIND_JUMP,
  KIND_JUMPDEST,
  KIND_JUMPI,
  KIND_MEMORY,
  KIND_PLAIN,
  KIND_PRICED,
  KIND_RETURN,
  KIND_SELFDESTRUCT,
  KIND_SLOAD,
  KIND_SSTORE,
  KIND_STOP,
  KIND_UNDEFINED,
  OPCODE_OPERANDS,
  OPCODE_PER_BYTE,
  OPCODE_PER_WORD,
  OPCODE_PRICE,
  OPCODE_SIZE,
  SIZE_1,
} from "./kinds";
import { OPCODE_BYTES, OPCODES } from "./layout";
import {
  COST,
  COST_NEGATIVE,
  FLAGS,
  GAS,
  HAS_COST,
  HAS_ERROR,
  HAS_RETURN_DATA,
  OP,
  OP_TEXT,
  PC,
  RECORD,
  STACK_HEIGHT,
} from "./record";
import { internOperation } from "./host";
import { account, slotOfSelf, warm } from "./access";
import { addPlain, addSums } from "./aggregate";
import { failCall, settleCall, settleCreate, settleLastCall, takeCall, takeCallee, takeCreate } from "./calls";
import { emitRow } from "./columns";
import { markJumpdest } from "./halts";
import { expandMemory, wordsOf } from "./memory_words";
import { constantPrice, settleAccess, storeClass, wrongPrice } from "./prices";
import { refundOfRecord, seeFirstRefund } from "./refund";
import { refundHigh, refundLow, selfdestructRefund, sloadValue, sstoreValue } from "./slots";
import {
  F,
  F_USED,
  F_WORDS,
  fact32,
  HEIGHT_IMPOSSIBLE,
  HEIGHT_UNKNOWN,
  is,
  level,
  P_AFTER,
  P_BEFORE,
  P_CHILD,
  P_CHILD_USED,
  P_DEPTH,
  P_ENTRY,
  P_EXPANSION,
  P_FLAGS,
  P_GAS,
  P_INDEX,
  P_KIND,
  P_NEXT_HEIGHT,
  P_NEXT_PC,
  P_OP,
  P_OPERANDS,
  P_OPERATION,
  P_PC,
  P_PRICE,
  P_RAW,
  P_REFUND,
  P_REFUND_HIGH,
  P_REFUND_LOW,
  P_SET_COLD,
  P_SIZE,
  P_TOO_LARGE,
  P_VALUE,
  P_WORD,
  PC_NONE,
  PC_UNKNOWN,
  rows,
  UNPAYABLE,
} from "./state";
import { dropTexts, keepTexts } from "./texts";
import { byteLength, copyWord, isZero, saturated, word } from "./u256";
import { violate } from "./violations";
import { needWords } from "./words";

/** A structlog that opened a frame although it is neither a call nor a create (F5). */
export const KIND_ODD: i32 = 16;
const UNDEFINED_SLOT: u32 = 256;
const STACK_LIMIT: i32 = 1024;
const BEYOND: u64 = 0x8000000000000000;

/** A structlog had no stack. */
export let hasMissingStack: u32 = 0;
/** Structlogs that end a frame and print an impossible cost. */
export let impossibleCosts: u32 = 0;

export function resetGas(): void {
  hasMissingStack = 0;
  impossibleCosts = 0;
}

/** Cost of the waiting structlog as printed, made sane (TRACE 1.4). */
export function printedCost(): u64 {
  if ((load<u32>(F, P_FLAGS) & COST_NEGATIVE) != 0) return 0;
  const raw = load<u64>(F, P_RAW);
  const gas = load<u64>(F, P_GAS);
  return raw > gas ? gas : raw;
}

/** The structlog in the record becomes the waiting one of the innermost frame. */
export function take(depth: u32): void {
  const flags = load<u32>(RECORD, FLAGS);
  const op = load<i32>(RECORD, OP);
  const pc = load<u32>(RECORD, PC);
  const gas = load<u64>(RECORD, GAS);
  const height = load<i32>(RECORD, STACK_HEIGHT);
  const raw: u64 = (flags & HAS_COST) != 0 ? load<u64>(RECORD, COST) : 0;
  if (rows == 0) seeFirstRefund(flags);
  store<u32>(F, rows, P_INDEX);
  rows++;
  store<u32>(F, pc, P_PC);
  store<u32>(F, depth, P_DEPTH);
  store<u32>(F, flags, P_FLAGS);
  store<u64>(F, gas, P_GAS);
  store<u64>(F, raw, P_RAW);
  store<i64>(F, refundOfRecord(flags), P_REFUND);
  if ((flags & (HAS_RETURN_DATA | HAS_ERROR)) != 0) keepTexts(flags);
  if (op < 0) return takeUndefined(height);
  const table = OPCODES + (op as usize) * OPCODE_BYTES;
  const entry = load<u32>(table);
  const kind = (entry & 255) as i32;
  const pops = ((entry >> 8) & 255) as i32;
  store<u32>(F, op, P_OP);
  store<u32>(F, op, P_OPERATION);
  store<i32>(F, kind, P_KIND);
  store<u64>(F, (pc as u64) + ((entry >> 24) as u64), P_NEXT_PC);
  const next = height - pops + (((entry >> 16) & 255) as i32);
  if (height < 0) {
    hasMissingStack = 1;
    store<i32>(F, HEIGHT_UNKNOWN, P_NEXT_HEIGHT);
  } else {
    store<i32>(F, height < pops || next > STACK_LIMIT ? HEIGHT_IMPOSSIBLE : next, P_NEXT_HEIGHT);
  }
  if (kind == KIND_PLAIN) return;
  if (kind == KIND_JUMPDEST) {
    if (level == 0) markJumpdest(pc);
    return;
  }
  takeOperands(kind, op as u32, table, height >= pops);
}

function takeUndefined(height: i32): void {
  if (height < 0) hasMissingStack = 1;
  store<u32>(F, UNDEFINED_SLOT, P_OP);
  store<u32>(F, internOperation(load<u32>(RECORD, OP_TEXT), load<u32>(RECORD, OP_TEXT + 4)), P_OPERATION);
  store<u32>(F, KIND_UNDEFINED, P_KIND);
  store<u64>(F, PC_NONE, P_NEXT_PC);
  store<i32>(F, HEIGHT_UNKNOWN, P_NEXT_HEIGHT);
  keepMemory();
  store<u32>(F, 0, P_SET_COLD);
}

/** No expansion. */
function keepMemory(): void {
  const words = load<u64>(F, F_WORDS);
  store<u64>(F, words, P_BEFORE);
  store<u64>(F, words, P_AFTER);
  store<u64>(F, 0, P_EXPANSION);
  store<u32>(F, 0, P_TOO_LARGE);
}

function takeOperands(kind: i32, op: u32, table: usize, hasOperands: bool): void {
  store<u32>(F, hasOperands ? 1 : 0, P_OPERANDS);
  if (hasOperands) needWords(load<u8>(table, OPCODE_OPERANDS) as i32);
  if (kind <= KIND_JUMPI) return takeJump(kind, hasOperands);
  store<u32>(F, 0, P_CHILD);
  store<u32>(F, 0, P_SET_COLD);
  store<u32>(F, 0, P_VALUE);
  store<u32>(F, 0, P_ENTRY);
  store<u64>(F, 0, P_SIZE);
  if (kind == KIND_CALL) takeCallee();
  if (!hasOperands || kind == KIND_STOP || kind == KIND_UNDEFINED) {
    keepMemory();
    if (kind == KIND_STOP || kind == KIND_RETURN || kind == KIND_SELFDESTRUCT || kind == KIND_UNDEFINED) {
      store<u64>(F, PC_NONE, P_NEXT_PC);
    }
    return;
  }
  if (kind == KIND_MEMORY) {
    expandMemory(table);
    takePrice(table);
  } else if (kind == KIND_EXP) {
    keepMemory();
    store<u64>(F, 10 + 50 * byteLength(word(1)), P_PRICE);
  } else if (kind == KIND_SLOAD || kind == KIND_SSTORE) {
    keepMemory();
    const slot = slotOfSelf(word(0));
    store<u32>(F, slot, P_ENTRY);
    if (is(IS_BERLIN)) store<u32>(F, warm(slot), P_SET_COLD);
    if (kind == KIND_SSTORE) {
      copyWord(F + P_WORD, word(1));
      store<i64>(F, refundLow, P_REFUND_LOW);
      store<i64>(F, refundHigh, P_REFUND_HIGH);
    }
  } else if (kind == KIND_ACCOUNT || kind == KIND_SELFDESTRUCT) {
    keepMemory();
    takeAccount();
    if (kind == KIND_SELFDESTRUCT) store<u64>(F, PC_NONE, P_NEXT_PC);
  } else if (kind == KIND_EXTCODECOPY) {
    expandMemory(table);
    store<u64>(F, saturated(word(3)), P_SIZE);
    takeAccount();
  } else if (kind == KIND_CALL) {
    takeCall(table, op);
  } else if (kind == KIND_CREATE) {
    takeCreate(table, op);
  } else {
    expandMemory(table);
    store<u64>(F, saturated(word(1)), P_SIZE);
    store<u64>(F, PC_NONE, P_NEXT_PC);
  }
}

function takeJump(kind: i32, hasOperands: bool): void {
  if (!hasOperands) {
    store<u32>(F, 0, P_VALUE);
    store<u64>(F, PC_UNKNOWN, P_NEXT_PC);
    return;
  }
  if (kind == KIND_JUMPI) {
    const isTaken = !isZero(word(1));
    store<u32>(F, isTaken ? 1 : 0, P_VALUE);
    if (!isTaken) return;
  }
  const destination = saturated(word(0));
  store<u64>(F, destination > 0xffffffff ? PC_NONE : destination, P_NEXT_PC);
}

function takeAccount(): void {
  const position = account(word(0));
  store<u32>(F, position, P_ENTRY);
  if (is(IS_BERLIN)) store<u32>(F, warm(position), P_SET_COLD);
}

/** Price of an opcode by the size of its first area of memory. */
function takePrice(table: usize): void {
  if (load<u32>(F, P_TOO_LARGE) != 0) {
    store<u64>(F, UNPAYABLE, P_PRICE);
    return;
  }
  let price = (load<u32>(table, OPCODE_PRICE) as u64) + load<u64>(F, P_EXPANSION);
  const position = load<u8>(table, OPCODE_SIZE) as i32;
  if (position < SIZE_1) {
    const size = saturated(word(position));
    price += (load<u8>(table, OPCODE_PER_WORD) as u64) * wordsOf(size) +
      (load<u8>(table, OPCODE_PER_BYTE) as u64) * size;
  }
  store<u64>(F, price, P_PRICE);
}

/** The structlog in the record is the next one of the innermost frame. */
export function resolveNext(): void {
  const gas = load<u64>(F, P_GAS);
  const nextGas = load<u64>(RECORD, GAS);
  let used: u64;
  if (nextGas <= gas) used = gas - nextGas;
  else {
    used = printedCost();
    violate(F3, D_GAS_RISES, load<u32>(F, P_INDEX) + 1, nextGas, gas);
  }
  const nextPc = load<u64>(F, P_NEXT_PC);
  if (nextPc != (load<u32>(RECORD, PC) as u64)) checkPc(nextPc);
  const nextHeight = load<i32>(F, P_NEXT_HEIGHT);
  if (nextHeight != load<i32>(RECORD, STACK_HEIGHT)) checkHeight(nextHeight);
  const kind = load<i32>(F, P_KIND);
  if (kind <= KIND_JUMPI) {
    if (used != constantPrice()) wrongPrice(used, constantPrice());
    finishPlain(used);
  } else settle(kind, used, true);
  dropTexts(load<u32>(F, P_FLAGS));
}

function checkPc(expected: u64): void {
  if (expected == PC_UNKNOWN) return;
  const pc = load<u32>(RECORD, PC) as u64;
  violate(P2, expected == PC_NONE ? D_NOTHING_FOLLOWS : D_NEXT_PC, load<u32>(F, P_INDEX) + 1, pc, expected);
}

function checkHeight(expected: i32): void {
  const height = load<i32>(RECORD, STACK_HEIGHT);
  if (expected == HEIGHT_UNKNOWN || height < 0) return;
  violate(K1, D_STACK, load<u32>(F, P_INDEX) + 1, height as u64, expected as u64);
}

function finishPlain(used: u64): void {
  emitRow(used, used, used, 0);
  addPlain(used);
  store<u64>(F, load<u64>(F, F_USED) + used, F_USED);
}

function finish(used: u64, self: u64, cost: u64, cold: u32): void {
  emitRow(used, self, cost, 0);
  addSums(self, used - self, load<u64>(F, P_BEFORE), load<u64>(F, P_AFTER), load<u64>(F, P_EXPANSION), cold);
  store<u64>(F, load<u64>(F, F_USED) + used, F_USED);
}

/** Opcodes with operands that did not fail. `hasNext`: `used` is a difference of gas, not only a printed cost. */
function settle(kind: i32, used: u64, hasNext: bool): void {
  if (kind == KIND_CALL) return hasNext ? settleCall(used) : settleLastCall(true);
  if (kind == KIND_CREATE) return hasNext ? settleCreate(used) : settleLastCall(false);
  const isPriced = hasNext || isBelievable();
  let cold: u32 = 0;
  if (kind <= KIND_PRICED) {
    const price = load<u64>(F, P_PRICE);
    if (isPriced && load<u32>(F, P_OPERANDS) != 0 && used != price) wrongPrice(used, price);
  } else if (kind == KIND_ODD) {
    const child = load<u64>(F, P_CHILD_USED);
    return finish(used, child < used ? used - child : 0, used, 0);
  } else if (kind <= KIND_EXTCODECOPY || kind == KIND_SELFDESTRUCT) {
    cold = settleAccess(kind, used, isPriced);
    if (load<u32>(F, P_OPERANDS) != 0) learn(kind, hasNext);
  }
  finish(used, used, used, cold);
}

/** What a successful access says about values and refunds. */
function learn(kind: i32, hasNext: bool): void {
  const slot = load<u32>(F, P_ENTRY);
  if (kind == KIND_SLOAD) {
    if (!hasNext || load<i32>(RECORD, STACK_HEIGHT) <= 0) return;
    needWords(1);
    sloadValue(slot, word(0));
  } else if (kind == KIND_SSTORE) {
    sstoreValue(slot, storeClass);
    if (hasNext && fact32(FACT_REFUND_POINT) == POINT_BEFORE) {
      store<i64>(F, refundOfRecord(load<u32>(RECORD, FLAGS)), P_REFUND);
    }
  } else if (kind == KIND_SELFDESTRUCT) selfdestructRefund();
}

function isBelievable(): bool {
  if ((load<u32>(F, P_FLAGS) & COST_NEGATIVE) == 0 && load<u64>(F, P_RAW) < BEYOND) return true;
  impossibleCosts++;
  return false;
}

/** The innermost frame ends with its waiting structlog, which did not fail. */
export function resolveLast(): void {
  const kind = load<i32>(F, P_KIND);
  const printed = printedCost();
  if (kind <= KIND_JUMPI) {
    if (isBelievable() && printed != constantPrice()) wrongPrice(printed, constantPrice());
    finishPlain(printed);
  } else if (kind == KIND_STOP) {
    if (isBelievable() && printed != 0) wrongPrice(printed, 0);
    finish(0, 0, 0, 0);
  } else if (kind == KIND_RETURN && load<u32>(F, P_OPERANDS) != 0) {
    const expansion = load<u64>(F, P_EXPANSION);
    const gas = load<u64>(F, P_GAS);
    if (isBelievable() && printed != expansion) wrongPrice(printed, expansion);
    const used = expansion < gas ? expansion : gas;
    finish(used, used, used, 0);
  } else settle(kind, printed, false);
  dropTexts(load<u32>(F, P_FLAGS));
}

/** The innermost frame was halted by its waiting structlog, which takes all gas that is left. */
export function resolveFailed(): void {
  const kind = load<i32>(F, P_KIND);
  const gas = load<u64>(F, P_GAS);
  if (kind == KIND_CALL || kind == KIND_CREATE) failCall(kind == KIND_CALL);
  else {
    const words = kind <= KIND_JUMPI ? load<u64>(F, F_WORDS) : load<u64>(F, P_BEFORE);
    const cold: u32 = kind <= KIND_JUMPI ? 0 : load<u32>(F, P_SET_COLD);
    const child: u64 = kind == KIND_ODD ? load<u64>(F, P_CHILD_USED) : 0;
    const self = child < gas ? gas - child : 0;
    emitRow(gas, self, printedCost(), 0);
    addSums(self, gas - self, words, words, 0, cold);
    store<u64>(F, load<u64>(F, F_USED) + gas, F_USED);
  }
  dropTexts(load<u32>(F, P_FLAGS));
}
