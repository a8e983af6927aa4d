/**
 * The semantics of a trace: takes normalised structlogs one by one and leaves rows of both tables and the facts of the
 * proof. One structlog is pending per open frame; the next one of that frame resolves it.
 */

/** A block of structlog rows is full: the host takes it before this returns. */

declare function structlogBlock(rows: u32): void;

/** A block of aggregate rows is full. */

declare function frameBlock(rows: u32): void;

/** Position in `operations` of the name of an undefined opcode. */

declare function internOperation(address: usize, length: u32): u32;

/** A text does not fit; the host throws. */

declare function tooLong(kind: u32, bytes: u32): void;

/** Forgets what an earlier transaction left behind, given up half-way or not, and takes the facts at FACTS. */
export function beginTransaction(): void {}
/** Takes the structlog in the record. */
export function structlog(): void {}
/** Closes all frames, evaluates the identities, hands over the last blocks, leaves the results at RESULT. */
export function endTransaction(): void {}
