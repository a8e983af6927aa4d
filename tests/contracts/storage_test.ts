import assert from "node:assert/strict";
import fc from "fast-check";
import { executionTransactionTable } from "../../src/stages/encode/execution_transaction.ts";
import { executionTransactionTraceTable } from "../../src/stages/encode/execution_transaction_trace.ts";
import { structlogTable } from "../../src/stages/encode/structlog.ts";
import { MemoryStorage } from "../../src/stages/sink/memory.ts";
import { recordRow, transactionRow } from "../stages/encode/rows.ts";
import { openEngineStorage, openMemoryStorage } from "./storage_backends.ts";
import { attemptKey, type OpenStorage, storageContract, structlogs } from "./storage_contract.ts";

storageContract("memory", openMemoryStorage);
storageContract("clickhouse", openEngineStorage);

const SIGNAL = new AbortController().signal;

type Operation =
  | { readonly kind: "insert"; readonly transaction: number; readonly version: number; readonly rows: number }
  | { readonly kind: "record"; readonly transaction: number; readonly version: number; readonly verdict: string }
  | { readonly kind: "surplus"; readonly transaction: number; readonly version: number };

const transaction = fc.nat({ max: 2 });
const version = fc.integer({ min: 1, max: 4 });

const operation: fc.Arbitrary<Operation> = fc.oneof(
  fc.record({ kind: fc.constant("insert" as const), transaction, version, rows: fc.integer({ min: 1, max: 4 }) }),
  fc.record({ kind: fc.constant("record" as const), transaction, version, verdict: fc.constantFrom("open", "proved") }),
  fc.record({ kind: fc.constant("surplus" as const), transaction, version }),
);

async function run({ storage }: OpenStorage, operations: readonly Operation[]): Promise<unknown[]> {
  const answers: unknown[] = [];
  for (const step of operations) {
    const key = attemptKey(step.transaction, step.version);
    if (step.kind === "insert") await storage.insert(structlogs(key, step.rows, 100 * step.version), SIGNAL);
    else if (step.kind === "surplus") answers.push(await storage.deleteSurplus("structlog", [key], SIGNAL));
    else {
      const { verdict } = step;
      await storage.insert(executionTransactionTraceTable.encode([recordRow(key, { verdict })]), SIGNAL);
    }
    answers.push(await storage.records([0, 1, 2].map((i) => attemptKey(i, 0)), SIGNAL));
  }
  return answers.map((answer) =>
    Array.isArray(answer) ? answer.map((record) => JSON.stringify(record)).sort() : answer
  );
}

async function seen(open: OpenStorage): Promise<string[]> {
  const rows = await open.visible(structlogTable.name);
  return rows.map((row) => `${row.transaction_hash} ${row.index} ${row.row_version} ${row.gas}`).sort();
}

Deno.test("memory and clickhouse storage agree after any operations", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(operation, { minLength: 1, maxLength: 12 }), async (operations) => {
      await using memory = await openMemoryStorage();
      await using engine = await openEngineStorage();
      assert.deepEqual(await run(engine, operations), await run(memory, operations));
      assert.deepEqual(await seen(engine), await seen(memory));
    }),
    { numRuns: 8 },
  );
});

Deno.test("the small tables read back from the engine as they were written", async () => {
  await using engine = await openEngineStorage();
  const key = attemptKey(0, 2 ** 52);
  const record = recordRow(key, {
    violations: ["R1: x", "é\n\n;"],
    return_value: "00".repeat(1000),
    final_refund: -5,
    refund_counter: undefined,
  });
  await engine.storage.insert(executionTransactionTraceTable.encode([record]), SIGNAL);
  assert.deepEqual(await engine.visible(executionTransactionTraceTable.name), [record]);
  const row = transactionRow(key, { to: `0x${"22".repeat(20)}`, blob_hashes: ["0x01"], gas_fee_cap: 0n });
  await engine.storage.insert(executionTransactionTable.encode([row]), SIGNAL);
  assert.deepEqual(await engine.visible(executionTransactionTable.name), [row]);
});

Deno.test("memory storage that counts keeps no rows of the trace tables, and all records", async () => {
  const storage = new MemoryStorage({ rows: "counted" });
  const key = attemptKey(0, 1);
  const block = structlogs(key, 5);
  await storage.insert(block, SIGNAL);
  await storage.insert(executionTransactionTraceTable.encode([recordRow(key)]), SIGNAL);
  assert.deepEqual(storage.final(structlogTable.name), []);
  assert.deepEqual(storage.counts(structlogTable.name), { rows: 5, bytes: block.bytes.length, inserts: 1 });
  assert.equal((await storage.records([key], SIGNAL)).length, 1);
});
