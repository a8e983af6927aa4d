/** What a leader meets: a made-up chain, the memory ledger, the memory queue, and time that the test moves. */
import { EMPTY, lastValueFrom, take } from "rxjs";
import type { DiscoverNetwork, DiscoverStep } from "../../src/pipeline/discover.ts";
import { Leader } from "../../src/pipeline/discover.ts";
import { writeLedger } from "../../src/pipeline/ledger_writer.ts";
import { Prediction } from "../../src/pipeline/plan.ts";
import type { BlockRecords, Direction, LedgerRow } from "../../src/stages/gate/ledger.ts";
import { MemoryLedger } from "../../src/stages/gate/ledger_memory.ts";
import { MemoryNetwork, MemoryQueue } from "../../src/stages/queue/memory.ts";
import type { Office, Settlement, Task } from "../../src/stages/queue/port.ts";
import { Chain } from "../../src/stages/source/chain.ts";
import type { LeftBlock } from "../../src/stages/source/reorg.ts";
import { subscribe } from "../../src/telemetry/emit.ts";
import type { PipelineEvent } from "../../src/telemetry/events.ts";
import { fixedRandom, OPTIONS } from "../contracts/work_queue_backends.ts";
import { FakeClock } from "../stages/queue/fake_clock.ts";
import { type MadeUpChain, MadeUpPool } from "./made_up_chain.ts";

export const NETWORK = "testnet";
export const SIGNAL = new AbortController().signal;

/** What a test wants otherwise than usual. */
export type WorldOptions = Partial<
  Omit<DiscoverNetwork, "name" | "pool" | "chain" | "queue" | "ledger" | "prediction" | "chores" | "orphaned">
>;

/** One network with its leaders. */
export class World implements AsyncDisposable {
  readonly clock = new FakeClock(1_700_000_000_000);
  readonly queue: MemoryQueue;
  readonly pool: MadeUpPool;
  readonly ledger: MemoryLedger;
  readonly network: DiscoverNetwork;
  readonly events: PipelineEvent[] = [];
  readonly orphans: LeftBlock[] = [];
  readonly #records = new Map<string, BlockRecords>();
  readonly #reading: Disposable;

  constructor(readonly chain: MadeUpChain, options: WorldOptions = {}) {
    const state = new MemoryNetwork(NETWORK, OPTIONS, this.clock, 0);
    this.queue = new MemoryQueue(state, NETWORK, "test", OPTIONS, this.clock, fixedRandom());
    this.ledger = new MemoryLedger(NETWORK, (_number, hash) => this.#records.get(hash));
    this.#reading = subscribe((event) => void this.events.push(event));
    this.pool = new MadeUpPool(chain);
    this.network = {
      name: NETWORK,
      pool: this.pool,
      chain: new Chain(this.pool),
      queue: this.queue,
      ledger: this.ledger,
      prediction: new Prediction(),
      processors: { trace: ["transaction_structlog"] },
      taskStructlogs: 250_000,
      directions: ["forwards"],
      confirmations: 0,
      floor: 0,
      blockTimeMs: 3_600_000,
      window: { maxPendingBlocks: 1_000, maxQueuedTasks: 10_000 },
      reorgMaxDepth: 16,
      repair: {
        intervalMs: 60_000,
        batch: 100,
        staleMs: 600_000,
        reconcileMs: 60_000,
      },
      orphaned: (blocks) => this.orphans.push(...blocks),
      chores: () => EMPTY,
      ...options,
    };
  }

  /** A term of office. */
  async office(direction: Direction): Promise<Office> {
    const office = await this.queue.lead(direction, "test");
    if (office === undefined) throw new Error(`Cannot lead ${direction}: another does`);
    return office;
  }

  /** A leader who knows nothing but the ledger. */
  async leader(direction: Direction = "forwards"): Promise<Leader> {
    return new Leader(this.network, direction, await this.office(direction));
  }

  /** One turn of a leader forwards. @returns numbers accepted. */
  async follow(leader: Leader, head?: number): Promise<number[]> {
    return await accepted((tell) => leader.follow(head, SIGNAL, tell));
  }

  /** One turn of a leader backwards. @returns numbers accepted. */
  async descend(leader: Leader): Promise<number[]> {
    return await accepted((tell) => leader.descend(SIGNAL, tell));
  }

  /** Does what is in the queue, and tells the ledger. @returns tasks done. */
  async work(outcome: (task: Task) => Settlement = () => ({ outcome: "done" })): Promise<Task[]> {
    const tasks: Task[] = [];
    for (let leases = await this.queue.fetch(100); leases.length > 0; leases = await this.queue.fetch(100)) {
      for (const lease of leases) {
        const settlement = outcome(lease.task);
        if (settlement.outcome === "done") this.#record(lease.task);
        await lease.settle(settlement);
        tasks.push(lease.task);
      }
    }
    await this.tellLedger();
    return tasks;
  }

  /** Writes what was completed to the ledger. */
  async tellLedger(): Promise<void> {
    const { completions } = await this.queue.stats();
    if (completions > 0) await lastValueFrom(writeLedger(this.network).pipe(take(completions)));
  }

  /** What the ledger says of the blocks that are not orphaned. */
  async states(): Promise<[number, string, string][]> {
    return (await this.live()).map((row) => [row.blockNumber, row.blockHash, row.state]);
  }

  async live(): Promise<LedgerRow[]> {
    return (await this.ledger.between(0, 1e9)).filter((row) => row.state !== "orphaned");
  }

  /** Events of one kind. */
  seen<K extends PipelineEvent["kind"]>(kind: K): Extract<PipelineEvent, { kind: K }>[] {
    return this.events.filter((event): event is Extract<PipelineEvent, { kind: K }> => event.kind === kind);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#reading[Symbol.dispose]();
    await this.queue.close();
  }

  #record({ kind, blockNumber, blockHash, first, last }: Task): void {
    if (kind !== "trace") return;
    const before = this.#records.get(blockHash);
    const transactions = (before?.transactions ?? 0) + last - first + 1;
    this.#records.set(blockHash, {
      blockNumber,
      blockHash,
      transactions,
      structlogRows: 10 * transactions,
      aggregateRows: transactions,
      violated: 0,
    });
  }
}

async function accepted(turn: (tell: (step: DiscoverStep) => void) => Promise<void>): Promise<number[]> {
  const numbers: number[] = [];
  await turn((step) => numbers.push(...step.accepted));
  return numbers;
}

/** Both ends included. */
export function numbers(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, offset) => from + offset);
}
