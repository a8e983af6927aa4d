/**
 * Many cheap calls in few requests. Answers are matched by id in any order; what failed or is missing goes on alone, what
 * is done is kept; a batch that a node finds too large is halved, and the size remembered.
 */
import { emit } from "../telemetry/emit.ts";
import { classify, type Evidence } from "./classify.ts";
import { encodeCall, readAnswers } from "./envelope.ts";
import { type Exchange, TransportError } from "./http_transport.ts";
import { isLookup } from "./methods.ts";
import type { Call, Failure, FailureMode, RequestAsk, Result } from "./port.ts";
import type { Requests, RequestsContext } from "./requests.ts";
import { leaseAskOf } from "./requests.ts";

type BatchAsk<T> = RequestAsk<T> & { readonly mode: FailureMode };

/** One call and where its result goes. */
interface Item {
  readonly call: Call;
  readonly at: number;
  readonly bytes: number;
}

/** Sends batches. */
export class Batches {
  readonly #context: RequestsContext;
  readonly #requests: Requests;

  constructor(context: RequestsContext, requests: Requests) {
    this.#context = context;
    this.#requests = requests;
  }

  /** As {@linkcode NodePool.batch}. */
  async batch<T>(calls: readonly Call[], ask: BatchAsk<T>): Promise<readonly Result<T>[]> {
    const results = new Array<Result<T>>(calls.length);
    const abort = new AbortController();
    const forward = () => abort.abort(ask.signal!.reason);
    if (ask.signal?.aborted) forward();
    ask.signal?.addEventListener("abort", forward, { once: true });
    const settle = (item: Item, result: Result<T>) => {
      results[item.at] = result;
      if (!result.ok && ask.mode === "failFast") abort.abort(result.error);
    };
    const own: BatchAsk<T> = { ...ask, signal: abort.signal };
    try {
      await Promise.all(this.#parts(calls).map((items) => this.#part(items, own, settle)));
    } catch (error) {
      if (!abort.signal.aborted) throw error;
    } finally {
      ask.signal?.removeEventListener("abort", forward);
    }
    if (abort.signal.aborted) throw abort.signal.reason;
    return results;
  }

  /** Cuts by the configured bounds; a node's own bound is looked at when the node is known. */
  #parts(calls: readonly Call[]): Item[][] {
    const { items: maxItems, bytes: maxBytes } = this.#context.options.rpc.batch;
    const parts: Item[][] = [];
    let [part, bytes] = [[] as Item[], 0];
    for (const [at, call] of calls.entries()) {
      const item = { call, at, bytes: encodeCall(0, call).length + ID_DIGITS };
      if (part.length > 0 && (part.length >= maxItems || bytes + item.bytes > maxBytes)) {
        parts.push(part);
        [part, bytes] = [[], 0];
      }
      part.push(item);
      bytes += item.bytes;
    }
    if (part.length > 0) parts.push(part);
    return parts;
  }

