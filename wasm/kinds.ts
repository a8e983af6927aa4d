/**
 * How the semantics treat an opcode, by number, and the table entry of an opcode at OPCODES. The file is read by both
 * compilers: constants only. Kinds up to KIND_PRICED have exactly one admissible price.
 */
export const KIND_PLAIN = 0;
export const KIND_JUMPDEST = 1;
export const KIND_JUMP = 2;
export const KIND_JUMPI = 3;
export const KIND_MEMORY = 4;
export const KIND_EXP = 5;
export const KIND_PRICED = KIND_EXP;
export const KIND_SLOAD = 6;
export const KIND_SSTORE = 7;
export const KIND_ACCOUNT = 8;
export const KIND_EXTCODECOPY = 9;
export const KIND_CALL = 10;
export const KIND_CREATE = 11;
export const KIND_STOP = 12;
export const KIND_RETURN = 13;
export const KIND_SELFDESTRUCT = 14;
export const KIND_UNDEFINED = 15;

/** u8 fields of a table entry; the first four are read as one number. */
export const OPCODE_KIND = 0;
export const OPCODE_POPS = 1;
export const OPCODE_PUSHES = 2;
/** Bytes of code to the next opcode. */
export const OPCODE_STEP = 3;
/** u32: constant price; of accesses the warm one. */
export const OPCODE_PRICE = 4;
/** u8: stack positions of offset and size of up to two areas of memory; NO_AREA, or a constant size. */
export const OPCODE_OFFSET = 8;
export const OPCODE_SIZE = 9;
export const OPCODE_OFFSET_2 = 10;
export const OPCODE_SIZE_2 = 11;
export const NO_AREA = 255;
export const SIZE_32 = 254;
export const SIZE_1 = 253;
/** u8: gas per word and per byte of the first area. */
export const OPCODE_PER_WORD = 12;
export const OPCODE_PER_BYTE = 13;
/** u8: stack words that must be read. */
export const OPCODE_OPERANDS = 14;
/** u8: 1 where it halts in a static frame. */
export const OPCODE_WRITES = 15;

export const STOP = 0x00;
export const RETURNDATACOPY = 0x3e;
export const CREATE = 0xf0;
export const CALL = 0xf1;
export const CALLCODE = 0xf2;
export const RETURN = 0xf3;
export const DELEGATECALL = 0xf4;
export const CREATE2 = 0xf5;
export const STATICCALL = 0xfa;
export const REVERT = 0xfd;
export const SELFDESTRUCT = 0xff;

/** Positions in `operations` behind the 256 bytes. */
export const OPERATION_NONE = 256;
export const OPERATION_UNKNOWN = 257;
export const OPERATION_NAMES = 258;
