/**
 * The request that carries a Native block. fetch copies a body twice before its first byte leaves, which costs more
 * than encoding the block did; Node's client writes it from where it lies. Over TLS that client would need one more
 * permission (`--allow-sys`), so there it stays fetch.
 */
import { Agent, type IncomingMessage, request } from "node:http";

/** What came back, whatever its status. */
export interface BlockAnswer {
  /** HTTP status. */
  readonly status: number;
  /** Header `x-clickhouse-exception-code`. */
  readonly exceptionCode: string | undefined;
  readonly text: string;
}

/** One block on its way. */
export interface BlockRequest {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  /** Must not change until the request is over. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly signal: AbortSignal;
}

/** A way to send blocks to one server. */
export interface BlockRequests {
  /**
   * POSTs the bytes with their length.
   *
   * @throws what the connection failed with; an abort error when the signal is aborted.
   */
  send(block: BlockRequest): Promise<BlockAnswer>;
  /** Forgets idle connections. */
  close(): void;
}

/** The way for a URL of this protocol, `http:` or `https:`. */
export function blockRequests(protocol: string): BlockRequests {
  return protocol === "https:" ? new FetchRequests() : new NodeRequests();
}

/** See the module's comment. */
export class FetchRequests implements BlockRequests {
  async send({ url, headers, bytes, signal }: BlockRequest): Promise<BlockAnswer> {
    const response = await fetch(url, { method: "POST", headers, body: bytes, signal });
    const exceptionCode = response.headers.get("x-clickhouse-exception-code") ?? undefined;
    return { status: response.status, exceptionCode, text: await response.text() };
  }

  close(): void {
    // fetch has connections of the process, which are closed when they are idle.
  }
}

/** Shorter than any server of today keeps an idle connection: what it is about to close is not used again. */
const IDLE_MS = 2_000;

/** See the module's comment. */
export class NodeRequests implements BlockRequests {
  readonly #agent = new Agent({ keepAlive: true, timeout: IDLE_MS });

  async send({ url, headers, bytes, signal }: BlockRequest): Promise<BlockAnswer> {
    signal.throwIfAborted();
    const { promise: begun, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const sent = request(url, {
      method: "POST",
      agent: this.#agent,
      headers: { ...headers, "content-length": String(bytes.length) },
    }, resolve);
    // After the answer, too: a server that has refused a block may close the connection on the rest of it.
    sent.on("error", reject);
    const abort = () => sent.destroy(new DOMException("Aborted", "AbortError"));
    signal.addEventListener("abort", abort, { once: true });
    try {
      sent.end(bytes);
      const answer = await begun;
      const code = answer.headers["x-clickhouse-exception-code"];
      const text = await textOf(answer);
      return { status: answer.statusCode ?? 0, exceptionCode: typeof code === "string" ? code : undefined, text };
    } finally {
      signal.removeEventListener("abort", abort);
      if (!sent.writableFinished) sent.destroy();
    }
  }

  close(): void {
    this.#agent.destroy();
  }
}

async function textOf(answer: IncomingMessage): Promise<string> {
  answer.setEncoding("utf8");
  let text = "";
  for await (const part of answer) text += part;
  return text;
}
