/**
 * What replaying an operation of the spill means. Time has passed since it was written, and a part of it may have been
 * done already: attempts whose block was orphaned, whose transaction has a newer record or of whose rows some were
 * refused are left out, and what cannot be told apart within a block is inserted and then removed.
 */
import { emit } from "../../telemetry/emit.ts";
import { ByteReader } from "../encode/bytes.ts";
import {
  type ExecutionTransactionTraceRow,
  executionTransactionTraceTable,
} from "../encode/execution_transaction_trace.ts";
import { decodeBlocks } from "../encode/native.ts";
import type { NativeBlock } from "../encode/port.ts";
import { structlogTable } from "../encode/structlog.ts";
import type { AttemptKey, SpillOperation, Storage } from "./port.ts";

type SkipReason = "refused" | "orphaned" | "superseded" | "closed";

/** What tells an attempt from every other one. */
export function attemptName({ network, blockNumber, transactionHash, rowVersion }: AttemptKey): string {
  return `${network}:${blockNumber}:${transactionHash}:${rowVersion}`;
}

/**
 * Does `operation` in `storage`, as far as it still matters. One try; idempotent.
 *
 * @param refused {@linkcode attemptName} of attempts of whose rows some were refused before.
 */
export async function replay(
  operation: SpillOperation,
  storage: Storage,
  refused: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<void> {
  switch (operation.kind) {
    case "insert":
      return await replayInsert(operation, storage, refused, signal);
    case "record":
      return await replayRecord(operation, storage, refused, signal);
    case "delete":
      return await storage.deleteAttempts(operation.table, operation.attempts, signal);
    case "surplus": {
      const rows = await storage.deleteSurplus(operation.table, operation.attempts, signal);
      if (rows > 0) {
        emit({ kind: "surplus_deleted", table: operation.table, attempts: operation.attempts.length, rows });
      }
    }
  }
}

async function replayInsert(
  { kind, block, attempts }: Extract<SpillOperation, { kind: "insert" }>,
  storage: Storage,
  refused: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<void> {
  const skipped = await outdated(attempts, storage, refused, signal);
  report(kind, skipped);
  if (skipped.size === attempts.length) return;
  await insert(block, storage, signal);
  // Rows that are as stored already do no harm; those of older attempts would stay visible beside newer ones.
  const unwanted = attempts.filter((attempt) => skipped.has(attempt) && skipped.get(attempt) !== "closed");
  const table = block.table === structlogTable.name ? "structlog" : "structlog_agg";
  if (unwanted.length > 0) await storage.deleteAttempts(table, unwanted, signal);
}

async function replayRecord(
  { kind, block, attempts }: Extract<SpillOperation, { kind: "record" }>,
  storage: Storage,
  refused: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<void> {
  const skipped = await outdated(attempts, storage, refused, signal);
  report(kind, skipped);
  if (skipped.size === attempts.length) return;
  await insert(skipped.size === 0 ? block : withoutRecords(block, skipped), storage, signal);
}

async function insert(block: NativeBlock, storage: Storage, signal: AbortSignal): Promise<void> {
  const startedMs = performance.now();
  await storage.insert(block, signal);
  const seconds = (performance.now() - startedMs) / 1000;
  const { table, rows, bytes } = block;
  emit({ kind: "rows_inserted", table, rows, bytes: bytes.length, seconds, reason: "replay" });
}

/** Which attempts are not to be replayed any more, and why. */
async function outdated(
  attempts: readonly AttemptKey[],
  storage: Storage,
  refused: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<ReadonlyMap<AttemptKey, SkipReason>> {
  const orphaned = await storage.orphaned(attempts, signal);
  const records = new Map(
    (await storage.records(attempts, signal)).map((known) => [`${known.blockNumber}:${known.transactionHash}`, known]),
  );
  const found = new Map<AttemptKey, SkipReason>();
  for (const attempt of attempts) {
    const record = records.get(`${attempt.blockNumber}:${attempt.transactionHash}`);
    if (refused.has(attemptName(attempt))) found.set(attempt, "refused");
    else if (orphaned.has(`${attempt.blockNumber}:${attempt.blockHash}`)) found.set(attempt, "orphaned");
    else if (record === undefined || record.rowVersion < attempt.rowVersion) continue;
    else if (record.rowVersion > attempt.rowVersion) found.set(attempt, "superseded");
    else if (record.verdict !== "open") found.set(attempt, "closed");
  }
  return found;
}

function report(operation: string, skipped: ReadonlyMap<AttemptKey, SkipReason>): void {
  for (const [reason, attempts] of Map.groupBy(skipped.values(), (reason) => reason)) {
    emit({ kind: "spill_skipped", operation, reason, attempts: attempts.length });
  }
}

/** The records of a block without those of these attempts. */
function withoutRecords(block: NativeBlock, skipped: ReadonlyMap<AttemptKey, SkipReason>): NativeBlock {
  const left = new Set([...skipped.keys()].map((key) => `${key.transactionHash}:${key.rowVersion}`));
  const [decoded] = decodeBlocks(new ByteReader(block.bytes));
  const rows = Array.from(
    { length: decoded!.rows },
    (_, row) => Object.fromEntries([...decoded!.columns].map(([name, cells]) => [name, cells[row]])),
  ) as unknown as ExecutionTransactionTraceRow[];
  return executionTransactionTraceTable.encode(
    rows.filter((row) => !left.has(`${row.transaction_hash}:${row.row_version}`)),
  );
}
