/**
 * Intake: a block enters the ledger and then the queue. Whoever leads a direction does it here, whether the block came
 * with a head, from the backfill, from a gap or because an operator asked for it.
 */
import { PipelineError } from "../errors.ts";
import type { NodePool } from "../rpc/port.ts";
import { advanced, type Direction, type Ledger, type LedgerRow, nextVersion } from "../stages/gate/ledger.ts";
import type { EnqueueReceipt, Office, TaskClass, TaskKind, WorkQueue } from "../stages/queue/port.ts";
import type { BlockHeader, Chain, ReadAsk } from "../stages/source/chain.ts";
import { emit } from "../telemetry/emit.ts";
import { equalGasRanges, type Prediction, wholeBlock } from "./plan.ts";

/** The processors of a network by the kind of task that runs them. */
export type Processors = Readonly<Partial<Record<"trace" | "simple", readonly string[]>>>;

/** What intake needs of a network. */
export interface IntakeNetwork {
  readonly name: string;
  readonly pool: NodePool;
  readonly chain: Chain;
  readonly queue: WorkQueue;
  readonly ledger: Ledger;
  readonly prediction: Prediction;
  readonly processors: Processors;
  readonly taskStructlogs: number;
  /** Absent: no verification. */
  readonly verifyDelayMs?: number;
}

/** What enqueuing needs of a block, from the ledger or from its header. */
export interface LedgerBlock {
  readonly blockNumber: number;
  readonly blockHash: string;
  readonly transactions: number;
  readonly taskCount: number;
}

/** How long an answer about a block is of use. */
const READ_WITHIN_MS = 30_000;

/** One entry per block of rows that have one per processor. */
export function blocksOf(rows: readonly LedgerRow[]): LedgerRow[] {
  return [...new Map(rows.map((row) => [row.blockHash, row])).values()];
}

/** Of one term of office. */
export class Intake {
  readonly #network: IntakeNetwork;
  readonly #direction: Direction;
  readonly #office: Office;

  constructor(network: IntakeNetwork, direction: Direction, office: Office) {
    this.#network = network;
    this.#direction = direction;
    this.#office = office;
  }

  /** Of process tasks in this direction. */
  get processClass(): TaskClass {
    return `process_${this.#direction}`;
  }

  /** Of repair in this direction. */
  get reprocessClass(): TaskClass {
    return `reprocess_${this.#direction}`;
  }

  /**
   * Writes the ledger, then enqueues: a crash in between is healed by reconciliation. Blocks that the ledger has already
   * keep their rows.
   *
   * @param processors Those that the blocks enter for.
   * @returns numbers of `headers`.
   */
  async accept(
    headers: readonly BlockHeader[],
    taskClass: TaskClass,
    signal: AbortSignal,
    processors: Processors = this.#network.processors,
  ): Promise<number[]> {
    if (headers.length === 0) return [];
    const { ledger, name } = this.#network;
    const numbers = headers.map((header) => header.number);
    const known = new Map(
      (await ledger.between(Math.min(...numbers), Math.max(...numbers))).map((
        row,
      ) => [`${row.processor} ${row.blockHash}`, row]),
    );
    const nowMs = Date.now();
    const rows: LedgerRow[] = [];
    const blocks: LedgerBlock[] = [];
    for (const header of headers) {
      // The cut of a block is decided once: another would leave ranges that overlap.
      const before = [...known.values()].find((row) => row.blockHash === header.hash && row.state !== "orphaned");
      const taskCount = before?.taskCount ?? this.#taskCount(header);
      blocks.push({ blockNumber: header.number, blockHash: header.hash, transactions: header.transactions, taskCount });
      for (const processor of Object.values(processors).flat()) {
        const old = known.get(`${processor} ${header.hash}`);
        if (old !== undefined && old.state !== "orphaned") continue;
        rows.push({
          network: name,
          processor,
          blockNumber: header.number,
          blockHash: header.hash,
          parentHash: header.parentHash,
          state: "accepted",
          direction: this.#direction,
          taskCount,
          transactions: header.transactions,
          expectedRows: 0,
          storedRows: 0,
          attempts: 0,
          dead: 0,
          violated: 0,
          acceptedMs: nowMs,
          version: nextVersion(old?.version, nowMs),
        });
      }
    }
    await ledger.write(rows);
    for (const block of blocks) {
      await this.enqueue(block, taskClass, signal, processors);
      emit({
        kind: "block_accepted",
        network: name,
        direction: this.#direction,
        blockNumber: block.blockNumber,
        transactions: block.transactions,
        tasks: Math.max(block.taskCount, 1),
      });
    }
    return numbers;
  }

