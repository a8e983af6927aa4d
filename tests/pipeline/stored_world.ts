/** One network with a real engine and a queue whose clock the test moves: blocks of real traces, their ledger, their tasks. */
import { openLedger } from "../../src/pipeline/ledger_store.ts";
import { openDecoder } from "../../src/stages/decode/decoder.ts";
import type { TraceSink } from "../../src/stages/decode/port.ts";
import type { Direction, Ledger, LedgerRow, LedgerState } from "../../src/stages/gate/ledger.ts";
import { memoryQueues } from "../../src/stages/queue/memory.ts";
import {
  type Lease,
  type Office,
  type QueueOptions,
  TASK_CLASSES,
  type WorkQueue,
} from "../../src/stages/queue/port.ts";
import type { ClickHouseStorage } from "../../src/stages/sink/clickhouse.ts";
import type { AttemptStart, Sink, Submission } from "../../src/stages/sink/port.ts";
import { openSink } from "../../src/stages/sink/sink.ts";
import { openEngineStorage, rowsAt } from "../contracts/storage_backends.ts";
import type { Row } from "../contracts/storage_contract.ts";
import { vector } from "../fixtures/vectors.ts";
import { contextOf, decodeInto } from "../stages/decode/collect.ts";
import { hash } from "../stages/encode/columns.ts";
import { FakeClock } from "../stages/queue/fake_clock.ts";
import { attemptStart, OPTIONS } from "../stages/sink/attempts.ts";

export const NETWORK = "testnet";
export const LEASE_MS = 30_000;
const START_MS = 1_800_000_000_000;

/** A short trace with more than one frame. */
const TRACE = "014-factory-create-nested";

const QUEUE: QueueOptions = {
  leaseMs: LEASE_MS,
  heartbeatMs: 10_000,
  reclaimMs: 5_000,
  stallTimeoutMs: 120_000,
  maxAttempts: 8,
  maxRecoveries: 5,
  aloneAfterRecoveries: 2,
  backoffBaseMs: 1_000,
  backoffMaxMs: 600_000,
  leaderTtlMs: 3_600_000_000,
  keepCompleteMs: 86_400_000,
  weights: perClass(1),
  inFlight: perClass(8),
  ackBatch: 200,
};

function perClass(value: number) {
  return Object.fromEntries(TASK_CLASSES.map((name) => [name, value])) as QueueOptions["weights"];
}

/** See the module's comment. */
export interface StoredWorld extends AsyncDisposable {
  readonly storage: ClickHouseStorage;
  readonly sink: Sink;
  readonly ledger: Ledger;
  readonly queue: WorkQueue;
  readonly clock: FakeClock;
  readonly office: Office;
  /** Rows of a query of the engine. */
  rows(sql: string): Promise<readonly Row[]>;
  /** What the sink is told of transaction `index` of block `number`. */
  start(number: number, index: number, version: number, changes?: Partial<AttemptStart>): AttemptStart;
  /** Takes a transaction through `into`, from a real trace; resolves when it is durable. */
  feed(into: Sink, start: AttemptStart): Promise<void>;
  /** Stores transaction `index` of block `number`. */
  store(number: number, index: number, version: number, changes?: Partial<AttemptStart>): Promise<void>;
  /** Writes the ledger's rows of a block, one per processor. */
  enter(number: number, state: LedgerState, changes?: Partial<LedgerRow>): Promise<void>;
  /** Lets the queue complete a block and hand out its verification. */
  verification(number: number, transactions: number): Promise<Lease>;
}

/** The processors of the world. */
export const TRACED = ["transaction_structlog", "transaction_structlog_agg"] as const;

/** Opens one. */
export async function storedWorld(): Promise<StoredWorld> {
  const engine = await openEngineStorage();
  const sink = openSink({ ...OPTIONS, lingerMs: 1 }, engine.storage);
  const ledger = openLedger(NETWORK, engine.storage, sink);
  const clock = new FakeClock(START_MS);
  const queues = memoryQueues(QUEUE, clock, () => 0.5, () => Promise.resolve(0));
  const queue = await queues.open(NETWORK);
  const office = (await queue.lead("forwards", "test"))!;
  const decoder = await openDecoder();
  const found = await vector("traces", TRACE);
  const start: StoredWorld["start"] = (number, index, version, changes = {}) =>
    attemptStart(index, {
      blockNumber: number,
      blockHash: hash(number),
      transactionHash: hash(number * 1000 + index),
      rowVersion: version,
      gasUsed: BigInt(String(found.receipt.gasUsed)),
      ...changes,
    });
  const feed: StoredWorld["feed"] = async (into, of) => {
    const attempt = into.open(of);
    const submitted: { submission?: Submission } = {};
    const rows: TraceSink = {
      structlogs: (_position, columns, operations) => attempt.structlogs(columns, operations),
      frames: (_position, columns, operations) => attempt.frames(columns, operations),
      returnValue: (_position, hex) => attempt.returnValue(hex),
      finished: (_position, record) => {
        submitted.submission = attempt.finish(record, { policy: "record", traceMs: 1 });
      },
    };
    decodeInto(decoder, contextOf(found), [found.trace], rows);
    await submitted.submission!.durable;
  };
  return {
    storage: engine.storage,
    sink,
    ledger,
    queue,
    clock,
    office,
    rows: (sql) => rowsAt(engine.address, sql),
    start,
    feed,
    store: async (number, index, version, changes) => await feed(sink, start(number, index, version, changes)),
    async enter(number, state, changes = {}) {
      await ledger.write(TRACED.map((processor) => ({
        network: NETWORK,
        processor,
        blockNumber: number,
        blockHash: hash(number),
        parentHash: hash(number - 1),
        state,
        direction: "forwards" satisfies Direction,
        taskCount: 1,
        transactions: 2,
        expectedRows: 0,
        storedRows: 0,
        attempts: 1,
        dead: 0,
        violated: 0,
        acceptedMs: START_MS,
        completedMs: START_MS + 1,
        version: START_MS,
        ...changes,
      })));
    },
    async verification(number, transactions) {
      const receipt = await queue.enqueue({
        kind: "trace",
        class: "process_forwards",
        blockNumber: number,
        blockHash: hash(number),
        total: transactions,
        ranges: [{ first: 0, last: transactions - 1 }],
        verifyDelayMs: 1_000,
      }, office);
      if (receipt.enqueued === 1) await (await queue.fetch(1))[0]!.settle({ outcome: "done" });
      clock.advance(1_000);
      return (await queue.fetch(1))[0]!;
    },
    async [Symbol.asyncDispose]() {
      await queues.close();
      await sink.drain(1_000);
      await engine[Symbol.asyncDispose]();
    },
  };
}

/** Version of a delivery so many milliseconds before the clock. */
export function versionBefore(world: StoredWorld, ms: number): number {
  return Math.floor((world.clock.now() - ms) * 1_000);
}
