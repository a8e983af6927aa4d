/** Why an engine did not start. */
import { PipelineError } from "../errors.ts";

/** Another process has the directory open. */
export class EngineDirectoryLockedError extends PipelineError {
  readonly code = "engine_directory_locked";
  readonly disposition = "fatal";
}

/** The directory cannot be made or written: permission, no space, not a directory. */
export class EngineDirectoryError extends PipelineError {
  readonly code = "engine_directory";
  readonly disposition = "fatal";
}

/** There is no engine for this machine. */
export class EnginePlatformError extends PipelineError {
  readonly code = "engine_platform";
  readonly disposition = "fatal";
}

/** The engine's process ended, or said nothing, before it was ready. */
export class EngineStartError extends PipelineError {
  readonly code = "engine_start";
  readonly disposition = "fatal";
}
