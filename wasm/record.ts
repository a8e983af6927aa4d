/**
 * The normalised structlog (TRACE 1.1) as it lies in memory: the one hand-over between whoever reads bytes and the
 * semantics. The scanner fills it for what it takes, the general reader in TypeScript fills it for the rest; both then
 * call `structlog()`. Offsets are in bytes from `RECORD`. The file is read by both compilers: constants only.
 */

/** Address of the record in the module's memory. */
export const RECORD = 1024;

/** u32: which members the structlog had, bits `HAS_*`. The reader sets it to 0 first. */
export const FLAGS = 0;
/** u32 */
export const PC = 4;
/** u32: 1-based (or 0-based, TRACE 3.1) call depth as printed. */
export const DEPTH = 8;
/** i32: byte of the opcode; `OP_UNDEFINED` when the name is not in TRACE A.1 (the text is then at OP_TEXT). */
export const OP = 12;
/** u64 */
export const GAS = 16;
/** u64: magnitude of `gasCost` as printed; sign in FLAGS. */
export const COST = 24;
/** u64: magnitude of `refund` as printed; sign in FLAGS. */
export const REFUND = 32;
/** i32: items on the stack; -1 when the node sent none. */
export const STACK_HEIGHT = 40;
/** u32: how many words, from the top, lie at WORDS already; `needWords(n)` makes it at least min(n, height). */
export const WORDS_LOADED = 44;
/** u32 address and u32 length of a text in this memory, valid during `structlog()` only. */
export const OP_TEXT = 48;
export const RETURN_TEXT = 56; // lower-case hex without 0x; only with HAS_RETURN_DATA, never empty
export const ERROR_TEXT = 64; // normalised by TRACE 1.7; only with HAS_ERROR, never empty
/** 7 words of 32 bytes, top of the stack first, each as four u64 limbs, least significant first. */
export const WORDS = 72;
export const MAX_WORDS = 7;
export const RECORD_BYTES = 72 + 7 * 32;

export const OP_UNDEFINED = -1;

/** `op` was null or missing: the row is dropped (Besu's virtual frames). */
export const NO_OP = 1;
export const HAS_GAS = 2;
export const HAS_COST = 4;
export const COST_NEGATIVE = 8;
export const HAS_REFUND = 16;
export const REFUND_NEGATIVE = 32;
export const HAS_RETURN_DATA = 64;
export const HAS_ERROR = 128;
