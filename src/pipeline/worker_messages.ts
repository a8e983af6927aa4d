/** What the main isolate and a trace worker say to each other. Plain data; one pair of message types for each direction. */
import type { Outcome } from "../rpc/port.ts";
import type { StorageConnection } from "../stages/sink/clickhouse.ts";
import type { SinkOptions, SpillOperation } from "../stages/sink/port.ts";
import type { PipelineEvent } from "../telemetry/events.ts";
import type { Evidence, JobResults, PlainError, TraceJob } from "./trace_job.ts";

/** Where a worker stores: a server, or `memory`, which counts rows and keeps none. */
export type WorkerStorage = StorageConnection | "memory";

/** What a worker is told once. */
export interface WorkerSetup {
  readonly storage: WorkerStorage;
  readonly sink: SinkOptions;
  /** One cell: the worker adds 1 each second. One that stands still has a worker that spins. */
  readonly pulse: Int32Array;
}

/** To a worker. */
export type ToWorker =
  | { readonly kind: "setup"; readonly setup: WorkerSetup }
  /** `progress`: cell of the lease, `[moves, waits]`. */
  | { readonly kind: "run"; readonly id: number; readonly job: TraceJob; readonly progress: Int32Array }
  | { readonly kind: "abort"; readonly id: number; readonly reason: string }
  | { readonly kind: "drain"; readonly deadlineMs: number }
  | { readonly kind: "spilled"; readonly id: number }
  | { readonly kind: "spill_durable"; readonly id: number }
  | { readonly kind: "spill_failed"; readonly id: number; readonly error: PlainError };

/** From a worker. */
export type FromWorker =
  | { readonly kind: "ready" }
  | { readonly kind: "setup_failed"; readonly error: PlainError }
  /** A job met what nobody foresaw, a trap for instance: its results are told, and the worker is not to be used again. */
  | { readonly kind: "crashed"; readonly message: string }
  | { readonly kind: "read"; readonly id: number; readonly outcome: Outcome }
  | { readonly kind: "accepted"; readonly id: number }
  | { readonly kind: "results"; readonly id: number; readonly results: JobResults }
  | { readonly kind: "violated"; readonly id: number; readonly evidence: Evidence }
  | { readonly kind: "progress"; readonly network: string; readonly bytes: number; readonly structlogs: number }
  | { readonly kind: "event"; readonly event: PipelineEvent }
  | { readonly kind: "spill"; readonly id: number; readonly operation: SpillOperation }
  | { readonly kind: "drained" };
