/**
 * Discover: heads + backfill → gate → window → plan → queue. Run by the leader of each direction; what it remembers
 * lives in the ledger, so that the next leader goes on where this one ended.
 */
import {
  asyncScheduler,
  catchError,
  concat,
  defer,
  EMPTY,
  finalize,
  ignoreElements,
  map,
  merge,
  type Observable,
  repeat,
  type SchedulerLike,
  timer,
} from "rxjs";
import { classified } from "../errors.ts";
import { abortable } from "../flow/abortable.ts";
import { conflateMap } from "../flow/conflate_map.ts";
import { leaderGate } from "../flow/leader_gate.ts";
import { pause } from "../flow/pause.ts";
import type { NodePool } from "../rpc/port.ts";
import type { Direction, LedgerRow } from "../stages/gate/ledger.ts";
import type { Limiter } from "../stages/gate/limiter.ts";
import { Window } from "../stages/gate/window.ts";
import type { Office } from "../stages/queue/port.ts";
import type { BlockHeader } from "../stages/source/chain.ts";
import { leftBlocks, ReorgTooDeepError } from "../stages/source/reorg.ts";
import { emit } from "../telemetry/emit.ts";
import type { WindowReason } from "../telemetry/events/pipeline.ts";
import { blocksOf, Intake, MissingHeaderError, partOf } from "./intake.ts";
import { type RepairNetwork, repairs, waitingTasks } from "./repair.ts";
import { tellUnlessFatal } from "./tell_failure.ts";

/** One network, as its leaders see it. */
export interface DiscoverNetwork extends RepairNetwork {
  readonly pool: Pick<NodePool, "each" | "heads">;
  /** With both, the forwards leader makes the ledger's first entry. */
  readonly directions: readonly Direction[];
  readonly startBlock?: number;
  readonly confirmations: number;
  readonly floor: number;
  readonly blockTimeMs: number;
  readonly limiter?: Limiter;
  readonly reorgMaxDepth: number;
  /** What its leader does besides. */
  readonly chores: (direction: Direction) => Observable<never>;
}

/** What the leader of a direction did. */
export type DiscoverStep = { readonly direction: Direction; readonly accepted: readonly number[] };

/** Blocks read and accepted at a time while catching up. */
const BATCH_BLOCKS = 16;
/** Between two looks at a closed window. */
const WINDOW_POLL_MS = 50;
/** Pause after a failed step, so that an outage is not hammered. */
const FAILED_PAUSE_MS = 1_000;
/** Open blocks that reconciliation reads at a time. */
const RECONCILE_PAGE = 500;
/** How often the checkpoint is told. */
const CHECKPOINT_MS = 2_000;
/** Shortest time between two looks at a chain that nothing is heard of. */
const MIN_LOOK_MS = 1_000;

/** Leads a direction while the office lasts: reconciles, then goes on from the ledger. */
export function lead(
  network: DiscoverNetwork,
  direction: Direction,
  offices: Observable<Office | undefined>,
): Observable<DiscoverStep> {
  return offices.pipe(
    leaderGate((office: Office | undefined) => office, (office) => {
      const leader = new Leader(network, direction, office);
      const blocks = direction === "forwards" ? leader.forwards() : leader.backwards();
      return merge(
        concat(leader.reconciled(), blocks),
        leader.checkpoints(),
        repairs(network, direction, office),
        network.chores(direction),
      ).pipe(finalize(() => leader.retire()));
    }),
  );
}

/**
 * When to look at the chain: at each head, and by time, which stands in for heads that were missed; confirmations and a
 * limiter may let blocks in by time alone.
 *
 * @returns the number of the head, `undefined` by time.
 */
export function looks(
  heads: Observable<number>,
  blockTimeMs: number,
  scheduler: SchedulerLike = asyncScheduler,
): Observable<number | undefined> {
  const ticks = timer(0, Math.max(MIN_LOOK_MS, blockTimeMs), scheduler).pipe(map(() => undefined));
  return merge(heads, ticks);
}

