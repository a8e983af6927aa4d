/**
 * Where the reading side keeps things in the module's memory. The memory has its full size from the start and never
 * grows, so views over it stay valid; pages that nobody touches cost nothing. The file is read by both compilers:
 * constants only.
 */
import { SEMANTICS, SEMANTICS_BYTES } from "./layout.ts";

/** u32: why `scan()` stopped, one of `STOP_*`. */
export const STOP_REASON = 0x800;
/** u32: structlogs that the last `scan()` took. */
export const SCANNED = 0x804;
/** u32: address of the first byte behind the `[` of the newest stack that the scanner read. */
export const STACK_TEXT = 0x808;

/** u64 each: bits of the digits that numbers of the structlog before had, see `likely()` in scan.ts. */
export const PLACES = 0x810;

/** The bytes end inside a structlog, or before the next one. */
export const STOP_MORE = 0;
/** The structlog at the returned address is for the general reader. */
export const STOP_DECLINED = 1;
/** The returned address is that behind the `]` of `structLogs`. */
export const STOP_END = 2;

/** Open-addressing table of opcode names: 16 bytes of the name, u32 its length (0 in a free slot), i32 the EVM byte. */
export const NAMES = 0x1000;
export const NAME_SLOTS = 512;
export const NAME_BYTES = 24;

/** Start and end of each word of the newest stack, two u32 relative to STACK_TEXT, bottom of the stack first. */
export const STACK_WORDS = 0x8000;
/** The EVM's limit is 1,024; a higher stack is left to the general reader. */
export const MAX_STACK_WORDS = 4096;

/** Constants that the compiler places. */
export const STATIC = 0x10000;
export const STATIC_BYTES = 0x30000;

/** Bytes of the reply that are not taken yet. */
export const INPUT = STATIC + STATIC_BYTES;
export const INPUT_BYTES = 0x200000;
/** The scanner reads ahead of the last byte, and writes zeros there. */
export const INPUT_PADDING = 0x1000;

/** Texts of a structlog that the general reader took. */
export const TEXT_OP = INPUT + INPUT_BYTES + INPUT_PADDING;
export const TEXT_OP_BYTES = 0x10000;
export const TEXT_ERROR = TEXT_OP + TEXT_OP_BYTES;
export const TEXT_ERROR_BYTES = 0x100000;
export const TEXT_RETURN = TEXT_ERROR + TEXT_ERROR_BYTES;
export const TEXT_RETURN_BYTES = 0x1000000;
/** First address behind the reading side. */
export const READER_END = TEXT_RETURN + TEXT_RETURN_BYTES;

/** Size of the whole memory, a multiple of 64 KiB. */
export const MEMORY_BYTES = SEMANTICS + SEMANTICS_BYTES;
