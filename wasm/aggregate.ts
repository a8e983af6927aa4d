/** TRACE 9: sums per (frame, opcode), and the block of aggregate rows, as `FrameColumns` describes it. */
import {
  AGG_CALL_TYPE,
  AGG_COLD,
  AGG_COUNT,
  AGG_DEPTH,
  AGG_ERRORS,
  AGG_EXPANSION,
  AGG_FRAME_ID,
  AGG_GAS,
  AGG_GAS_CUMULATIVE,
  AGG_INTRINSIC,
  AGG_INTRINSIC_NULLS,
  AGG_MAX_DEPTH,
  AGG_MIN_DEPTH,
  AGG_OPERATION,
  AGG_PARENT_ID,
  AGG_PARENT_NULLS,
  AGG_PATH_ENDS,
  AGG_PATHS,
  AGG_PATHS_VALUES,
  AGG_REFUND,
  AGG_REFUND_NULLS,
  AGG_ROWS,
  AGG_SQUARES_AFTER,
  AGG_SQUARES_BEFORE,
  AGG_TARGET,
  AGG_TARGET_NULLS,
  AGG_WORDS_AFTER,
  AGG_WORDS_BEFORE,
  OPERATION_HASHES,
  SUM_BYTES,
  SUMS,
  SUMS_OF_FRAME,
  TARGET_TEXT,
  TOUCHED,
  TOUCHED_BYTES,
} from "./layout";
import {
  intHash64,
  K1,
  K10,
  K11,
  K12,
  K13,
  K14,
  K15,
  K16,
  K17,
  K18,
  K19,
  K2,
  K20,
  K21,
  K3,
  K4,
  K5,
  K6,
  K7,
  K8,
  K9,
  PATH_STEP,
  presentCell,
  textCell,
} from "./checksum";
import { frameBlock } from "./host";
import { ADDRESS_TEXT_BYTES, copyPath, putAddress } from "./columns";
import { OPERATION_NONE } from "./kinds";
import {
  F,
  F_DEPTH,
  F_HAS_TARGET,
  F_ID,
  F_PATH_CELL,
  F_SQUARES,
  F_TARGET,
  F_TOUCHED,
  F_TYPE,
  F_USED,
  F_WORDS,
  level,
  P_OP,
  P_OPERATION,
} from "./state";

/* Sums of an operation in a frame. Words are those before; what is afterwards is kept as the difference. */
const S_COUNT = 0; // u32
const S_COLD = 4; // u32
const S_GAS = 8; // u64: gas_self without the share of precompiles
const S_CHILD = 16; // u64: gas_used - gas_self + share
const S_WORDS = 24; // u64
const S_SQUARES = 32; // u64
const S_MORE_WORDS = 40; // u64
const S_MORE_SQUARES = 48; // u64
const S_EXPANSION = 56; // u64

const UNDEFINED_SLOT: u32 = 256;

let filled: usize = 0;
let pathValues: usize = 0;
let targetBytes: usize = 0;
export let aggregateChecksum: u64 = 0;
export let aggregateRows: u32 = 0;

/* The row to be written. */
let hasTarget: u32 = 0;
let targetCell: u64 = 0;
let summaryRefund: i64 = 0;
let hasSummaryRefund: u32 = 0;
let summaryIntrinsic: u64 = 0;
let hasSummaryIntrinsic: u32 = 0;

export function resetAggregate(): void {
  filled = 0;
  pathValues = 0;
  targetBytes = 0;
  aggregateChecksum = 0;
  aggregateRows = 0;
}

/** Empties the sums of the innermost frame, whoever left them. */
export function clearSums(): void {
  const touched = load<u32>(F, F_TOUCHED);
  const list = TOUCHED + (level as usize) * TOUCHED_BYTES;
  for (let position: u32 = 0; position < touched; position++) {
    const slot = load<u16>(list + ((position as usize) << 1)) as usize;
    memory.fill(SUMS + (level as usize) * SUMS_OF_FRAME + slot * SUM_BYTES, 0, SUM_BYTES);
  }
  store<u32>(F, 0, F_TOUCHED);
}

function sumsOf(slot: u32): usize {
  const sums = SUMS + (level as usize) * SUMS_OF_FRAME + (slot as usize) * SUM_BYTES;
  const count = load<u32>(sums, S_COUNT);
  store<u32>(sums, count + 1, S_COUNT);
  if (count == 0) {
    const touched = load<u32>(F, F_TOUCHED);
    store<u16>(TOUCHED + (level as usize) * TOUCHED_BYTES + ((touched as usize) << 1), slot as u16);
    store<u32>(F, touched + 1, F_TOUCHED);
  }
  return sums;
}

/** Adds a structlog that neither expands memory nor opens a frame nor accesses anything. */
export function addPlain(used: u64): void {
  const sums = sumsOf(load<u32>(F, P_OP));
  store<u64>(sums, load<u64>(sums, S_GAS) + used, S_GAS);
  v128.store(sums, i64x2.add(v128.load(sums, S_WORDS), v128.load(F, F_WORDS)), S_WORDS);
}

