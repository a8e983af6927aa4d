/** Errors of encode: a value that its column cannot hold, a block that is not Native. */
import { PipelineError } from "../../errors.ts";

/** A value does not fit its column. The transaction is at fault, or we are: repeating it does not help. */
export class EncodeError extends PipelineError {
  readonly code = "encode_value";
  readonly disposition = "dead";
}

/** Bytes are not a block of the Native format as this project writes it. */
export class NativeFormatError extends PipelineError {
  readonly code = "native_format";
  readonly disposition = "dead";
}
