/** The end of a trace that holds something larger than the decoder has room for. */
import { PipelineError } from "../../errors.ts";

/** A part of a trace does not fit into the module's memory. No other node will print a smaller one. */
export class OversizedTraceError extends PipelineError {
  readonly code = "trace_oversized";
  readonly disposition = "dead";
  readonly size: number;
  readonly room: number;

  constructor(part: string, size: number, room: number) {
    super(`Cannot decode the ${part}: current value is ${size}, there is room for ${room}`);
    this.size = size;
    this.room = room;
  }
}
