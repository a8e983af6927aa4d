/** Errors of the sink, by what should become of the work. */
import { PipelineError } from "../../errors.ts";

/** Facts of a database's answer. */
export interface StorageFacts {
  /** Number of ClickHouse's error, where it gave one. */
  readonly serverCode?: number;
  readonly cause?: unknown;
}

/** The database cannot be reached, is overloaded, or it is unknown whether it did what it was told: say it again. */
export class StorageUnavailableError extends PipelineError {
  readonly code = "storage_unavailable";
  readonly disposition = "retry";
  /** An outage is not the task's fault. */
  override readonly release = true;
  readonly serverCode: number | undefined;

  constructor(message: string, facts: StorageFacts = {}) {
    super(message, { cause: facts.cause });
    this.serverCode = facts.serverCode;
  }
}

/** The database refused the data: so would it again. */
export class StorageRejectedError extends PipelineError {
  readonly code = "storage_rejected";
  readonly disposition = "dead";
  readonly serverCode: number | undefined;

  constructor(message: string, facts: StorageFacts = {}) {
    super(message, { cause: facts.cause });
    this.serverCode = facts.serverCode;
  }
}

/** Credentials, database, table or column are not what the configuration says: no task can succeed. */
export class StorageSetupError extends PipelineError {
  readonly code = "storage_setup";
  readonly disposition = "fatal";
  readonly serverCode: number | undefined;

  constructor(message: string, facts: StorageFacts = {}) {
    super(message, { cause: facts.cause });
    this.serverCode = facts.serverCode;
  }
}

/** The spill has reached its bound, or the disk is full. Nothing was lost: the task goes back. */
export class SpillFullError extends PipelineError {
  readonly code = "spill_full";
  readonly disposition = "retry";
  override readonly release = true;
}

/** Rows that were on disk cannot be read any more: the task goes back, and makes them again. */
export class SpillDamagedError extends PipelineError {
  readonly code = "spill_damaged";
  readonly disposition = "retry";
  override readonly release = true;
}

/** A spill directory holds something that is not a segment of this program. */
export class SpillFormatError extends PipelineError {
  readonly code = "spill_format";
  readonly disposition = "fatal";
}

/** The sink was told to end before these rows were durable. */
export class SinkClosedError extends PipelineError {
  readonly code = "sink_closed";
  readonly disposition = "retry";
  override readonly release = true;
}

/** The live schema is newer than this program, or lacks what it would insert. */
export class SchemaError extends PipelineError {
  readonly code = "schema";
  readonly disposition = "fatal";
}

/** A newer attempt of the same transaction has its record: this one is too late, and its rows are gone. */
export class SupersededError extends PipelineError {
  readonly code = "superseded";
  readonly disposition = "retry";

  constructor(key: { readonly transactionHash: string; readonly rowVersion: number }) {
    super(`Cannot store version ${key.rowVersion} of ${key.transactionHash}: a newer version is stored`);
  }
}
