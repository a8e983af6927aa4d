/** What the sink relies on of a storage, one test a guarantee; and a model test that two backends agree. */
import assert from "node:assert/strict";
import { executionBlockTable } from "../../src/stages/encode/execution_block.ts";
import { executionTransactionTraceTable } from "../../src/stages/encode/execution_transaction_trace.ts";
import type { NativeBlock } from "../../src/stages/encode/port.ts";
import { structlogEncoder, structlogTable } from "../../src/stages/encode/structlog.ts";
import { structlogAggEncoder, structlogAggTable } from "../../src/stages/encode/structlog_agg.ts";
import { StorageRejectedError, StorageSetupError } from "../../src/stages/sink/errors.ts";
import type { AttemptKey, Storage, TransactionKey } from "../../src/stages/sink/port.ts";
import {
  constants,
  frameColumns,
  frameRow,
  hash,
  OPERATIONS,
  structlogColumns,
  structlogRow,
} from "../stages/encode/columns.ts";
import { blockRow, recordRow } from "../stages/encode/rows.ts";

/** Cells by column. */
export type Row = Readonly<Record<string, unknown>>;

/** A storage, and what is to be seen in it. */
export interface OpenStorage extends AsyncDisposable {
  readonly storage: Storage;
  /** Rows of a table under `FINAL`, in no order. */
  visible(table: string): Promise<readonly Row[]>;
}

const SIGNAL = new AbortController().signal;
const BLOCK = 100;

/** Key of transaction `index` in version `version`. */
export function attemptKey(index: number, version: number, block = BLOCK): AttemptKey {
  return {
    network: "testnet",
    blockNumber: block,
    blockHash: hash(block),
    transactionHash: hash(1000 + index),
    rowVersion: version,
  };
}

/** `rows` structlogs of a transaction. */
export function structlogs(key: AttemptKey, rows: number, gas = 100): NativeBlock {
  const columns = structlogColumns(
    Array.from({ length: rows }, (_, i) => structlogRow(i, { gas: BigInt(gas - i) })),
    [...OPERATIONS],
  );
  const { network, blockNumber, blockHash, transactionHash, rowVersion } = key;
  const of = constants(0, { network, blockNumber, blockHash, transactionHash, rowVersion });
  return structlogEncoder.block([{ constants: of, segments: [structlogEncoder.segment(columns, OPERATIONS)] }]);
}

function frames(key: AttemptKey, operations: readonly string[]): NativeBlock {
  const columns = frameColumns(operations.map((name) => frameRow(name)), [...OPERATIONS]);
  const { network, blockNumber, blockHash, transactionHash, rowVersion } = key;
  const of = constants(0, { network, blockNumber, blockHash, transactionHash, rowVersion });
  return structlogAggEncoder.block([{ constants: of, segments: [structlogAggEncoder.segment(columns, OPERATIONS)] }]);
}

async function indexes(open: OpenStorage, key: TransactionKey): Promise<number[]> {
  const rows = await open.visible(structlogTable.name);
  return rows
    .filter((row) => row.transaction_hash === key.transactionHash && Number(row.block_number) === key.blockNumber)
    .map((row) => Number(row.index))
    .sort((a, b) => a - b);
}

