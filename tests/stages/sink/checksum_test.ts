/** Real traces through decode and the sink into a real engine: the records' checksums are those of the stored rows. */
import assert from "node:assert/strict";
import { openDecoder } from "../../../src/stages/decode/decoder.ts";
import type { TraceSink } from "../../../src/stages/decode/port.ts";
import { checksumSql } from "../../../src/stages/encode/checksum.ts";
import { structlogChecksum, structlogTable } from "../../../src/stages/encode/structlog.ts";
import { structlogAggChecksum, structlogAggTable } from "../../../src/stages/encode/structlog_agg.ts";
import type { Attempt, Submission } from "../../../src/stages/sink/port.ts";
import { openSink } from "../../../src/stages/sink/sink.ts";
import { openEngineStorage, rowsAt } from "../../contracts/storage_backends.ts";
import { type Vector, vector, vectors } from "../../fixtures/vectors.ts";
import { contextOf, decodeInto } from "../decode/collect.ts";
import { hash } from "../encode/columns.ts";
import { attemptStart, OPTIONS } from "./attempts.ts";

/** Every so many: the whole of it takes a minute. */
const EVERY = 8;

function feed(attempt: Attempt): TraceSink & { submission?: Submission } {
  const sink: TraceSink & { submission?: Submission } = {
    structlogs: (_position, columns, operations) => attempt.structlogs(columns, operations),
    frames: (_position, columns, operations) => attempt.frames(columns, operations),
    returnValue: (_position, hex) => attempt.returnValue(hex),
    finished(_position, record) {
      sink.submission = attempt.finish(record, { policy: "record", traceMs: 1 });
    },
  };
  return sink;
}

/** What the sink is told of a vector; vectors share transactions, so each gets a hash of its own. */
function startOf({ receipt, meta }: Vector, index: number) {
  return attemptStart(index, {
    network: meta.network,
    blockNumber: Number(receipt.blockNumber),
    blockHash: hash(index),
    transactionIndex: Number(receipt.transactionIndex),
    gasUsed: BigInt(String(receipt.gasUsed)),
    failed: receipt.status === "0x0",
    failedIsFinal: receipt.status !== undefined,
  });
}

Deno.test("the engine's checksum of the stored rows is that of the record, on real traces of every kind", async () => {
  await using engine = await openEngineStorage();
  const sink = openSink({ ...OPTIONS, rows: 100_000, bytes: 32 << 20, holdBytes: 16 << 20 }, engine.storage);
  const decoder = await openDecoder();
  const durable: Promise<unknown>[] = [];
  const chosen = (await vectors("traces", "variants")).filter((_, i) => i % EVERY === 0);
  for (const [index, vector] of chosen.entries()) {
    const into = feed(sink.open(startOf(vector, index)));
    decodeInto(decoder, contextOf(vector), [vector.trace], into);
    durable.push(into.submission!.durable);
  }
  await Promise.all(durable);
  const records = await engine.visible("execution_transaction_trace");
  assert.equal(records.length, chosen.length);
  for (
    const [definition, cells, rows, sum] of [
      [structlogTable, structlogChecksum, "structlog_rows", "structlog_checksum"],
      [structlogAggTable, structlogAggChecksum, "agg_rows", "agg_checksum"],
    ] as const
  ) {
    const stored = await rowsAt(
      engine.address,
      `SELECT transaction_hash, count() AS rows, sum(${checksumSql(definition.columns, cells)}) AS checksum
       FROM ${definition.name} FINAL GROUP BY transaction_hash`,
    );
    const expected = records.filter((record) => record[rows] !== 0);
    assert.deepEqual(
      stored.map((row) => `${row.transaction_hash} ${row.rows} ${row.checksum}`).sort(),
      expected.map((record) => `${record.transaction_hash} ${record[rows]} ${record[sum]}`).sort(),
      definition.name,
    );
  }
});

Deno.test("a checksum sees every cell that it covers", async () => {
  await using engine = await openEngineStorage();
  const sink = openSink(OPTIONS, engine.storage);
  const decoder = await openDecoder();
  const nested = await vector("traces", "014-factory-create-nested");
  const into = feed(sink.open(startOf(nested, 0)));
  decodeInto(decoder, contextOf(nested), [nested.trace], into);
  await into.submission!.durable;
  const sumOf = async (sql: string) => String((await rowsAt(engine.address, sql))[0]!.checksum);
  for (
    const [definition, cells] of [[structlogTable, structlogChecksum], [
      structlogAggTable,
      structlogAggChecksum,
    ]] as const
  ) {
    const sum = checksumSql(definition.columns, cells);
    const before = await sumOf(`SELECT sum(${sum}) AS checksum FROM ${definition.name} FINAL`);
    const covered: readonly string[] = [...cells.row, ...cells.transaction];
    assert.deepEqual(
      Object.keys(definition.columns).filter((name) => !covered.includes(name)).toSorted(),
      ["row_version", "updated_date_time"],
    );
    for (const name of covered) {
      const changed = changedCell(name, definition.columns[name as keyof typeof definition.columns]!.type.name);
      const after = await sumOf(
        `SELECT sum(${sum}) AS checksum FROM (SELECT * REPLACE (${changed} AS \`${name}\`) FROM ${definition.name} FINAL)`,
      );
      assert.notEqual(after, before, `${definition.name}.${name}`);
    }
  }
});

/** The cell of the first row by some other value of its type. */
function changedCell(name: string, type: string): string {
  const column = `\`${name}\``;
  if (type.startsWith("Array")) return `arrayPushBack(${column}, toUInt32(7))`;
  if (type === "Nullable(String)") return `CAST(concat(ifNull(${column}, ''), 'x'), 'Nullable(String)')`;
  if (type.startsWith("Nullable")) return `CAST(ifNull(${column} + 1, 3), '${type}')`;
  if (type.startsWith("FixedString")) return `toFixedString(reverse(toString(${column})), 66)`;
  if (type === "Bool") return `NOT ${column}`;
  if (type.startsWith("LowCardinality")) return `CAST(concat(${column}, 'x'), '${type}')`;
  return `CAST(${column} + 1, '${type}')`;
}
