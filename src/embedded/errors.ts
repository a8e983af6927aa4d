/** What can go wrong with the parts that a laptop runs instead of servers. All of it ends the program that asked. */
import { PipelineError } from "../errors.ts";

/** A native package cannot be had on this machine. */
export class PackageUnavailableError extends PipelineError {
  readonly code = "package_unavailable";
  readonly disposition = "fatal";
}

/** The dev chain did not start, or ended on its own. */
export class ChainError extends PipelineError {
  readonly code = "dev_chain";
  readonly disposition = "fatal";
}

/** The chain refused something that the workload needs. */
export class WorkloadError extends PipelineError {
  readonly code = "workload";
  readonly disposition = "fatal";
}

/** The supervisor did not start its parts, or lost one. */
export class SupervisorError extends PipelineError {
  readonly code = "supervisor";
  readonly disposition = "fatal";
}

/** The demo found something that is not as it should be. */
export class DemoError extends PipelineError {
  readonly code = "demo";
  readonly disposition = "fatal";
}
