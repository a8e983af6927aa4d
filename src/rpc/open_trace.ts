/**
 * Fetches a trace with nothing but a {@linkcode NodeView}: runs in a trace worker, far from the pool. The bytes of the
 * reply are read as they come; whoever decodes them judges the document, this file judges the transport.
 */
import { classify, type Evidence, type TransportFault } from "./classify.ts";
import { Connections, post } from "./connections.ts";
import { RpcFailure } from "./failure.ts";
import type { Failure, NodeView, Outcome } from "./port.ts";
import { traceBody, traceMethod, type TraceRequest } from "./trace_request.ts";
import { faultOfBody, faultOfFetch } from "./transport_fault.ts";

/** Kept of an answer that is no trace, for the classification. */
const ERROR_BODY_BYTES = 4_096;

/** A reply that has begun. */
export interface TraceReply extends AsyncDisposable {
  /**
   * Bytes of the JSON-RPC answer, a BYOB byte stream. It fails with {@linkcode RpcFailure} when the connection is cut or
   * silent for too long, and with the signal's reason when that fires. Cancel it, or read it to the end.
   */
  readonly body: ReadableStream<Uint8Array<ArrayBuffer>>;
  /** From the request until the head of the answer. */
  readonly firstByteMs: number;
  /** Of the reply, where the node says so. */
  readonly contentLength: number | undefined;
  /** Bytes that have been read. */
  readonly bytes: number;
  /** Judges what decode found in the document: an `error` member, `null`, or broken JSON. */
  failure(found: TraceDefect): Failure;
  /** The outcome of a reply that was read completely. `units` are its structlogs. */
  outcome(units: number): Outcome;
}

/** What is wrong with a reply that arrived. */
export type TraceDefect =
  | { readonly kind: "error"; readonly error: unknown; readonly inside?: boolean }
  | { readonly kind: "null" }
  | { readonly kind: "malformed"; readonly detail: string };

const isolateConnections = new Connections();

/** Closes the idle connections that {@linkcode openTrace} keeps in this isolate. */
export function closeTraceConnections(): void {
  isolateConnections[Symbol.dispose]();
}

/**
 * Sends the request and waits for the head of the answer.
 *
 * @throws {RpcFailure} classified, when the node refuses, is too late or answers with another status than 200
 * @throws the signal's reason, when it fires
 */
export async function openTrace(
  view: NodeView,
  request: TraceRequest,
  signal: AbortSignal,
  connections = isolateConnections,
): Promise<TraceReply> {
  signal.throwIfAborted();
  const started = performance.now();
  const method = traceMethod(request);
  const watch = new Watch(view.limits, signal);
  const body = traceBody(view, request);
  const evidence = { family: view.flags.family, class: "trace", method, request: body } as const;
  const fail = (facts: Partial<Evidence>, cause?: unknown) =>
    new RpcFailure(classify({ ...evidence, ...facts }, view.name), false, { cause });
  try {
    const response = await post(connections, view, body, watch.signal);
    watch.arrived();
    if (response.status !== 200) {
      const start = await readStart(response);
      throw fail({
        httpStatus: response.status,
        body: start,
        ...errorMember(start),
        ...(response.headers.has("retry-after") ? { retryAfter: response.headers.get("retry-after")! } : {}),
      });
    }
    if (response.body === null) throw fail({ transport: "cut" });
    return new Reply(response, performance.now() - started, started, watch, view, evidence);
  } catch (error) {
    watch.stop();
    if (error instanceof RpcFailure) throw error;
    if (watch.fault !== undefined) {
      // A connection that died silently stays in the pool and would time out again.
      if (watch.fault === "first_byte_timeout") connections.renew(view);
      throw fail({ transport: watch.fault }, error);
    }
    signal.throwIfAborted();
    const transport = faultOfFetch(error);
    if (transport === undefined) throw error;
    throw fail({ transport }, error);
  }
}

/** Stands over one reply: first byte, silence, whole time. One timer, moved on by what arrives. */
class Watch {
  readonly #abort = new AbortController();
  readonly #limits: NodeView["limits"];
  readonly #caller: AbortSignal;
  readonly #endMs: number;
  #dueMs: number;
  #seen = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** What it ended the reply for. */
  fault: TransportFault | undefined;

