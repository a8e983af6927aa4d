/**
 * Intake: a block enters the ledger and then the queue. Whoever leads a direction does it here, whether the block came
 * with a head, from the backfill, from a gap or because an operator asked for it.
 */
import { PipelineError } from "../errors.ts";
import { RpcFailure } from "../rpc/failure.ts";
import type { NodePool } from "../rpc/port.ts";
import {
  advanced,
  type Direction,
  DIRECTIONS,
  type Ledger,
  type LedgerPart,
  type LedgerRow,
  nextVersion,
  unverified,
} from "../stages/gate/ledger.ts";
import type { EnqueueReceipt, Office, TaskClass, TaskKind, WorkQueue } from "../stages/queue/port.ts";
import type { BlockHeader, Chain, ReadAsk } from "../stages/source/chain.ts";
import { type LeftBlock, outvoted, upheld } from "../stages/source/reorg.ts";
import { emit } from "../telemetry/emit.ts";
import { equalGasRanges, type Prediction, wholeBlock } from "./plan.ts";
import { tellFailure } from "./tell_failure.ts";

/** The processors of a network by the kind of task that runs them. */
export type Processors = Readonly<Partial<Record<"trace" | "simple", readonly string[]>>>;

/** What intake needs of a network. */
export interface IntakeNetwork {
  readonly name: string;
  readonly pool: Pick<NodePool, "each">;
  readonly chain: Chain;
  readonly queue: WorkQueue;
  readonly ledger: Ledger;
  readonly prediction: Prediction;
  readonly processors: Processors;
  readonly taskStructlogs: number;
  /** Absent: no verification. */
  readonly verifyDelayMs?: number;
  /** Hears of blocks that left the chain, so that their rows can be removed once the replacement is durable. */
  readonly orphaned: (blocks: readonly LeftBlock[]) => void;
}

/** What enqueuing needs of a block, from the ledger or from its header. */
export interface LedgerBlock {
  readonly blockNumber: number;
  readonly blockHash: string;
  readonly transactions: number;
  readonly taskCount: number;
}

/** What links a block to those beside it. */
type Link = Pick<LedgerRow, "blockHash" | "parentHash">;

function linkOf({ hash, parentHash }: BlockHeader): Link {
  return { blockHash: hash, parentHash };
}

/** How long an answer about a block is of use. */
const READ_WITHIN_MS = 30_000;
/** How long each node may take to say what it calls a block. */
const VOTE_WITHIN_MS = 2_000;

/** One entry per block of rows that have one per processor. */
export function blocksOf(rows: readonly LedgerRow[]): LedgerRow[] {
  return [...new Map(rows.map((row) => [row.blockHash, row])).values()];
}

/**
 * What of the ledger the leader of a direction answers for. The first one has also what nobody leads here: an earlier
 * run may have had another `mode`, and its open blocks are to be finished. What is no longer made of blocks is left.
 */
