/**
 * Reads a reply at the node's pace with one recycled buffer. A node cuts a reply that is not read in time, so nothing
 * here waits for ClickHouse: what is decoded goes to memory, and from there to disk.
 */
import { PipelineError } from "../../errors.ts";

/** The reply exceeds a bound that the configuration sets. */
export class TraceTooLargeError extends PipelineError {
  readonly code = "trace_too_large";
  readonly disposition = "dead";

  constructor(readonly what: "bytes" | "structlogs", readonly bound: number, readonly seen: number) {
    super(
      `Cannot take more ${what} of one reply than trace.max${
        what === "bytes" ? "Bytes" : "Structlogs"
      } allows: current value is ${seen} of ${bound}`,
    );
  }
}

/** Bytes of the one buffer that a reply is read with. */
export const READ_BYTES = 256 * 1024;

/**
 * Calls `take` with every piece of `body`; a piece is valid only until the promise that `take` may return resolves.
 *
 * @param take Returns what must be waited for before the next read, if anything.
 * @returns bytes read.
 */
export async function readReply(
  body: ReadableStream<Uint8Array>,
  signal: AbortSignal,
  take: (piece: Uint8Array, readSoFar: number) => Promise<void> | undefined,
): Promise<number> {
  const reader = body.getReader({ mode: "byob" });
  let buffer: ArrayBuffer = new ArrayBuffer(READ_BYTES);
  let total = 0;
  try {
    while (true) {
      signal.throwIfAborted();
      const { value, done } = await reader.read(new Uint8Array(buffer));
      if (value !== undefined && value.byteLength > 0) {
        total += value.byteLength;
        const pending = take(value, total);
        if (pending !== undefined) await pending;
      }
      if (done) return total;
      buffer = value!.buffer;
    }
  } catch (error) {
    await reader.cancel(error).catch(() => {});
    throw error;
  } finally {
    reader.releaseLock();
  }
}