/** One term of office. */
export class Leader {
  readonly #network: DiscoverNetwork;
  readonly #direction: Direction;
  readonly #office: Office;
  readonly #intake: Intake;
  readonly #window: Window;
  #closed: WindowReason | undefined = "not_leading";
  /** Newest head. */
  #tip = 0;
  /** Forwards: the number that is accepted next. */
  #next: number | undefined;
  /** Backwards: lowest number of the run of blocks that the backfill goes on from. */
  #bottom: number | undefined;
  #checkpoint: number | undefined;
  /** When the next turn forwards is due though no head comes: the limiter, or the nodes' agreement, held the last one up. */
  #soonMs: number | undefined;

  constructor(network: DiscoverNetwork, direction: Direction, office: Office) {
    this.#network = network;
    this.#direction = direction;
    this.#office = office;
    this.#intake = new Intake(network, direction, office);
    this.#window = new Window(network.window);
  }

  /** Enqueues every accepted block that is not finished again, until that has succeeded once. */
  reconciled(): Observable<never> {
    return abortable<never>(async (signal) => {
      while (!signal.aborted) {
        try {
          await this.reconcile(signal);
          return;
        } catch (error) {
          if (signal.aborted) return;
          tellUnlessFatal(this.#network.name, this.#direction, error);
          await pause(FAILED_PAUSE_MS, signal);
        }
      }
    });
  }

  /** Accepted blocks whose tasks the queue may have lost; those it still has are skipped by their identity. */
  async reconcile(signal: AbortSignal): Promise<number> {
    const { ledger, name } = this.#network;
    const part = partOf(this.#network, this.#direction);
    const startedMs = performance.now();
    let after = -1;
    let blocks = 0;
    let enqueued = 0;
    while (!signal.aborted) {
      const rows = await ledger.open(part, after, RECONCILE_PAGE);
      if (rows.length === 0) break;
      // The last number of a full page may go on in the next one.
      const last = rows.at(-1)!.blockNumber;
      const whole = rows.length < RECONCILE_PAGE ? rows : rows.filter((row) => row.blockNumber < last);
      const page = whole.length > 0 ? whole : rows;
      await this.#intake.each(blocksOf(page), signal, async (block) => {
        blocks++;
        enqueued += await this.#intake.again(block, signal);
      });
      after = page.at(-1)!.blockNumber;
    }
    const seconds = (performance.now() - startedMs) / 1000;
    emit({ kind: "reconciled", network: name, mode: this.#direction, blocks, enqueued, seconds });
    return blocks;
  }

  /** Follows the head. */
  forwards(): Observable<DiscoverStep> {
    const { pool, blockTimeMs } = this.#network;
    return looks(pool.heads.pipe(map((head) => head.number)), blockTimeMs).pipe(
      conflateMap((head) =>
        this.#turn((signal, tell) => this.follow(this.#soonMs === undefined ? head : undefined, signal, tell)).pipe(
          repeat({ delay: () => this.#soonMs === undefined ? EMPTY : timer(this.#soonMs) }),
        )
      ),
    );
  }

  /** Walks down from the lowest stored block to the floor, then waits for the ledger to have another lowest block. */
  backwards(): Observable<DiscoverStep> {
    const turn = defer(() => this.#turn((signal, tell) => this.descend(signal, tell)));
    return turn.pipe(repeat({ delay: () => timer(Math.max(MIN_LOOK_MS, this.#network.blockTimeMs)) }));
  }

  /** Tells the checkpoint every now and then. */
  checkpoints(): Observable<never> {
    return abortable<never>(async (signal) => {
      while (!signal.aborted) {
        try {
          await this.tellCheckpoint();
        } catch (error) {
          tellUnlessFatal(this.#network.name, this.#direction, error);
        }
        await pause(CHECKPOINT_MS, signal);
      }
    });
  }

  /** The block up to (backwards: down to) which nothing is open, and how far that is from the goal. */
  async tellCheckpoint(): Promise<void> {
    const { name, ledger, reorgMaxDepth, window, floor } = this.#network;
    const direction = this.#direction;
    const reached = direction === "forwards" ? this.#next : this.#bottom;
    if (reached === undefined) return;
    const part = { ...partOf(this.#network, direction), directions: [direction] };
    let checkpoint: number;
    if (direction === "forwards") {
      // A reorg opens blocks again below the checkpoint.
      const after = this.#checkpoint === undefined ? -1 : this.#checkpoint - reorgMaxDepth - 1;
      const [first] = await ledger.open(part, after, 1);
      checkpoint = (first?.blockNumber ?? reached) - 1;
    } else {
      const most = window.maxPendingBlocks * part.processors.length;
      const last = (await ledger.open(part, reached - 1, most, this.#checkpoint)).at(-1);
      checkpoint = last === undefined ? reached : last.blockNumber + 1;
    }
    this.#checkpoint = checkpoint;
    const distance = direction === "forwards" ? this.#tip - checkpoint : checkpoint - floor;
    emit({ kind: "checkpoint", network: name, direction, blockNumber: checkpoint, distance: Math.max(0, distance) });
  }

  /** The term is over. */
  retire(): void {
    if (this.#closed !== "reorg_too_deep") this.#close("not_leading");
  }

  /** What fails in a turn is told and tried again in the next; only a fatal error ends the network. */
  #turn(run: (signal: AbortSignal, tell: (step: DiscoverStep) => void) => Promise<void>): Observable<DiscoverStep> {
    return abortable(run).pipe(
      catchError((error: unknown) => {
        const failure = classified(error);
        if (failure instanceof ReorgTooDeepError) this.#tellTooDeep(failure);
        tellUnlessFatal(this.#network.name, this.#direction, failure);
        return timer(FAILED_PAUSE_MS).pipe(ignoreElements());
      }),
    );
  }

  #tellTooDeep({ network, maxDepth, blockNumber, oldHash, newHash }: ReorgTooDeepError): void {
    this.#close("reorg_too_deep");
    emit({ kind: "reorg_too_deep", network, depth: maxDepth + 1, maxDepth, blockNumber, oldHash, newHash });
  }

  /**
   * One turn forwards: accepts every block up to the head that the gate lets in.
   *
   * @param head Number that a node announced; absent: asks for it.
   * @throws {ReorgTooDeepError}
   */
  async follow(head: number | undefined, signal: AbortSignal, tell: (step: DiscoverStep) => void): Promise<void> {
    const { ledger, confirmations, chain, name } = this.#network;
    this.#soonMs = undefined;
    const tip = head ?? await chain.headNumber(this.#intake.ask(signal));
    this.#tip = tip;
    emit({ kind: "head_seen", network: name, blockNumber: tip });
    this.#next ??= await this.#firstForwards(tip);
    // A head that is not above ours may be another block of the same number.
    if (tip < this.#next) this.#next = await this.#followReorg(Math.min(tip, this.#next - 1), signal) ?? this.#next;
    while (!signal.aborted) {
      const next: number = this.#next;
      const allowed = await this.#allowed(tip - confirmations, next);
      if (allowed < next) return;
      const room = await this.#room(signal);
      if (signal.aborted) return;
      const last = Math.min(allowed, next + Math.min(room, BATCH_BLOCKS) - 1);
      const headers = await this.#intake.headers(numbers(next, last), signal);
      if (headers.length === 0) return;
      const parents = next === 0 ? [] : live(await ledger.between(next - 1, next - 1));
      if (parents.length === 0) {
        // The ledger is the truth: what is gone from it is done again.
        this.#next = await this.#firstForwards(tip);
        if (this.#next !== next) continue;
      }
      if (parents.some((row) => row.blockHash !== headers[0]!.parentHash)) {
        const left = await this.#followReorg(next - 1, signal);
        if (left === undefined) {
          this.#soonMs = MIN_LOOK_MS;
          return;
        }
        this.#next = left;
        continue;
      }
      const accepted = await this.#intake.accept(chained(headers), this.#intake.processClass, signal);
      if (accepted.length === 0) return;
      this.#next = accepted.at(-1)! + 1;
      tell({ direction: "forwards", accepted });
    }
  }

  async #firstForwards(tip: number): Promise<number> {
    const { ledger, startBlock, confirmations } = this.#network;
    const bounds = await ledger.bounds();
    if (bounds !== undefined) return bounds.highest + 1;
    // Where every block left the chain, their numbers are done again.
    const [orphan] = await ledger.orphaned(0);
    return orphan?.blockNumber ?? startBlock ?? Math.max(0, tip - confirmations);
  }

  /** Lowest of what the chain, the confirmations and the limiter allow. */
  async #allowed(confirmed: number, next: number): Promise<number> {
    const { limiter, confirmations } = this.#network;
    if (confirmed < next) {
      if (confirmed + confirmations >= next) this.#close("confirmations");
      return confirmed;
    }
    if (limiter === undefined) return confirmed;
    const limit = await limiter.highest();
    if (limit < confirmed) this.#soonMs = limiter.options.refreshMs;
    if (limit < next) this.#close("limiter");
    return Math.min(confirmed, limit);
  }

  /** Waits until the window is open. @returns how many blocks may enter. */
  async #room(signal: AbortSignal): Promise<number> {
    const { queue, window, name } = this.#network;
    while (!signal.aborted) {
      const stats = await queue.stats();
      const queuedTasks = waitingTasks(stats, this.#direction);
      const pendingBlocks = stats.open[this.#direction];
      emit({ kind: "window_pending", network: name, direction: this.#direction, blocks: pendingBlocks });
      const closed = this.#window.closedBy({ pendingBlocks, queuedTasks });
      if (closed === undefined) {
        this.#open();
        return window.maxPendingBlocks - pendingBlocks;
      }
      this.#close(closed);
      await pause(WINDOW_POLL_MS, signal);
    }
    return 0;
  }

  #close(reason: WindowReason): void {
    if (this.#closed === reason) return;
    this.#closed = reason;
    emit({ kind: "window_closed", network: this.#network.name, direction: this.#direction, reason });
  }

  #open(): void {
    if (this.#closed === undefined) return;
    this.#closed = undefined;
    emit({ kind: "window_opened", network: this.#network.name, direction: this.#direction });
  }

  /**
   * Marks what left the chain, in the queue and in the ledger.
   *
   * @returns the lowest number that has to be done again; `undefined`: nothing left the chain.
   */
  async #followReorg(blockNumber: number, signal: AbortSignal): Promise<number | undefined> {
    const { ledger, chain, name, reorgMaxDepth } = this.#network;
    const ask = this.#intake.ask(signal);
    const canonical = new Map<number, string>();
    const left = await leftBlocks(blockNumber, reorgMaxDepth, {
      network: name,
      ours: async (number) => blocksOf(live(await ledger.between(number, number))).map((row) => row.blockHash),
      canonical: async (number) => {
        const header = await chain.headerByNumber(number, ask);
        if (header !== undefined) canonical.set(number, header.hash);
        return header;
      },
      outvoted: (number, ours) => this.#intake.outvoted(number, ours, signal),
    });
    const [lowest] = left;
    if (lowest === undefined) return undefined;
    // Everything of ours above is gone with it.
    const highest = Math.max(blockNumber, (await ledger.bounds())?.highest ?? 0);
    const hashes = new Set(left.map((block) => block.blockHash));
    const rows = live(await ledger.between(lowest.blockNumber, highest));
    await this.#intake.leave(
      rows.filter((row) => row.blockNumber > blockNumber || hashes.has(row.blockHash)),
      canonical,
    );
    return lowest.blockNumber;
  }

  /** One turn backwards: accepts every block down to the floor, as the window lets them in. */
  async descend(signal: AbortSignal, tell: (step: DiscoverStep) => void): Promise<void> {
    const { ledger, floor, directions, name } = this.#network;
    while (!signal.aborted) {
      const bottom = await this.#findBottom();
      // Two first entries of two leaders could leave a gap between them.
      if (bottom === undefined && directions.includes("forwards")) return;
      const top = bottom === undefined ? await this.#firstBackwards(signal) : bottom - 1;
      if (top < floor) return;
      const room = await this.#room(signal);
      if (signal.aborted) return;
      const lowest = Math.max(floor, top - Math.min(room, BATCH_BLOCKS) + 1);
      const headers = (await this.#intake.headers(numbers(lowest, top), signal)).reverse();
      if (headers.length < top - lowest + 1) throw new MissingHeaderError(name, lowest, top);
      const [child] = bottom === undefined ? [] : live(await ledger.between(bottom, bottom));
      const linked: BlockHeader[] = [];
      let parentHash = child?.parentHash;
      for (const header of headers) {
        if (parentHash !== undefined && header.hash !== parentHash) break;
        linked.push(header);
        parentHash = header.parentHash;
      }
      if (linked.length === 0) {
        await this.#leaveBottom(child!, signal);
        return;
      }
      const accepted = await this.#intake.accept(linked, this.#intake.processClass, signal);
      if (accepted.length === 0) return;
      this.#bottom = accepted.at(-1)!;
      tell({ direction: "backwards", accepted });
    }
  }

  /** Our lowest block is not on this chain: the chain has left it, or it never was and came from a node on a fork. */
  async #leaveBottom({ blockNumber, blockHash }: LedgerRow, signal: AbortSignal): Promise<void> {
    const { ledger, directions } = this.#network;
    // A leader forwards sees a reorg by itself.
    const highest = directions.includes("forwards") ? undefined : (await ledger.bounds())?.highest;
    if (highest !== undefined && await this.#followReorg(highest, signal) !== undefined) return;
    const headers = await this.#intake.headers([blockNumber], signal);
    if (headers[0]?.hash !== blockHash) await this.#intake.accept(headers, this.#intake.processClass, signal);
  }

  /** Lower end of the run of blocks below the highest: what an operator had processed far below leaves no hole. */
  async #findBottom(): Promise<number | undefined> {
    const { ledger } = this.#network;
    const from = this.#bottom;
    if (from !== undefined) {
      const present = live(await ledger.between(Math.max(0, from - 1), from));
      if (present.some((row) => row.blockNumber === from)) {
        if (present.every((row) => row.blockNumber === from)) return from;
        return this.#bottom = await ledger.runStart(from);
      }
    }
    const highest = (await ledger.bounds())?.highest;
    return this.#bottom = highest === undefined ? undefined : await ledger.runStart(highest);
  }

  async #firstBackwards(signal: AbortSignal): Promise<number> {
    const { chain, confirmations, floor, startBlock } = this.#network;
    this.#tip = await chain.headNumber(this.#intake.ask(signal));
    const allowed = await this.#allowed(this.#tip - confirmations, floor);
    return Math.min(allowed, startBlock ?? allowed);
  }
}

/** Rows of blocks that are on the chain as far as we know. */
function live(rows: readonly LedgerRow[]): LedgerRow[] {
  return rows.filter((row) => row.state !== "orphaned");
}

/** Both ends included. */
function numbers(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, offset) => from + offset);
}

/** The headers up to the first that is not the child of the one before: the chain moved while they were read. */
function chained(headers: readonly BlockHeader[]): readonly BlockHeader[] {
  const broken = headers.findIndex((header, index) => index > 0 && header.parentHash !== headers[index - 1]!.hash);
  return broken < 0 ? headers : headers.slice(0, broken);
}
