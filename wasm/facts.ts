/**
 * What TypeScript tells the semantics before a transaction, and what it reads afterwards: offsets in bytes from FACTS and
 * RESULT. The file is read by both compilers: constants only.
 */

/* ---- facts, u32 unless said otherwise ------------------------------------------------------------------------------ */

/** Bits `KNOWN_*`, `IS_*`. */
export const FACT_FLAGS = 0;
export const KNOWN_TRANSACTION = 1;
export const KNOWN_RECEIPT = 2;
export const KNOWN_STATUS = 4;
export const STATUS_SUCCESS = 8;
export const IS_CREATION = 16;
/** The transaction's input is empty. */
export const IS_INPUT_EMPTY = 32;
/** All of TRACE 8 applies; otherwise only what does not depend on prices. */
export const KNOWN_RULES = 64;
/** The access sets hold everything that is warm from the start. */
export const KNOWN_WARM = 128;
export const IS_BERLIN = 256;
export const IS_ISTANBUL = 512;
export const IS_LONDON = 1024;
export const IS_SHANGHAI = 2048;
export const IS_PRAGUE = 4096;
/** tx.to is a precompile: see FACT_DIRECT_PRICE. */
export const IS_TO_PRECOMPILE = 8192;
/** From Spurious Dragon on deployed code is at most 24,576 bytes. */
export const KNOWN_TO = 16384;
/** The account that the root frame runs in is known: tx.to or the created contract, at FACT_TARGET. */
export const KNOWN_TARGET = 32768;

/** Authorisations of EIP-7702, credits and slot credits of TRACE 5.1 and 5.5. */
export const FACT_AUTHORISATIONS = 4;
export const FACT_CREDITS = 8;
export const FACT_SLOT_CREDITS = 12;

/** Flags of the client, see `ClientFlags`. */
export const FACT_REFUND = 16;
export const REFUND_NONZERO = 0;
export const REFUND_ALWAYS = 1;
export const REFUND_NEVER = 2;
export const FACT_REFUND_SCOPE = 20;
export const SCOPE_TRANSACTION = 0;
export const SCOPE_FRAME = 1;
export const FACT_REFUND_POINT = 24;
export const POINT_AFTER = 0;
export const POINT_SSTORE = 1;
export const POINT_BEFORE = 2;
/** 1: the refund of authorisations is inside the counter. */
export const FACT_REFUND_AUTHORISATIONS = 28;
export const FACT_STOP_ROW = 32;
export const FACT_MADE_UP_STOP = 36;
export const MADE_UP_NONE = 0;
export const MADE_UP_CREATES = 1;
export const MADE_UP_CALLS = 2;
export const FACT_TOP_GAS_TRUSTED = 40;

/** Prices of the fork. */
export const FACT_COLD_SLOT = 44;
export const FACT_COLD_ACCOUNT = 48;
export const FACT_SSTORE_NOOP = 52;
export const FACT_SSTORE_RESET = 56;
export const FACT_REFUND_CLEAR = 60;
export const FACT_RESTORE_NONZERO = 64;
export const FACT_RESTORE_ZERO = 68;
export const FACT_REFUND_SELFDESTRUCT = 72;
export const FACT_REFUND_QUOTIENT = 76;
export const FACT_INIT_CODE_WORD = 80;
export const FACT_CALL_ACCESS = 84;

/** u64 */
export const FACT_GAS_LIMIT = 96;
export const FACT_INTRINSIC = 104;
export const FACT_FLOOR = 112;
export const FACT_RECEIPT_GAS = 120;
/** Exact price of the precompile that the transaction calls itself. */
export const FACT_DIRECT_PRICE = 128;
/** Account in which the root frame runs, and tx.to as the root's target: words of four u64 limbs, least significant first. */
export const FACT_TARGET = 136;

