/** An error of another isolate, with the disposition that it had there. */
import { type Disposition, PipelineError } from "../errors.ts";
import type { Failure } from "../rpc/port.ts";
import type { PlainError } from "./trace_job.ts";

/** A worker ended while it ran a job. */
export class WorkerEndedError extends PipelineError {
  readonly code = "worker_ended";
  readonly disposition = "retry";
  /** `true` for a job that is known not to have ended it. */
  override readonly release: boolean;

  constructor(message: string, release: boolean) {
    super(`Cannot finish the job as its trace worker ended: ${message}`);
    this.release = release;
  }
}

/** The job was aborted from outside, as its lease is lost or its node proved to be of another chain: no fault of the task. */
export class JobAbortedError extends PipelineError {
  readonly code = "job_aborted";
  readonly disposition = "retry";
  override readonly release = true;

  constructor(reason: string) {
    super(`Cannot finish the job as it was aborted: ${reason}`);
  }
}

/** Stands for the error that a worker met. */
export class RemoteError extends PipelineError {
  readonly code: string;
  readonly disposition: Disposition;
  override readonly release: boolean;
  readonly failure: Failure | undefined;

  constructor(readonly plain: PlainError) {
    super(plain.message);
    this.code = plain.code;
    this.disposition = plain.disposition;
    this.release = plain.release;
    this.failure = plain.failure;
  }
}
