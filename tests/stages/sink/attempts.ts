/** Transactions for tests of the sink: their rows, their records, and a whole attempt from open to finish. */
import type { ProofRecord } from "../../../src/stages/decode/port.ts";
import type { AttemptClose, AttemptStart, Sink, SinkOptions, Submission } from "../../../src/stages/sink/port.ts";
import { frameColumns, frameRow, hash, OPERATIONS, structlogColumns, structlogRow } from "../encode/columns.ts";

/** Small limits, so that a test needs few rows to reach them. */
export const OPTIONS: SinkOptions = {
  isolate: "test",
  rows: 1000,
  bytes: 1_000_000,
  lingerMs: 5,
  holdBytes: 200_000,
  inFlight: 2,
  memoryBytes: 10_000_000,
  settleOn: "durable",
  spillAfterMs: 50,
  retry: { initialDelayMs: 1, maxDelayMs: 4 },
  breaker: { failures: 1000, halfOpenAfterMs: 10 },
};

/** The first lines of a transaction's story. */
export function attemptStart(index: number, changes: Partial<AttemptStart> = {}): AttemptStart {
  return {
    network: "testnet",
    blockNumber: 100,
    blockHash: hash(100),
    transactionHash: hash(1000 + index),
    transactionIndex: index,
    rowVersion: 10,
    firstDelivery: true,
    gasUsed: 50_000,
    failed: false,
    failedIsFinal: true,
    tables: ["structlog", "structlog_agg"],
    client: "test/1.0",
    node: "a",
    fork: "prague",
    ...changes,
  };
}

/** The proof of a trace with this many rows. */
export function proof(rows: number, aggregateRows: number, changes: Partial<ProofRecord> = {}): ProofRecord {
  return {
    verdict: "proved",
    identity: "",
    detail: "",
    violations: [],
    outcome: "success",
    intrinsicGas: 21_000,
    floorGas: 0,
    rootGas: 29_000,
    codeDepositGas: 0,
    refundCounter: 0,
    refundSource: "node",
    refundApplied: 0,
    gasUsed: 50_000,
    rows,
    frames: 1,
    accessMismatch: {},
    notes: [],
    aggregateRows,
    structlogChecksum: 5n,
    aggregateChecksum: 7n,
    offset: 0,
    bytes: 1000,
    ...changes,
  };
}

/** Proved. */
export const CLOSE: AttemptClose = { policy: "enforce", traceMs: 3 };

/** A trace that breaks an identity. */
export const VIOLATED: Partial<ProofRecord> = {
  verdict: "violated",
  identity: "R3",
  detail: "gas used",
  violations: [{ identity: "R3", detail: "gas used", index: 4 }],
};

/** Rows `from..to` of the structlog table, as one callback of the decoder. */
export function structlogs(from: number, to: number) {
  return structlogColumns(Array.from({ length: to - from }, (_, i) => structlogRow(from + i)), [...OPERATIONS]);
}

/** What {@linkcode trace} is to do. */
export interface TraceScript {
  readonly start?: Partial<AttemptStart>;
  readonly rows?: number;
  /** Rows of one callback. */
  readonly chunk?: number;
  readonly record?: Partial<ProofRecord>;
  readonly close?: Partial<AttemptClose>;
}

/** Takes transaction `index` through the sink as a lane would, waiting where the sink asks for it. */
export async function trace(sink: Sink, index: number, script: TraceScript = {}): Promise<Submission> {
  const { rows = 3, chunk = 100 } = script;
  const attempt = sink.open(attemptStart(index, script.start));
  for (let from = 0; from < rows; from += chunk) {
    attempt.structlogs(structlogs(from, Math.min(rows, from + chunk)), OPERATIONS);
    await attempt.room();
  }
  attempt.frames(frameColumns([frameRow(""), frameRow("OP1")], [...OPERATIONS]), OPERATIONS);
  return attempt.finish(proof(rows, 2, script.record), { ...CLOSE, ...script.close });
}
