/**
 * Discover: heads + backfill → gate → window → plan → queue. Run by the leader of each direction; what it remembers
 * lives in the ledger, so that the next leader goes on where this one ended.
 */
import { catchError, concat, defer, ignoreElements, map, merge, type Observable, repeat, timer } from "rxjs";
import { classified, type PipelineError } from "../errors.ts";
import { abortable } from "../flow/abortable.ts";
import { conflateMap } from "../flow/conflate_map.ts";
import { leaderGate } from "../flow/leader_gate.ts";
import { pause } from "../flow/pause.ts";
import { advanced, type Direction } from "../stages/gate/ledger.ts";
import type { Limiter } from "../stages/gate/limiter.ts";
import { Window, type WindowOptions } from "../stages/gate/window.ts";
import type { Office } from "../stages/queue/port.ts";
import type { BlockHeader } from "../stages/source/chain.ts";
import { type LeftBlock, leftBlocks, ReorgTooDeepError } from "../stages/source/reorg.ts";
import { emit } from "../telemetry/emit.ts";
import type { WindowReason } from "../telemetry/events/pipeline.ts";
import { blocksOf, Intake, type IntakeNetwork, MissingHeaderError } from "./intake.ts";
import { type RepairOptions, repairs, waitingTasks } from "./repair.ts";

/** One network, as its leaders see it. */
export interface DiscoverNetwork extends IntakeNetwork {
  /** What is led; with both, the forwards leader makes the ledger's first entry. */
  readonly directions: readonly Direction[];
  readonly startBlock?: number;
  readonly confirmations: number;
  readonly floor: number;
  readonly blockTimeMs: number;
  readonly window: WindowOptions;
  readonly limiter?: Limiter;
  readonly reorgMaxDepth: number;
  readonly repair: RepairOptions;
  /** Hears of blocks that left the chain, so that their rows can be removed once the replacement is durable. */
  readonly orphaned: (blocks: readonly LeftBlock[]) => void;
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
        repairs(network, direction, office),
        network.chores(direction),
      );
    }),
  );
}

/** One term of office. */
export class Leader {
  readonly #network: DiscoverNetwork;
  readonly #direction: Direction;
  readonly #office: Office;
  readonly #intake: Intake;
  readonly #window: Window;
  #closed: WindowReason | undefined;

  constructor(network: DiscoverNetwork, direction: Direction, office: Office) {
    this.#network = network;
    this.#direction = direction;
    this.#office = office;
    this.#intake = new Intake(network, direction, office);
    this.#window = new Window(network.window);
  }

