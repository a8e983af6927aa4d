/** One call to a given node, past the queue and the breakers: probes, polls and doctor. */
import { classify, type Evidence } from "./classify.ts";
import type { Sweep } from "./clock.ts";
import { encodeCall, readAnswer } from "./envelope.ts";
import { RpcFailure } from "./failure.ts";
import { type Exchange, TimeLimit, type Transport, TransportError } from "./http_transport.ts";
import { isLookup } from "./methods.ts";
import type { PoolNode } from "./node.ts";
import type { Call, CallClass, Failure, NodeView } from "./port.ts";

/** An answer or why there is none. */
export type Reply =
  | { readonly ok: true; readonly result: unknown; readonly exchange: Exchange }
  | { readonly ok: false; readonly failure: Failure };

/** Sends calls and judges answers. */
export class Sender {
  readonly #transport: Transport;
  #id = 0;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  nextId(): number {
    return ++this.#id;
  }

  /** Sends one call. Rejects with the signal's reason when that fires, unless it is a time limit. */
  async send(view: NodeView, callClass: CallClass, call: Call, signal: AbortSignal): Promise<Reply> {
    const id = this.nextId();
    const request = encodeCall(id, call);
    const failed = (facts: Partial<Evidence>): Reply => {
      const evidence = { family: view.flags.family, class: callClass, method: call.method, request };
      return { ok: false, failure: classify({ ...evidence, ...facts }, view.name) };
    };
    let exchange: Exchange;
    try {
      exchange = await this.#transport.exchange(view, request, signal);
    } catch (error) {
      if (error instanceof TransportError) return failed({ transport: error.fault });
      throw error;
    }
    const answer = readAnswer(exchange, id);
    if (!answer.ok) return failed(answer.evidence);
    return answer.result === null && isLookup(call.method)
      ? failed({ absent: true, bytes: exchange.bytes })
      : { ok: true, result: answer.result, exchange };
  }

  exchange(view: NodeView, body: string, signal: AbortSignal): Promise<Exchange> {
    return this.#transport.exchange(view, body, signal);
  }
}

/** Calls a node outside of the leases. */
export class Direct {
  readonly #sender: Sender;
  readonly #sweep: Sweep;
  readonly #now: () => number;
  readonly #shutdown: AbortSignal;

  constructor(sender: Sender, sweep: Sweep, now: () => number, shutdown: AbortSignal) {
    this.#sender = sender;
    this.#sweep = sweep;
    this.#now = now;
    this.#shutdown = shutdown;
  }

  /** @throws the shutdown's reason */
  async try(node: PoolNode, callClass: CallClass, call: Call, limitMs: number): Promise<Reply> {
    this.#shutdown.throwIfAborted();
    const abort = new AbortController();
    const stop = () => abort.abort(this.#shutdown.reason);
    const now = this.#now();
    const due = this.#sweep.at(now + limitMs, () => abort.abort(new TimeLimit(`No answer within ${limitMs} ms`)));
    this.#shutdown.addEventListener("abort", stop, { once: true });
    try {
      return await this.#sender.send(node.view(callClass, limitMs), callClass, call, abort.signal);
    } finally {
      due[Symbol.dispose]();
      this.#shutdown.removeEventListener("abort", stop);
    }
  }

  /** The result. @throws {RpcFailure} @throws the shutdown's reason */
  async call(node: PoolNode, callClass: CallClass, call: Call, limitMs: number): Promise<unknown> {
    const reply = await this.try(node, callClass, call, limitMs);
    if (reply.ok) return reply.result;
    throw new RpcFailure(reply.failure, true);
  }
}
