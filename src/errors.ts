/**
 * The one error base of the pipeline. Inside a task code throws; between tasks an error becomes a value exactly once,
 * in `pipeline/work.ts`, by its {@linkcode PipelineError.disposition}.
 */

/** What the queue does with a task that ended in this error: hand it out again, keep it with its error, end the process. */
export type Disposition = "retry" | "dead" | "fatal";

/** An error that knows what should become of the work it interrupted. */
export abstract class PipelineError extends Error {
  /** Stable identifier, a literal: it is a metric label. */
  abstract readonly code: string;
  /** See {@linkcode Disposition}. */
  abstract readonly disposition: Disposition;
  /** `true`: the task goes back without an attempt used (an outage of a neighbour is not the task's fault). */
  readonly release: boolean = false;
  /** With {@linkcode release}: milliseconds until another try makes sense; absent: the pipeline's own pause. */
  readonly releaseMs: number | undefined = undefined;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** An error that nobody classified: a defect of ours. Dead-lettered and logged as ERROR; never retried blindly. */
export class UnclassifiedError extends PipelineError {
  readonly code = "unclassified";
  readonly disposition = "dead";
}

/** `error` itself when it is a {@linkcode PipelineError}, otherwise an {@linkcode UnclassifiedError} around it. */
export function classified(error: unknown): PipelineError {
  if (error instanceof PipelineError) return error;
  const text = error instanceof Error ? error.message : String(error);
  return new UnclassifiedError(text, { cause: error });
}