  /** Enqueues a block of the ledger for every kind of task that `processors` need. */
  async enqueue(
    block: LedgerBlock,
    taskClass: TaskClass,
    signal: AbortSignal,
    processors: Processors = this.#network.processors,
  ): Promise<Readonly<Partial<Record<TaskKind, EnqueueReceipt>>>> {
    const { queue, verifyDelayMs } = this.#network;
    const receipts: Partial<Record<TaskKind, EnqueueReceipt>> = {};
    for (const kind of Object.keys(processors) as TaskKind[]) {
      receipts[kind] = await queue.enqueue({
        kind,
        class: taskClass,
        blockNumber: block.blockNumber,
        blockHash: block.blockHash,
        total: block.transactions,
        ranges: kind === "simple" || block.taskCount <= 1
          ? wholeBlock(block.transactions)
          : equalGasRanges(await this.#gas(block, signal), block.taskCount),
        ...(verifyDelayMs === undefined || kind !== this.#verifiedKind() ? {} : { verifyDelayMs }),
      }, this.#office);
    }
    return receipts;
  }

  /** Gives the queue back what it may have lost of an open block; what it still has, it skips. */
  async again(block: LedgerBlock, signal: AbortSignal): Promise<void> {
    const receipts = await this.enqueue(block, this.processClass, signal);
    for (const kind of ["trace", "simple"] as const) {
      if (receipts[kind]?.state === "stuck") await this.#stuck(block, this.#network.processors[kind] ?? []);
    }
  }

  /** The canonical headers of `numbers`, in order, up to the first that no node has. */
  async headers(numbers: readonly number[], signal: AbortSignal): Promise<BlockHeader[]> {
    const { pool, chain } = this.#network;
    const { results } = await pool.each(
      numbers,
      { mode: "failFast", signal },
      (number, inner) => chain.headerByNumber(number, this.ask(inner)),
    );
    const headers: BlockHeader[] = [];
    for (const result of results) {
      if (!result.ok) throw result.error;
      if (result.value === undefined) break;
      headers.push(result.value);
    }
    return headers;
  }

  /** How this direction asks nodes. */
  ask(signal: AbortSignal): ReadAsk {
    return { priority: this.#direction === "forwards" ? "head" : "backfill", withinMs: READ_WITHIN_MS, signal };
  }

  /** The queue knows a block as stuck that the ledger does not: the telling was lost. */
  async #stuck({ blockNumber, blockHash }: LedgerBlock, processors: readonly string[]): Promise<void> {
    const { ledger } = this.#network;
    const [records] = await ledger.records([{ blockNumber, blockHash }]);
    const rows = (await ledger.between(blockNumber, blockNumber)).filter((row) =>
      row.blockHash === blockHash && row.state === "accepted" && processors.includes(row.processor)
    );
    await ledger.write(rows.flatMap((row) => {
      const dead = row.transactions - (records?.transactions ?? 0) + (records?.violated ?? 0);
      return advanced(row, "stuck", { dead }, Date.now()) ?? [];
    }));
  }

  /** One verification a block: it begins with the kind that has records. */
  #verifiedKind(): TaskKind {
    return this.#network.processors.trace === undefined ? "simple" : "trace";
  }

  #taskCount(header: BlockHeader): number {
    const { prediction, taskStructlogs } = this.#network;
    if (header.transactions === 0) return 0;
    const parts = Math.ceil(prediction.structlogs(header.gasUsed) / taskStructlogs);
    return Math.min(header.transactions, Math.max(1, parts));
  }

  async #gas(block: LedgerBlock, signal: AbortSignal): Promise<number[]> {
    const { chain, name } = this.#network;
    const full = await chain.blockByHash(block.blockHash, block.blockNumber, this.ask(signal));
    if (full === undefined) throw new MissingHeaderError(name, block.blockNumber, block.blockNumber);
    const hashes = full.transactionJson.map((transaction) => String(transaction["hash"]).toLowerCase());
    const receipts = await chain.receipts(full, hashes, this.ask(signal));
    return receipts.map((receipt) => Number(receipt?.["gasUsed"] ?? 0));
  }
}

/** A header that must exist is not to be had now. */
export class MissingHeaderError extends PipelineError {
  readonly code = "header_missing";
  readonly disposition = "retry";
  override readonly release = true;

  constructor(network: string, from: number, to: number) {
    super(`Cannot read every header of blocks ${from} to ${to} of ${network}: a node lacks one of them now`);
  }
}
