/**
 * The trace workers of a process: Web Workers, each with its decoders and its sink. One that throws is replaced and its
 * jobs fail; one that spins cannot be stopped from outside, so the process ends with a clear last line and the queue
 * recovers its tasks.
 */
import type { Outcome } from "../rpc/port.ts";
import type { SinkOptions, SpillPort } from "../stages/sink/port.ts";
import { emit } from "../telemetry/emit.ts";
import { RemoteError, WorkerEndedError } from "./remote_error.ts";
import { type Evidence, type JobResults, plainError, type RunningJob, type TraceJob } from "./trace_job.ts";
import type { FromWorker, ToWorker, WorkerStorage } from "./worker_messages.ts";

/** How many workers, and what they are told. */
export interface WorkersOptions {
  /** Script of each of them: {@linkcode TRACE_WORKER}. */
  readonly entry: URL;
  readonly workers: number;
  readonly lanes: number;
  readonly sink: SinkOptions;
  readonly storage: WorkerStorage;
  /** A worker that does not answer for so long spins. */
  readonly stallTimeoutMs: number;
  /** Absent where storage is `memory`, which is never away. */
  readonly spill?: SpillPort;
  /** Ends the process: called when a worker spins. */
  readonly endProcess: () => void;
}

/** What a caller hears of its job besides its two moments. */
export interface JobEars {
  /** Cell of the lease, `[moves, waits]`. */
  readonly progress: Int32Array;
  read(outcome: Outcome): void;
  violated(evidence: Evidence): void;
}

/** The script of a trace worker. */
export const TRACE_WORKER = new URL("./trace_worker.ts", import.meta.url);

/** Longest pause before a worker is started again. */
const RESTART_MAX_MS = 30_000;
/** How often the pulses are looked at. */
const PULSE_CHECK_MS = 1_000;

/** Runs jobs on the least busy worker. */
export class Workers implements AsyncDisposable {
  readonly #workers: TraceWorker[];
  readonly #options: WorkersOptions;
  readonly #watch: ReturnType<typeof setInterval>;

  private constructor(options: WorkersOptions) {
    this.#options = options;
    this.#workers = Array.from({ length: options.workers }, (_, number) => new TraceWorker(number, options));
    this.#watch = setInterval(() => this.#checkPulses(), PULSE_CHECK_MS);
  }

  /** Starts the workers. @throws {PipelineError} what a worker met while it was set up. */
  static async open(options: WorkersOptions): Promise<Workers> {
    const workers = new Workers(options);
    try {
      await Promise.all(workers.#workers.map((worker) => worker.ready));
    } catch (error) {
      await workers[Symbol.asyncDispose]();
      throw error;
    }
    return workers;
  }

  /** Jobs that may run at once. */
  get lanes(): number {
    return this.#options.workers * this.#options.lanes;
  }

  /** Runs a job. The caller keeps to {@linkcode lanes}. */
  run(job: TraceJob, signal: AbortSignal, ears: JobEars): RunningJob {
    const [first, ...rest] = this.#workers;
    const worker = rest.reduce((best, other) => other.busy < best.busy ? other : best, first!);
    return worker.run(job, signal, ears);
  }

  /** Flushes what the workers hold within the deadline; the rest is spilled. */
  async drain(deadlineMs: number): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.drain(deadlineMs)));
  }

  [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#watch);
    for (const worker of this.#workers) worker.end();
    return Promise.resolve();
  }

  #checkPulses(): void {
    for (const worker of this.#workers) {
      const still = worker.stillMs();
      if (still < this.#options.stallTimeoutMs) continue;
      emit({ kind: "worker_spinning", worker: worker.number, seconds: Math.round(still / 1000) });
      this.#options.endProcess();
      return;
    }
  }
}

interface JobInHand {
  readonly ears: JobEars;
  readonly accepted: PromiseWithResolvers<void>;
  readonly results: PromiseWithResolvers<JobResults>;
  readonly begin: () => void;
  readonly dispose: () => void;
}

/** One worker and its successors. */
class TraceWorker {
  ready: Promise<void>;
  readonly #jobs = new Map<number, JobInHand>();
  readonly #options: WorkersOptions;
  #worker: Worker;
  #started = Promise.withResolvers<void>();
  #drained: PromiseWithResolvers<void> | undefined;
  #pulse = new Int32Array(new SharedArrayBuffer(4));
  #lastPulse = 0;
  #movedMs = performance.now();
  #nextId = 1;
  #restarts = 0;
  #restart: ReturnType<typeof setTimeout> | undefined;
  #ended = false;

  constructor(readonly number: number, options: WorkersOptions) {
    this.#options = options;
    this.#worker = this.#start();
    this.ready = this.#started.promise;
  }

  get busy(): number {
    return this.#jobs.size + (this.#restart === undefined ? 0 : this.#options.lanes);
  }

