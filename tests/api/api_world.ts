/** The operator API over networks in memory: a chain of blocks, a queue, a ledger, nodes that hear what they are told. */
import { apiOf } from "../../src/api/server.ts";
import type { ApiOptions, OperatedNetwork } from "../../src/api/port.ts";
import { CALL_CLASSES, type ClassState, type NodeState } from "../../src/rpc/port.ts";
import type { LedgerRow } from "../../src/stages/gate/ledger.ts";
import { MemoryLedger } from "../../src/stages/gate/ledger_memory.ts";
import { memoryQueues } from "../../src/stages/queue/memory.ts";
import { type Office, type QueueOptions, TASK_CLASSES, type WorkQueue } from "../../src/stages/queue/port.ts";
import { hash } from "../stages/encode/columns.ts";
import { FakeClock } from "../stages/queue/fake_clock.ts";

export const TOKEN = "correct-horse-battery-staple";
/** Newest block of every chain here. */
export const HEAD = 200_000;
/** A block that the nodes cannot be asked for now. */
export const UNAVAILABLE = 666;
/** A transaction of block 100. */
export const TRANSACTION = hash(7);

const START_MS = 1_800_000_000_000;
const perClass = (value: number) =>
  Object.fromEntries(TASK_CLASSES.map((name) => [name, value])) as QueueOptions["weights"];
const QUEUE: QueueOptions = {
  leaseMs: 30_000,
  heartbeatMs: 10_000,
  reclaimMs: 5_000,
  stallTimeoutMs: 120_000,
  maxAttempts: 8,
  maxRecoveries: 5,
  aloneAfterRecoveries: 2,
  backoffBaseMs: 1_000,
  backoffMaxMs: 600_000,
  leaderTtlMs: 10_000,
  keepCompleteMs: 86_400_000,
  weights: perClass(1),
  inFlight: perClass(8),
  ackBatch: 200,
};

/** One network of the world. */
export interface WorldNetwork extends OperatedNetwork {
  readonly queue: WorkQueue;
  readonly ledger: MemoryLedger;
  readonly office: Office;
  /** What the nodes were told, `name verb`. */
  readonly told: string[];
  /** Rows that the database answers to any query. */
  rows: readonly object[];
}

/** See the module's comment. */
export interface ApiWorld extends AsyncDisposable {
  readonly networks: readonly WorldNetwork[];
  readonly clock: FakeClock;
  /** Monotonic time of the rate limit. */
  nowMs: number;
  /** One request; with the token, unless `headers` say otherwise. */
  ask(method: string, path: string, more?: Ask): Promise<Answered>;
}

/** What a request has besides method and path. */
export interface Ask {
  readonly body?: BodyInit;
  readonly headers?: Readonly<Record<string, string>>;
}

/** What came back. */
export interface Answered {
  readonly status: number;
  readonly headers: Headers;
  // deno-lint-ignore no-explicit-any -- what a test finds in it is what the test is about
  readonly json: any;
}

/** The queue of the process that answers, and a term of the leader, wherever that is. */
export interface WorldQueue {
  readonly queue: WorkQueue;
  readonly office: Office;
}

/** Opens one. @param open Makes the queue of a network; by default one in memory, led by this process. */
export async function apiWorld(
  names: readonly string[],
  options: Partial<ApiOptions> = {},
  open?: (name: string) => Promise<WorldQueue>,
): Promise<ApiWorld> {
  const clock = new FakeClock(START_MS);
  const queues = memoryQueues(QUEUE, clock, () => 0.5, () => Promise.resolve(0));
  const inMemory = async (name: string): Promise<WorldQueue> => {
    const queue = await queues.open(name);
    return { queue, office: (await queue.lead("forwards", "test"))! };
  };
  const networks: WorldNetwork[] = [];
  for (const name of names) networks.push(network(name, await (open ?? inMemory)(name)));
  const world = { nowMs: 0 };
  const answer = apiOf(
    { address: "127.0.0.1:0", token: TOKEN, ratePerSecond: 1e9, bodyBytes: 16_384, timeoutMs: 20_000, ...options },
    networks,
    () => world.nowMs,
  );
  return Object.assign(world, {
    networks,
    clock,
    async ask(method: string, path: string, { body, headers = {} }: Ask = {}): Promise<Answered> {
      const request = new Request(`http://api${path}`, {
        method,
        headers: { authorization: `Bearer ${TOKEN}`, ...headers },
        ...(body === undefined ? {} : { body }),
      });
      const response = await answer(request, "127.0.0.1");
      return { status: response.status, headers: response.headers, json: await response.json() };
    },
    [Symbol.asyncDispose]: () => queues.close(),
  });
}

