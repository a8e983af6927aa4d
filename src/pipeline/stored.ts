/** What is stored against what was recorded, for one block. Pure: every rule of the verification level *stored* is here. */
import type { TraceTable } from "../stages/sink/port.ts";

/** The record of a transaction, as far as its rows go. */
export interface Recorded {
  readonly transactionHash: string;
  readonly index: number;
  readonly blockHash: string;
  readonly version: bigint;
  readonly published: boolean;
  readonly verdict: string;
  /** Name of the node that traced it. */
  readonly node: string;
  readonly tables: readonly TraceTable[];
  readonly rows: Readonly<Record<TraceTable, bigint>>;
  readonly checksum: Readonly<Record<TraceTable, bigint>>;
}

/** The rows of one attempt in one table, read with `FINAL`. */
export interface StoredRows {
  readonly table: TraceTable;
  readonly transactionHash: string;
  readonly blockHash: string;
  readonly version: bigint;
  readonly rows: bigint;
  readonly checksum: bigint;
}

/** What is looked at. */
export interface StoredQuestion {
  readonly blockHash: string;
  /** Transactions of the block. */
  readonly transactions: number;
  /** A block whose dead-lettered transactions have no rows. */
  readonly stuck: boolean;
}

/** A transaction whose rows are not what its record says. */
export interface Difference {
  /** Position in the block. */
  readonly index: number;
  /** Empty where the transaction has no record. */
  readonly transactionHash: string;
  readonly text: string;
}

/** What was found. */
export interface StoredFindings {
  /** Records whose published rows and checksums agree. */
  readonly agreeing: readonly Recorded[];
  readonly differences: readonly Difference[];
  /** Rows that no record names: of older attempts, of transactions without a record, of blocks that left the chain. */
  readonly surplus: readonly StoredRows[];
  /** Rows of attempts whose record is missing or not closed: they may still be at work. */
  readonly unrecorded: readonly StoredRows[];
  /** Rows of this block that its records name. */
  readonly rows: Readonly<Record<TraceTable, bigint>>;
}

/** Compares. `records` and `stored` are all of the number, those of other blocks included. */
export function compareStored(
  question: StoredQuestion,
  records: readonly Recorded[],
  stored: readonly StoredRows[],
): StoredFindings {
  const { blockHash, transactions, stuck } = question;
  const known = new Map(records.map((record) => [keyOf(record), record]));
  const exact = new Map<string, StoredRows>();
  const surplus: StoredRows[] = [];
  const unrecorded: StoredRows[] = [];
  const rows = { structlog: 0n, structlog_agg: 0n };
  for (const found of stored) {
    const record = known.get(keyOf(found));
    if (record === undefined || found.version < record.version) surplus.push(found);
    else if (found.version > record.version || record.verdict === "open") unrecorded.push(found);
    else if (!record.published) surplus.push(found);
    else {
      exact.set(`${found.table} ${keyOf(found)}`, found);
      if (found.blockHash === blockHash) rows[found.table] += found.rows;
    }
  }
  const newer = new Set(unrecorded.map(keyOf));
  const differences: Difference[] = [];
  const agreeing: Recorded[] = [];
  const seen = new Set<number>();
  for (const record of records) {
    if (record.blockHash !== blockHash) continue;
    seen.add(record.index);
    const texts = [...differencesOf(record, exact, newer, stuck)];
    for (const text of texts) {
      differences.push({ index: record.index, transactionHash: record.transactionHash, text });
    }
    if (texts.length === 0 && record.published) agreeing.push(record);
  }
  for (let index = 0; index < transactions && !stuck; index++) {
    if (!seen.has(index)) differences.push({ index, transactionHash: "", text: "it has no record" });
  }
  return { agreeing, differences, surplus, unrecorded, rows };
}

function keyOf(of: { readonly transactionHash: string; readonly blockHash: string }): string {
  return `${of.transactionHash} ${of.blockHash}`;
}

function* differencesOf(
  record: Recorded,
  exact: ReadonlyMap<string, StoredRows>,
  newer: ReadonlySet<string>,
  stuck: boolean,
): Generator<string> {
  if (record.verdict === "open") {
    yield "its record is open";
    return;
  }
  if (!record.published) {
    if (!stuck) yield "it is not published, and its block is complete";
    return;
  }
  if (newer.has(keyOf(record))) {
    yield "rows of a newer attempt have no record";
    return;
  }
  for (const table of record.tables) {
    const found = exact.get(`${table} ${keyOf(record)}`);
    if ((found?.rows ?? 0n) !== record.rows[table]) {
      yield `${table}: ${found?.rows ?? 0n} rows are stored, ${record.rows[table]} are recorded`;
    } else if ((found?.checksum ?? 0n) !== record.checksum[table]) {
      yield `${table}: the checksum of the rows is ${found?.checksum ?? 0n}, ${record.checksum[table]} is recorded`;
    }
  }
}
