/** What the processes of the chaos and the test that lets it loose agree on. */
import { createHash } from "node:crypto";
import type { QueueOptions, Settlement, TransactionRange, Verdict } from "../../src/stages/queue/port.ts";
import { everyClass, OPTIONS } from "../contracts/work_queue_backends.ts";

export const NETWORK = "chaos";
/** Rows of a transaction. */
export const INDICES = 4;
/** Tasks at a time in one process. */
export const LANES = 4;
/** Blocks in the window. */
export const OPEN_BLOCKS = 8;

/** No task dies: what becomes of a dead one is another test's. */
export const QUEUE_OPTIONS: QueueOptions = {
  ...OPTIONS,
  leaseMs: 2_000,
  heartbeatMs: 500,
  reclaimMs: 500,
  stallTimeoutMs: 600_000,
  maxAttempts: 1_000_000,
  maxRecoveries: 1_000_000,
  aloneAfterRecoveries: 1_000_000,
  backoffBaseMs: 20,
  backoffMaxMs: 200,
  leaderTtlMs: 2_000,
  keepCompleteMs: 3_600_000,
  inFlight: everyClass(LANES),
};

/** What a process is told. */
export interface ChaosSetup {
  readonly redis: string;
  readonly engine: {
    readonly url: string;
    readonly user: string;
    readonly password: string;
    readonly database: string;
  };
  readonly journal: string;
  /** While this file is absent, blocks are made up. */
  readonly stop: string;
  readonly reconciles: boolean;
}

/** What a process saw. Times are milliseconds on a clock that all share. */
export type JournalLine =
  | {
    readonly kind: "delivered";
    readonly task: string;
    readonly token: number;
    readonly sentMs: number;
    readonly receivedMs: number;
  }
  | {
    readonly kind: "settled";
    readonly task: string;
    readonly token: number;
    readonly outcome: Settlement["outcome"];
    readonly verdict: Verdict;
    readonly sentMs: number;
    readonly receivedMs: number;
  }
  /** The lease was lost before anything was settled. */
  | { readonly kind: "lost"; readonly task: string; readonly token: number }
  | { readonly kind: "office"; readonly token: number; readonly atMs: number }
  /** A block was told as complete before its rows were there. */
  | { readonly kind: "early"; readonly block: number }
  | { readonly kind: "ended"; readonly message: string };

/** A block's hash. */
export function hashOf(number: number): string {
  return `0x${createHash("sha256").update(`block ${number}`).digest("hex")}`;
}

/** Transactions of a block: every ninth is empty. */
export function transactionsOf(number: number): number {
  return number % 9 === 0 ? 0 : 1 + (number * 7) % 12;
}

/** The same plan each time: ranges of one to four transactions. */
export function rangesOf(number: number): TransactionRange[] {
  const ranges: TransactionRange[] = [];
  const total = transactionsOf(number);
  for (let first = 0; first < total;) {
    const last = Math.min(total - 1, first + (number + first) % 4);
    ranges.push({ first, last });
    first = last + 1;
  }
  return ranges;
}
