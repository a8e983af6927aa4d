/**
 * Work: queue → trace → decode → encode → sink → settle. A lane pulls a task when it is free, and is free again when
 * the sink has accepted the rows; the lease settles when they are durable.
 */
import {
  concat,
  defer,
  filter,
  finalize,
  firstValueFrom,
  from,
  fromEvent,
  ignoreElements,
  type Observable,
  takeUntil,
} from "rxjs";
import { classified } from "../errors.ts";
import { forkOfBlock } from "../ethereum/forks.ts";
import { lanes } from "../flow/lanes.ts";
import type { CallClass, NodePool, Outcome, Priority } from "../rpc/port.ts";
import type { Lease, Task, TaskClass, WorkQueue } from "../stages/queue/port.ts";
import type { SpillPort, TraceTable } from "../stages/sink/port.ts";
import { traceReads } from "../stages/trace/method.ts";
import { emit } from "../telemetry/emit.ts";
import type { BlockCache, TracedBlock } from "./block_cache.ts";
import type { EvidenceStore } from "./evidence.ts";
import type { Prediction } from "./plan.ts";
import { RELEASE_MS, settlementOf, type TaskEnd } from "./settlement.ts";
import type { Slots } from "./slots.ts";
import {
  type Evidence,
  type JobResults,
  type JobTransaction,
  type PlainError,
  plainError,
  type TraceJob,
} from "./trace_job.ts";
import type { Workers } from "./workers.ts";

/** A task without a trace: resolves when what it did is durable. */
export type OtherWork = (lease: Lease) => Promise<void>;

/** What a lane needs of its network. */
export interface WorkNetwork {
  readonly name: string;
  readonly chainId: number;
  readonly pool: NodePool;
  readonly queue: WorkQueue;
  readonly blocks: BlockCache;
  readonly prediction: Prediction;
  /** Tables that a trace fills. */
  readonly tables: readonly TraceTable[];
  /** `networks[].forks`; absent when the configuration names none. */
  readonly forks?: Readonly<Record<string, number>>;
  /** Name of the fork that a node says it is on, for chains that no table knows. */
  readonly nodeFork: () => Promise<string | undefined>;
  /** Tasks that need no trace. */
  readonly others: { readonly simple: OtherWork; readonly verify: OtherWork };
}

/** What all networks of a process share. */
export interface WorkProcess {
  readonly workers: Workers;
  readonly slots: Slots;
  readonly spill: SpillPort;
  readonly evidence: EvidenceStore;
  readonly policy: "enforce" | "record" | "off";
  readonly trace: {
    readonly method: "auto" | "block" | "transaction";
    readonly blockStructlogs: number;
    readonly returnData: boolean;
    readonly maxBytes?: number;
    readonly maxStructlogs?: number;
  };
  readonly evidenceBytes: number;
}

/** How a turn of a lane ended; settlement follows when the rows are durable. */
export type TurnOutcome = "accepted" | "idle";

/** How long an answer about a block is of use. */
const READ_WITHIN_MS = 30_000;
/** How long a trace may wait for a node. */
const LEASE_WITHIN_MS = 60_000;

const PRIORITIES: Readonly<Record<TaskClass, Priority>> = {
  reprocess_forwards: "repair",
  reprocess_backwards: "repair",
  process_forwards: "process",
  process_backwards: "backfill",
  verify_forwards: "verify",
  verify_backwards: "verify",
};

/** Runs one network's tasks until `drain` is aborted, then completes when the last one is settled. */
export function work(network: WorkNetwork, process: WorkProcess, drain: AbortSignal): Observable<TurnOutcome> {
  return defer(() => {
    const abort = new AbortController();
    const settling = new Set<Promise<void>>();
    const cycle = () => from(turn(new Lane(network, process, settling, abort.signal), drain));
    return concat(
      lanes(process.slots.limit, cycle, drain),
      defer(() => Promise.all(settling)).pipe(ignoreElements()),
    ).pipe(finalize(() => abort.abort(new DOMException("the lanes have ended", "AbortError"))));
  });
}

/** One turn of one lane: wait until something may be claimed, claim one task, run it until the sink has its rows. */
async function turn(lane: Lane, drain: AbortSignal): Promise<TurnOutcome> {
  const { network, process } = lane;
  const slot = await freeSlot(network, process, drain);
  if (slot === undefined) return "idle";
  try {
    const [lease] = await network.queue.fetch(1);
    if (lease !== undefined) {
      tellLanes(process.slots);
      await lane.run(lease);
      return "accepted";
    }
  } finally {
    slot[Symbol.dispose]();
    tellLanes(process.slots);
  }
  await network.queue.idle(drain);
  return "idle";
}

function tellLanes(slots: Slots): void {
  emit({ kind: "lanes_busy", busy: slots.busy, lanes: slots.limit });
}