  /** How long the worker has not answered. */
  stillMs(): number {
    const pulse = Atomics.load(this.#pulse, 0);
    if (pulse !== this.#lastPulse || this.#restart !== undefined) {
      this.#lastPulse = pulse;
      this.#movedMs = performance.now();
    }
    return performance.now() - this.#movedMs;
  }

  /** While the worker is being replaced, the job waits for the new one. */
  run(job: TraceJob, signal: AbortSignal, ears: JobEars): RunningJob {
    const id = this.#nextId++;
    const onAbort = () => this.#post({ kind: "abort", id, reason: String(signal.reason) });
    const inHand: JobInHand = {
      ears,
      accepted: Promise.withResolvers<void>(),
      results: Promise.withResolvers<JobResults>(),
      begin: () => {
        this.#post({ kind: "run", id, job, progress: ears.progress });
        signal.addEventListener("abort", onAbort, { once: true });
        if (signal.aborted) onAbort();
      },
      dispose: () => signal.removeEventListener("abort", onAbort),
    };
    inHand.accepted.promise.catch(() => {});
    this.#jobs.set(id, inHand);
    if (this.#restart === undefined) inHand.begin();
    return { accepted: inHand.accepted.promise, results: inHand.results.promise };
  }

  async drain(deadlineMs: number): Promise<void> {
    if (this.#restart !== undefined || this.#ended) return;
    this.#drained = Promise.withResolvers<void>();
    this.#post({ kind: "drain", deadlineMs });
    await this.#drained.promise;
  }

  end(): void {
    this.#ended = true;
    clearTimeout(this.#restart);
    this.#worker.terminate();
    this.#failAll(new WorkerEndedError("the process ends", true));
    this.#drained?.resolve();
  }

  #start(): Worker {
    const worker = new Worker(this.#options.entry, {
      type: "module",
      name: `trace-${this.number}`,
    });
    worker.onmessage = (event: MessageEvent<FromWorker>) => this.#hear(event.data);
    worker.onerror = (event) => {
      event.preventDefault();
      this.#replace(event.message, false);
    };
    worker.onmessageerror = () => this.#replace("a message could not be read", false);
    this.#pulse = new Int32Array(new SharedArrayBuffer(4));
    this.#movedMs = performance.now();
    const { storage } = this.#options;
    const sink = { ...this.#options.sink, isolate: `trace-${this.number}` };
    worker.postMessage({ kind: "setup", setup: { storage, sink, pulse: this.#pulse } } satisfies ToWorker);
    return worker;
  }

  /** @param known Whose fault it was is known, and that job has been told: the others lose no attempt. */
  #replace(message: string, known: boolean): void {
    if (this.#ended || this.#restart !== undefined) return;
    emit({ kind: "worker_replaced", worker: this.number, message, tasks: this.#jobs.size });
    this.#worker.terminate();
    const pause = Math.min(RESTART_MAX_MS, 100 * 2 ** this.#restarts++);
    this.#restart = setTimeout(() => {
      this.#restart = undefined;
      this.#worker = this.#start();
      for (const job of this.#jobs.values()) job.begin();
    }, pause);
    const ended = new WorkerEndedError(message, known);
    this.#failAll(ended);
    this.#started.reject(ended);
    this.#drained?.resolve();
  }

  #post(message: ToWorker): void {
    this.#worker.postMessage(message);
  }

  #hear(message: FromWorker): void {
    switch (message.kind) {
      case "ready":
        this.#started.resolve();
        return;
      case "setup_failed":
        this.#started.reject(new RemoteError(message.error));
        this.#replace(message.error.message, true);
        return;
      case "crashed":
        this.#replace(message.message, true);
        return;
      case "event":
        emit(message.event);
        return;
      case "progress":
        emit({
          kind: "trace_progress",
          network: message.network,
          bytes: message.bytes,
          structlogs: message.structlogs,
        });
        return;
      case "spill":
        this.#spill(message.id, message.operation);
        return;
      case "drained":
        this.#drained?.resolve();
        return;
    }
    const job = this.#jobs.get(message.id);
    if (job === undefined) return;
    switch (message.kind) {
      case "read":
        job.ears.read(message.outcome);
        return;
      case "violated":
        job.ears.violated(message.evidence);
        return;
      case "accepted":
        job.accepted.resolve();
        return;
      case "results":
        this.#jobs.delete(message.id);
        job.dispose();
        if (message.results.error === undefined) this.#restarts = 0;
        job.accepted.resolve();
        job.results.resolve(message.results);
        return;
    }
  }

  #spill(id: number, operation: Extract<FromWorker, { kind: "spill" }>["operation"]): void {
    const worker = this.#worker;
    const post = (message: ToWorker) => {
      if (worker === this.#worker) worker.postMessage(message);
    };
    const { spill } = this.#options;
    if (spill === undefined) return; // storage in memory: its sink has no spill to speak of
    const { spilled, durable } = spill.append(operation);
    const failed = (error: unknown) => post({ kind: "spill_failed", id, error: plainError(error) });
    spilled.then(() => post({ kind: "spilled", id }), failed);
    durable.then(() => post({ kind: "spill_durable", id }), failed);
  }

  #failAll(error: WorkerEndedError): void {
    for (const id of [...this.#jobs.keys()]) this.#fail(id, error);
  }

  #fail(id: number, error: WorkerEndedError): void {
    const job = this.#jobs.get(id);
    if (job === undefined) return;
    this.#jobs.delete(id);
    job.dispose();
    job.ears.read({ kind: "cancelled" });
    job.accepted.reject(error);
    job.results.resolve({ transactions: [], error: plainError(error) });
  }
}