/** Adds any structlog: `child` is what of `gas + child` its frame or precompile used. */
export function addSums(gas: u64, child: u64, before: u64, after: u64, expansion: u64, cold: u32): void {
  const sums = sumsOf(load<u32>(F, P_OP));
  store<u32>(sums, load<u32>(sums, S_COLD) + cold, S_COLD);
  store<u64>(sums, load<u64>(sums, S_GAS) + gas, S_GAS);
  store<u64>(sums, load<u64>(sums, S_CHILD) + child, S_CHILD);
  store<u64>(sums, load<u64>(sums, S_WORDS) + before, S_WORDS);
  store<u64>(sums, load<u64>(sums, S_SQUARES) + before * before, S_SQUARES);
  store<u64>(sums, load<u64>(sums, S_MORE_WORDS) + after - before, S_MORE_WORDS);
  store<u64>(sums, load<u64>(sums, S_MORE_SQUARES) + after * after - before * before, S_MORE_SQUARES);
  store<u64>(sums, load<u64>(sums, S_EXPANSION) + expansion, S_EXPANSION);
}

export function flushFrames(): void {
  if (filled == 0) return;
  frameBlock(filled as u32, pathValues as u32, targetBytes as u32);
  filled = 0;
  pathValues = 0;
  targetBytes = 0;
}

/** Writes one row. `child` ids a codeless frame below the innermost one, or is 0. */
function put(
  child: u32,
  type: u32,
  operation: u32,
  minDepth: u32,
  maxDepth: u32,
  count: u64,
  errors: u64,
  gas: u64,
  cumulative: u64,
  wordsBefore: u64,
  wordsAfter: u64,
  squaresBefore: u64,
  squaresAfter: u64,
  expansion: u64,
  cold: u64,
): void {
  const isSummary = operation == OPERATION_NONE;
  const ownLength = (level as usize) + 1;
  const pathLength = child != 0 ? ownLength + 1 : ownLength;
  if (filled == AGG_ROWS || pathValues + pathLength + 5 > (AGG_PATHS as usize)) flushFrames();
  const row = filled;
  const at8 = row << 3;
  const at4 = row << 2;
  const id = child != 0 ? child : load<u32>(F, F_ID);
  const depth = (pathLength - 1) as u32;
  let pathCell = load<u64>(F, F_PATH_CELL);
  const path = AGG_PATHS_VALUES + (pathValues << 2);
  copyPath(path, ownLength);
  if (child != 0) {
    store<u32>(path + (ownLength << 2), child);
    pathCell += pathElement(child, pathLength as u32);
  }
  pathValues += pathLength;
  store<u64>(AGG_PATH_ENDS + at8, pathValues as u64);
  store<u32>(AGG_FRAME_ID + at4, id);
  let cells = (id as u64) * K1 + pathCell * K3 + (depth as u64) * K4;
  if (depth == 0) {
    store<u8>(AGG_PARENT_NULLS + row, 1);
    store<u32>(AGG_PARENT_ID + at4, 0);
  } else {
    const parent = load<u32>(path + ((depth as usize) << 2) - 4);
    store<u8>(AGG_PARENT_NULLS + row, 0);
    store<u32>(AGG_PARENT_ID + at4, parent);
    cells += presentCell(parent as u64) * K2;
  }
  store<u32>(AGG_DEPTH + at4, depth);
  store<u32>(AGG_MIN_DEPTH + at4, minDepth);
  store<u32>(AGG_MAX_DEPTH + at4, maxDepth);
  store<u16>(AGG_CALL_TYPE + (row << 1), type as u16);
  store<u16>(AGG_OPERATION + (row << 1), operation as u16);
  if (hasTarget == 0) {
    store<u8>(AGG_TARGET_NULLS + row, 1);
    store<u8>(AGG_TARGET + targetBytes, 0);
    targetBytes++;
  } else {
    const at = AGG_TARGET + targetBytes;
    store<u8>(AGG_TARGET_NULLS + row, 0);
    v128.store(at, v128.load(TARGET_TEXT));
    v128.store(at, v128.load(TARGET_TEXT, 16), 16);
    v128.store(at, v128.load(TARGET_TEXT, 32), 32);
    cells += targetCell;
    targetBytes += ADDRESS_TEXT_BYTES;
  }
  store<u64>(AGG_COUNT + at8, count);
  store<u64>(AGG_ERRORS + at8, errors);
  store<u64>(AGG_GAS + at8, gas);
  store<u64>(AGG_GAS_CUMULATIVE + at8, cumulative);
  store<u64>(AGG_WORDS_BEFORE + at8, wordsBefore);
  store<u64>(AGG_WORDS_AFTER + at8, wordsAfter);
  store<u64>(AGG_SQUARES_BEFORE + at8, squaresBefore);
  store<u64>(AGG_SQUARES_AFTER + at8, squaresAfter);
  store<u64>(AGG_EXPANSION + at8, expansion);
  store<u64>(AGG_COLD + at8, cold);
  const refundNull = isSummary && depth == 0 && hasSummaryRefund == 0;
  const refund: u64 = isSummary && depth == 0 && !refundNull ? summaryRefund as u64 : 0;
  store<u8>(AGG_REFUND_NULLS + row, refundNull ? 1 : 0);
  store<u64>(AGG_REFUND + at8, refund);
  if (!refundNull) cells += presentCell(refund) * K14;
  const hasIntrinsic = isSummary && depth == 0 && hasSummaryIntrinsic != 0;
  store<u8>(AGG_INTRINSIC_NULLS + row, hasIntrinsic ? 0 : 1);
  store<u64>(AGG_INTRINSIC + at8, hasIntrinsic ? summaryIntrinsic : 0);
  if (hasIntrinsic) cells += presentCell(summaryIntrinsic) * K15;
  cells += load<u64>(OPERATION_HASHES + ((type as usize) << 3)) * K6 +
    load<u64>(OPERATION_HASHES + ((operation as usize) << 3)) * K7 + count * K8 + errors * K9 + gas * K10 +
    cumulative * K11 + (minDepth as u64) * K12 + (maxDepth as u64) * K13 + wordsBefore * K16 + wordsAfter * K17 +
    squaresBefore * K18 + squaresAfter * K19 + expansion * K20 + cold * K21;
  aggregateChecksum += intHash64(cells);
  aggregateRows++;
  filled = row + 1;
}

