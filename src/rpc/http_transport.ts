/** How small answers are fetched: whole, with a cap, as text. Traces take another way (`open_trace.ts`). */
import type { TransportFault } from "./classify.ts";
import { type Connections, post } from "./connections.ts";
import type { NodeView } from "./port.ts";
import { faultOfBody, faultOfFetch } from "./transport_fault.ts";

/** An answer, whatever its status. */
export interface Exchange {
  readonly status: number;
  readonly text: string;
  readonly bytes: number;
  readonly retryAfter: string | undefined;
  readonly firstByteMs: number;
}

/** Sends bodies to nodes. A seam: the simulation has its own. */
export interface Transport {
  /**
   * @throws {TransportError} the node is to blame
   * @throws the signal's reason when it fires, unless that is {@linkcode TimeLimit}
   */
  exchange(view: NodeView, body: string, signal: AbortSignal): Promise<Exchange>;
  /** Forgets idle connections to the node. */
  renew(view: NodeView): void;
}

/** The connection failed. */
export class TransportError extends Error {
  override readonly name = "TransportError";

  constructor(readonly fault: TransportFault, options?: ErrorOptions) {
    super(fault, options);
  }
}

/** Reason of a signal that ends a call because its time is up. */
export class TimeLimit extends Error {
  override readonly name = "TimeLimit";
}

/** Largest answer, after decompression. */
const MAX_BYTES = 64 * 1024 * 1024;

/** The transport over Deno's fetch. */
export class HttpTransport implements Transport {
  readonly #connections: Connections;

  constructor(connections: Connections) {
    this.#connections = connections;
  }

  async exchange(view: NodeView, body: string, signal: AbortSignal): Promise<Exchange> {
    const started = performance.now();
    let response: Response | undefined;
    try {
      response = await post(this.#connections, view, body, signal);
      const firstByteMs = performance.now() - started;
      const { status, headers } = response;
      const length = Number(headers.get("content-length") ?? NaN);
      if (length <= MAX_BYTES && !headers.has("content-encoding")) {
        return new Answered(status, await response.text(), length, firstByteMs, headers);
      }
      const { text, bytes } = await readCapped(response);
      return new Answered(status, text, bytes, firstByteMs, headers);
    } catch (error) {
      if (error instanceof TransportError) throw error;
      if (signal.aborted) {
        if (!(signal.reason instanceof TimeLimit)) throw signal.reason;
        throw new TransportError(response === undefined ? "first_byte_timeout" : "timeout", { cause: error });
      }
      const fault = response === undefined ? faultOfFetch(error) : faultOfBody(error);
      if (fault === undefined) throw error;
      throw new TransportError(fault, { cause: error });
    }
  }

  renew(view: NodeView): void {
    this.#connections.renew(view);
  }
}

/** An answer whose headers are looked into only when it is a refusal. */
class Answered implements Exchange {
  readonly #headers: Headers;

  constructor(
    readonly status: number,
    readonly text: string,
    readonly bytes: number,
    readonly firstByteMs: number,
    headers: Headers,
  ) {
    this.#headers = headers;
  }

  get retryAfter(): string | undefined {
    return this.#headers.get("retry-after") ?? undefined;
  }
}

/** A body that does not say how large it is, or not how large it will be. */
async function readCapped(response: Response): Promise<{ text: string; bytes: number }> {
  if (response.body === null) return { text: "", bytes: 0 };
  const decoder = new TextDecoder();
  const parts: string[] = [];
  let bytes = 0;
  for await (const chunk of response.body) {
    bytes += chunk.byteLength;
    if (bytes > MAX_BYTES) throw new TransportError("too_large");
    parts.push(decoder.decode(chunk, { stream: true }));
  }
  parts.push(decoder.decode());
  return { text: parts.join(""), bytes };
}