/** Waits for a node that can serve, for room in the spill, and for a slot, in this order. `undefined`: drained. */
async function freeSlot(
  network: WorkNetwork,
  process: WorkProcess,
  drain: AbortSignal,
): Promise<Disposable | undefined> {
  try {
    const needed: CallClass = network.tables.length > 0 ? "trace" : "receipts";
    await firstValueFrom(
      network.pool.capacity.pipe(
        filter((capacity) => capacity.class === needed && capacity.available),
        takeUntil(fromEvent(drain, "abort")),
      ),
      { defaultValue: undefined },
    );
    await process.spill.ready(drain);
    return await process.slots.acquire(drain);
  } catch (error) {
    if (drain.aborted) return undefined;
    throw error;
  }
}

/** Runs leases of one network. */
class Lane {
  constructor(
    readonly network: WorkNetwork,
    readonly process: WorkProcess,
    readonly settling: Set<Promise<void>>,
    readonly abort: AbortSignal,
  ) {}

  /** Resolves when the lane is free; the lease settles later. Never throws for what a task can do wrong. */
  async run(lease: Lease): Promise<void> {
    const { task } = lease;
    const claimedMs = performance.now();
    emit({
      kind: "task_claimed",
      network: task.network,
      class: task.class,
      transactions: task.last - task.first + 1,
      waitSeconds: Math.max(0, (Date.now() - task.firstEnqueuedMs) / 1000),
    });
    const { accepted, end } = task.kind === "trace" ? this.#trace(lease) : this.#other(lease);
    const settled = end.then((how) => this.#settle(lease, how, claimedMs)).finally(() => this.settling.delete(settled));
    this.settling.add(settled);
    await accepted;
  }

  #other(lease: Lease): { accepted: Promise<void>; end: Promise<TaskEnd> } {
    const { task } = lease;
    const waiting = lease.waiting();
    const doing = this.network.others[task.kind === "verify" ? "verify" : "simple"](lease).finally(() =>
      waiting[Symbol.dispose]()
    );
    const end = doing.then(
      (): TaskEnd => ({ task, results: [], complete: true }),
      (error): TaskEnd => ({ task, results: [], error: plainError(error) }),
    );
    return { accepted: end.then(() => {}), end };
  }

