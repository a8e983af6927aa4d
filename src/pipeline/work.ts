/**
 * Work: queue → trace → decode → encode → sink → settle. A lane pulls a task when it is free, and is free again when
 * the sink has accepted the rows; the lease settles when they are durable.
 */
import {
  concat,
  defer,
  EMPTY,
  filter,
  finalize,
  from,
  ignoreElements,
  type Observable,
  type Subscription,
  takeUntil,
} from "rxjs";
import { classified, PipelineError } from "../errors.ts";
import { forkOfBlock } from "../ethereum/forks.ts";
import { aborted } from "../flow/abortable.ts";
import { lanes } from "../flow/lanes.ts";
import { pause } from "../flow/pause.ts";
import type { CallClass, NodePool, Outcome, Priority } from "../rpc/port.ts";
import { Claims } from "../stages/queue/claims.ts";
import type { Lease, Task, TaskKind, WorkQueue } from "../stages/queue/port.ts";
import type { TraceTable } from "../stages/sink/port.ts";
import { traceReads } from "../stages/trace/method.ts";
import { emit } from "../telemetry/emit.ts";
import { type BlockCache, BlockOrphanedError, type TracedBlock } from "./block_cache.ts";
import type { EvidenceStore } from "./evidence.ts";
import type { Prediction } from "./plan.ts";
import { PRIORITIES } from "./priorities.ts";
import { RemoteError } from "./remote_error.ts";
import { checkBranch } from "./same_branch.ts";
import { RELEASE_MS, settlementOf, type TaskEnd } from "./settlement.ts";
import {
  type Evidence,
  type JobResults,
  type JobTransaction,
  type PlainError,
  plainError,
  type TraceJob,
  type TransactionResult,
} from "./trace_job.ts";
import type { Recorded } from "./stored.ts";
import { Violations } from "./violations.ts";
import type { Workers } from "./workers.ts";

/** A task without a trace: resolves when what it did is durable. */
export type OtherWork = (lease: Lease, lane: OtherLane) => Promise<unknown>;

/** What a lane can do for such a task. */
export interface OtherLane {
  /** Traces a stored transaction again on another node and stores what differs. */
  audit(record: Recorded): Promise<void>;
}

/** What a lane needs of its network. */
export interface WorkNetwork {
  readonly name: string;
  readonly chainId: number;
  readonly pool: Pick<NodePool, "lease" | "request" | "nodes" | "capacity" | "isOutage">;
  readonly queue: WorkQueue;
  readonly blocks: BlockCache;
  readonly prediction: Prediction;
  /** Tables that a trace fills. */
  readonly tables: readonly TraceTable[];
  /** `networks[].forks`; absent when the configuration names none. */
  readonly forks?: Readonly<Record<string, number>>;
  /** Name of the fork that a node says it is on, for chains that no table knows. */
  readonly nodeFork: () => Promise<string | undefined>;
  /** Tasks that need no trace, by kind. */
  readonly others: Readonly<Partial<Record<TaskKind, OtherWork>>>;
}

/** What all networks of a process share. */
export interface WorkProcess {
  readonly workers: Pick<Workers, "lanes" | "run">;
  /** From this many recoveries on a task runs while nothing else does. */
  readonly aloneAfterRecoveries: number;
  /** Resolves when rows of another task may be taken: within the budget, with room on disk. */
  readonly ready: (signal: AbortSignal) => Promise<void>;
  readonly evidence: EvidenceStore;
  readonly policy: "enforce" | "record" | "off";
  readonly trace: {
    readonly method: "auto" | "block" | "transaction";
    readonly blockStructlogs: number;
    readonly returnData: boolean;
    readonly maxBytes?: number | undefined;
    readonly maxStructlogs?: number | undefined;
  };
  readonly evidenceBytes: number;
}

/** A task of a kind that this version does not know: another version of the program shares the queue. */
export class UnknownTaskError extends PipelineError {
  readonly code = "task_kind_unknown";
  readonly disposition = "retry";

  constructor(kind: string) {
    super(`Cannot run a task of kind ${kind}: this process does not know it; run one version of the program per queue`);
  }
}

/** How a turn of a lane ended; settlement follows when the rows are durable. */
export type TurnOutcome = "accepted" | "drained";

/** How work ends. */
export interface WorkSignals {
  /** Nothing more is claimed; what is in hand is finished. */
  readonly drain: AbortSignal;
  /** What is in hand goes back to the queue. */
  readonly abort: AbortSignal;
}

