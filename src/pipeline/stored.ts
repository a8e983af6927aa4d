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
  readonly first: number;
  readonly last: number;
  /** A block whose dead-lettered transactions have no rows. */
  readonly stuck: boolean;
}

/** A transaction whose rows are not what its record says. */
export interface Difference {
  /** Position in the block; absent: the transaction has no record. */
  readonly index?: number;
  readonly transactionHash: string;
  readonly text: string;
}

/** What was found. */
export interface StoredFindings {
  /** Transactions whose rows and checksums agree. */
  readonly agreeing: number;
  readonly differences: readonly Difference[];
  /** Rows that no record names: of older attempts, of transactions without a record, of blocks that left the chain. */
  readonly surplus: readonly StoredRows[];
}

/** Compares. `records` and `stored` are all of the number, those of other blocks included. */
export function compareStored(
  question: StoredQuestion,
  records: readonly Recorded[],
  stored: readonly StoredRows[],
): StoredFindings {
  const ours = new Map(
    records.filter((record) => record.blockHash === question.blockHash).map((record) => [
      record.transactionHash,
      record,
    ]),
  );
  const known = new Map(records.map((record) => [`${record.transactionHash} ${record.blockHash}`, record]));
  const exact = new Map<string, StoredRows>();
  const newer = new Set<string>();
  const surplus: StoredRows[] = [];
  for (const rows of stored) {
    const record = known.get(`${rows.transactionHash} ${rows.blockHash}`);
    if (record !== undefined && rows.version > record.version) newer.add(rows.transactionHash);
    else if (record === undefined || rows.version < record.version || !record.published) surplus.push(rows);
    else exact.set(`${rows.table} ${rows.transactionHash} ${rows.blockHash}`, rows);
  }
  const differences: Difference[] = [];
  const seen = new Set<number>();
  let agreeing = 0;
  for (const record of ours.values()) {
    if (record.index < question.first || record.index > question.last) continue;
    seen.add(record.index);
    const texts = [...differencesOf(record, exact, newer, question.stuck)];
    for (const text of texts) {
      differences.push({ index: record.index, transactionHash: record.transactionHash, text });
    }
    if (texts.length === 0) agreeing++;
  }
  for (let index = question.first; index <= question.last && !question.stuck; index++) {
    if (!seen.has(index)) differences.push({ index, transactionHash: "", text: "it has no record" });
  }
  return { agreeing, differences, surplus };
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
  if (newer.has(record.transactionHash)) {
    yield "rows of a newer attempt have no record";
    return;
  }
  for (const table of record.tables) {
    const found = exact.get(`${table} ${record.transactionHash} ${record.blockHash}`);
    if ((found?.rows ?? 0n) !== record.rows[table]) {
      yield `${table}: ${found?.rows ?? 0n} rows are stored, ${record.rows[table]} are recorded`;
    } else if ((found?.checksum ?? 0n) !== record.checksum[table]) {
      yield `${table}: the checksum of the rows is ${found?.checksum ?? 0n}, ${record.checksum[table]} is recorded`;
    }
  }
}
