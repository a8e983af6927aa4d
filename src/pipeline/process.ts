/**
 * A process: everything that its networks share, opened in order and closed in reverse. Drain first (nothing more is
 * claimed, what is in hand is finished); where that takes too long, or on abort, what is in hand is handed back.
 */
import { defer, ignoreElements, lastValueFrom, merge, NEVER, type Observable, switchMap, takeUntil, timer } from "rxjs";
import type { Config } from "../config/schema.ts";
import { aborted } from "../flow/abortable.ts";
import { openWorkQueues } from "../stages/queue/open.ts";
import { openSink } from "../stages/sink/sink.ts";
import largestVersionSql from "../stages/gate/sql/largest_version.sql" with { type: "text" };
import { emit } from "../telemetry/emit.ts";
import { VERSION } from "../version.ts";
import { EvidenceStore } from "./evidence.ts";
import { Network } from "./network.ts";
import { ALONE_AFTER_RECOVERIES, queueOptions, queueTarget, sinkOptions } from "./options.ts";
import { dryRunConfig, openDryStore, openStore } from "./store.ts";
import { work, type WorkNetwork } from "./work.ts";
import { TRACE_WORKER, Workers } from "./workers.ts";

/** What starts and ends a process. */
export interface ProcessSignals {
  /** Stop claiming, finish what is in hand. */
  readonly drain: AbortSignal;
  /** Hand back what is in hand, and flush nothing. */
  readonly abort: AbortSignal;
  /** Ends the process at once: a trace worker spins. */
  readonly endProcess: () => void;
}

/** A process that runs. */
export interface RunningProcess {
  /** Why it does not claim; empty when it does. */
  notReady(): readonly string[];
  readonly networks: readonly Network[];
}

/**
 * Opens everything, runs the roles until drained or aborted, closes everything.
 *
 * @param configured Its queue, roles and verification do not count in a dry run, which stores nothing.
 * @param running Called once everything is open; what it returns is closed before the networks are.
 * @throws {PipelineError} with disposition `fatal`: the process cannot go on.
 */
export async function runProcess(
  configured: Config,
  { dryRun, ...signals }: ProcessSignals & { readonly dryRun: boolean },
  running: (process: RunningProcess) => AsyncDisposable | undefined,
): Promise<void> {
  const startedMs = performance.now();
  const config = dryRun ? dryRunConfig(configured) : configured;
  await using closing = new AsyncDisposableStack();
  const store = closing.use(dryRun ? openDryStore() : await openStore(config));
  const { database, spill } = store;
  const workerCount = config.work.workers === 0 ? navigator.hardwareConcurrency : config.work.workers;
  const worksHere = config.roles.includes("work");
  const sink = openSink(sinkOptions(config, worksHere ? workerCount + 1 : 1), store.storage, spill);
  closing.defer(() => drainUnlessAborted(signals.abort, () => sink.drain(config.sink.drain)));
  const queues = await openWorkQueues(
    queueTarget(config),
    queueOptions(config, workerCount * config.work.lanes),
    async (network) => {
      const [row] = await database.query<{ version: string }>(largestVersionSql, { network });
      return Number(row?.version ?? 0);
    },
  );
  closing.defer(() => queues.close());
  const holder = `${crypto.randomUUID()}`;
  const networks: Network[] = [];
  // A queue that is away is waited for, but not by a process that is to end.
  const giveUp = () => void queues.close();
  signals.drain.addEventListener("abort", giveUp, { once: true });
  try {
    for (const network of config.networks) {
      const surroundings = { config, queues, store, sink, holder };
      networks.push(closing.use(await Network.open(network, surroundings)));
    }
  } catch (error) {
    if (signals.drain.aborted) return;
    throw error;
  } finally {
    signals.drain.removeEventListener("abort", giveUp);
  }
  const tooLate = aborted(signals.drain).pipe(switchMap(() => timer(config.work.drain)));
  const over = new AbortController();
  const ending = merge(aborted(signals.abort), tooLate).subscribe(() => over.abort());
  closing.defer(() => ending.unsubscribe());
  const leaving = AbortSignal.any([signals.drain, over.signal]);
  const roles: Observable<never>[] = [];
  if (worksHere) {
    const workers = closing.use(
      await Workers.open({
        entry: TRACE_WORKER,
        workers: workerCount,
        lanes: config.work.lanes,
        sink: sinkOptions(config, workerCount + 1),
        storage: store.workerStorage,
        stallTimeoutMs: config.work.stallTimeout,
        ...(spill === undefined ? {} : { spill }),
        endProcess: signals.endProcess,
      }),
    );
    const served = new Map<string, WorkNetwork>(networks.map((network) => [network.name, network.work()]));
    roles.push(
      work(served, {
        workers,
        ready: (signal) => sink.ready(signal),
        aloneAfterRecoveries: ALONE_AFTER_RECOVERIES,
        evidence: new EvidenceStore(config.proof.evidenceDirectory, config.proof.evidenceMaxBytes),
        policy: config.proof.policy,
        trace: config.trace,
        evidenceBytes: config.proof.evidenceBytes,
      }, { drain: leaving, abort: over.signal }).pipe(ignoreElements()),
    );
    closing.defer(() => drainUnlessAborted(signals.abort, () => workers.drain(config.sink.drain)));
  }
  if (config.roles.includes("discover")) {
    for (const network of networks) roles.push(network.discover().pipe(takeUntil(aborted(leaving))));
  }
  emit({ kind: "process_started", version: VERSION, roles: config.roles, networks: networks.map(({ name }) => name) });
  const beside = running({ networks, notReady: () => networks.flatMap((network) => network.notReady()) });
  if (beside !== undefined) closing.use(beside);
  // A process whose roles end by themselves stays until it is drained.
  const untilDrained = NEVER.pipe(takeUntil(aborted(leaving)));
  await lastValueFrom(merge(...roles, untilDrained), { defaultValue: undefined });
  emit({ kind: "process_stopped", seconds: (performance.now() - startedMs) / 1000 });
}

/** Drains as long as nobody aborts: what is lost then belongs to tasks that are done again. */
async function drainUnlessAborted(abort: AbortSignal, drain: () => Promise<void>): Promise<void> {
  await lastValueFrom(defer(drain).pipe(takeUntil(aborted(abort))), { defaultValue: undefined });
}
