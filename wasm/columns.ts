/**
 * The block of structlog rows: columns as `StructlogColumns` describes them, filled row by row and handed to the host when
 * one of rows, path values or text bytes is full. A row is written once it is final.
 */
import {
  BLOCK_PATHS,
  BLOCK_ROWS,
  ERROR_CAPACITY,
  OPERATION_HASHES,
  PATH,
  RETURN_DATA_CAPACITY,
  ROW_CALL_TO,
  ROW_CALL_TO_NULLS,
  ROW_DEPTH,
  ROW_ERROR,
  ROW_ERROR_NULLS,
  ROW_FRAME_ID,
  ROW_GAS,
  ROW_GAS_COST,
  ROW_GAS_SELF,
  ROW_GAS_USED,
  ROW_INDEX,
  ROW_OPERATION,
  ROW_PATH_ENDS,
  ROW_PATHS,
  ROW_PC,
  ROW_REFUND,
  ROW_REFUND_NULLS,
  ROW_RETURN,
  ROW_RETURN_NULLS,
} from "./layout";
import { structlogBlock } from "./host";
import { HAS_ERROR, HAS_RETURN_DATA } from "./record";
import { intHash64, K1, K10, K11, K12, K2, K3, K4, K5, K6, K7, K8, K9, presentCell, textCell } from "./checksum";
import { isRefundUnknown } from "./refund";
import {
  F,
  F_CELLS,
  F_ID,
  level,
  P_DEPTH,
  P_ERROR_LENGTH,
  P_FLAGS,
  P_GAS,
  P_INDEX,
  P_OPERATION,
  P_PC,
  P_REFUND,
  P_RETURN_LENGTH,
  P_TEXTS,
} from "./state";

let filled: usize = 0;
let pathValues: usize = 0;
export let rowChecksum: u64 = 0;

/*
 * Most rows have no text. The text columns of an empty block are all null (1 in the nulls, a zero byte in the bytes), so a
 * row without text writes nothing: a column's bytes end at `end` plus one for each row since `row`.
 */
let returnEnd: usize = 0;
let returnRow: usize = 0;
let errorEnd: usize = 0;
let errorRow: usize = 0;
let callToEnd: usize = 0;
let callToRow: usize = 0;
let isPrepared: u32 = 0;

export function resetColumns(): void {
  if (isPrepared == 0) {
    isPrepared = 1;
    memory.fill(ROW_RETURN_NULLS, 1, BLOCK_ROWS);
    memory.fill(ROW_ERROR_NULLS, 1, BLOCK_ROWS);
    memory.fill(ROW_CALL_TO_NULLS, 1, BLOCK_ROWS);
  }
  clearBlock();
  rowChecksum = 0;
}

export function flushRows(): void {
  if (filled == 0) return;
  structlogBlock(
    filled as u32,
    pathValues as u32,
    (returnEnd + filled - returnRow) as u32,
    (errorEnd + filled - errorRow) as u32,
    (callToEnd + filled - callToRow) as u32,
  );
  clearBlock();
}

/** Makes the block empty, its texts null again. */
function clearBlock(): void {
  clearTexts(ROW_RETURN_NULLS, returnRow, ROW_RETURN, returnEnd);
  clearTexts(ROW_ERROR_NULLS, errorRow, ROW_ERROR, errorEnd);
  clearTexts(ROW_CALL_TO_NULLS, callToRow, ROW_CALL_TO, callToEnd);
  returnEnd = 0;
  returnRow = 0;
  errorEnd = 0;
  errorRow = 0;
  callToEnd = 0;
  callToRow = 0;
  filled = 0;
  pathValues = 0;
}

function clearTexts(nulls: usize, row: usize, bytes: usize, end: usize): void {
  if (end == 0) return;
  memory.fill(nulls, 1, row);
  memory.fill(bytes, 0, end);
}

/** Writes varint length and bytes; returns how many. */
export function putText(to: usize, from: usize, length: usize): usize {
  let at = to;
  let rest = length;
  while (rest > 127) {
    store<u8>(at++, (rest as u8) | 128);
    rest >>= 7;
  }
  store<u8>(at++, rest as u8);
  memory.copy(at, from, length);
  return at + length - to;
}

/** Most bytes that a varint length takes. */
const LENGTH_BYTES: usize = 5;

function hexOf(nibble: u64): u8 {
  return (nibble + (nibble > 9 ? 87 : 48)) as u8;
}

function putHex(to: usize, value: u64, digits: i32): void {
  let rest = value;
  for (let at = digits - 1; at >= 0; at--) {
    store<u8>(to + at, hexOf(rest & 15));
    rest >>= 4;
  }
}

export const ADDRESS_TEXT_BYTES: usize = 43;

/** Writes length and text of the address in three limbs; the text begins behind one byte. */
export function putAddress(to: usize, limbs: usize): void {
  store<u8>(to, 42);
  store<u16>(to, 0x7830, 1);
  putHex(to + 3, load<u64>(limbs, 16), 8);
  putHex(to + 11, load<u64>(limbs, 8), 16);
  putHex(to + 27, load<u64>(limbs), 16);
}

