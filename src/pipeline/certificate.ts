/** The completeness certificate: for every number of a range and every processor, what the ledger says became of it. */
import certificateSql from "../stages/gate/sql/certificate.sql" with { type: "text" };
import type { SqlReader } from "../stages/sink/port.ts";

/**
 * - `complete`: every transaction is stored, and its rows were verified.
 * - `unverified`: every transaction is stored; its rows were not read back yet.
 * - `violated`: stored, but the proof refuses a trace of it (`proof.policy` is not `enforce`).
 * - `open`: accepted, in work.
 * - `stuck`: what is open of it is dead-lettered.
 * - `forked`: two blocks of this number claim to be of the chain.
 * - `missing`: not in the ledger.
 */
export const CONDITIONS = ["complete", "unverified", "violated", "open", "stuck", "forked", "missing"] as const;

/** What {@linkcode CONDITIONS} holds. */
export type Condition = typeof CONDITIONS[number];

/** Consecutive numbers in one condition, both ends included. */
export interface CertifiedRange {
  readonly from: number;
  readonly to: number;
  readonly condition: Condition;
  readonly transactions: number;
  /** Rows that the records name. */
  readonly expectedRows: number;
  /** Rows that verification found. */
  readonly storedRows: number;
  /** Transactions that are dead-lettered. */
  readonly dead: number;
  /** Transactions whose trace the proof refused. */
  readonly violated: number;
}

/** The certificate of one processor. */
export interface ProcessorCertificate {
  readonly processor: string;
  /** In order, without a gap. */
  readonly ranges: readonly CertifiedRange[];
  /** Blocks by condition. */
  readonly blocks: Readonly<Record<Condition, number>>;
}

/** The certificate of one network. */
export interface Certificate {
  readonly network: string;
  readonly from: number;
  readonly to: number;
  readonly processors: readonly ProcessorCertificate[];
  /** Nothing is amiss. */
  readonly ok: boolean;
}

/** What is certified. */
export interface CertificateQuestion {
  readonly network: string;
  readonly processors: readonly string[];
  readonly from: number;
  readonly to: number;
  /** Blocks are verified on this network: one that was not is amiss. */
  readonly verified: boolean;
}

interface RunRow {
  readonly first: string;
  readonly last: string;
  readonly condition: Condition;
  readonly transactions: string;
  readonly expected_rows: string;
  readonly stored_rows: string;
  readonly dead: string;
  readonly violated: string;
}

/** Blocks of one question: what ClickHouse has to sort for it stays small, however long the range is. */
const QUESTION_BLOCKS = 1_000_000;

/** Reads the ledger. @throws {PipelineError} it cannot be read now. */
export async function certify(question: CertificateQuestion, database: SqlReader): Promise<Certificate> {
  const { network, from, to, verified } = question;
  const processors: ProcessorCertificate[] = [];
  for (const processor of question.processors) {
    const runs: CertifiedRange[] = [];
    for (let first = from; first <= to; first += QUESTION_BLOCKS) {
      const last = Math.min(to, first + QUESTION_BLOCKS - 1);
      const rows = await database.query<RunRow>(certificateSql, { network, processor, from: first, to: last });
      for (const row of rows) append(runs, certifiedRange(row));
    }
    const ranges = withGaps(runs, from, to);
    processors.push({ processor, ranges, blocks: blocksByCondition(ranges) });
  }
  const fine: readonly Condition[] = verified ? ["complete"] : ["complete", "unverified"];
  const ok = processors.every(({ ranges }) => ranges.every(({ condition }) => fine.includes(condition)));
  return { network, from, to, processors, ok };
}

function certifiedRange(row: RunRow): CertifiedRange {
  return {
    from: Number(row.first),
    to: Number(row.last),
    condition: row.condition,
    transactions: Number(row.transactions),
    expectedRows: Number(row.expected_rows),
    storedRows: Number(row.stored_rows),
    dead: Number(row.dead),
    violated: Number(row.violated),
  };
}

/** Adds a run; one that goes on where the last one ended, in its condition, prolongs it. */
function append(runs: CertifiedRange[], next: CertifiedRange): void {
  const last = runs.at(-1);
  if (last === undefined || last.to + 1 !== next.from || last.condition !== next.condition) {
    runs.push(next);
    return;
  }
  runs[runs.length - 1] = {
    from: last.from,
    to: next.to,
    condition: last.condition,
    transactions: last.transactions + next.transactions,
    expectedRows: last.expectedRows + next.expectedRows,
    storedRows: last.storedRows + next.storedRows,
    dead: last.dead + next.dead,
    violated: last.violated + next.violated,
  };
}

function withGaps(runs: readonly CertifiedRange[], from: number, to: number): CertifiedRange[] {
  const ranges: CertifiedRange[] = [];
  let next = from;
  for (const run of runs) {
    if (run.from > next) ranges.push(missing(next, run.from - 1));
    ranges.push(run);
    next = run.to + 1;
  }
  if (next <= to) ranges.push(missing(next, to));
  return ranges;
}

function missing(from: number, to: number): CertifiedRange {
  return {
    from,
    to,
    condition: "missing",
    transactions: 0,
    expectedRows: 0,
    storedRows: 0,
    dead: 0,
    violated: 0,
  };
}

function blocksByCondition(ranges: readonly CertifiedRange[]): Record<Condition, number> {
  const blocks = Object.fromEntries(CONDITIONS.map((condition) => [condition, 0])) as Record<Condition, number>;
  for (const { from, to, condition } of ranges) blocks[condition] += to - from + 1;
  return blocks;
}