/** How long handing back may take: Redis may be away. */
const HAND_BACK_MS = 2_000;
/** How long an answer about a block is of use. */
const READ_WITHIN_MS = 30_000;
/** How long a trace may wait for a node. */
const LEASE_WITHIN_MS = 60_000;

/** Runs tasks of all networks until it is drained, then completes when the last one is settled or handed back. */
export function work(
  networks: ReadonlyMap<string, WorkNetwork>,
  process: WorkProcess,
  { drain, abort }: WorkSignals,
): Observable<TurnOutcome> {
  return defer(() => {
    const ended = new AbortController();
    const hands: Hands = { leases: new Set(), settling: new Set(), abort: AbortSignal.any([abort, ended.signal]) };
    const lanesOf = new Map([...networks].map(([name, network]) => [name, new Lane(network, process, hands)]));
    const capacity = new Capacities([...networks.values()]);
    const claims = new Claims(
      [...networks.values()].map(({ queue }) => queue),
      (name) => capacity.of(name),
      process.aloneAfterRecoveries,
    );
    const count = process.workers.lanes;
    let busy = 0;
    const turn = async (): Promise<TurnOutcome> => {
      await process.ready(drain);
      const lease = await claims.next(drain);
      if (lease === undefined) return "drained";
      emit({ kind: "lanes_busy", busy: ++busy, lanes: count });
      try {
        await lanesOf.get(lease.task.network)!.run(lease);
      } finally {
        emit({ kind: "lanes_busy", busy: --busy, lanes: count });
      }
      return "accepted";
    };
    return concat(
      lanes(count, () => from(turn()), drain).pipe(takeUntil(aborted(abort))),
      defer(() => settled(hands.settling)).pipe(takeUntil(aborted(abort)), ignoreElements()),
      defer(() => abort.aborted ? handBack(hands.leases) : EMPTY).pipe(ignoreElements()),
    ).pipe(finalize(() => {
      capacity[Symbol.dispose]();
      ended.abort(new DOMException("the lanes have ended", "AbortError"));
    }));
  });
}

/** What the lanes of a process have in hand. */
interface Hands {
  /** Not settled. */
  readonly leases: Set<Lease>;
  /** Whatever has to end before the work has. */
  readonly settling: Set<Promise<void>>;
  readonly abort: AbortSignal;
}

/** Waits until nothing is left, also of what is added meanwhile. */
async function settled(settling: ReadonlySet<Promise<void>>): Promise<void> {
  while (settling.size > 0) await Promise.all(settling);
}

/** Gives back what is not settled, no attempt used: another process need not wait until the leases run out. */
async function handBack(leases: ReadonlySet<Lease>): Promise<void> {
  let left = leases.size;
  const told = [...leases].map((lease) =>
    lease.settle({ outcome: "release", delayMs: 0 }).then(() => void left--, () => {})
  );
  const over = new AbortController();
  await Promise.race([Promise.all(told), pause(HAND_BACK_MS, over.signal)]);
  over.abort();
  emit({ kind: "work_aborted", tasks: told.length, left });
}

/** Which networks a task may be claimed for: those with a node that can serve it. */
class Capacities implements Disposable {
  readonly #available = new Map<string, boolean>();
  readonly #subscriptions: Subscription[];

  constructor(networks: readonly WorkNetwork[]) {
    this.#subscriptions = networks.map((network) => {
      const needed: CallClass = network.tables.length > 0 ? "trace" : "receipts";
      return network.pool.capacity.pipe(filter((capacity) => capacity.class === needed)).subscribe((capacity) => {
        this.#available.set(network.name, capacity.available);
      });
    });
  }

  of(network: string): number {
    return this.#available.get(network) === true ? Number.MAX_SAFE_INTEGER : 0;
  }

  [Symbol.dispose](): void {
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
  }
}

/** Runs leases of one network. */
class Lane {
  readonly #violations = new Violations();

  constructor(
    readonly network: WorkNetwork,
    readonly process: WorkProcess,
    readonly hands: Hands,
  ) {}