/** All rows of a frame have one target: `limbs` of its address, or 0. */
function setTarget(limbs: usize): void {
  hasTarget = limbs == 0 ? 0 : 1;
  if (limbs == 0) return;
  putAddress(TARGET_TEXT, limbs);
  targetCell = textCell(TARGET_TEXT + 1, 42) * K5;
}

/** Share of an element in the cell of a path; `position` counts from 1. */

export function pathElement(id: u32, position: u32): u64 {
  return intHash64((id as u64) + (position as u64) * PATH_STEP);
}

/** Rows of the opcodes of the innermost frame and its summary. `failed` is the EVM byte (or 256) that halted it, or -1. */
export function emitFrame(failed: i32, extraErrors: u64): void {
  setTarget(load<u32>(F, F_HAS_TARGET) != 0 ? F + F_TARGET : 0);
  const type = load<u32>(F, F_TYPE);
  const depth = load<u32>(F, F_DEPTH);
  const touched = load<u32>(F, F_TOUCHED);
  const list = TOUCHED + (level as usize) * TOUCHED_BYTES;
  let count: u64 = 0;
  let gas: u64 = 0;
  let wordsBefore: u64 = 0;
  let wordsAfter: u64 = 0;
  let squaresBefore: u64 = 0;
  let squaresAfter: u64 = 0;
  let expansion: u64 = 0;
  let cold: u64 = 0;
  for (let position: u32 = 0; position < touched; position++) {
    const slot = load<u16>(list + ((position as usize) << 1)) as u32;
    const sums = SUMS + (level as usize) * SUMS_OF_FRAME + (slot as usize) * SUM_BYTES;
    const before = load<u64>(sums, S_WORDS);
    const after = before + load<u64>(sums, S_MORE_WORDS);
    const before2 = load<u64>(sums, S_SQUARES);
    const after2 = before2 + load<u64>(sums, S_MORE_SQUARES);
    const own = load<u64>(sums, S_GAS);
    put(
      0,
      type,
      slot == UNDEFINED_SLOT ? load<u32>(F, P_OPERATION) : slot,
      depth,
      depth,
      load<u32>(sums, S_COUNT) as u64,
      failed == (slot as i32) ? 1 : 0,
      own,
      own + load<u64>(sums, S_CHILD),
      before,
      after,
      before2,
      after2,
      load<u64>(sums, S_EXPANSION),
      load<u32>(sums, S_COLD) as u64,
    );
    count += load<u32>(sums, S_COUNT) as u64;
    gas += own;
    wordsBefore += before;
    wordsAfter += after;
    squaresBefore += before2;
    squaresAfter += after2;
    expansion += load<u64>(sums, S_EXPANSION);
    cold += load<u32>(sums, S_COLD) as u64;
  }
  clearSums();
  put(
    0,
    type,
    OPERATION_NONE,
    level,
    level,
    count,
    (failed >= 0 ? 1 : 0) + extraErrors,
    gas,
    load<u64>(F, F_USED),
    wordsBefore,
    wordsAfter,
    squaresBefore,
    squaresAfter,
    expansion,
    cold,
  );
}

/** What only the root's summary has. */
export function setRootSummary(hasRefund: u32, refund: i64, hasIntrinsic: u32, intrinsic: u64): void {
  hasSummaryRefund = hasRefund;
  summaryRefund = refund;
  hasSummaryIntrinsic = hasIntrinsic;
  summaryIntrinsic = intrinsic;
}

/** Summary of a frame without structlogs below the innermost one. */
export function emitCodeless(id: u32, type: u32, target: usize, share: u64, errors: u64): void {
  setTarget(target);
  put(id, type, OPERATION_NONE, level + 1, level + 1, 0, errors, share, share, 0, 0, 0, 0, 0, 0);
}
