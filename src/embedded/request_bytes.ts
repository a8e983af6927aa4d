/**
 * The bytes of one request as the server reads them: the `query` of the URL, a line end, then the body. The beginning can
 * be looked at before it is taken; the rest comes in large parts, since each part costs the engine a call.
 */
import { InterfaceError } from "./exceptions.ts";

/** Target size of a part in bytes. */
const PART_BYTES = 1024 * 1024;

/** Reads the bytes of one request, once. */
export class RequestBytes {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>> | undefined;
  readonly #stallMs: number;
  #held: Uint8Array<ArrayBuffer>[] = [];
  #heldBytes = 0;
  #ended: boolean;

  /** @param stallMs longest wait for the next byte of the body. */
  constructor(prefix: string, body: ReadableStream<Uint8Array<ArrayBuffer>> | null, stallMs: number) {
    this.#reader = body?.getReader();
    this.#ended = body === null;
    this.#stallMs = stallMs;
    this.#hold(new TextEncoder().encode(prefix));
  }

  /** `true`: nothing follows what {@linkcode peek} gave. */
  get ended(): boolean {
    return this.#ended;
  }

  /** The first bytes, at least `atLeast` of them unless there are fewer; they stay. */
  async peek(atLeast: number): Promise<Uint8Array<ArrayBuffer>> {
    while (!this.#ended && this.#heldBytes < atLeast) await this.#read();
    const bytes = joined(this.#held, this.#heldBytes);
    this.#held = [bytes];
    return bytes;
  }

  /** Takes all that is left in parts of about 1 MiB, without the first `skip` bytes. */
  async *parts(skip: number): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    const first = await this.peek(skip);
    this.#held = [first.subarray(skip)];
    this.#heldBytes = first.length - skip;
    for (;;) {
      while (!this.#ended && this.#heldBytes < PART_BYTES) await this.#read();
      const part = joined(this.#held, this.#heldBytes);
      this.#held = [];
      this.#heldBytes = 0;
      if (part.length > 0) yield part;
      if (this.#ended) return;
    }
  }

  /** Reads away up to `maxBytes`, so that a client that is still sending comes to read its answer. */
  async drain(maxBytes: number): Promise<void> {
    let read = 0;
    try {
      while (!this.#ended && read < maxBytes) {
        this.#held = [];
        this.#heldBytes = 0;
        await this.#read();
        read += this.#heldBytes;
      }
      if (!this.#ended) await this.#reader?.cancel();
    } catch {
      // The client is gone, and with it whoever would read the answer.
    }
  }

  async #read(): Promise<void> {
    const { promise: stalled, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(
      () =>
        reject(
          new InterfaceError(209, "SOCKET_TIMEOUT", `Timeout exceeded while reading from socket (${this.#stallMs} ms)`),
        ),
      this.#stallMs,
    );
    try {
      const step = await Promise.race([this.#reader!.read(), stalled]);
      if (step.done) this.#ended = true;
      else this.#hold(step.value);
    } catch (error) {
      this.#ended = true;
      throw error instanceof InterfaceError ? error : brokenBody(error);
    } finally {
      clearTimeout(timer);
    }
  }

  #hold(bytes: Uint8Array<ArrayBuffer>): void {
    if (bytes.length === 0) return;
    this.#held.push(bytes);
    this.#heldBytes += bytes.length;
  }
}

/** The client went, this server is ending, or what came is no gzip: in any case the rest does not come. */
function brokenBody(error: unknown): InterfaceError {
  const text = error instanceof Error ? error.message : String(error);
  return new InterfaceError(210, "NETWORK_ERROR", `I/O error while reading the body: ${text.trim()}`);
}

function joined(parts: readonly Uint8Array<ArrayBuffer>[], length: number): Uint8Array<ArrayBuffer> {
  if (parts.length === 1) return parts[0]!;
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
