/**
 * Views of the column blocks that the semantics fill in the module's memory, without copying. The memory never grows, so
 * the full-size views are made once and each block is a prefix of them.
 */
import * as layout from "../../../wasm/layout.ts";
import type { FrameColumns, NullableStrings, StructlogColumns } from "./port.ts";

const { AGG_PATHS, AGG_ROWS, BLOCK_PATHS, BLOCK_ROWS } = layout;

/** Lengths of a structlog block: rows, path values, and bytes of each text column. */
export interface StructlogLengths {
  readonly rows: number;
  readonly pathValues: number;
  readonly returnBytes: number;
  readonly errorBytes: number;
  readonly callToBytes: number;
}

/** Lengths of a block of aggregate rows. */
export interface FrameLengths {
  readonly rows: number;
  readonly pathValues: number;
  readonly targetBytes: number;
}

/** Where the column blocks of one module instance lie. */
export class ColumnViews {
  readonly #structlog;
  readonly #frame;

  constructor(memory: ArrayBufferLike) {
    const bytes = (at: number, length: number) => new Uint8Array(memory, at, length);
    const u16 = (at: number, length: number) => new Uint16Array(memory, at, length);
    const u32 = (at: number, length: number) => new Uint32Array(memory, at, length);
    const u64 = (at: number, length: number) => new Uint32Array(memory, at, 2 * length);
    this.#structlog = {
      index: u32(layout.ROW_INDEX, BLOCK_ROWS),
      programCounter: u32(layout.ROW_PC, BLOCK_ROWS),
      operation: u16(layout.ROW_OPERATION, BLOCK_ROWS),
      gas: u64(layout.ROW_GAS, BLOCK_ROWS),
      gasCost: u64(layout.ROW_GAS_COST, BLOCK_ROWS),
      gasUsed: u64(layout.ROW_GAS_USED, BLOCK_ROWS),
      gasSelf: u64(layout.ROW_GAS_SELF, BLOCK_ROWS),
      depth: u16(layout.ROW_DEPTH, BLOCK_ROWS),
      refundNulls: bytes(layout.ROW_REFUND_NULLS, BLOCK_ROWS),
      refund: u64(layout.ROW_REFUND, BLOCK_ROWS),
      returnNulls: bytes(layout.ROW_RETURN_NULLS, BLOCK_ROWS),
      returnBytes: bytes(layout.ROW_RETURN, layout.RETURN_DATA_CAPACITY),
      errorNulls: bytes(layout.ROW_ERROR_NULLS, BLOCK_ROWS),
      errorBytes: bytes(layout.ROW_ERROR, layout.ERROR_CAPACITY),
      callToNulls: bytes(layout.ROW_CALL_TO_NULLS, BLOCK_ROWS),
      callToBytes: bytes(layout.ROW_CALL_TO, layout.ROW_ERROR - layout.ROW_CALL_TO),
      frameId: u32(layout.ROW_FRAME_ID, BLOCK_ROWS),
      pathEnds: u64(layout.ROW_PATH_ENDS, BLOCK_ROWS),
      paths: u32(layout.ROW_PATHS, BLOCK_PATHS),
    };
    this.#frame = {
      frameId: u32(layout.AGG_FRAME_ID, AGG_ROWS),
      parentNulls: bytes(layout.AGG_PARENT_NULLS, AGG_ROWS),
      parentId: u32(layout.AGG_PARENT_ID, AGG_ROWS),
      pathEnds: u64(layout.AGG_PATH_ENDS, AGG_ROWS),
      paths: u32(layout.AGG_PATHS_VALUES, AGG_PATHS),
      depth: u32(layout.AGG_DEPTH, AGG_ROWS),
      targetNulls: bytes(layout.AGG_TARGET_NULLS, AGG_ROWS),
      targetBytes: bytes(layout.AGG_TARGET, layout.AGG_END - layout.AGG_TARGET),
      callType: u16(layout.AGG_CALL_TYPE, AGG_ROWS),
      operation: u16(layout.AGG_OPERATION, AGG_ROWS),
      opcodeCount: u64(layout.AGG_COUNT, AGG_ROWS),
      errorCount: u64(layout.AGG_ERRORS, AGG_ROWS),
      gas: u64(layout.AGG_GAS, AGG_ROWS),
      gasCumulative: u64(layout.AGG_GAS_CUMULATIVE, AGG_ROWS),
      minDepth: u32(layout.AGG_MIN_DEPTH, AGG_ROWS),
      maxDepth: u32(layout.AGG_MAX_DEPTH, AGG_ROWS),
      wordsBefore: u64(layout.AGG_WORDS_BEFORE, AGG_ROWS),
      wordsAfter: u64(layout.AGG_WORDS_AFTER, AGG_ROWS),
      squaresBefore: u64(layout.AGG_SQUARES_BEFORE, AGG_ROWS),
      squaresAfter: u64(layout.AGG_SQUARES_AFTER, AGG_ROWS),
      expansion: u64(layout.AGG_EXPANSION, AGG_ROWS),
      cold: u64(layout.AGG_COLD, AGG_ROWS),
      refundNulls: bytes(layout.AGG_REFUND_NULLS, AGG_ROWS),
      refund: u64(layout.AGG_REFUND, AGG_ROWS),
      intrinsicNulls: bytes(layout.AGG_INTRINSIC_NULLS, AGG_ROWS),
      intrinsic: u64(layout.AGG_INTRINSIC, AGG_ROWS),
    };
  }

  /** The structlog block as it lies in memory now. */
  structlogs(lengths: StructlogLengths): StructlogColumns {
    const all = this.#structlog;
    const { rows } = lengths;
    return {
      rows,
      index: all.index.subarray(0, rows),
      programCounter: all.programCounter.subarray(0, rows),
      operation: all.operation.subarray(0, rows),
      gas: all.gas.subarray(0, 2 * rows),
      gasCost: all.gasCost.subarray(0, 2 * rows),
      gasUsed: all.gasUsed.subarray(0, 2 * rows),
      gasSelf: all.gasSelf.subarray(0, 2 * rows),
      depth: all.depth.subarray(0, rows),
      refundNulls: all.refundNulls.subarray(0, rows),
      refund: all.refund.subarray(0, 2 * rows),
      returnData: nullable(all.returnNulls, rows, all.returnBytes, lengths.returnBytes),
      error: nullable(all.errorNulls, rows, all.errorBytes, lengths.errorBytes),
      callToAddress: nullable(all.callToNulls, rows, all.callToBytes, lengths.callToBytes),
      callFrameId: all.frameId.subarray(0, rows),
      callFramePathEnds: all.pathEnds.subarray(0, 2 * rows),
      callFramePath: all.paths.subarray(0, lengths.pathValues),
    };
  }

  /** The block of aggregate rows as it lies in memory now. */
  frames(lengths: FrameLengths): FrameColumns {
    const all = this.#frame;
    const { rows } = lengths;
    return {
      rows,
      callFrameId: all.frameId.subarray(0, rows),
      parentNulls: all.parentNulls.subarray(0, rows),
      parentCallFrameId: all.parentId.subarray(0, rows),
      callFramePathEnds: all.pathEnds.subarray(0, 2 * rows),
      callFramePath: all.paths.subarray(0, lengths.pathValues),
      depth: all.depth.subarray(0, rows),
      targetAddress: nullable(all.targetNulls, rows, all.targetBytes, lengths.targetBytes),
      callType: all.callType.subarray(0, rows),
      operation: all.operation.subarray(0, rows),
      opcodeCount: all.opcodeCount.subarray(0, 2 * rows),
      errorCount: all.errorCount.subarray(0, 2 * rows),
      gas: all.gas.subarray(0, 2 * rows),
      gasCumulative: all.gasCumulative.subarray(0, 2 * rows),
      minDepth: all.minDepth.subarray(0, rows),
      maxDepth: all.maxDepth.subarray(0, rows),
      memoryWordsSumBefore: all.wordsBefore.subarray(0, 2 * rows),
      memoryWordsSumAfter: all.wordsAfter.subarray(0, 2 * rows),
      memoryWordsSqSumBefore: all.squaresBefore.subarray(0, 2 * rows),
      memoryWordsSqSumAfter: all.squaresAfter.subarray(0, 2 * rows),
      memoryExpansionGas: all.expansion.subarray(0, 2 * rows),
      coldAccessCount: all.cold.subarray(0, 2 * rows),
      gasRefundNulls: all.refundNulls.subarray(0, rows),
      gasRefund: all.refund.subarray(0, 2 * rows),
      intrinsicGasNulls: all.intrinsicNulls.subarray(0, rows),
      intrinsicGas: all.intrinsic.subarray(0, 2 * rows),
    };
  }
}

function nullable(nulls: Uint8Array, rows: number, bytes: Uint8Array, length: number): NullableStrings {
  return { nulls: nulls.subarray(0, rows), bytes: bytes.subarray(0, length) };
}
