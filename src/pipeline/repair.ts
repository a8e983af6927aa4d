/**
 * Repair: what a leader does beside following the chain. It looks for numbers that are missing in the ledger and for open
 * blocks that do not move, gives the queue back what it has lost, and answers what others ask of it.
 */
import { merge, type Observable } from "rxjs";
import { abortable } from "../flow/abortable.ts";
import { pause } from "../flow/pause.ts";
import type { Direction, LedgerBounds, LedgerPart, LedgerRow } from "../stages/gate/ledger.ts";
import type { WindowOptions } from "../stages/gate/window.ts";
import { modeOf, type Office, type PendingRequest, type QueueStats, TASK_CLASSES } from "../stages/queue/port.ts";
import { emit } from "../telemetry/emit.ts";
import { blocksOf, Intake, type IntakeNetwork, partOf, type Processors } from "./intake.ts";
import { type ProcessRequest, readRequest, RequestUnreadableError } from "./requests.ts";
import { tellUnlessFatal } from "./tell_failure.ts";

/** When and how much is repaired. */
export interface RepairOptions {
  readonly intervalMs: number;
  /** Blocks below the highest stored one that are looked at; absent: all of them. */
  readonly lookBack?: number;
  /** Blocks repaired per scan. */
  readonly batch: number;
  /** Time without progress after which an open block is enqueued again; doubled each time it did not help. */
  readonly staleMs: number;
  /** Time without progress after which the queue is given back what it may have lost of an open block. */
  readonly reconcileMs: number;
}

/** What repair needs of a network. */
export interface RepairNetwork extends IntakeNetwork {
  /** What is led; the leader of the first one looks for missing numbers. */
  readonly directions: readonly Direction[];
  /** Of each direction; a long request leaves the head room in it. */
  readonly window: WindowOptions;
  readonly repair: RepairOptions;
}

/** How often requests are looked for. */
const REQUESTS_MS = 1_000;
/** Requests read at a time. */
const REQUESTS_MAX = 10;
/** Blocks of a request that are accepted at a time. */
const REQUEST_BLOCKS = 16;
/** Share of `window.maxQueuedTasks` up to which requests fill the queue: the window stays open for the head. */
const REQUEST_SHARE = 0.5;
/** Between two looks whether there is room for more of a request. */
const ROOM_MS = 100;
/** Open blocks whose progress is watched. */
const WATCHED_BLOCKS = 500;

/** Runs while the office lasts; a failure is told and tried again. */
export function repairs(
  network: RepairNetwork,
  direction: Direction,
  office: Office,
): Observable<never> {
  const { repair } = network;
  const worker = new Repair(network, direction, office, Date.now);
  const every = (ms: number, run: (signal: AbortSignal) => Promise<unknown>) =>
    abortable<never>(async (signal) => {
      while (!signal.aborted) {
        await pause(ms, signal);
        if (signal.aborted) return;
        try {
          await run(signal);
        } catch (error) {
          if (signal.aborted) return;
          tellUnlessFatal(network.name, direction, error);
        }
      }
    });
  return merge(
    every(REQUESTS_MS, (signal) => worker.answer(signal)),
    every(repair.intervalMs, (signal) => worker.scan(signal)),
    every(repair.reconcileMs, (signal) => worker.reconcile(signal)),
  );
}

/**
 * Tasks that wait for a lane, as far as they hold a direction up: the head does not wait for the backfill, nor for its
 * verification. Those that wait for their time do not count: retries are of open blocks, verification is later.
 */
export function waitingTasks(stats: QueueStats, direction: Direction): number {
  const classes = TASK_CLASSES.filter((each) => direction === "backwards" || modeOf(each) === direction);
  return classes.reduce((sum, each) => sum + stats.classes[each].waiting, 0);
}

/** Progress of one open block. */
interface Watched {
  readonly block: LedgerRow;
  /** Transactions that are stored. */
  readonly transactions: number;
  readonly sinceMs: number;
  readonly patienceMs: number;
}

