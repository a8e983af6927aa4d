/** What the module asks of TypeScript while a transaction passes; the calls are synchronous. */

/** A block of structlog rows is full: the host takes it before this returns. */
export declare function structlogBlock(
  rows: u32,
  pathValues: u32,
  returnBytes: u32,
  errorBytes: u32,
  callToBytes: u32,
): void;

/** A block of aggregate rows is full. */
export declare function frameBlock(rows: u32, pathValues: u32, targetBytes: u32): void;

/** Position in `operations` of the name of an undefined opcode. */
export declare function internOperation(address: usize, length: u32): u32;

/** A text does not fit anywhere: the host throws. */
export declare function tooLong(bytes: u32, room: u32): void;
