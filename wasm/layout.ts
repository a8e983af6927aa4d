/**
 * Where the semantics keep things in the module's memory, as one list of addresses: facts that TypeScript writes before a
 * transaction, results that it reads after it, tables by opcode, frames, access sets, and the column blocks. The file is
 * read by both compilers: constants only. Everything lies in [SEMANTICS, SEMANTICS + SEMANTICS_BYTES); the reader's regions
 * lie below.
 */

/** First byte that belongs to the semantics. */
export const SEMANTICS = 0x1400000;

/* ---- facts: written by TypeScript before beginTransaction() -------------------------------------------------------- */
export const FACTS = SEMANTICS;
export const FACTS_BYTES = 4096;

/* ---- results: read by TypeScript after endTransaction() ------------------------------------------------------------ */
export const RESULT = FACTS + FACTS_BYTES;
export const RESULT_BYTES = 4096;

/** 256 entries of OPCODE_BYTES by EVM byte, for the rules of one fork. */
export const OPCODES = RESULT + RESULT_BYTES;
export const OPCODE_BYTES = 16;

/** u64 hash of each stored operation name, by its position in `operations`. */
export const OPERATION_HASHES = OPCODES + 256 * OPCODE_BYTES;
export const MAX_OPERATIONS = 4096;

/** Bytes on their way from TypeScript into the module: names, lists of warm items. */
export const SCRATCH = OPERATION_HASHES + MAX_OPERATIONS * 8;
export const SCRATCH_BYTES = 65536;

/** A copy of the record while its structlog may be made up, and its texts. */
export const HELD = SCRATCH + SCRATCH_BYTES;
export const HELD_TEXTS = HELD + 512;
export const HELD_TEXTS_BYTES = 65536;

/** Length and text of the target of the frame whose aggregate rows are being written. */
export const TARGET_TEXT = HELD_TEXTS + HELD_TEXTS_BYTES;

/** One bit per byte of the root frame's code: a JUMPDEST row had this pc. */
export const JUMPDESTS = TARGET_TEXT + 64;
export const JUMPDESTS_BYTES = 524288;

/** u32 ids from the root frame to the innermost one. */
export const PATH = JUMPDESTS + JUMPDESTS_BYTES;
/** Open frames: the EVM allows 1,025. */
export const MAX_FRAMES = 1100;
export const PATH_BYTES = 4480;

/** The innermost open frame, at an address that the compiler knows; its callers lie one behind the other at FRAMES. */
export const CURRENT = PATH + PATH_BYTES;
export const FRAMES = CURRENT + 512;
export const FRAME_BYTES = 416;

/** u16 list of the operations that a frame has used. */
export const TOUCHED = FRAMES + MAX_FRAMES * FRAME_BYTES;
export const TOUCHED_BYTES = 576;

/** Sums per (open frame, operation): 256 EVM bytes and one for undefined opcodes. */
export const SUMS = TOUCHED + MAX_FRAMES * TOUCHED_BYTES;
export const SUM_BYTES = 64;
export const SUMS_OF_FRAME = 257 * SUM_BYTES;

/** Access sets: entries, and the open-addressing index over them. */
export const ENTRIES = SUMS + MAX_FRAMES * SUMS_OF_FRAME;
export const ENTRY_BYTES = 128;
export const MAX_ENTRIES = 262144;
export const INDEX = ENTRIES + (MAX_ENTRIES + 2) * ENTRY_BYTES;
export const MAX_INDEX = 524288;
/** u32 per undone mark. */
export const JOURNAL = INDEX + MAX_INDEX * 4;
export const MAX_JOURNAL = 786432;
/** Earlier values of slots. */
export const VALUES = JOURNAL + MAX_JOURNAL * 4;
export const VALUE_BYTES = 48;
export const MAX_VALUES = 131072;

/** Texts of rows that wait, as a stack. */
export const TEXTS = VALUES + MAX_VALUES * VALUE_BYTES;
export const TEXTS_BYTES = 16777216;

/* ---- structlog columns of one block -------------------------------------------------------------------------------- */
export const BLOCK_ROWS = 8192;
export const BLOCK_PATHS = 524288;
export const RETURN_DATA_CAPACITY = 16777216;
export const ERROR_CAPACITY = 1048576;

