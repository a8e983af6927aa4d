/**
 * Entry of a trace worker: takes jobs by message, runs each with a decoder of its own and the sink that they share, and
 * tells what happens. It owns no lease and decides nothing.
 */
/// <reference lib="deno.worker" />
import type { UnclassifiedError } from "../errors.ts";
import { openClickHouse } from "../stages/sink/clickhouse.ts";
import type { Sink, Spilled, SpillOperation, SpillPort } from "../stages/sink/port.ts";
import { MemoryStorage } from "../stages/sink/memory.ts";
import { MOVES, waitingIn } from "../stages/queue/pulse.ts";
import { openSink } from "../stages/sink/sink.ts";
import { subscribe } from "../telemetry/emit.ts";
import { runJob } from "./audit.ts";
import { JobAbortedError, RemoteError, WorkerEndedError } from "./remote_error.ts";
import { type JobResults, type Lane, openLane, type PlainError, plainError, type TraceJob } from "./trace_job.ts";
import type { FromWorker, ToWorker, WorkerSetup } from "./worker_messages.ts";

const PULSE_MS = 1_000;
/** Code of an error that is none of ours. */
const UNCLASSIFIED: UnclassifiedError["code"] = "unclassified";

function tell(message: FromWorker, transferred: Transferable[] = []): void {
  self.postMessage(message, transferred);
}

/** The spill of the main isolate, seen from here. */
class RemoteSpill implements SpillPort {
  backlogBytes = 0;
  readonly #operations = new Map<
    number,
    { spilled: PromiseWithResolvers<void>; durable: PromiseWithResolvers<void> }
  >();
  #nextId = 1;

  append(operation: SpillOperation): Spilled {
    const id = this.#nextId++;
    const moments = { spilled: Promise.withResolvers<void>(), durable: Promise.withResolvers<void>() };
    moments.spilled.promise.catch(() => {});
    moments.durable.promise.catch(() => {});
    this.#operations.set(id, moments);
    tell({ kind: "spill", id, operation }, "block" in operation ? [operation.block.bytes.buffer] : []);
    return { spilled: moments.spilled.promise, durable: moments.durable.promise };
  }

  /** Claims are the main isolate's: it asks the spill itself. */
  drained(): Promise<void> {
    return Promise.resolve();
  }

  /** As {@linkcode drained}. */
  drainedOrAway(): Promise<void> {
    return Promise.resolve();
  }

  /** As {@linkcode drained}. */
  room(): Promise<void> {
    return Promise.resolve();
  }

  spilled(id: number): void {
    this.#operations.get(id)?.spilled.resolve();
  }

  durable(id: number): void {
    this.#operations.get(id)?.durable.resolve();
    this.#operations.delete(id);
  }

  failed(id: number, error: PlainError): void {
    const moments = this.#operations.get(id);
    this.#operations.delete(id);
    moments?.spilled.reject(new RemoteError(error));
    moments?.durable.reject(new RemoteError(error));
  }
}

/** Why this isolate is not to be trusted any more: a trap or an exception that no code of ours made. */
function unforeseen({ error }: JobResults): string | undefined {
  return error?.code === UNCLASSIFIED ? error.message : undefined;
}

class Lanes {
  readonly #running = new Map<number, AbortController>();
  readonly #idle: Lane[] = [];

  constructor(readonly sink: Sink, readonly spill: RemoteSpill, readonly audits: Parameters<typeof runJob>[3]) {}

  async run(id: number, job: TraceJob, progress: Int32Array): Promise<void> {
    const abort = new AbortController();
    this.#running.set(id, abort);
    try {
      const lane = this.#idle.pop() ?? await openLane();
      const moved = () => void Atomics.add(progress, MOVES, 1);
      const running = runJob(job, lane, this.sink, this.audits, abort.signal, {
        moved,
        waiting: () => waitingIn(progress),
        read: (outcome) => tell({ kind: "read", id, outcome }),
        progress: (bytes, structlogs) => tell({ kind: "progress", network: job.network, bytes, structlogs }),
        violated: (evidence) => tell({ kind: "violated", id, evidence }),
      });
      const settled = running.results.then((results) => {
        const cause = unforeseen(results);
        if (cause === undefined) return tell({ kind: "results", id, results });
        const { signal } = abort;
        const error = signal.aborted ? new JobAbortedError(signal.reason.message) : new WorkerEndedError(cause, false);
        tell({ kind: "results", id, results: { ...results, error: plainError(error) } });
        if (!signal.aborted) tell({ kind: "crashed", message: cause });
      });
      await running.accepted.then(() => tell({ kind: "accepted", id }), () => {});
      this.#idle.push(lane);
      await settled;
    } finally {
      this.#running.delete(id);
    }
  }

  abort(id: number, reason: string): void {
    this.#running.get(id)?.abort(new DOMException(reason, "AbortError"));
  }

  async drain(deadlineMs: number): Promise<void> {
    await this.sink.drain(deadlineMs);
    tell({ kind: "drained" });
  }
}

function open(setup: WorkerSetup): Lanes {
  setInterval(() => Atomics.add(setup.pulse, 0, 1), PULSE_MS);
  subscribe((event) => tell({ kind: "event", event }));
  const spill = new RemoteSpill();
  if (setup.storage === "memory") {
    return new Lanes(openSink(setup.sink, new MemoryStorage({ rows: "counted" })), spill, undefined);
  }
  const database = openClickHouse(setup.storage);
  return new Lanes(openSink(setup.sink, database, spill), spill, { options: setup.sink, database });
}

let lanes: Lanes | undefined;

async function hear(message: ToWorker): Promise<void> {
  if (message.kind === "setup") {
    try {
      lanes = open(message.setup);
      tell({ kind: "ready" });
    } catch (error) {
      tell({ kind: "setup_failed", error: plainError(error) });
    }
    return;
  }
  if (lanes === undefined) return;
  switch (message.kind) {
    case "run":
      return await lanes.run(message.id, message.job, message.progress);
    case "abort":
      return lanes.abort(message.id, message.reason);
    case "drain":
      return await lanes.drain(message.deadlineMs);
    case "spilled":
      return lanes.spill.spilled(message.id);
    case "spill_durable":
      return lanes.spill.durable(message.id);
    case "spill_failed":
      return lanes.spill.failed(message.id, message.error);
  }
}

self.onmessage = (event: MessageEvent<ToWorker>) => {
  hear(event.data).catch((error: unknown) => {
    // What nobody foresaw ends the worker: the pool replaces it and its jobs are retried.
    reportError(error);
  });
};
