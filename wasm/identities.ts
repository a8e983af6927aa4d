/**
 * The identities of the proof (TRACE 8) and the details with which they fail, by number. The file is read by both
 * compilers: constants only.
 */
export const N1 = 0;
export const N2 = 1;
export const R1 = 2;
export const R2 = 3;
export const R3 = 4;
export const R4 = 5;
export const R5 = 6;
export const R6 = 7;
export const F1 = 8;
export const F2 = 9;
export const F3 = 10;
export const F4 = 11;
export const F5 = 12;
export const F6 = 13;
export const P1 = 14;
export const P2 = 15;
export const K1 = 16;
export const S1 = 17;
export const A1 = 18;
export const H1 = 19;
export const V1 = 20;
export const IDENTITIES = 21;

/** Index of a violation that belongs to no structlog. */
export const NO_INDEX = 0xffffffff;

/* Details: what was found (A) and what was expected (B). */
export const D_ERROR_MEMBER = 0;
export const D_NO_STRUCTLOGS = 1;
export const D_FIRST_GAS = 2;
export const D_FAILED_FLAG = 3;
export const D_LAST_OPCODE = 4;
export const D_GAS_USED = 5;
export const D_TOP_GAS = 6;
export const D_REFUND_COUNTER = 7;
export const D_EMPTY_TRACE = 8;
export const D_ENTRY_GAS = 9;
export const D_CHILDREN_GAS = 10;
export const D_CALL_GAS = 11;
export const D_CREATE_GAS = 12;
export const D_CREATE_WITHOUT_ROWS = 13;
export const D_GAS_RISES = 14;
export const D_FRAME_FLAG = 15;
export const D_DEPTH = 16;
export const D_OPENING = 17;
export const D_END_DEPTH = 18;
export const D_PRECOMPILE = 19;
export const D_FIRST_PC = 20;
export const D_NEXT_PC = 21;
export const D_NOTHING_FOLLOWS = 22;
export const D_STACK = 23;
export const D_PRICE = 24;
export const D_CHARGED_COLD = 25;
export const D_CHARGED_WARM_ACCOUNTS = 26;
export const D_CHARGED_WARM_SLOTS = 27;
export const D_NO_REASON = 28;
export const D_NO_DEPOSIT_REASON = 29;
export const D_LOADED_VALUE = 30;
export const D_STORE_CLASS = 31;
export const D_NOTHING_EXECUTED = 32;
export const D_DEPTH_LIMIT = 33;
export const D_UNDEFINED = 34;
