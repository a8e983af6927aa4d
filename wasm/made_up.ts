/**
 * TRACE 1.6: two clients print a STOP for something that executes no opcode. A structlog that may be one waits until the
 * next one shows whether it is.
 */
import { FACT_MADE_UP_STOP, IS_CREATION, IS_INPUT_EMPTY, MADE_UP_CALLS, MADE_UP_NONE } from "./facts";
import { KIND_CALL, KIND_CREATE, STOP } from "./kinds";
import { HELD, HELD_TEXTS, HELD_TEXTS_BYTES } from "./layout";
import { ERROR_TEXT, FLAGS, HAS_ERROR, HAS_RETURN_DATA, OP, PC, RECORD, RECORD_BYTES, RETURN_TEXT } from "./record";
import { F, F_DEPTH, fact32, is, isOpen, P_KIND, P_OPERANDS, P_SIZE } from "./state";

/** Structlogs that were dropped. */
export let dropped: u32 = 0;
/** 1 while a structlog lies at HELD. */
export let isHeld: u32 = 0;
let mode: u32 = 0;
/** 1 when the next structlog is the first one, or follows a call or create behind which one may be made up. */
export let isSpecialNext: u32 = 0;
/** Depth of the call or create before the one at HELD; 0 when it was the first of the reply. */
let openedAt: u32 = 0;

export function resetMadeUp(): void {
  dropped = 0;
  isHeld = 0;
  mode = fact32(FACT_MADE_UP_STOP);
}

export function expectSpecial(): void {
  isSpecialNext = 1;
}

/** The newest structlog is a call, or a create of `size` bytes of init code. */
export function expectMadeUp(isCall: bool, size: u64): void {
  if (isCall ? mode == MADE_UP_CALLS : mode != MADE_UP_NONE && size == 0) isSpecialNext = 1;
}

/** Whether this client makes up structlogs at all. */

export function mayBeMadeUp(): bool {
  return mode != MADE_UP_NONE;
}

/** Keeps the structlog in the record back when it may be made up. `depth` is its depth in the frames' count. */
export function hold(depth: u32): bool {
  if (load<i32>(RECORD, OP) != (STOP as i32) || load<u32>(RECORD, PC) != 0) return false;
  if (isOpen == 0) {
    if (mode != MADE_UP_CALLS && !(is(IS_CREATION) && is(IS_INPUT_EMPTY))) return false;
    openedAt = 0;
  } else {
    const kind = load<i32>(F, P_KIND);
    const isEmptyCreate = kind == KIND_CREATE && load<u32>(F, P_OPERANDS) != 0 && load<u64>(F, P_SIZE) == 0;
    openedAt = load<u32>(F, F_DEPTH);
    if (depth != openedAt + 1 || !(isEmptyCreate || (mode == MADE_UP_CALLS && kind == KIND_CALL))) return false;
  }
  const flags = load<u32>(RECORD, FLAGS);
  const returned = (flags & HAS_RETURN_DATA) != 0 ? load<u32>(RECORD, RETURN_TEXT + 4) as usize : 0;
  const error = (flags & HAS_ERROR) != 0 ? load<u32>(RECORD, ERROR_TEXT + 4) as usize : 0;
  if (returned + error > (HELD_TEXTS_BYTES as usize)) return false;
  memory.copy(HELD, RECORD, RECORD_BYTES);
  if (returned != 0) memory.copy(HELD_TEXTS, load<u32>(RECORD, RETURN_TEXT), returned);
  if (error != 0) memory.copy(HELD_TEXTS + returned, load<u32>(RECORD, ERROR_TEXT), error);
  store<u32>(HELD, HELD_TEXTS as u32, RETURN_TEXT);
  store<u32>(HELD, (HELD_TEXTS + returned) as u32, ERROR_TEXT);
  isHeld = 1;
  return true;
}

/** Whether the held structlog is made up, now that the next one has this depth. */
export function isMadeUp(depth: u32): bool {
  return depth <= openedAt;
}

/** The held structlog is dropped. */
export function drop(): void {
  isHeld = 0;
  dropped++;
}

/** Puts the held structlog into the record; the one that lay there is at HELD afterwards. */
export function swapHeld(): void {
  isHeld = 0;
  for (let at: usize = 0; at < (RECORD_BYTES as usize); at += 8) {
    const held = load<u64>(HELD + at);
    store<u64>(HELD + at, load<u64>(RECORD + at));
    store<u64>(RECORD + at, held);
  }
}

/** The structlog at HELD goes back to the record. */
export function restoreRecord(): void {
  memory.copy(RECORD, HELD, RECORD_BYTES);
}