  constructor(limits: NodeView["limits"], caller: AbortSignal) {
    this.#limits = limits;
    this.#caller = caller;
    const now = performance.now();
    this.#endMs = now + limits.wholeMs;
    this.#dueMs = Math.min(this.#endMs, now + limits.firstByteMs);
    caller.addEventListener("abort", this.#forward, { once: true });
    this.#arm();
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Bytes came. */
  arrived(): void {
    this.#dueMs = Math.min(this.#endMs, performance.now() + this.#limits.stallMs);
    if (this.#seen) return;
    this.#seen = true;
    // From here on silence counts, which may be due before the first byte was.
    clearTimeout(this.#timer);
    this.#arm();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#caller.removeEventListener("abort", this.#forward);
  }

  #arm(): void {
    this.#timer = setTimeout(() => {
      const now = performance.now();
      if (now < this.#dueMs) return this.#arm();
      this.fault = !this.#seen ? "first_byte_timeout" : now >= this.#endMs ? "timeout" : "stalled";
      this.stop();
      this.#abort.abort(new DOMException(this.fault, "TimeoutError"));
    }, Math.max(1, this.#dueMs - performance.now()));
  }

  readonly #forward = () => {
    this.stop();
    this.#abort.abort(this.#caller.reason);
  };
}

type TraceEvidence = Pick<Evidence, "family" | "class" | "method" | "request">;

class Reply implements TraceReply {
  readonly body: ReadableStream<Uint8Array<ArrayBuffer>>;
  readonly contentLength: number | undefined;
  bytes = 0;
  readonly #response: Response;
  readonly #watch: Watch;
  readonly #view: NodeView;
  readonly #evidence: TraceEvidence;
  readonly #startedMs: number;
  #ended = false;

  constructor(
    response: Response,
    readonly firstByteMs: number,
    startedMs: number,
    watch: Watch,
    view: NodeView,
    evidence: TraceEvidence,
  ) {
    this.#response = response;
    this.#startedMs = startedMs;
    this.#watch = watch;
    this.#view = view;
    this.#evidence = evidence;
    const length = Number(response.headers.get("content-length") ?? NaN);
    this.contentLength = Number.isSafeInteger(length) && !response.headers.has("content-encoding") ? length : undefined;
    this.body = this.#guarded(response.body!.getReader({ mode: "byob" }));
  }

  /** The response's bytes, each read watched; a reader's own buffer is filled without a copy. */
  #guarded(reader: ReadableStreamBYOBReader): ReadableStream<Uint8Array<ArrayBuffer>> {
    const end = () => {
      this.#ended = true;
      this.#watch.stop();
    };
    return new ReadableStream({
      type: "bytes",
      autoAllocateChunkSize: CHUNK_BYTES,
      pull: async (controller) => {
        const request = controller.byobRequest!;
        const view = request.view!;
        try {
          const { done, value } = await reader.read(new Uint8Array(view.buffer, view.byteOffset, view.byteLength));
          if (done) {
            end();
            const missing = this.contentLength !== undefined && this.bytes < this.contentLength;
            if (missing) return controller.error(this.#failed("cut"));
            controller.close();
            return request.respondWithNewView(value ?? new Uint8Array(0));
          }
          this.bytes += value.byteLength;
          this.#watch.arrived();
          request.respondWithNewView(value);
        } catch (error) {
          end();
          const fault = this.#watch.fault ?? faultOfBody(error);
          controller.error(fault === undefined ? error : this.#failed(fault, error));
        }
      },
      cancel: async (reason) => {
        end();
        await reader.cancel(reason).catch(() => {});
      },
    }, { highWaterMark: 0 }) as ReadableStream<Uint8Array<ArrayBuffer>>;
  }

  failure(found: TraceDefect): Failure {
    const facts: Partial<Evidence> = found.kind === "error"
      ? { error: found.error, ...(found.inside ? { inside: true } : {}) }
      : found.kind === "null"
      ? { absent: true }
      : { document: "not_json", body: found.detail };
    return this.#classified(facts);
  }

  outcome(units: number): Outcome {
    const totalMs = performance.now() - this.#startedMs;
    return { kind: "ok", bytes: this.bytes, units, firstByteMs: this.firstByteMs, totalMs };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#watch.stop();
    if (this.#ended) return;
    this.#ended = true;
    if (this.body.locked) return;
    await this.body.cancel().catch(() => {});
  }

  #classified(facts: Partial<Evidence>): Failure {
    return classify(
      { ...this.#evidence, httpStatus: this.#response.status, bytes: this.bytes, ...facts },
      this.#view.name,
    );
  }

  #failed(transport: TransportFault, cause?: unknown): RpcFailure {
    return new RpcFailure(this.#classified({ transport }), false, { cause });
  }
}

const CHUNK_BYTES = 65_536;

/** The first bytes of an error's body as text; the rest is cancelled. */
export async function readStart(response: Response): Promise<string> {
  if (response.body === null) return "";
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let bytes = 0;
  try {
    for await (const chunk of response.body) {
      chunks.push(chunk);
      bytes += chunk.byteLength;
      if (bytes >= ERROR_BODY_BYTES) break;
    }
  } catch {
    // What came says enough.
  }
  return (await new Blob(chunks).text()).slice(0, ERROR_BODY_BYTES);
}

/** `error` of a JSON-RPC answer with another HTTP status than 200. */
export function errorMember(body: string): { error?: unknown } {
  try {
    const document: unknown = JSON.parse(body);
    const first: unknown = Array.isArray(document) ? document[0] : document;
    const error = (first as { error?: unknown } | null | undefined)?.error;
    return error === undefined || error === null ? {} : { error };
  } catch {
    return {};
  }
}