  #trace(lease: Lease): { accepted: Promise<void>; end: Promise<TaskEnd> } {
    const accepted = Promise.withResolvers<void>();
    const end = this.#traceAll(lease).then(async ({ jobs, error, node }): Promise<TaskEnd> => {
      accepted.resolve();
      const ends = await Promise.all(jobs);
      const failed = ends.find((results) => results.error !== undefined)?.error ?? error;
      return {
        task: lease.task,
        results: ends.flatMap((results) => results.transactions),
        ...(failed === undefined ? {} : { error: failed }),
        ...(node === undefined ? {} : { node }),
      };
    });
    return { accepted: accepted.promise, end };
  }

  /** Reads every reply of the task, one after the other, until one fails. */
  async #traceAll(lease: Lease): Promise<{ jobs: Promise<JobResults>[]; error?: PlainError; node?: string }> {
    const { network, process } = this;
    const { task } = lease;
    const jobs: Promise<JobResults>[] = [];
    const signal = AbortSignal.any([lease.signal, this.abort]);
    const priority = PRIORITIES[task.class];
    const tried: { node?: string } = {};
    try {
      const waiting = lease.waiting();
      const traced = await network.blocks.get(task.blockHash, task.blockNumber, {
        priority,
        withinMs: READ_WITHIN_MS,
        signal,
      })
        .finally(() => waiting[Symbol.dispose]());
      const gas = gasOf(traced, task.first, task.last);
      const predicted = network.prediction.structlogs(gas);
      const reads = traceReads(task, traced.block.transactions, predicted, task.attempts, process.trace);
      for (const part of reads.parts) {
        const running = await this.#tracePart(lease, traced, reads.shape, part, priority, signal, tried);
        jobs.push(running.results);
        const failed = await Promise.race([
          running.accepted.then(() => undefined),
          running.results.then((results) => results.error),
        ]);
        if (failed !== undefined) break;
      }
      return { jobs, ...tried };
    } catch (error) {
      return { jobs, error: plainError(error), ...tried };
    }
  }

  async #tracePart(
    lease: Lease,
    traced: TracedBlock,
    shape: TraceJob["shape"],
    part: { readonly first: number; readonly last: number },
    priority: Priority,
    signal: AbortSignal,
    tried: { node?: string },
  ) {
    const { network, process } = this;
    const { task } = lease;
    const gas = gasOf(traced, part.first, part.last);
    const waiting = lease.waiting();
    const nodeLease = await network.pool.lease({
      need: {
        class: "trace",
        method: shape === "block" ? "debug_traceBlockByHash" : "debug_traceTransaction",
        units: network.prediction.structlogs(gas),
        stateAt: Math.max(0, task.blockNumber - 1),
        ...(task.failedNodes.length > 0 && task.failedNodes.length < network.pool.nodes().length
          ? { not: task.failedNodes }
          : {}),
      },
      blockNumber: task.blockNumber,
      blockHash: task.blockHash,
      priority,
      deadlineMs: performance.now() + LEASE_WITHIN_MS,
      signal,
    }).finally(() => waiting[Symbol.dispose]());
    tried.node = nodeLease.node.name;
    let job: TraceJob;
    try {
      job = await this.#job(lease, traced, shape, part, nodeLease.node);
    } catch (error) {
      nodeLease[Symbol.dispose]();
      throw error;
    }
    const running = process.workers.run(job, AbortSignal.any([signal, nodeLease.signal]), {
      progress: lease.progress,
      read: (outcome: Outcome) => {
        nodeLease.report(outcome);
        if (outcome.kind === "ok") network.prediction.learn(gas, outcome.units);
      },
      violated: (evidence: Evidence) => this.#keepEvidence(evidence),
    });
    return running;
  }

  async #job(
    lease: Lease,
    traced: TracedBlock,
    shape: TraceJob["shape"],
    part: { readonly first: number; readonly last: number },
    node: TraceJob["node"],
  ): Promise<TraceJob> {
    const { network, process } = this;
    const { block, receipts } = traced;
    const fork = forkOfBlock({ number: block.number, timestamp: block.timestamp }, {
      chainId: network.chainId,
      ...(network.forks === undefined ? {} : { configured: network.forks }),
      ...definedNode(await network.nodeFork()),
    });
    const transactions: JobTransaction[] = [];
    for (let index = part.first; index <= part.last; index++) {
      const transaction = block.transactionJson[index]!;
      const receipt = receipts[index]!;
      const gasUsed = BigInt(String(receipt["gasUsed"]));
      const status = receipt["status"];
      transactions.push({
        index,
        transaction,
        receipt,
        start: {
          network: network.name,
          blockNumber: block.number,
          blockHash: block.hash,
          transactionHash: String(transaction["hash"]).toLowerCase(),
          transactionIndex: index,
          rowVersion: lease.token,
          firstDelivery: lease.firstDelivery,
          gasUsed,
          failed: status === undefined || status === null
            ? gasUsed === BigInt(String(transaction["gas"]))
            : BigInt(String(status)) === 0n,
          failedIsFinal: status !== undefined && status !== null,
          tables: network.tables,
          client: node.clientVersion,
          node: node.name,
          fork: fork ?? "",
        },
      });
    }
    const { transactions: _transactions, ...header } = block.json;
    const { maxBytes, maxStructlogs } = process.trace;
    return {
      network: network.name,
      shape,
      target: shape === "block" ? block.hash : transactions[0]!.start.transactionHash,
      node,
      returnData: process.trace.returnData,
      caps: {
        ...(maxBytes === undefined ? {} : { maxBytes }),
        ...(maxStructlogs === undefined ? {} : { maxStructlogs }),
      },
      policy: process.policy,
      evidenceBytes: process.evidenceBytes,
      ...(fork === undefined ? {} : { fork }),
      chainId: network.chainId,
      block: header,
      transactions,
    };
  }

  #keepEvidence(evidence: Evidence): void {
    const { network, blockNumber, transactionHash, identity, detail, node, client } = evidence;
    emit({ kind: "transaction_violated", network, blockNumber, transactionHash, identity, detail, node, client });
    if (this.process.policy === "off") return;
    const kept = this.process.evidence.keep(evidence).then(
      ({ name, bytes }) => emit({ kind: "evidence_kept", network, transactionHash, file: name, bytes }),
      (error) => emit({ kind: "evidence_failed", network, transactionHash, message: classified(error).message }),
    ).finally(() => this.settling.delete(kept));
    this.settling.add(kept);
  }

  async #settle(lease: Lease, end: TaskEnd, claimedMs: number): Promise<void> {
    const { task } = lease;
    const seconds = (performance.now() - claimedMs) / 1000;
    if (end.error !== undefined) tellFailure(task, end.error, end.node ?? "");
    if (end.error !== undefined) this.network.blocks.forget(task.blockHash);
    const settlement = this.abort.aborted ? { outcome: "release" as const, delayMs: RELEASE_MS } : settlementOf(end);
    const verdict = lease.signal.aborted ? "stale" : await lease.settle(settlement);
    for (const result of end.results) {
      emit({
        kind: "transaction_stored",
        network: task.network,
        blockNumber: task.blockNumber,
        transactionHash: result.transactionHash,
        verdict: result.verdict,
        identity: result.identity,
        structlogs: result.structlogs,
        structlogRows: result.stored.published ? result.stored.structlogRows : 0,
        aggregateRows: result.stored.published ? result.stored.aggregateRows : 0,
        bytes: result.bytes,
        seconds,
      });
    }
    emit({
      kind: "task_settled",
      network: task.network,
      class: task.class,
      outcome: settlement.outcome,
      verdict,
      seconds,
    });
  }
}

function tellFailure(task: Task, error: PlainError, node: string): void {
  const { blockNumber, first, last, network } = task;
  emit({
    kind: "task_failed",
    network,
    code: error.code,
    disposition: error.disposition,
    blockNumber,
    first,
    last,
    node,
    message: error.message,
  });
}

function definedNode(node: string | undefined): { readonly node?: string } {
  return node === undefined ? {} : { node };
}

function gasOf(traced: TracedBlock, first: number, last: number): number {
  let gas = 0;
  for (let index = first; index <= last; index++) gas += Number(traced.receipts[index]?.["gasUsed"] ?? 0);
  return gas;
}
