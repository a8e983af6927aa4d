/** The ledger in the table `execution_block`. SQL and inserts come through the two functions it is given. */
import { PipelineError } from "../../errors.ts";
import {
  type BlockRecords,
  type Direction,
  type Ledger,
  type LedgerBounds,
  type LedgerPart,
  type LedgerRow,
  type LedgerState,
  LedgerUnavailableError,
} from "./ledger.ts";
import betweenSql from "./sql/ledger_between.sql" with { type: "text" };
import boundsSql from "./sql/ledger_bounds.sql" with { type: "text" };
import missingSql from "./sql/ledger_missing.sql" with { type: "text" };
import openSql from "./sql/ledger_open.sql" with { type: "text" };
import orphanedSql from "./sql/ledger_orphaned.sql" with { type: "text" };
import recordsSql from "./sql/ledger_records.sql" with { type: "text" };
import runStartSql from "./sql/ledger_run_start.sql" with { type: "text" };
import unverifiedSql from "./sql/ledger_unverified.sql" with { type: "text" };

/** A SELECT with bound parameters. */
export type Query = <T>(sql: string, params: Readonly<Record<string, unknown>>) => Promise<T[]>;
/** Inserts rows of the ledger; durable when it resolves. */
export type InsertLedgerRows = (rows: readonly LedgerRow[]) => Promise<void>;

/** A row as JSON: 64-bit integers are strings. */
interface StoredRow {
  readonly meta_network_name: string;
  readonly processor: string;
  readonly block_number: string;
  readonly block_hash: string;
  readonly parent_hash: string;
  readonly state: LedgerState;
  readonly direction: Direction;
  readonly task_count: number;
  readonly transactions: number;
  readonly expected_rows: string;
  readonly stored_rows: string;
  readonly attempts: number;
  readonly dead: number;
  readonly violated: number;
  readonly verified_at: string | null;
  readonly accepted_at: string;
  readonly completed_at: string | null;
  readonly version: string;
}

/** Parameters travel in the URL, which has to stay well below 64 KiB: this many blocks, 80 bytes each, in a statement. */
const BLOCKS_PER_STATEMENT = 400;

/** Reads with `FINAL`, by key prefix. */
export class ClickHouseLedger implements Ledger {
  constructor(readonly network: string, readonly query: Query, readonly insert: InsertLedgerRows) {}

  async write(rows: readonly LedgerRow[]): Promise<void> {
    if (rows.length > 0) await this.insert(rows);
  }

  async bounds(from = 0): Promise<LedgerBounds | undefined> {
    const [row] = await this.#ask<{ lowest: string; highest: string; blocks: string }>(boundsSql, { from });
    if (row === undefined) {
      throw new LedgerUnavailableError("Cannot read the bounds of the ledger: the answer has no row");
    }
    return Number(row.blocks) === 0 ? undefined : { lowest: Number(row.lowest), highest: Number(row.highest) };
  }

  async runStart(number: number): Promise<number> {
    const [row] = await this.#ask<{ lowest: string }>(runStartSql, { number });
    return Number(row?.lowest ?? number);
  }

  async between(from: number, to: number): Promise<readonly LedgerRow[]> {
    return (await this.#ask<StoredRow>(betweenSql, { from, to })).map(ledgerRow);
  }

  async open(
    part: LedgerPart,
    after: number,
    max: number,
    upTo: number = Number.MAX_SAFE_INTEGER,
  ): Promise<readonly LedgerRow[]> {
    return (await this.#ask<StoredRow>(openSql, { ...part, after, upTo, max })).map(ledgerRow);
  }

  async unverified(
    part: LedgerPart,
    from: number,
    finishedBeforeMs: number,
    max: number,
  ): Promise<readonly LedgerRow[]> {
    const params = { ...part, from, before: Math.floor(finishedBeforeMs), max };
    return (await this.#ask<StoredRow>(unverifiedSql, params)).map(ledgerRow);
  }

  async missing(processor: string, from: number, to: number, max: number): Promise<readonly number[]> {
    if (to < from) return [];
    const gaps = await this.#ask<{ first: string; last: string }>(missingSql, { processor, from, to, max });
    const numbers: number[] = [];
    for (const { first, last } of gaps) {
      for (let number = Number(first); number <= Number(last) && numbers.length < max; number++) numbers.push(number);
    }
    return numbers;
  }

  async orphaned(from: number): Promise<readonly LedgerRow[]> {
    return (await this.#ask<StoredRow>(orphanedSql, { from })).map(ledgerRow);
  }

  async records(
    blocks: readonly { readonly blockNumber: number; readonly blockHash: string }[],
  ): Promise<readonly BlockRecords[]> {
    const found: BlockRecords[] = [];
    for (let at = 0; at < blocks.length; at += BLOCKS_PER_STATEMENT) {
      found.push(...await this.#recordsOf(blocks.slice(at, at + BLOCKS_PER_STATEMENT)));
    }
    return found;
  }

  async #recordsOf(
    blocks: readonly { readonly blockNumber: number; readonly blockHash: string }[],
  ): Promise<BlockRecords[]> {
    const rows = await this.#ask<{
      block_number: string;
      block_hash: string;
      transactions: string;
      structlogs: string;
      aggregates: string;
      violated_transactions: string;
    }>(recordsSql, {
      numbers: blocks.map((block) => block.blockNumber),
      hashes: blocks.map((block) => block.blockHash),
    });
    return rows.map((row) => ({
      blockNumber: Number(row.block_number),
      blockHash: row.block_hash,
      transactions: Number(row.transactions),
      structlogRows: Number(row.structlogs),
      aggregateRows: Number(row.aggregates),
      violated: Number(row.violated_transactions),
    }));
  }

  async #ask<T>(sql: string, params: Readonly<Record<string, unknown>>): Promise<T[]> {
    try {
      return await this.query<T>(sql, { network: this.network, ...params });
    } catch (error) {
      if (error instanceof PipelineError) throw error;
      const reason = error instanceof Error ? error.message : String(error);
      throw new LedgerUnavailableError(`Cannot read the ledger of ${this.network}: ${reason}`, { cause: error });
    }
  }
}

function ledgerRow(row: StoredRow): LedgerRow {
  return {
    network: row.meta_network_name,
    processor: row.processor,
    blockNumber: Number(row.block_number),
    blockHash: row.block_hash,
    parentHash: row.parent_hash,
    state: row.state,
    direction: row.direction,
    taskCount: row.task_count,
    transactions: row.transactions,
    expectedRows: Number(row.expected_rows),
    storedRows: Number(row.stored_rows),
    attempts: row.attempts,
    dead: row.dead,
    violated: row.violated,
    acceptedMs: utcMs(row.accepted_at),
    version: Number(row.version),
    ...(row.verified_at === null ? {} : { verifiedMs: utcMs(row.verified_at) }),
    ...(row.completed_at === null ? {} : { completedMs: utcMs(row.completed_at) }),
  };
}

/** `2026-01-02 03:04:05.678` in UTC as milliseconds. */
function utcMs(text: string): number {
  return Date.parse(`${text.replace(" ", "T")}Z`);
}
