/** Every vector as Native blocks into a real engine and back: the rows are those that were expected. */
import assert from "node:assert/strict";
import { openDecoder } from "../../src/stages/decode/decoder.ts";
import type { FrameColumns, ProofRecord, StructlogColumns, TraceSink } from "../../src/stages/decode/port.ts";
import type { Part, Segment } from "../../src/stages/encode/columnar.ts";
import type { NativeBlock } from "../../src/stages/encode/port.ts";
import { structlogEncoder } from "../../src/stages/encode/structlog.ts";
import { structlogAggEncoder } from "../../src/stages/encode/structlog_agg.ts";
import type { TransactionConstants } from "../../src/stages/encode/transaction_constants.ts";
import { migrations } from "../../src/stages/sink/schema.ts";
import { freshDatabase } from "../embedded/shared_engine.ts";
import { GROUPS, type Vector, vectors } from "../fixtures/vectors.ts";
import { compareTable, rowsFollowReceipt } from "../reference/compare.ts";
import { constantsOf, contextOf, decodeInto } from "../stages/decode/collect.ts";

/** A block is sent when it has this many rows, or this many networks: each is a partition. */
const BLOCK_ROWS = 100_000;
const BLOCK_NETWORKS = 90;
const VECTORS_AT_ONCE = 40;

for (const group of GROUPS) {
  Deno.test(`rows of every vector of ${group} come back from the engine as they were expected`, async () => {
    await using db = await freshDatabase();
    for (const statement of migrations[0]!.statements) await db.query(statement);
    const send = async ({ table, columns, bytes, rows }: NativeBlock) => {
      if (rows > 0) {
        await db.insert(`INSERT INTO ${table} (${columns.join(", ")}) FORMAT Native`, new Uint8Array(bytes));
      }
    };
    const decoder = await openDecoder();
    const batch = new Batch();
    const all = await vectors(group);
    for (const vector of all) {
      const segments = new Segments();
      decodeInto(decoder, contextOf(vector), [vector.trace], segments);
      batch.add(constants(vector, segments.record!), segments);
      if (batch.rows < BLOCK_ROWS && batch.networks < BLOCK_NETWORKS) continue;
      for (const block of batch.take()) await send(block);
    }
    for (const block of batch.take()) await send(block);

    const wrong: string[] = [];
    for (let at = 0; at < all.length; at += VECTORS_AT_ONCE) {
      const some = all.slice(at, at + VECTORS_AT_ONCE);
      const tables = {
        structlog: await rowsOf(db, structlogTableName, some),
        agg: await rowsOf(db, aggTableName, some),
      };
      for (const vector of some.filter(rowsFollowReceipt)) {
        const { expected, meta: { network } } = vector;
        for (const table of ["structlog", "agg"] as const) {
          const rows = (tables[table].get(nameOf(vector)) ?? []).map((row) => ({ ...row, meta_network_name: network }));
          const differences = compareTable(table, expected[table], rows);
          if (differences.length > 0) wrong.push(`${vector.name}: ${differences.join("; ")}`);
        }
      }
    }
    assert.deepEqual(wrong, []);
  });
}

const structlogTableName = "canonical_execution_transaction_structlog";
const aggTableName = "canonical_execution_transaction_structlog_agg";

/** Vectors share transactions: the network tells their rows apart. */
function nameOf({ group, name }: Vector): string {
  return `${group}/${name}`;
}

async function rowsOf(
  db: { query(sql: string, settings?: Readonly<Record<string, string>>): Promise<string> },
  table: string,
  some: readonly Vector[],
): Promise<Map<string, Record<string, unknown>[]>> {
  const names = some.map((vector) => `'${nameOf(vector)}'`).join(", ");
  const text = await db.query(
    `SELECT * EXCEPT (updated_date_time, row_version) FROM ${table} FINAL WHERE meta_network_name IN (${names}) FORMAT JSONEachRow`,
    { output_format_json_quote_64bit_integers: "1" },
  );
  const rows = text.split("\n").filter((line) => line !== "").map((line) =>
    JSON.parse(line) as Record<string, unknown>
  );
  return Map.groupBy(rows, (row) => String(row.meta_network_name));
}

function constants(vector: Vector, record: ProofRecord): TransactionConstants {
  const cells = constantsOf(vector, record);
  return {
    encodedAt: new Date(1_700_000_000_000),
    network: nameOf(vector),
    blockNumber: Number(cells.block_number),
    blockHash: String(cells.block_hash),
    transactionHash: String(cells.transaction_hash),
    transactionIndex: Number(cells.transaction_index),
    gasUsed: cells.transaction_gas as bigint,
    failed: cells.transaction_failed as boolean,
    returnValue: record.returnValue,
    rowVersion: 1,
  };
}

/** The segments of one transaction. */
class Segments implements TraceSink {
  record: ProofRecord | undefined;
  readonly structlog: Segment[] = [];
  readonly agg: Segment[] = [];

  structlogs(_position: number, columns: StructlogColumns, operations: readonly string[]): void {
    this.structlog.push(structlogEncoder.segment(columns, operations));
  }

  frames(_position: number, columns: FrameColumns, operations: readonly string[]): void {
    this.agg.push(structlogAggEncoder.segment(columns, operations));
  }

  returnValue(): void {}

  finished(_position: number, record: ProofRecord): void {
    this.record = record;
  }
}

/** Transactions that share a block of each table. */
class Batch {
  rows = 0;
  #structlog: Part<TransactionConstants>[] = [];
  #agg: Part<TransactionConstants>[] = [];

  get networks(): number {
    return this.#agg.length;
  }

  add(of: TransactionConstants, { structlog, agg }: Segments): void {
    this.#structlog.push({ constants: of, segments: structlog });
    this.#agg.push({ constants: of, segments: agg });
    for (const { rows } of structlog) this.rows += rows;
  }

  take(): NativeBlock[] {
    const blocks = [structlogEncoder.block(this.#structlog), structlogAggEncoder.block(this.#agg)];
    [this.rows, this.#structlog, this.#agg] = [0, [], []];
    return blocks;
  }
}