/** A request that is being answered. */
interface Job {
  readonly purpose: ProcessRequest["class"];
  readonly processors: Processors;
  readonly runs: Iterator<readonly number[], unknown>;
  /** Of the run that is begun: not accepted yet. */
  rest: readonly number[];
  /** Accepted so far. */
  blocks: number;
  /** Why, if none is accepted. */
  readonly refused: string;
}

/** One term of office. */
export class Repair {
  readonly #network: RepairNetwork;
  readonly #direction: Direction;
  readonly #part: LedgerPart;
  readonly #office: Office;
  readonly #intake: Intake;
  readonly #now: () => number;
  /** By id of the request. */
  readonly #jobs = new Map<string, Job>();
  #watched = new Map<string, Watched>();
  /** Where the next look for unverified blocks begins. */
  #unverifiedFrom = 0;

  constructor(network: RepairNetwork, direction: Direction, office: Office, now: () => number) {
    this.#network = network;
    this.#direction = direction;
    this.#part = partOf(network, direction);
    this.#office = office;
    this.#intake = new Intake(network, direction, office);
    this.#now = now;
  }

  /** Missing numbers, open blocks that stand still, and verification that was lost. @returns blocks enqueued. */
  async scan(signal: AbortSignal): Promise<number> {
    const missing = this.#network.directions[0] === this.#direction ? await this.#missing(signal) : 0;
    return missing + await this.#stale(signal) + await this.#unverified(signal);
  }