/** Registers the suite for one backend. */
export function storageContract(name: string, open: () => Promise<OpenStorage>): void {
  function guarantee(fact: string, run: (open: OpenStorage) => Promise<void>): void {
    Deno.test(`${name} storage ${fact}`, async () => {
      await using opened = await open();
      await run(opened);
    });
  }

  guarantee("shows what was inserted", async (open) => {
    const key = attemptKey(0, 7);
    await open.storage.insert(structlogs(key, 3), SIGNAL);
    await open.storage.insert(frames(key, ["", "OP1"]), SIGNAL);
    const [first] = await open.visible(structlogTable.name);
    assert.equal(first!.row_version, 7);
    assert.equal(first!.error, undefined);
    assert.deepEqual(first!.call_frame_path, [0]);
    assert.deepEqual(await indexes(open, key), [0, 1, 2]);
    const operations = (await open.visible(structlogAggTable.name)).map((row) => row.operation);
    assert.deepEqual([...operations].sort(), ["", "OP1"]);
  });

  guarantee("shows a block that was sent twice once", async (open) => {
    const block = structlogs(attemptKey(0, 7), 3);
    await open.storage.insert(block, SIGNAL);
    await open.storage.insert(block, SIGNAL);
    assert.deepEqual(await indexes(open, attemptKey(0, 7)), [0, 1, 2]);
  });

  guarantee("shows the newest of rows of one key that came in one block", async (open) => {
    const block = BLOCK + 7;
    const rows = [3, 1, 2].map((version) =>
      recordRow(attemptKey(0, version, block), { verdict: `version ${version}` })
    );
    await open.storage.insert(executionTransactionTraceTable.encode(rows), SIGNAL);
    const found = (await open.visible(executionTransactionTraceTable.name)).map((row) => row.verdict);
    assert.deepEqual(found, ["version 3"]);
  });

  guarantee("shows the rows of the larger version, whichever comes last", async (open) => {
    await open.storage.insert(structlogs(attemptKey(0, 7), 2, 70), SIGNAL);
    await open.storage.insert(structlogs(attemptKey(0, 8), 2, 80), SIGNAL);
    await open.storage.insert(structlogs(attemptKey(0, 6), 2, 60), SIGNAL);
    const rows = await open.visible(structlogTable.name);
    assert.deepEqual(rows.map((row) => row.row_version), [8, 8]);
    assert.deepEqual(rows.map((row) => Number(row.gas)).sort((a, b) => a - b), [79, 80]);
  });

  guarantee("shows the later one of two records of equal version", async (open) => {
    const key = attemptKey(0, 7);
    await open.storage.insert(executionTransactionTraceTable.encode([recordRow(key, { verdict: "open" })]), SIGNAL);
    await open.storage.insert(
      executionTransactionTraceTable.encode([recordRow(key, { verdict: "proved", published: 1 })]),
      SIGNAL,
    );
    const { blockNumber, transactionHash, rowVersion } = key;
    assert.deepEqual(await open.storage.records([key], SIGNAL), [
      { blockNumber, transactionHash, rowVersion, verdict: "proved", published: true },
    ]);
  });

  guarantee("deletes exactly the attempts it is given", async (open) => {
    await open.storage.insert(structlogs(attemptKey(0, 7), 2), SIGNAL);
    await open.storage.insert(structlogs(attemptKey(1, 7), 2), SIGNAL);
    await open.storage.insert(structlogs(attemptKey(0, 7, BLOCK + 1), 2), SIGNAL);
    await open.storage.insert(frames(attemptKey(0, 7), [""]), SIGNAL);
    await open.storage.deleteAttempts("structlog", [attemptKey(0, 6), attemptKey(0, 8)], SIGNAL);
    assert.deepEqual(await indexes(open, attemptKey(0, 7)), [0, 1]);
    await open.storage.deleteAttempts("structlog", [attemptKey(0, 7)], SIGNAL);
    await open.storage.deleteAttempts("structlog", [attemptKey(0, 7)], SIGNAL);
    assert.deepEqual(await indexes(open, attemptKey(0, 7)), []);
    assert.deepEqual(await indexes(open, attemptKey(1, 7)), [0, 1]);
    assert.deepEqual(await indexes(open, attemptKey(0, 7, BLOCK + 1)), [0, 1]);
    assert.equal((await open.visible(structlogAggTable.name)).length, 1);
  });

  guarantee("deletes the surplus of older attempts, and says how much it was", async (open) => {
    await open.storage.insert(structlogs(attemptKey(0, 7), 5), SIGNAL);
    await open.storage.insert(structlogs(attemptKey(1, 7), 5), SIGNAL);
    await open.storage.insert(structlogs(attemptKey(0, 7, BLOCK + 1), 5), SIGNAL);
    await open.storage.insert(structlogs(attemptKey(0, 9), 3), SIGNAL);
    const [newer, other] = [attemptKey(0, 9), attemptKey(1, 7)];
    assert.equal(await open.storage.deleteSurplus("structlog", [newer, other], SIGNAL), 2);
    assert.deepEqual(await indexes(open, newer), [0, 1, 2]);
    assert.deepEqual(await indexes(open, other), [0, 1, 2, 3, 4]);
    assert.deepEqual(await indexes(open, attemptKey(0, 7, BLOCK + 1)), [0, 1, 2, 3, 4]);
    assert.equal(await open.storage.deleteSurplus("structlog", [newer, other], SIGNAL), 0);
  });

  guarantee("answers with the newest record of each transaction that has one", async (open) => {
    const records = [
      recordRow(attemptKey(0, 7)),
      recordRow(attemptKey(0, 9), { verdict: "bounded" }),
      recordRow(attemptKey(1, 5)),
    ];
    await open.storage.insert(executionTransactionTraceTable.encode(records), SIGNAL);
    const found = await open.storage.records([attemptKey(0, 1), attemptKey(1, 1), attemptKey(2, 1)], SIGNAL);
    assert.deepEqual(
      found.map(({ transactionHash, rowVersion, verdict }) => [transactionHash, rowVersion, verdict]).sort(),
      [[hash(1000), 9, "bounded"], [hash(1001), 5, "proved"]],
    );
    assert.deepEqual(await open.storage.records([{ ...attemptKey(0, 7), network: "other" }], SIGNAL), []);
    assert.deepEqual(await open.storage.records([attemptKey(0, 7, BLOCK + 1)], SIGNAL), []);
    assert.deepEqual(await open.storage.records([], SIGNAL), []);
  });

  guarantee("knows the blocks that the ledger says are orphaned", async (open) => {
    const [gone, kept] = [attemptKey(0, 7), attemptKey(0, 7, BLOCK + 1)];
    await open.storage.insert(
      executionBlockTable.encode([
        blockRow(gone, { state: "accepted", version: 1 }),
        blockRow(gone, { state: "orphaned", version: 2 }),
        blockRow(kept, { state: "complete", version: 1 }),
      ]),
      SIGNAL,
    );
    assert.deepEqual([...await open.storage.orphaned([gone, kept], SIGNAL)], [`${BLOCK}:${hash(BLOCK)}`]);
  });

  guarantee("answers for as many transactions as a batch can have", async (open) => {
    const keys = Array.from({ length: 2_000 }, (_, i) => attemptKey(i, 2 ** 52, 2 ** 40 + i));
    await open.storage.insert(executionTransactionTraceTable.encode(keys.map((key) => recordRow(key))), SIGNAL);
    assert.equal((await open.storage.records(keys, SIGNAL)).length, keys.length);
    assert.equal((await open.storage.orphaned(keys, SIGNAL)).size, 0);
    await open.storage.deleteAttempts("structlog", keys.slice(0, 300), SIGNAL);
    assert.equal(await open.storage.deleteSurplus("structlog", keys, SIGNAL), 0);
  });

  guarantee("refuses a block that is cut, and keeps none of it", async (open) => {
    const block = structlogs(attemptKey(0, 7), 100);
    for (const length of [1, 500, block.bytes.length - 1]) {
      const cut = { ...block, bytes: block.bytes.slice(0, length) };
      await assert.rejects(open.storage.insert(cut, SIGNAL), StorageRejectedError, `${length}`);
    }
    assert.deepEqual(await open.visible(structlogTable.name), []);
  });

  guarantee("refuses a table and a column that it does not have", async (open) => {
    const block = structlogs(attemptKey(0, 7), 1);
    await assert.rejects(open.storage.insert({ ...block, table: "no_such_table" }, SIGNAL), StorageSetupError);
  });

  guarantee("does nothing for a signal that is aborted", async (open) => {
    const abort = new AbortController();
    abort.abort(new Error("enough"));
    await assert.rejects(open.storage.insert(structlogs(attemptKey(0, 7), 1), abort.signal), /enough/);
    await assert.rejects(open.storage.ping(abort.signal), /enough/);
    assert.deepEqual(await open.visible(structlogTable.name), []);
  });

  guarantee("answers a ping", async (open) => {
    await open.storage.ping(SIGNAL);
    assert.ok(open.storage.endpoint.length > 0);
  });
}