  /** Enqueues every accepted block that is not finished again, until that has succeeded once. */
  reconciled(): Observable<never> {
    return abortable<never>((signal) => this.#untilDone(signal, () => this.reconcile(signal)));
  }

  /** Accepted blocks whose tasks the queue may have lost; those it still has are skipped by their identity. */
  async reconcile(signal: AbortSignal): Promise<number> {
    const { ledger } = this.#network;
    let after = -1;
    let count = 0;
    while (!signal.aborted) {
      const rows = await ledger.open(this.#direction, after, RECONCILE_PAGE);
      if (rows.length === 0) break;
      // The last number of a full page may go on in the next one.
      const last = rows.at(-1)!.blockNumber;
      const whole = rows.length < RECONCILE_PAGE ? rows : rows.filter((row) => row.blockNumber < last);
      const page = whole.length > 0 ? whole : rows;
      for (const block of blocksOf(page)) {
        await this.#intake.again(block, signal);
        count++;
      }
      after = page.at(-1)!.blockNumber;
    }
    return count;
  }

  /** Follows the head. */
  forwards(): Observable<DiscoverStep> {
    const { pool, blockTimeMs, name } = this.#network;
    const state: { next?: number } = {};
    // The timer stands in for heads that were missed; a limiter or confirmations may also let old blocks in by time.
    const ticks = timer(0, Math.max(1_000, blockTimeMs)).pipe(map(() => undefined));
    return merge(pool.heads.pipe(map((head) => head.number)), ticks).pipe(
      conflateMap((head) =>
        this.#steps(async (signal, tell) => {
          const tip = Math.max(head ?? 0, await this.#network.chain.headNumber(this.#intake.ask(signal)));
          emit({ kind: "head_seen", network: name, blockNumber: tip });
          await this.#advance(tip, state, signal, tell);
        })
      ),
    );
  }

  /** Walks down from the lowest stored block to the floor, then waits for the ledger to have another lowest block. */
  backwards(): Observable<DiscoverStep> {
    const step = defer(() => this.#steps((signal, tell) => this.#descend(signal, tell)));
    return step.pipe(repeat({ delay: () => timer(Math.max(1_000, this.#network.blockTimeMs)) }));
  }

  /** Work of one turn. What fails is told and tried again at the next turn; only a fatal error ends the network. */
  #steps(run: (signal: AbortSignal, tell: (step: DiscoverStep) => void) => Promise<void>): Observable<DiscoverStep> {
    return abortable(run).pipe(
      catchError((error: unknown) => {
        const failure = classified(error);
        if (failure instanceof ReorgTooDeepError) {
          const { maxDepth, blockNumber, oldHash, newHash } = failure;
          emit({
            kind: "reorg_too_deep",
            network: this.#network.name,
            depth: maxDepth + 1,
            maxDepth,
            blockNumber,
            oldHash,
            newHash,
          });
        }
        if (failure.disposition === "fatal") throw failure;
        return this.#failed(failure);
      }),
    );
  }

  #failed(failure: PipelineError): Observable<never> {
    const { name } = this.#network;
    emit({
      kind: "discover_failed",
      network: name,
      direction: this.#direction,
      code: failure.code,
      message: failure.message,
    });
    return timer(FAILED_PAUSE_MS).pipe(ignoreElements());
  }

  async #untilDone(signal: AbortSignal, run: () => Promise<unknown>): Promise<void> {
    while (!signal.aborted) {
      try {
        await run();
        return;
      } catch (error) {
        const failure = classified(error);
        if (failure.disposition === "fatal") throw failure;
        const { name } = this.#network;
        emit({
          kind: "discover_failed",
          network: name,
          direction: this.#direction,
          code: failure.code,
          message: failure.message,
        });
        await pause(FAILED_PAUSE_MS, signal);
      }
    }
  }

  async #advance(
    tip: number,
    state: { next?: number },
    signal: AbortSignal,
    tell: (step: DiscoverStep) => void,
  ): Promise<void> {
    const { startBlock, confirmations } = this.#network;
    state.next ??= await this.#firstForwards(tip, startBlock);
    if (tip < state.next) {
      // A head that is not above ours may be another block of the same number.
      const depth = Math.min(tip, state.next - 1);
      if (await this.#followReorg(depth, signal)) {
        state.next = Math.min(state.next, (await this.#highest() ?? depth) + 1);
      }
    }
    while (!signal.aborted) {
      const allowed = await this.#allowed(tip - confirmations, state.next);
      if (allowed < state.next) return;
      const room = await this.#room(signal);
      if (signal.aborted) return;
      const last = Math.min(allowed, state.next + Math.min(room, BATCH_BLOCKS) - 1);
      const headers = await this.#intake.headers(numbers(state.next, last), signal);
      if (headers.length === 0) return;
      const before = await this.#ourHash(state.next - 1);
      if (before !== undefined && before !== headers[0]!.parentHash) {
        // Nodes that do not agree yet: the next head finds them agreed.
        if (!await this.#followReorg(state.next - 1, signal)) return;
        state.next = (await this.#highest() ?? state.next - 1) + 1;
        continue;
      }
      const accepted = await this.#intake.accept(chained(headers), this.#intake.processClass, signal);
      state.next = accepted.at(-1)! + 1;
      tell({ direction: "forwards", accepted });
    }
  }

  async #firstForwards(tip: number, startBlock: number | undefined): Promise<number> {
    const highest = await this.#highest();
    return highest === undefined ? startBlock ?? Math.max(0, tip - this.#network.confirmations) : highest + 1;
  }

  async #highest(): Promise<number | undefined> {
    return (await this.#network.ledger.bounds())?.highest;
  }

  /** Lowest of what the chain, the confirmations and the limiter allow. */
  async #allowed(confirmed: number, next: number): Promise<number> {
    const { limiter } = this.#network;
    if (confirmed < next) {
      this.#close("confirmations", confirmed >= 0 && this.#network.confirmations > 0);
      return confirmed;
    }
    if (limiter === undefined) return confirmed;
    const limit = await limiter.highest();
    if (limit < next) this.#close("limiter", true);
    return Math.min(confirmed, limit);
  }

  /** Waits until the window is open. @returns how many blocks may enter. */
  async #room(signal: AbortSignal): Promise<number> {
    const { queue, window, name } = this.#network;
    while (!signal.aborted) {
      const stats = await queue.stats();
      const queuedTasks = waitingTasks(stats);
      const pendingBlocks = stats.open[this.#direction];
      emit({ kind: "window_pending", network: name, direction: this.#direction, blocks: pendingBlocks });
      const closed = this.#window.closedBy({ pendingBlocks, queuedTasks });
      if (closed === undefined) {
        this.#open();
        return window.maxPendingBlocks - pendingBlocks;
      }
      this.#close(closed, true);
      await pause(WINDOW_POLL_MS, signal);
    }
    return 0;
  }

  #close(reason: WindowReason, really: boolean): void {
    if (!really || this.#closed === reason) return;
    this.#closed = reason;
    emit({ kind: "window_closed", network: this.#network.name, direction: this.#direction, reason });
  }

  #open(): void {
    if (this.#closed === undefined) return;
    this.#closed = undefined;
    emit({ kind: "window_opened", network: this.#network.name, direction: this.#direction });
  }

  async #ourHash(blockNumber: number): Promise<string | undefined> {
    if (blockNumber < 0) return undefined;
    const rows = await this.#network.ledger.between(blockNumber, blockNumber);
    return rows.find((row) => row.state !== "orphaned")?.blockHash;
  }

  /** Marks what left the chain, in the queue and in the ledger. @returns whether something did. */
  async #followReorg(blockNumber: number, signal: AbortSignal): Promise<boolean> {
    const { ledger, chain, queue, name, reorgMaxDepth } = this.#network;
    const ask = this.#intake.ask(signal);
    const canonical = new Map<number, string>();
    const left = await leftBlocks(blockNumber, reorgMaxDepth, {
      network: name,
      ours: async (number) => {
        const rows = await ledger.between(number, number);
        return [...new Set(rows.filter((row) => row.state !== "orphaned").map((row) => row.blockHash))];
      },
      canonical: async (number) => {
        const header = await chain.headerByNumber(number, ask);
        if (header !== undefined) canonical.set(number, header.hash);
        return header;
      },
    });
    if (left.length === 0) return false;
    // Everything of ours above the deepest block that left is gone with it.
    const highest = await this.#highest() ?? blockNumber;
    const above = highest > blockNumber ? await ledger.between(blockNumber + 1, highest) : [];
    const gone = [...left, ...blocksOf(above.filter((row) => row.state !== "orphaned"))];
    for (const block of gone) {
      await queue.orphan({ blockNumber: block.blockNumber, blockHash: block.blockHash }, this.#office);
      const rows = (await ledger.between(block.blockNumber, block.blockNumber)).filter((row) =>
        row.blockHash === block.blockHash
      );
      await ledger.write(rows.flatMap((row) => advanced(row, "orphaned", {}, Date.now()) ?? []));
      emit({
        kind: "reorg",
        network: name,
        blockNumber: block.blockNumber,
        oldHash: block.blockHash,
        newHash: canonical.get(block.blockNumber) ?? "",
        depth: highest - block.blockNumber + 1,
      });
    }
    this.#network.orphaned(gone.map(({ blockNumber, blockHash }) => ({ blockNumber, blockHash })));
    return true;
  }

  async #descend(signal: AbortSignal, tell: (step: DiscoverStep) => void): Promise<void> {
    const { ledger, floor, startBlock, confirmations, chain, directions } = this.#network;
    while (!signal.aborted) {
      const bounds = await ledger.bounds();
      // Two first entries of two leaders could leave a gap between them.
      if (bounds === undefined && directions.includes("forwards")) return;
      const tip = bounds === undefined ? await chain.headNumber(this.#intake.ask(signal)) : undefined;
      const top = bounds === undefined ? startBlock ?? Math.max(0, tip! - confirmations) : bounds.lowest - 1;
      if (top < floor) return;
      const room = await this.#room(signal);
      if (signal.aborted) return;
      const bottom = Math.max(floor, top - Math.min(room, BATCH_BLOCKS) + 1);
      const headers = (await this.#intake.headers(numbers(bottom, top), signal)).reverse();
      if (headers.length < top - bottom + 1) throw new MissingHeaderError(this.#network.name, bottom, top);
      const child = bounds === undefined
        ? undefined
        : (await ledger.between(bounds.lowest, bounds.lowest)).find((row) => row.state !== "orphaned");
      const linked: BlockHeader[] = [];
      let parentHash = child?.parentHash;
      for (const header of headers) {
        if (parentHash !== undefined && header.hash !== parentHash) break;
        linked.push(header);
        parentHash = header.parentHash;
      }
      // The lowest block of ours is not on this chain any more: the leader forwards follows the reorg, then this goes on.
      if (linked.length === 0) return;
      const accepted = await this.#intake.accept(linked, this.#intake.processClass, signal);
      tell({ direction: "backwards", accepted });
    }
  }
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