  /**
   * Gives the queue back what it may have lost of blocks that stand still. One that left the chain unnoticed (no block
   * follows it, or nobody leads forwards) makes room for the block that took its place.
   *
   * @returns how many stand still.
   */
  async reconcile(signal: AbortSignal): Promise<number> {
    const startedMs = performance.now();
    let blocks = 0;
    let enqueued = 0;
    const still = (await this.#watch()).filter(({ sinceMs }) =>
      this.#now() - sinceMs >= this.#network.repair.reconcileMs
    );
    await this.#intake.each(still, signal, async ({ block }) => {
      blocks++;
      const [header] = await this.#intake.headers([block.blockNumber], signal);
      if (header === undefined || header.hash === block.blockHash) enqueued += await this.#intake.again(block, signal);
      else await this.#intake.accept([header], this.#intake.processClass, signal);
    });
    const seconds = (performance.now() - startedMs) / 1000;
    emit({ kind: "reconciled", network: this.#network.name, mode: this.#direction, blocks, enqueued, seconds });
    return blocks;
  }

  /**
   * Does what others have asked for, until nothing is left: a few blocks of each request in turn, so that a short one
   * does not wait for the end of a long one.
   *
   * @returns requests answered.
   */
  async answer(signal: AbortSignal): Promise<number> {
    const { queue, name } = this.#network;
    let count = 0;
    while (!signal.aborted) {
      const requests = await queue.requests(this.#office, REQUESTS_MAX);
      if (requests.length === 0) break;
      let moved = false;
      for (const request of requests) {
        const job = this.#jobs.get(request.id) ?? await this.#begin(request);
        this.#jobs.set(request.id, job);
        const step = await this.#step(job, signal);
        if (signal.aborted) return count;
        if (step !== "waits") moved = true;
        if (step !== "done") continue;
        const { blocks, refused } = job;
        await queue.answered(this.#office, [request]);
        this.#jobs.delete(request.id);
        emit({
          kind: "request_answered",
          network: name,
          direction: this.#direction,
          key: request.key,
          blocks,
          refused: blocks > 0 ? "" : refused,
        });
        count++;
      }
      if (!moved) await pause(ROOM_MS, signal);
    }
    return count;
  }

  /** Reads a request and what it means now. */
  async #begin({ body }: PendingRequest): Promise<Job> {
    const { ledger, name, window } = this.#network;
    const refusedJob = (refused: string): Job => {
      return { purpose: "process", processors: {}, runs: [].values(), rest: [], blocks: 0, refused };
    };
    let request: ProcessRequest;
    try {
      request = readRequest(body);
    } catch (error) {
      if (!(error instanceof RequestUnreadableError)) throw error;
      return refusedJob(error.message);
    }
    const processors = this.#only((processor) => request.processors.includes(processor));
    if (Object.keys(processors).length === 0) {
      return refusedJob(`it names no processor of ${name}: ${request.processors.join(", ")}`);
    }
    // What is not reached yet comes by itself; done now, it would be jumped over.
    const highest = (await ledger.bounds())?.highest ?? -1;
    return {
      purpose: request.class,
      processors,
      runs: runs(request.blocks, highest, Math.min(REQUEST_BLOCKS, window.maxPendingBlocks)),
      rest: [],
      blocks: 0,
      refused: refusal(highest),
    };
  }

  /** The next few blocks of a request, if there is room. */
  async #step(job: Job, signal: AbortSignal): Promise<"done" | "moved" | "waits"> {
    if (job.rest.length === 0) {
      const next = job.runs.next();
      if (next.done === true) return "done";
      job.rest = next.value;
    }
    if (!await this.#hasRoom(job)) return "waits";
    const { processors } = job;
    const taskClass = job.purpose === "process" ? this.#intake.processClass : this.#intake.reprocessClass;
    const accept = async (numbers: readonly number[]) => {
      const headers = await this.#intake.headers(numbers, signal);
      const accepted = await this.#intake.accept(headers, taskClass, signal, processors);
      job.blocks += accepted.length;
      return accepted.length;
    };
    // One that no node has now, or cannot read, or about which they do not agree, is left out.
    await this.#intake.each([job.rest], signal, async () => {
      while (job.rest.length > 0 && !signal.aborted) job.rest = job.rest.slice(await accept(job.rest) + 1);
    });
    await this.#intake.each(job.rest, signal, async (number) => void await accept([number]));
    if (!signal.aborted) job.rest = [];
    return "moved";
  }

  async #hasRoom({ purpose, rest }: Job): Promise<boolean> {
    const { queue, window: { maxPendingBlocks, maxQueuedTasks } } = this.#network;
    const stats = await queue.stats();
    if (waitingTasks(stats, this.#direction) >= maxQueuedTasks * REQUEST_SHARE) return false;
    const pendingBlocks = stats.open[this.#direction];
    return purpose === "reprocess" || pendingBlocks === 0 || pendingBlocks + rest.length <= maxPendingBlocks;
  }

  /** Numbers between the lowest and the highest that a processor has no block of. */
  async #missing(signal: AbortSignal): Promise<number> {
    const { ledger, name, processors, repair } = this.#network;
    const bounds = await ledger.bounds();
    if (bounds === undefined) return 0;
    const from = this.#from(bounds);
    const lacking = new Map<number, Set<string>>();
    for (const processor of Object.values(processors).flat()) {
      for (const number of await ledger.missing(processor, from, bounds.highest, repair.batch)) {
        const names = lacking.get(number) ?? new Set();
        lacking.set(number, names.add(processor));
      }
    }
    let blocks = 0;
    const lowest = [...lacking.keys()].sort((a, b) => a - b).slice(0, repair.batch);
    // From its lower end on: there a block shows by its parent whether it is of our chain.
    await this.#intake.each(runs(lowest, bounds.highest, REQUEST_BLOCKS), signal, async (run) => {
      for (const header of await this.#intake.headers(run, signal)) {
        const wanted = this.#only((one) => lacking.get(header.number)!.has(one));
        const accepted = await this.#intake.accept([header], this.#intake.reprocessClass, signal, wanted);
        if (accepted.length === 0) return;
        blocks++;
      }
    });
    if (blocks > 0) emit({ kind: "gap_repaired", network: name, blocks, reason: "missing" });
    return blocks;
  }

  /** Does blocks again of which no further transaction was stored for too long. */
  async #stale(signal: AbortSignal): Promise<number> {
    const { ledger, name, repair } = this.#network;
    let blocks = 0;
    const stale = (await this.#watch()).filter(({ sinceMs, patienceMs }) => this.#now() - sinceMs >= patienceMs);
    await this.#intake.each(stale.slice(0, repair.batch), signal, async (watched) => {
      const { block, patienceMs } = watched;
      // It may have finished since it was read.
      const rows = await ledger.between(block.blockNumber, block.blockNumber);
      if (!rows.some((row) => row.blockHash === block.blockHash && row.state === "accepted")) return;
      const receipts = await this.#intake.enqueue(block, this.#intake.reprocessClass, signal);
      this.#watched.set(block.blockHash, { ...watched, sinceMs: this.#now(), patienceMs: 2 * patienceMs });
      // What waits or is in work is left alone.
      if (Object.values(receipts).some(({ enqueued }) => enqueued > 0)) blocks++;
    });
    if (blocks > 0) emit({ kind: "gap_repaired", network: name, blocks, reason: "stale" });
    return blocks;
  }

  /** A queue that forgot the planned verification of finished blocks is told again. */
  async #unverified(signal: AbortSignal): Promise<number> {
    const { ledger, name, repair, verifyDelayMs } = this.#network;
    const bounds = verifyDelayMs === undefined ? undefined : await ledger.bounds();
    if (verifyDelayMs === undefined || bounds === undefined) return 0;
    const beforeMs = this.#now() - verifyDelayMs - repair.staleMs;
    let blocks = 0;
    const from = Math.max(this.#from(bounds), this.#unverifiedFrom);
    const rows = await ledger.unverified(this.#part, from, beforeMs, repair.batch);
    // Those whose verification waits, or is a dead letter, must not hide the others.
    this.#unverifiedFrom = rows.length < repair.batch ? 0 : rows.at(-1)!.blockNumber + 1;
    for (const block of blocksOf(rows)) {
      if (signal.aborted) break;
      if ((await this.#intake.verify(block)).enqueued > 0) blocks++;
    }
    if (blocks > 0) emit({ kind: "gap_repaired", network: name, blocks, reason: "unverified" });
    return blocks;
  }

  /** Lowest number that is looked at. */
  #from({ lowest, highest }: LedgerBounds): number {
    const { lookBack } = this.#network.repair;
    return lookBack === undefined ? lowest : Math.max(lowest, highest - lookBack + 1);
  }

  /** Looks at the progress of the lowest open blocks. */
  async #watch(): Promise<Watched[]> {
    const { ledger, repair } = this.#network;
    const open = blocksOf(await ledger.open(this.#part, -1, WATCHED_BLOCKS));
    const stored = new Map((await ledger.records(open)).map((records) => [records.blockHash, records.transactions]));
    const nowMs = this.#now();
    this.#watched = new Map(open.map((block): [string, Watched] => {
      const transactions = stored.get(block.blockHash) ?? 0;
      const before = this.#watched.get(block.blockHash);
      const moved = before === undefined || before.transactions !== transactions;
      return [block.blockHash, moved ? { block, transactions, sinceMs: nowMs, patienceMs: repair.staleMs } : before];
    }));
    return [...this.#watched.values()];
  }

  #only(wanted: (processor: string) => boolean): Processors {
    return Object.fromEntries(
      Object.entries(this.#network.processors).map(([kind, names]) => [kind, names.filter(wanted)] as const)
        .filter(([, names]) => names.length > 0),
    );
  }
}

/** Why nothing of a request was accepted. */
function refusal(highest: number): string {
  if (highest < 0) return "no block is stored so far";
  return `block ${highest} is the highest so far, and of those below no node has one now, or the nodes do not agree`;
}

/** Numbers up to the highest, in runs of at most `most` consecutive ones. */
function* runs(blocks: ProcessRequest["blocks"], highest: number, most: number): Generator<readonly number[]> {
  if ("from" in blocks) {
    for (let first = blocks.from, to = Math.min(blocks.to, highest); first <= to; first += most) {
      yield Array.from({ length: Math.min(most, to - first + 1) }, (_, offset) => first + offset);
    }
    return;
  }
  let run: number[] = [];
  for (const number of [...new Set(blocks)].filter((each) => each <= highest).sort((a, b) => a - b)) {
    if (run.length === most || run.length > 0 && number !== run.at(-1)! + 1) {
      yield run;
      run = [];
    }
    run.push(number);
  }
  if (run.length > 0) yield run;
}