/** Top level of the reply, written before endTransaction(). */
export const TOP_FLAGS = 168;
export const TOP_HAS_FAILED = 1;
export const TOP_FAILED = 2;
export const TOP_HAS_GAS = 4;
export const TOP_HAS_STRUCTLOGS = 8;
export const TOP_HAS_ERROR = 16;
/** u64 */
export const TOP_GAS = 176;

/** Precompiles, PRECOMPILE_BYTES each: u32 formula, base, per, unit. Slot n is address n; slot PRECOMPILE_P256 is 0x100. */
export const FACT_PRECOMPILES = 192;
export const PRECOMPILE_BYTES = 16;
export const PRECOMPILE_P256 = 18;
export const PRECOMPILE_SLOTS = 19;
export const FORMULA_NONE = 0;
export const FORMULA_WORDS = 1;
export const FORMULA_UNITS = 2;
export const FORMULA_G1 = 3;
export const FORMULA_G2 = 4;
export const FORMULA_AT_LEAST = 5;
/** u16 discounts by number of pairs, 0 to 128, for FORMULA_G1 and FORMULA_G2. */
export const FACT_G1_DISCOUNTS = 512;
export const FACT_G2_DISCOUNTS = 1024;

/* ---- results ------------------------------------------------------------------------------------------------------- */

/** u32: one of `VERDICT_*`, `OUTCOME_*`, `SOURCE_*`. */
export const RESULT_VERDICT = 0;
export const VERDICT_PROVED = 0;
export const VERDICT_BOUNDED = 1;
export const VERDICT_UNPROVED = 2;
export const VERDICT_VIOLATED = 3;
export const RESULT_OUTCOME = 4;
export const OUTCOME_SUCCESS = 0;
export const OUTCOME_REVERT = 1;
export const OUTCOME_HALT = 2;
export const OUTCOME_DEPOSIT = 3;
export const OUTCOME_UNKNOWN = 4;
export const OUTCOME_EMPTY = 5;
export const RESULT_REFUND_SOURCE = 8;
export const SOURCE_NODE = 0;
export const SOURCE_OPERANDS = 1;
export const SOURCE_INTERVAL = 2;
/** Bits `SAW_*`. */
export const RESULT_FLAGS = 12;
export const HAS_REFUND_COUNTER = 1;
export const SAW_NO_STACK = 2;
export const SAW_CAPPED_SETS = 4;
export const SAW_CAPPED_VALUES = 8;
export const BOUNDED_BY_FLOOR = 16;
export const RESULT_ROWS = 16;
export const RESULT_FRAMES = 20;
export const RESULT_AGGREGATE_ROWS = 24;
export const RESULT_MADE_UP = 28;
/** Distinct items charged warm although cold by the sets, cold although warm; what may explain the former. */
export const RESULT_WARM_ACCOUNTS = 32;
export const RESULT_WARM_SLOTS = 36;
export const RESULT_COLD = 40;
export const RESULT_CREDITS = 44;
export const RESULT_SLOT_CREDITS = 48;
/** Costs below zero or above 2^63 in structlogs that end a frame. */
export const RESULT_IMPOSSIBLE_COSTS = 52;
/** u64 */
export const RESULT_ROOT_GAS = 64;
export const RESULT_CODE_DEPOSIT = 72;
export const RESULT_REFUND_COUNTER = 80;
export const RESULT_REFUND_APPLIED = 88;
export const RESULT_REFUND_LOW = 96;
export const RESULT_REFUND_HIGH = 104;
export const RESULT_CHECKSUM = 112;
export const RESULT_AGGREGATE_CHECKSUM = 120;

/** Violated identities: u32 how many, then the order in which they were found. */
export const RESULT_VIOLATIONS = 128;
/** First violation of each identity, VIOLATION_BYTES each, by its number in identities.ts. */
export const RESULT_FIRST = 256;
export const VIOLATION_BYTES = 32;
/** u32 */
export const VIOLATION_COUNT = 0;
export const VIOLATION_INDEX = 4;
export const VIOLATION_DETAIL = 8;
/** u64 */
export const VIOLATION_A = 16;
export const VIOLATION_B = 24;
