/**
 * The semantics of a trace (TRACE.md): takes normalised structlogs one by one, leaves rows of both tables in the column
 * blocks and the facts of the proof at RESULT. One structlog waits per open frame; the next one of that frame resolves it.
 */
import { MAX_OPERATIONS, OPERATION_HASHES, SCRATCH } from "./layout";
import { DEPTH, RECORD } from "./record";
import { resetAccess, warmInitialAccounts, warmInitialSlots } from "./access";
import { clearSums, resetAggregate } from "./aggregate";
import { resetCalls } from "./calls";
import { textCell } from "./checksum";
import { resetColumns } from "./columns";
import { changeDepth, openEmptyRoot, openRoot } from "./frames";
import { resetGas, resolveNext, take } from "./gas";
import { resetJumpdests } from "./halts";
import {
  drop,
  expectSpecial,
  hold,
  isHeld,
  isMadeUp,
  isSpecialNext,
  mayBeMadeUp,
  resetMadeUp,
  restoreRecord,
  swapHeld,
} from "./made_up";
import { noteFirstCounter, prove } from "./proof";
import { resetRefund } from "./refund";
import { resetSlots } from "./slots";
import { F, F_DEPTH, isOpen, level, popFrame, resetState } from "./state";
import { resetTexts } from "./texts";
import { resetViolations } from "./violations";

/** 1 when depths are counted from 0. */
let shift: u32 = 0;

/** Forgets what an earlier transaction left behind, given up half-way or not, and takes the facts at FACTS. */
export function beginTransaction(): void {
  clearSums();
  while (level > 0) {
    popFrame();
    clearSums();
  }
  resetState();
  resetViolations();
  resetAccess();
  resetSlots();
  resetAggregate();
  resetColumns();
  resetTexts();
  resetRefund();
  resetMadeUp();
  resetJumpdests();
  resetCalls();
  resetGas();
  openEmptyRoot();
  shift = 0;
  expectSpecial();
}

/** `count` words at SCRATCH + 64: accounts that are warm from the start. At most SCRATCH_BYTES / 64 - 1. */
export function warmAccounts(count: u32): void {
  warmInitialAccounts(count);
}

/** `count` pairs of words at SCRATCH + 64, account and slot: slots that are warm from the start. */
export function warmSlots(count: u32): void {
  warmInitialSlots(count);
}

/** The name of position `operation` of `operations` lies at SCRATCH. */
export function hashOperation(operation: u32, length: u32): void {
  if (operation < (MAX_OPERATIONS as u32)) {
    store<u64>(OPERATION_HASHES + ((operation as usize) << 3), textCell(SCRATCH, length));
  }
}

/** Takes the structlog in the record. */
export function structlog(): void {
  if (isSpecialNext != 0) return special();
  step(load<u32>(RECORD, DEPTH) + shift);
}

function step(depth: u32): void {
  if (depth == load<u32>(F, F_DEPTH)) resolveNext();
  else changeDepth(depth);
  take(depth);
}

function first(): void {
  shift = load<u32>(RECORD, DEPTH) == 0 ? 1 : 0;
  const depth = load<u32>(RECORD, DEPTH) + shift;
  openRoot(depth);
  take(depth);
  noteFirstCounter();
}

function special(): void {
  const depth = load<u32>(RECORD, DEPTH);
  if (isHeld != 0) {
    if (isOpen != 0 && isMadeUp(depth + shift)) drop();
    else {
      swapHeld();
      pass();
      restoreRecord();
    }
  }
  if (mayBeMadeUp() && hold(depth + shift)) return;
  isSpecialNext = 0;
  pass();
}

function pass(): void {
  if (isOpen == 0) first();
  else step(load<u32>(RECORD, DEPTH) + shift);
}

/** Closes all frames, evaluates the identities, hands over the last blocks, leaves the results at RESULT. */
export function endTransaction(): void {
  if (isHeld != 0) drop();
  prove();
}