export const ROW_GAS = TEXTS + TEXTS_BYTES;
export const ROW_GAS_COST = ROW_GAS + BLOCK_ROWS * 8;
export const ROW_GAS_USED = ROW_GAS_COST + BLOCK_ROWS * 8;
export const ROW_GAS_SELF = ROW_GAS_USED + BLOCK_ROWS * 8;
export const ROW_REFUND = ROW_GAS_SELF + BLOCK_ROWS * 8;
export const ROW_PATH_ENDS = ROW_REFUND + BLOCK_ROWS * 8;
export const ROW_INDEX = ROW_PATH_ENDS + BLOCK_ROWS * 8;
export const ROW_PC = ROW_INDEX + BLOCK_ROWS * 4;
export const ROW_FRAME_ID = ROW_PC + BLOCK_ROWS * 4;
export const ROW_OPERATION = ROW_FRAME_ID + BLOCK_ROWS * 4;
export const ROW_DEPTH = ROW_OPERATION + BLOCK_ROWS * 2;
export const ROW_REFUND_NULLS = ROW_DEPTH + BLOCK_ROWS * 2;
export const ROW_RETURN_NULLS = ROW_REFUND_NULLS + BLOCK_ROWS;
export const ROW_ERROR_NULLS = ROW_RETURN_NULLS + BLOCK_ROWS;
export const ROW_CALL_TO_NULLS = ROW_ERROR_NULLS + BLOCK_ROWS;
export const ROW_PATHS = ROW_CALL_TO_NULLS + BLOCK_ROWS;
export const ROW_CALL_TO = ROW_PATHS + BLOCK_PATHS * 4;
export const ROW_ERROR = ROW_CALL_TO + BLOCK_ROWS * 43;
export const ROW_RETURN = ROW_ERROR + ERROR_CAPACITY;
export const ROW_END = ROW_RETURN + RETURN_DATA_CAPACITY;

/* ---- aggregate columns of one block -------------------------------------------------------------------------------- */
export const AGG_ROWS = 4096;
export const AGG_PATHS = 524288;

export const AGG_GAS = ROW_END;
export const AGG_GAS_CUMULATIVE = AGG_GAS + AGG_ROWS * 8;
export const AGG_WORDS_BEFORE = AGG_GAS_CUMULATIVE + AGG_ROWS * 8;
export const AGG_WORDS_AFTER = AGG_WORDS_BEFORE + AGG_ROWS * 8;
export const AGG_SQUARES_BEFORE = AGG_WORDS_AFTER + AGG_ROWS * 8;
export const AGG_SQUARES_AFTER = AGG_SQUARES_BEFORE + AGG_ROWS * 8;
export const AGG_EXPANSION = AGG_SQUARES_AFTER + AGG_ROWS * 8;
export const AGG_COLD = AGG_EXPANSION + AGG_ROWS * 8;
export const AGG_REFUND = AGG_COLD + AGG_ROWS * 8;
export const AGG_INTRINSIC = AGG_REFUND + AGG_ROWS * 8;
export const AGG_COUNT = AGG_INTRINSIC + AGG_ROWS * 8;
export const AGG_ERRORS = AGG_COUNT + AGG_ROWS * 8;
export const AGG_PATH_ENDS = AGG_ERRORS + AGG_ROWS * 8;
export const AGG_FRAME_ID = AGG_PATH_ENDS + AGG_ROWS * 8;
export const AGG_PARENT_ID = AGG_FRAME_ID + AGG_ROWS * 4;
export const AGG_DEPTH = AGG_PARENT_ID + AGG_ROWS * 4;
export const AGG_MIN_DEPTH = AGG_DEPTH + AGG_ROWS * 4;
export const AGG_MAX_DEPTH = AGG_MIN_DEPTH + AGG_ROWS * 4;
export const AGG_CALL_TYPE = AGG_MAX_DEPTH + AGG_ROWS * 4;
export const AGG_OPERATION = AGG_CALL_TYPE + AGG_ROWS * 2;
export const AGG_PARENT_NULLS = AGG_OPERATION + AGG_ROWS * 2;
export const AGG_REFUND_NULLS = AGG_PARENT_NULLS + AGG_ROWS;
export const AGG_INTRINSIC_NULLS = AGG_REFUND_NULLS + AGG_ROWS;
export const AGG_TARGET_NULLS = AGG_INTRINSIC_NULLS + AGG_ROWS;
export const AGG_PATHS_VALUES = AGG_TARGET_NULLS + AGG_ROWS;
export const AGG_TARGET = AGG_PATHS_VALUES + AGG_PATHS * 4;
export const AGG_END = AGG_TARGET + AGG_ROWS * 43 + 16;

/** Size of all regions, a multiple of 64 KiB. */
export const SEMANTICS_BYTES = ((AGG_END - SEMANTICS + 65535) >> 16) << 16;
