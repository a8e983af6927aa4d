/** H1 (TRACE 8.2): a frame that halts has a reason; and the destinations that rule a bad jump out. */
import { JUMPDESTS, JUMPDESTS_BYTES, OPCODE_BYTES, OPCODES } from "./layout";
import { FACT_COLD_ACCOUNT, FACT_COLD_SLOT, IS_BERLIN, IS_ISTANBUL, IS_LONDON, IS_PRAGUE, IS_SHANGHAI } from "./facts";
import {
  CALL,
  KIND_ACCOUNT,
  KIND_CALL,
  KIND_CREATE,
  KIND_EXTCODECOPY,
  KIND_JUMP,
  KIND_JUMPI,
  KIND_RETURN,
  KIND_SELFDESTRUCT,
  KIND_SLOAD,
  KIND_SSTORE,
  KIND_STOP,
  KIND_UNDEFINED,
  OPCODE_PRICE,
  OPCODE_WRITES,
  RETURNDATACOPY,
} from "./kinds";
import { COST_NEGATIVE, HAS_ERROR } from "./record";
import {
  F,
  F_STATIC,
  fact32,
  HEIGHT_IMPOSSIBLE,
  HEIGHT_UNKNOWN,
  is,
  level,
  P_EXPANSION,
  P_FLAGS,
  P_GAS,
  P_KIND,
  P_NEXT_HEIGHT,
  P_NEXT_PC,
  P_OP,
  P_PRICE,
  P_RAW,
  P_SIZE,
  P_TOO_LARGE,
  P_VALUE,
  UNPAYABLE,
} from "./state";
import { wordsOf } from "./memory_words";

const LARGEST_CODE: u64 = 24576;
const CALL_STIPEND: u64 = 2300;
const NEW_ACCOUNT: u64 = 25000;

let lowest: usize = JUMPDESTS_BYTES;
let highest: usize = 0;

export function resetJumpdests(): void {
  if (highest >= lowest) memory.fill(JUMPDESTS + lowest, 0, highest + 1 - lowest);
  lowest = JUMPDESTS_BYTES;
  highest = 0;
}

/** The root frame executed a JUMPDEST at this pc. */

export function markJumpdest(pc: u32): void {
  const at = (pc >> 3) as usize;
  if (at >= (JUMPDESTS_BYTES as usize)) return;
  if (at < lowest) lowest = at;
  if (at > highest) highest = at;
  store<u8>(JUMPDESTS + at, load<u8>(JUMPDESTS + at) | (1 << ((pc as u8) & 7)));
}

function isJumpdest(pc: u64): bool {
  const at = pc >> 3;
  return at < (JUMPDESTS_BYTES as u64) && (load<u8>(JUMPDESTS + (at as usize)) & (1 << ((pc as u8) & 7))) != 0;
}

/** Whether the waiting structlog of the innermost frame can have halted it. */
export function canHalt(): bool {
  const flags = load<u32>(F, P_FLAGS);
  const gas = load<u64>(F, P_GAS);
  const kind = load<i32>(F, P_KIND);
  if ((flags & HAS_ERROR) != 0 || kind == KIND_UNDEFINED || load<i32>(F, P_NEXT_HEIGHT) == HEIGHT_UNKNOWN) return true;
  if ((flags & COST_NEGATIVE) == 0 && load<u64>(F, P_RAW) > gas) return true;
  if (load<i32>(F, P_NEXT_HEIGHT) == HEIGHT_IMPOSSIBLE) return true;
  const op = load<u32>(F, P_OP);
  if (op == RETURNDATACOPY) return true;
  if (kind == KIND_JUMP || (kind == KIND_JUMPI && load<u32>(F, P_VALUE) != 0)) {
    if (level != 0 || !isJumpdest(load<u64>(F, P_NEXT_PC))) return true;
  }
  if (load<u32>(F, F_STATIC) != 0) {
    if (load<u8>(OPCODES + (op as usize) * OPCODE_BYTES, OPCODE_WRITES) != 0) return true;
    if (op == CALL && load<u32>(F, P_VALUE) != 0) return true;
  }
  if (kind == KIND_SSTORE && gas <= CALL_STIPEND && is(IS_ISTANBUL)) return true;
  if (kind == KIND_CREATE && is(IS_SHANGHAI) && load<u64>(F, P_SIZE) > 2 * LARGEST_CODE) return true;
  return largestCost(kind, op) > gas;
}

function largestCost(kind: i32, op: u32): u64 {
  const constant = load<u32>(OPCODES + (op as usize) * OPCODE_BYTES, OPCODE_PRICE) as u64;
  if (kind <= KIND_JUMPI) return constant;
  if (kind == KIND_STOP) return 0;
  if (kind == KIND_SLOAD) return fact32(FACT_COLD_SLOT) as u64;
  if (kind == KIND_SSTORE) return 20000 + (is(IS_BERLIN) ? fact32(FACT_COLD_SLOT) as u64 : 0);
  if (kind == KIND_ACCOUNT) return is(IS_BERLIN) ? fact32(FACT_COLD_ACCOUNT) as u64 : constant;
  if (kind == KIND_SELFDESTRUCT) return 5000 + NEW_ACCOUNT + (is(IS_BERLIN) ? fact32(FACT_COLD_ACCOUNT) as u64 : 0);
  if (load<u32>(F, P_TOO_LARGE) != 0) return UNPAYABLE;
  const expansion = load<u64>(F, P_EXPANSION);
  if (kind == KIND_RETURN) return expansion;
  if (kind == KIND_EXTCODECOPY) return fact32(FACT_COLD_ACCOUNT) as u64 + 3 * wordsOf(load<u64>(F, P_SIZE)) + expansion;
  if (kind == KIND_CALL) {
    const account = fact32(FACT_COLD_ACCOUNT) as u64;
    return account + expansion + (load<u32>(F, P_VALUE) != 0 ? 9000 + NEW_ACCOUNT : 0) + (is(IS_PRAGUE) ? account : 0);
  }
  return load<u64>(F, P_PRICE);
}

/** Whether the code that the waiting RETURN hands over can have been refused. */
export function canRefuseDeposit(): bool {
  const size = load<u64>(F, P_SIZE);
  if (load<i32>(F, P_NEXT_HEIGHT) == HEIGHT_UNKNOWN || size > LARGEST_CODE) return true;
  return 200 * size > load<u64>(F, P_GAS) - load<u64>(F, P_EXPANSION) || (is(IS_LONDON) && size > 0);
}
