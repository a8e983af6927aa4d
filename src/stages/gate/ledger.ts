/**
 * The ledger: which blocks entered, and what became of them. It is the truth about progress; the queue is a cache of
 * work made from it. One row per (network, processor, block number, block hash); the row with the largest version wins.
 */
import { PipelineError } from "../../errors.ts";

/** `accepted` → `complete` or `stuck`; any of them → `orphaned`. A stuck block may still become complete. */
export type LedgerState = "accepted" | "complete" | "stuck" | "orphaned";

/** Towards the head, or towards genesis. */
export const DIRECTIONS = ["forwards", "backwards"] as const;
/** One of {@linkcode DIRECTIONS}. */
export type Direction = typeof DIRECTIONS[number];

/** One row of the table `execution_block`. Times are milliseconds since the epoch. */
export interface LedgerRow {
  readonly network: string;
  readonly processor: string;
  readonly blockNumber: number;
  readonly blockHash: string;
  readonly parentHash: string;
  readonly state: LedgerState;
  readonly direction: Direction;
  readonly taskCount: number;
  readonly transactions: number;
  /** Rows that the records of this block's transactions name. */
  readonly expectedRows: number;
  /** Rows found in the tables; verification fills it in. */
  readonly storedRows: number;
  /** Times that its tasks were delivered to their end: that it was finished, complete or stuck. */
  readonly attempts: number;
  /** Transactions that are dead-lettered. */
  readonly dead: number;
  /** Transactions whose trace the proof refused. */
  readonly violated: number;
  readonly verifiedMs?: number;
  readonly acceptedMs: number;
  readonly completedMs?: number;
  readonly version: number;
}

/** Lowest and highest block number that is stored and not orphaned. */
export interface LedgerBounds {
  readonly lowest: number;
  readonly highest: number;
}

/** What was stored for a block, from the records of its transactions. */
export interface BlockRecords {
  readonly blockNumber: number;
  readonly blockHash: string;
  readonly transactions: number;
  readonly structlogRows: number;
  readonly aggregateRows: number;
  readonly violated: number;
}

/** A part of the ledger, by how its blocks entered and what is made of them. */
export interface LedgerPart {
  readonly directions: readonly Direction[];
  readonly processors: readonly string[];
}

/** The ledger of one network. A failed read throws; it never looks like an empty ledger. */
export interface Ledger {
  readonly network: string;
  /** Durable when it resolves. Rows that would move a block backwards in its life are the caller's mistake. */
  write(rows: readonly LedgerRow[]): Promise<void>;
  /** Of the blocks that are not orphaned, from number `from` (or the first) on; `undefined`: there are none. */
  bounds(from?: number): Promise<LedgerBounds | undefined>;
  /** Lowest number of the run of consecutive numbers that ends with `number`, which has a block that is not orphaned. */
  runStart(number: number): Promise<number>;
  /** Every row of these numbers, orphaned ones included, by number; both ends included. */
  between(from: number, to: number): Promise<readonly LedgerRow[]>;
  /**
   * Accepted blocks of a part, not complete, stuck or orphaned; lowest number first.
   *
   * @param after Numbers above it. @param upTo Numbers up to it; absent: all.
   */
  open(part: LedgerPart, after: number, max: number, upTo?: number): Promise<readonly LedgerRow[]>;
  /**
   * Complete and stuck blocks of a part with transactions that nobody has verified, lowest number first.
   *
   * @param from Lowest number. @param finishedBeforeMs Finished before this time, milliseconds since the epoch.
   */
  unverified(part: LedgerPart, from: number, finishedBeforeMs: number, max: number): Promise<readonly LedgerRow[]>;
  /** Numbers in [from, to] for which `processor` has no block that is not orphaned; lowest first. */
  missing(processor: string, from: number, to: number, max: number): Promise<readonly number[]>;
  /** Orphaned blocks with this number or a higher one. */
  orphaned(from: number): Promise<readonly LedgerRow[]>;
  /** Counts from the records of the transactions of these blocks. */
  records(
    blocks: readonly { readonly blockNumber: number; readonly blockHash: string }[],
  ): Promise<readonly BlockRecords[]>;
}

/** The ledger cannot be read or written now. */
export class LedgerUnavailableError extends PipelineError {
  readonly code = "ledger_unavailable";
  readonly disposition = "retry";
  override readonly release = true;
}

/** `max(last + 1, now)`: a version only grows, whatever the clock does. */
export function nextVersion(last: number | undefined, nowMs: number): number {
  return Math.max((last ?? 0) + 1, nowMs);
}

/**
 * How far ahead of the clock the version of an orphaned row is: a writer that read the row before, and is about to say
 * that it is complete, loses.
 */
const ORPHAN_AHEAD_MS = 60_000;

/**
 * `row` in another state. What becomes complete or stuck is not verified, though it was when it was stuck before.
 *
 * @returns `undefined` where the move is none: an orphaned block stays orphaned, a complete one never becomes accepted
 * or stuck.
 */
export function advanced(
  row: LedgerRow,
  state: LedgerState,
  facts: Partial<
    Pick<LedgerRow, "expectedRows" | "storedRows" | "dead" | "violated" | "verifiedMs">
  >,
  nowMs: number,
): LedgerRow | undefined {
  if (row.state === "orphaned") return undefined;
  if (row.state === "complete" && state !== "orphaned" && state !== "complete") return undefined;
  const finished = row.state !== state && (state === "complete" || state === "stuck");
  return {
    ...(finished ? { ...unverified(row, nowMs), attempts: row.attempts + 1 } : row),
    ...facts,
    state,
    version: nextVersion(row.version, state === "orphaned" ? nowMs + ORPHAN_AHEAD_MS : nowMs),
  };
}

/** A finished row as if it had been finished now: its block's rows are others than those that were verified. */
export function unverified({ verifiedMs: _, ...row }: LedgerRow, nowMs: number): LedgerRow {
  return { ...row, completedMs: nowMs, version: nextVersion(row.version, nowMs) };
}