function network(name: string, { queue, office }: WorldQueue): WorldNetwork {
  const told: string[] = [];
  const drained = new Set<string>();
  const nodes = [`${name}-a`, "shared"];
  const found: WorldNetwork = {
    name,
    processors: ["transaction_structlog", "transaction_structlog_agg"],
    verified: true,
    queue,
    office,
    ledger: new MemoryLedger(name),
    told,
    rows: [],
    pool: {
      network: name,
      nodes: () => nodes.map((node) => nodeState(node, drained.has(node))),
      setDrained(node, on) {
        told.push(`${node} ${on ? "drain" : "resume"}`);
        if (on) drained.add(node);
        else drained.delete(node);
      },
      reset: (node) => void told.push(`${node} reset`),
      async each(items, { signal = new AbortController().signal }, work) {
        const results = await Promise.all([...items].map(async (item, at) => {
          try {
            return { ok: true, value: await work(item, signal, at) } as const;
          } catch (error) {
            return { ok: false, error: error as Error } as const;
          }
        }));
        return { results, failures: results.filter(({ ok }) => !ok).length };
      },
    },
    chain: {
      headNumber: () => Promise.resolve(HEAD),
      headerByNumber(number) {
        if (number === UNAVAILABLE) return Promise.reject(new Error("Cannot ask any node"));
        if (number > HEAD) return Promise.resolve(undefined);
        return Promise.resolve({
          number,
          hash: hash(number),
          parentHash: hash(number - 1),
          timestamp: number,
          gasUsed: 21_000,
          transactions: 2,
        });
      },
      blockOfTransaction: (transaction) => Promise.resolve(transaction === TRANSACTION ? 100 : undefined),
    },
    database: { query: <T>() => Promise.resolve(found.rows as T[]) },
  };
  return found;
}

function nodeState(name: string, drained: boolean): NodeState {
  const state: ClassState = {
    limit: 4,
    inFlight: 0,
    unitsPerSecond: 0,
    breaker: "closed",
    attempts: 0,
    failures: 0,
    perSecond: 0,
    reason: "",
  };
  return {
    name,
    tier: "primary",
    condition: drained ? "drained" : "ready",
    clientVersion: "test/1.0",
    family: "geth",
    methodsOff: [],
    batchItems: 100,
    balanced: false,
    bytesPerStructlog: 100,
    traceBytesInFlight: 0,
    webSocket: "none",
    connectionBreaker: "closed",
    classes: Object.fromEntries(CALL_CLASSES.map((name) => [name, state])) as NodeState["classes"],
  };
}

/** A row of the ledger. */
export function ledgerRow(name: string, blockNumber: number, changes: Partial<LedgerRow> = {}): LedgerRow {
  return {
    network: name,
    processor: "transaction_structlog",
    blockNumber,
    blockHash: hash(blockNumber),
    parentHash: hash(blockNumber - 1),
    state: "complete",
    direction: "forwards",
    taskCount: 1,
    transactions: 2,
    expectedRows: 10,
    storedRows: 10,
    attempts: 1,
    dead: 0,
    violated: 0,
    acceptedMs: START_MS,
    completedMs: START_MS + 1,
    version: START_MS,
    ...changes,
  };
}

/** Makes a dead letter per block. @returns their ids. */
export async function bury({ queue, office }: WorldNetwork, blocks: readonly number[]): Promise<string[]> {
  for (const blockNumber of blocks) {
    await queue.enqueue({
      kind: "trace",
      class: "process_forwards",
      blockNumber,
      blockHash: hash(blockNumber),
      total: 1,
      ranges: [{ first: 0, last: 0 }],
    }, office);
  }
  for (const lease of await queue.fetch(blocks.length)) {
    await lease.settle({ outcome: "dead", failure: { code: "violated", message: "R3: gas differs" } });
  }
  return (await queue.deadLetters(1_000)).map(({ id }) => id);
}