export function partOf(
  { directions, processors }: { readonly directions: readonly Direction[]; readonly processors: Processors },
  direction: Direction,
): LedgerPart {
  const left = direction === directions[0] ? DIRECTIONS.filter((each) => !directions.includes(each)) : [];
  return { directions: [direction, ...left], processors: Object.values(processors).flat() };
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
   * keep their rows, which have to be verified anew when they are processed again; another block of the same number has
   * left the chain, if the nodes agree. So they must about a block that is not linked to its neighbours.
   *
   * @param processors Those that the blocks enter for.
   * @returns numbers of `headers`, up to the first that the nodes do not agree about.
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
    const near = await ledger.between(Math.max(0, Math.min(...numbers) - 1), Math.max(...numbers) + 1);
    const known = new Map(near.map((row) => [`${row.processor} ${row.blockHash}`, row]));
    const doubted = await this.#doubted(headers, near.filter((row) => row.state !== "orphaned"), signal);
    if (doubted !== undefined) {
      return await this.accept(headers.slice(0, headers.indexOf(doubted)), taskClass, signal, processors);
    }
    const canonical = new Map(headers.map((header) => [header.number, header.hash]));
    const replaced = near.filter((row) => {
      const hash = canonical.get(row.blockNumber);
      return hash !== undefined && hash !== row.blockHash && row.state !== "orphaned";
    });
    await this.leave(replaced, canonical);
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
        if (old !== undefined && old.state !== "orphaned") {
          const again = taskClass === this.reprocessClass && old.verifiedMs !== undefined && old.transactions > 0;
          if (again) rows.push(unverified(old, nowMs));
          continue;
        }
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
    for (const header of headers) this.#network.prediction.accepted(header.hash, header.gasUsed);
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

  /**
   * Blocks of the ledger left the chain: their tasks are dropped first, so that nothing of them is newer than their
   * replacement; then the ledger says so. Repeated by whoever finds them, should this be cut short.
   *
   * @param rows Of any processors, lowest number first.
   * @param canonical Hashes that took their places, as far as there are any.
   */
  async leave(rows: readonly LedgerRow[], canonical: ReadonlyMap<number, string>): Promise<void> {
    const { ledger, queue, name, orphaned } = this.#network;
    const blocks = blocksOf(rows);
    for (const { blockNumber, blockHash } of blocks) {
      await queue.orphan({ blockNumber, blockHash }, this.#office);
      const gone = rows.filter((row) => row.blockHash === blockHash);
      await ledger.write(gone.flatMap((row) => advanced(row, "orphaned", {}, Date.now()) ?? []));
      emit({
        kind: "reorg",
        network: name,
        blockNumber,
        oldHash: blockHash,
        newHash: canonical.get(blockNumber) ?? "",
        depth: blocks.at(-1)!.blockNumber - blockNumber + 1,
      });
    }
    if (blocks.length > 0) orphaned(blocks.map(({ blockNumber, blockHash }) => ({ blockNumber, blockHash })));
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

  /**
   * Gives the queue back what it may have lost of an open block; what it still has, it skips.
   *
   * @returns tasks that the queue had lost.
   */
  async again(block: LedgerBlock, signal: AbortSignal): Promise<number> {
    const receipts = await this.enqueue(block, this.processClass, signal);
    for (const kind of ["trace", "simple"] as const) {
      if (receipts[kind]?.state === "stuck") await this.#stuck(block, kind);
    }
    return Object.values(receipts).reduce((sum, { enqueued }) => sum + enqueued, 0);
  }

  /**
   * Does something for one block after the other. One that no node knows any more, or that no node can read, is told and
   * left for later: it left the chain, as the walk back will find, or the nodes are behind or broken.
   */
  async each<B>(blocks: Iterable<B>, signal: AbortSignal, work: (block: B) => Promise<void>): Promise<void> {
    for (const block of blocks) {
      if (signal.aborted) return;
      try {
        await work(block);
      } catch (error) {
        if (!(error instanceof MissingHeaderError || error instanceof RpcFailure)) throw error;
        tellFailure(this.#network.name, this.#direction, error);
      }
    }
  }

  /** Has a finished block verified whose verification was lost; one that is planned, done or dead-lettered is skipped. */
  async verify({ blockNumber, blockHash, transactions }: LedgerBlock): Promise<EnqueueReceipt> {
    return await this.#network.queue.enqueue({
      kind: "verify",
      class: `verify_${this.#direction}`,
      blockNumber,
      blockHash,
      total: transactions,
      ranges: wholeBlock(transactions),
    }, this.#office);
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

  /** Whether most nodes have another block of this number than ours. */
  async outvoted(blockNumber: number, ours: readonly string[], signal: AbortSignal): Promise<boolean> {
    return outvoted(ours, await this.#votes(blockNumber, signal));
  }

  /**
   * The first header that contradicts the ledger, by another block of its number or by a neighbour that it is not linked
   * to, and that most nodes do not have. One node alone said so, which may be on a fork.
   *
   * @param live Rows of these numbers and of those beside them, of blocks that are of the chain.
   */
  async #doubted(
    headers: readonly BlockHeader[],
    live: readonly LedgerRow[],
    signal: AbortSignal,
  ): Promise<BlockHeader | undefined> {
    const links = new Map(headers.map((header): [number, Link[]] => [header.number, [linkOf(header)]]));
    const rows = Map.groupBy(live, (row) => row.blockNumber);
    const at = (number: number): readonly Link[] => links.get(number) ?? rows.get(number) ?? [];
    const contradicted = (one: readonly Link[], fits: (link: Link) => boolean) => one.length > 0 && !one.some(fits);
    for (const header of headers) {
      const { number, hash, parentHash } = header;
      const fits = !(rows.get(number) ?? []).some((row) => row.blockHash !== hash) &&
        !contradicted(at(number - 1), (parent) => parent.blockHash === parentHash) &&
        !contradicted(at(number + 1), (child) => child.parentHash === hash);
      if (!fits && !upheld(hash, await this.#votes(number, signal))) return header;
    }
    return undefined;
  }

  async #votes(blockNumber: number, signal: AbortSignal): Promise<readonly string[]> {
    return await this.#network.chain.hashesByNumber(blockNumber, { ...this.ask(signal), withinMs: VOTE_WITHIN_MS });
  }

  /** How this direction asks nodes. */
  ask(signal: AbortSignal): ReadAsk {
    return { priority: this.#direction === "forwards" ? "head" : "backfill", withinMs: READ_WITHIN_MS, signal };
  }

  /** The queue knows a block as stuck that the ledger does not: the telling was lost. */
  async #stuck({ blockNumber, blockHash }: LedgerBlock, kind: "trace" | "simple"): Promise<void> {
    const { ledger } = this.#network;
    const processors = this.#network.processors[kind] ?? [];
    const [records] = kind === "trace" ? await ledger.records([{ blockNumber, blockHash }]) : [];
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
    return receipts.map((receipt) => {
      if (receipt === undefined) throw new MissingHeaderError(name, block.blockNumber, block.blockNumber);
      return Number(receipt["gasUsed"]);
    });
  }
}

/** A header that must exist is not to be had now. */
export class MissingHeaderError extends PipelineError {
  readonly code = "header_missing";
  readonly disposition = "retry";
  override readonly release = true;

  constructor(network: string, from: number, to: number) {
    const blocks = from === to ? `block ${from}` : `blocks ${from} to ${to}`;
    super(`Cannot read the headers and receipts of ${blocks} of ${network}: a node lacks one of them now`);
  }
}