  /** Resolves when the lane is free; the lease settles later. Never throws for what a task can do wrong. */
  async run(lease: Lease): Promise<void> {
    const { task } = lease;
    const { leases, settling, abort } = this.hands;
    const claimedMs = performance.now();
    emit({
      kind: "task_claimed",
      network: task.network,
      class: task.class,
      transactions: task.last - task.first + 1,
      waitSeconds: Math.max(0, (Date.now() - task.firstEnqueuedMs) / 1000),
    });
    const { accepted, end } = task.kind === "trace" ? this.#trace(lease) : this.#other(lease);
    const settled = end.then((how) => this.#settle(lease, how, claimedMs)).catch((error: unknown) => {
      // The queue did not take it: the lease runs out, and the task is done again. What was aborted is told as a whole.
      if (!abort.aborted) tellFailure(task, plainError(error), "");
    }).finally(() => {
      leases.delete(lease);
      settling.delete(settled);
    });
    leases.add(lease);
    settling.add(settled);
    await accepted;
  }

  #other(lease: Lease): { accepted: Promise<void>; end: Promise<TaskEnd> } {
    const { task } = lease;
    const waiting = lease.waiting();
    const doing = this.#doOther(lease).finally(() => waiting[Symbol.dispose]());
    const end = doing.then(
      (): TaskEnd => ({ task, results: [], complete: true }),
      (error): TaskEnd => ({ task, results: [], error: plainError(error) }),
    );
    return { accepted: end.then(() => {}), end };
  }

  async #doOther(lease: Lease): Promise<void> {
    const run = this.network.others[lease.task.kind];
    if (run === undefined) throw new UnknownTaskError(lease.task.kind);
    await run(lease, { audit: (record) => this.#audit(lease, record) });
  }

  async #audit(lease: Lease, record: Recorded): Promise<void> {
    const { task } = lease;
    const signal = AbortSignal.any([lease.signal, this.hands.abort]);
    const priority = PRIORITIES[task.class];
    const ask = { priority, withinMs: READ_WITHIN_MS, signal };
    const traced = await this.network.blocks.get(task.blockHash, task.blockNumber, ask);
    const part = { first: record.index, last: record.index };
    const running = await this.#tracePart(lease, traced, "transaction", part, priority, signal, {}, record);
    const { error } = await running.results;
    if (error !== undefined) throw new RemoteError(error);
  }

  #trace(lease: Lease): { accepted: Promise<void>; end: Promise<TaskEnd> } {
    const accepted = Promise.withResolvers<void>();
    const end = this.#traceAll(lease).then(async ({ jobs, error, node }): Promise<TaskEnd> => {
      accepted.resolve();
      const ends = await Promise.all(jobs);
      const failed = ends.find((results) => results.error !== undefined)?.error ?? error;
      const results = ends.flatMap((results) => results.transactions);
      if (results.some((result) => !result.stored.published) && await this.#leftChain(lease.task)) {
        const { blockNumber, blockHash } = lease.task;
        const orphaned = new BlockOrphanedError(`Cannot trace block ${blockNumber} ${blockHash}: it left the chain`);
        return { task: lease.task, results: [], error: plainError(orphaned) };
      }
      return {
        task: lease.task,
        results,
        violations: this.#countViolations(results, node ?? ""),
        ...(failed === undefined ? {} : { error: failed }),
        ...(node === undefined ? {} : { node }),
      };
    });
    return { accepted: accepted.promise, end };
  }

  /** After a reorg a node may answer an empty successful trace: that is no violation. Unknown counts as not left. */
  async #leftChain({ blockHash, blockNumber, class: taskClass }: Task): Promise<boolean> {
    const ask = { priority: PRIORITIES[taskClass], withinMs: READ_WITHIN_MS, signal: this.hands.abort };
    try {
      return !await this.network.blocks.canonical(blockHash, blockNumber, ask);
    } catch {
      return false;
    }
  }

  /** Nodes that violate the proof about a refused transaction. */
  #countViolations(results: readonly TransactionResult[], node: string): number {
    const alone = this.network.pool.nodes().length === 1;
    const refused = results.filter((result) => !result.stored.published);
    return Math.max(0, ...refused.map((result) => this.#violations.add(result.transactionHash, node, alone)));
  }

  /** Reads every reply of the task, one after the other, until one fails. */
  async #traceAll(lease: Lease): Promise<{ jobs: Promise<JobResults>[]; error?: PlainError; node?: string }> {
    const { network, process } = this;
    const { task } = lease;
    const jobs: Promise<JobResults>[] = [];
    const signal = AbortSignal.any([lease.signal, this.hands.abort]);
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
    audited?: Recorded,
  ) {
    const { network, process } = this;
    const { task } = lease;
    const gas = gasOf(traced, part.first, part.last);
    const transactionHash = shape === "transaction" ? hashOf(traced, part.first) : undefined;
    const waiting = lease.waiting();
    const nodeLease = await network.pool.lease({
      need: {
        class: "trace",
        method: shape === "block" ? "debug_traceBlockByHash" : "debug_traceTransaction",
        units: network.prediction.structlogs(gas),
        stateAt: Math.max(0, task.blockNumber - 1),
        ...(transactionHash === undefined ? {} : { transactionHash }),
        ...(task.failedNodes.length > 0 ? { avoid: task.failedNodes } : {}),
        ...(audited === undefined ? {} : { not: [audited.node] }),
      },
      blockNumber: task.blockNumber,
      blockHash: task.blockHash,
      priority,
      // However long the trace: its time begins when the node is found, and the node's limit ends it.
      deadlineMs: Infinity,
      waitUntilMs: performance.now() + LEASE_WITHIN_MS,
      signal,
    }).finally(() => waiting[Symbol.dispose]());
    tried.node = nodeLease.node.name;
    let job: TraceJob;
    try {
      if (transactionHash !== undefined) {
        const deadlineMs = performance.now() + READ_WITHIN_MS;
        await checkBranch(network.pool, nodeLease, { ...task, transactionHash }, { priority, deadlineMs, signal });
      }
      job = await this.#job(lease, traced, shape, part, nodeLease.node);
      if (audited !== undefined) job = auditOf(job, audited);
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
      violated: (evidence: Evidence) => this.#keepEvidence(task, evidence),
    });
    return { accepted: running.accepted, results: running.results.then((results) => this.#excused(results)) };
  }

  /** A reply that broke off because its node went away uses no attempt. */
  async #excused(results: JobResults): Promise<JobResults> {
    const { error } = results;
    if (error?.failure === undefined || error.release) return results;
    const release = await this.network.pool.isOutage(error.failure);
    return release ? { ...results, error: { ...error, release } } : results;
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
          transactionHash: hashOf(traced, index),
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

  #keepEvidence(task: Task, evidence: Evidence): void {
    const { settling } = this.hands;
    const kept = this.#tellViolation(task, evidence).finally(() => settling.delete(kept));
    settling.add(kept);
  }

  async #tellViolation(task: Task, evidence: Evidence): Promise<void> {
    if (await this.#leftChain(task)) return;
    const { network, blockNumber, transactionHash, identity, detail, node, client } = evidence;
    emit({ kind: "transaction_violated", network, blockNumber, transactionHash, identity, detail, node, client });
    if (this.process.policy === "off") return;
    try {
      const { name, bytes } = await this.process.evidence.keep(evidence);
      emit({ kind: "evidence_kept", network, transactionHash, file: name, bytes });
    } catch (error) {
      emit({ kind: "evidence_failed", network, transactionHash, message: classified(error).message });
    }
  }

  async #settle(lease: Lease, end: TaskEnd, claimedMs: number): Promise<void> {
    const { task } = lease;
    const seconds = (performance.now() - claimedMs) / 1000;
    if (end.error !== undefined) {
      // What was aborted did not fail; whoever aborted it has told why.
      if (!lease.signal.aborted && !this.hands.abort.aborted) tellFailure(task, end.error, end.node ?? "");
      this.network.blocks.forget(task.blockHash);
    }
    const settlement = this.hands.abort.aborted
      ? { outcome: "release" as const, delayMs: RELEASE_MS }
      : settlementOf(end);
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

/** The job of a stored transaction, to be compared with it: whatever the proof says, its rows are wanted. */
function auditOf(job: TraceJob, { version, tables, rows }: Recorded): TraceJob {
  const rowVersion = Number(version);
  return {
    ...job,
    policy: "record",
    transactions: job.transactions.map((transaction) => ({
      ...transaction,
      start: { ...transaction.start, tables, rowVersion, firstDelivery: true },
    })),
    audit: { rowVersion, structlogRows: Number(rows.structlog), aggregateRows: Number(rows.structlog_agg) },
  };
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

function hashOf({ block }: TracedBlock, index: number): string {
  return String(block.transactionJson[index]!["hash"]).toLowerCase();
}

function definedNode(node: string | undefined): { readonly node?: string } {
  return node === undefined ? {} : { node };
}

function gasOf(traced: TracedBlock, first: number, last: number): number {
  let gas = 0;
  for (let index = first; index <= last; index++) gas += Number(traced.receipts[index]?.["gasUsed"] ?? 0);
  return gas;
}