/** Copies u32 values; up to 12 bytes behind the end are overwritten. */

export function copyPath(to: usize, values: usize): void {
  const bytes = values << 2;
  if (bytes > 256) {
    memory.copy(to, PATH, bytes);
    return;
  }
  for (let at: usize = 0; at < bytes; at += 16) v128.store(to + at, v128.load(PATH + at));
}

/** Writes the waiting structlog of the innermost frame; `callTo` are the limbs of the address that it calls, or 0. */
export function emitRow(used: u64, self: u64, cost: u64, callTo: usize): void {
  const pathLength = (level as usize) + 1;
  const flags = load<u32>(F, P_FLAGS);
  const texts = flags & (HAS_RETURN_DATA | HAS_ERROR);
  if (filled == BLOCK_ROWS || pathValues + pathLength + 4 > (BLOCK_PATHS as usize)) flushRows();
  if (texts != 0) makeRoomForTexts();

  const row = filled;
  const at8 = row << 3;
  const at4 = row << 2;
  const at2 = row << 1;
  const index = load<u32>(F, P_INDEX);
  const pc = load<u32>(F, P_PC);
  const operation = load<u32>(F, P_OPERATION);
  const gas = load<u64>(F, P_GAS);
  const depth = load<u32>(F, P_DEPTH);
  store<u64>(at8, gas, ROW_GAS);
  store<u64>(at8, cost, ROW_GAS_COST);
  store<u64>(at8, used, ROW_GAS_USED);
  store<u64>(at8, self, ROW_GAS_SELF);
  store<u32>(at4, index, ROW_INDEX);
  store<u32>(at4, pc, ROW_PC);
  store<u32>(at4, load<u32>(F, F_ID), ROW_FRAME_ID);
  store<u16>(at2, operation as u16, ROW_OPERATION);
  store<u16>(at2, depth as u16, ROW_DEPTH);
  copyPath(ROW_PATHS + (pathValues << 2), pathLength);
  pathValues += pathLength;
  store<u64>(at8, pathValues as u64, ROW_PATH_ENDS);

  let cells = load<u64>(F, F_CELLS) + (index as u64) * K1 + (pc as u64) * K2 +
    load<u64>((operation as usize) << 3, OPERATION_HASHES) * K3 + gas * K4 + cost * K5 + used * K6 + self * K7 +
    (depth as u64) * K8;

  if (isRefundUnknown != 0) {
    store<u8>(row, 1, ROW_REFUND_NULLS);
    store<u64>(at8, 0, ROW_REFUND);
  } else {
    const refund = load<i64>(F, P_REFUND);
    const stored: u64 = refund < 0 ? 0 : refund as u64;
    store<u8>(row, 0, ROW_REFUND_NULLS);
    store<u64>(at8, stored, ROW_REFUND);
    cells += presentCell(stored) * K10;
  }
  if (texts != 0) cells += putTexts(row, flags);
  if (callTo != 0) {
    const at = ROW_CALL_TO + callToEnd + row - callToRow;
    putAddress(at, callTo);
    store<u8>(ROW_CALL_TO_NULLS + row, 0);
    cells += textCell(at + 1, 42) * K12;
    callToEnd = at + ADDRESS_TEXT_BYTES - ROW_CALL_TO;
    callToRow = row + 1;
  }
  rowChecksum += intHash64(cells);
  filled = row + 1;
}

/** Every later row of the block still needs a byte in each text column. */
function makeRoomForTexts(): void {
  const returned = (load<u32>(F, P_RETURN_LENGTH) as usize) + LENGTH_BYTES + BLOCK_ROWS;
  const error = (load<u32>(F, P_ERROR_LENGTH) as usize) + LENGTH_BYTES + BLOCK_ROWS;
  if (returnEnd + returned > (RETURN_DATA_CAPACITY as usize) || errorEnd + error > (ERROR_CAPACITY as usize)) {
    flushRows();
  }
}

function putTexts(row: usize, flags: u32): u64 {
  let cells: u64 = 0;
  let from = load<u32>(F, P_TEXTS) as usize;
  if ((flags & HAS_RETURN_DATA) != 0) {
    const length = load<u32>(F, P_RETURN_LENGTH) as usize;
    const at = returnEnd + row - returnRow;
    store<u8>(ROW_RETURN_NULLS + row, 0);
    returnEnd = at + putText(ROW_RETURN + at, from, length);
    returnRow = row + 1;
    cells += textCell(from, length) * K9;
    from += length;
  }
  if ((flags & HAS_ERROR) != 0) {
    const length = load<u32>(F, P_ERROR_LENGTH) as usize;
    const at = errorEnd + row - errorRow;
    store<u8>(ROW_ERROR_NULLS + row, 0);
    errorEnd = at + putText(ROW_ERROR + at, from, length);
    errorRow = row + 1;
    cells += textCell(from, length) * K11;
  }
  return cells;
}