  async #part<T>(
    items: readonly Item[],
    ask: BatchAsk<T>,
    settle: (item: Item, result: Result<T>) => void,
  ): Promise<void> {
    if (items.length === 1) return await this.#alone(items[0]!, ask, settle);
    const { grants, sender, clock, options, retries } = this.#context;
    const lease = await grants.lease(leaseAskOf(items[0]!.call, ask, [], items.length));
    const cap = lease.poolNode.batchItems;
    if (items.length > cap) {
      lease.report({ kind: "cancelled" });
      return await this.#split(items, cap, ask, settle);
    }
    retries.called(clock.now());
    emit({ kind: "rpc_batch", network: options.name, node: lease.node.name, items: items.length });
    const started = clock.now();
    const ids = items.map(() => sender.nextId());
    const body = `[${items.map((item, at) => encodeCall(ids[at]!, item.call)).join(",")}]`;
    const judge = (facts: Partial<Evidence>, call = items[0]!.call): Failure =>
      classify(
        { family: lease.node.flags.family, class: ask.class, method: call.method, batch: true, ...facts },
        lease.node.name,
      );
    let exchange: Exchange;
    try {
      exchange = await sender.exchange(lease.node, body, lease.signal);
    } catch (error) {
      if (!(error instanceof TransportError)) {
        lease.report({ kind: "cancelled" });
        throw error;
      }
      const failure = judge({ transport: error.fault });
      lease.report({ kind: "failed", failure });
      return await this.#whole(items, failure, ask, settle);
    }
    const answers = readAnswers(exchange, ids);
    if ("ok" in answers) {
      const failure = answers.ok ? judge({ document: "neither" }) : judge(answers.evidence);
      lease.report({ kind: "failed", failure });
      return await this.#whole(items, failure, ask, settle);
    }
    const totalMs = clock.now() - started;
    lease.report({
      kind: "ok",
      bytes: exchange.bytes,
      units: items.length,
      firstByteMs: exchange.firstByteMs,
      totalMs,
    });
    const again: Item[] = [];
    const tooLarge: Item[] = [];
    for (const [at, item] of items.entries()) {
      const answer = answers.get(ids[at]!);
      if (answer === undefined) again.push(item);
      else if (!answer.ok) (judge(answer.evidence, item.call).action === "split" ? tooLarge : again).push(item);
      else if (answer.result === null && isLookup(item.call.method)) {
        if (ask.absent === undefined) again.push(item);
        else settle(item, { ok: true, value: ask.absent(lease.node.name) });
      } else settle(item, decoded(ask, answer.result));
    }
    const capHit = tooLarge.length > 0;
    if (capHit) lease.poolNode.batchItems = Math.max(1, items.length - tooLarge.length - again.length);
    await Promise.all([
      ...again.map((item) => this.#alone(item, ask, settle)),
      ...(capHit ? [this.#part(tooLarge, ask, settle)] : []),
    ]);
  }

  /** The whole batch failed. */
  async #whole<T>(
    items: readonly Item[],
    failure: Failure,
    ask: BatchAsk<T>,
    settle: (item: Item, result: Result<T>) => void,
  ): Promise<void> {
    const { options, retries, clock, failed } = this.#context;
    if (failure.action === "split" || failure.reason === "cut") {
      const { name: network } = options;
      emit({ kind: "rpc_batch_split", network, node: failure.node, reason: failure.reason });
      return await this.#split(items, Math.ceil(items.length / 2), ask, settle);
    }
    if (failure.action === "dead" || !retries.take(clock.now())) {
      for (const item of items) settle(item, { ok: false, error: failed(failure) });
      return;
    }
    emit({ kind: "rpc_retried", network: options.name, reason: failure.reason });
    await this.#split(
      items,
      Math.ceil(items.length / 2),
      { ...ask, avoid: [...ask.avoid ?? [], failure.node] },
      settle,
    );
  }

  async #split<T>(
    items: readonly Item[],
    size: number,
    ask: BatchAsk<T>,
    settle: (item: Item, result: Result<T>) => void,
  ): Promise<void> {
    const parts: Promise<void>[] = [];
    for (let from = 0; from < items.length; from += size) {
      parts.push(this.#part(items.slice(from, from + size), ask, settle));
    }
    await Promise.all(parts);
  }

  async #alone<T>(item: Item, ask: BatchAsk<T>, settle: (item: Item, result: Result<T>) => void): Promise<void> {
    try {
      settle(item, { ok: true, value: await this.#requests.request(item.call, ask) });
    } catch (error) {
      if (ask.signal?.aborted) throw error;
      settle(item, { ok: false, error: error instanceof Error ? error : new Error(String(error)) });
    }
  }
}

/** Bytes that an id may take more than the one it was measured with. */
const ID_DIGITS = 16;

function decoded<T>(ask: RequestAsk<T>, result: unknown): Result<T> {
  try {
    return { ok: true, value: ask.decode(result) };
  } catch (error) {
    return { ok: false, error: error instanceof Error ? error : new Error(String(error)) };
  }
}
