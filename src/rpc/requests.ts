/**
 * One call of class head, read or receipts, from lease to value: sent, judged, tried elsewhere within a budget, and
 * asked a second time beside a late first one where that is cheap. What is superfluous is aborted and its slot freed.
 */
import { emit } from "../telemetry/emit.ts";
import type { HedgeBudget, RetryBudget } from "./budget.ts";
import { type Clock, pause, Sweep } from "./clock.ts";
import type { Sender } from "./direct.ts";
import { RpcFailure } from "./failure.ts";
import type { GrantedLease, Grants } from "./grants.ts";
import type { HeadBook } from "./heads.ts";
import { readQuantity } from "./heads.ts";
import { TimeLimit } from "./http_transport.ts";
import type { PoolNode } from "./node.ts";
import type { NodePoolOptions } from "./options.ts";
import type { Call, Failure, LeaseAsk, NodeName, RequestAsk } from "./port.ts";

/** Share of the limit above which a node gets no second calls. */
const HEDGE_LOAD = 0.8;
/** Blocks below the tip within which "not found" may mean "not yet". */
const YOUNG_BLOCKS = 64;
const LATE_SWEEP_MS = 10;
const INDEXING_MS = 1_000;
const INDEXING_MAX_MS = 30_000;

/** What requests need of the pool. */
export interface RequestsContext {
  readonly options: NodePoolOptions;
  readonly nodes: readonly PoolNode[];
  readonly clock: Clock;
  readonly random: () => number;
  readonly grants: Grants;
  readonly sender: Sender;
  readonly heads: HeadBook;
  readonly retries: RetryBudget;
  readonly hedges: HedgeBudget;
  readonly failed: (failure: Failure) => RpcFailure;
}

type Attempt<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly failure: Failure; readonly cause?: unknown };

/** Sends single calls. */
export class Requests implements Disposable {
  readonly #context: RequestsContext;
  /** Looks for late calls: a timer per call would cost more than all its other bookkeeping. */
  readonly #sweep: Sweep;

  constructor(context: RequestsContext) {
    this.#context = context;
    this.#sweep = new Sweep(context.clock, LATE_SWEEP_MS);
  }

  [Symbol.dispose](): void {
    this.#sweep[Symbol.dispose]();
  }

  /** As {@linkcode NodePool.request}. */
  async request<T>(call: Call, ask: RequestAsk<T>): Promise<T> {
    const { options, clock, retries, failed } = this.#context;
    const { attempts } = options.rpc.retry;
    const tried: NodeName[] = [];
    let indexingMs = INDEXING_MS;
    retries.called(clock.now());
    for (let attempt = 1;; attempt++) {
      const outcome = await this.#hedged(call, ask, tried);
      if (outcome.ok) return outcome.value;
      const { failure } = outcome;
      if (failure.action === "missing" && ask.absent !== undefined) return ask.absent(failure.node);
      if (failure.action === "missing" && this.#isAnswer(ask)) return ask.decode(null);
      const waitMs = failure.action === "same" ? indexingMs : this.#backOffMs(attempt, failure);
      const last = failure.action === "same" ? indexingMs > INDEXING_MAX_MS : attempt >= attempts;
      const hopeless = failure.action === "dead" || failure.action === "split" || failure.action === "answer";
      const late = clock.now() + waitMs >= ask.deadlineMs;
      if (last || hopeless || late || !retries.take(clock.now())) throw failed(failure);
      if (failure.action === "same") indexingMs *= 2;
      else tried.push(failure.node);
      emit({ kind: "rpc_retried", network: options.name, reason: failure.reason });
      await pause(clock, waitMs, ask.signal);
    }
  }

  /** "Not found" of something above every head is an answer: not yet. */
  #isAnswer(ask: RequestAsk<unknown>): boolean {
    const { heads } = this.#context;
    return ask.blockNumber !== undefined && heads.tip !== undefined && ask.blockNumber > heads.tip;
  }

  #backOffMs(attempt: number, failure: Failure): number {
    const { options, random, nodes, heads } = this.#context;
    const { base, max } = options.rpc.retry;
    // The only node has not got the block yet: it is worth a block time, not more.
    const alone = nodes.filter((node) => !node.drained && node.wrongChain === undefined).length === 1;
    if (failure.action === "missing" && alone && heads.tip !== undefined) return options.blockTime / 2;
    return random() * Math.min(max, base * 2 ** (attempt - 1));
  }

  /** One attempt, with a second call beside it when it is late. */
  async #hedged<T>(call: Call, ask: RequestAsk<T>, avoid: readonly NodeName[]): Promise<Attempt<T>> {
    const { hedges, grants, options } = this.#context;
    const lease = await grants.lease(leaseAskOf(call, ask, avoid));
    hedges.called();
    const first = this.#attempt(call, ask, lease);
    const canHedge = (ask.class === "head" || ask.class === "read") &&
      (ask.priority === "head" || ask.priority === "repair" || ask.priority === "process");
    if (!canHedge) return await first;
    const { min, max } = options.rpc.hedge;
    const p95Ms = lease.poolNode.classes[ask.class].latencies.p95Ms ?? max;
    const { promise, resolve, reject } = Promise.withResolvers<Attempt<T> | undefined>();
    const late = this.#sweep.at(lease.startedMs + Math.min(max, Math.max(min, p95Ms)), () => resolve(undefined));
    first.then(resolve, reject);
    let early: Attempt<T> | undefined;
    try {
      early = await promise;
    } finally {
      late[Symbol.dispose]();
    }
    if (early !== undefined) return early;
    return await this.#beside(first, lease, call, ask, avoid);
  }

  /** A second call beside a late one; should it fail, another, while the first has said nothing. */
  async #beside<T>(
    first: Promise<Attempt<T>>,
    lease: GrantedLease,
    call: Call,
    ask: RequestAsk<T>,
    avoid: readonly NodeName[],
  ): Promise<Attempt<T>> {
    const failed: NodeName[] = [];
    for (let calls = 1; calls < this.#context.options.rpc.retry.attempts; calls++) {
      const second = await this.#secondLease(call, ask, lease, [...avoid, ...failed]);
      if (second === undefined) break;
      const decided = await this.#better(first, lease, this.#attempt(call, ask, second), second);
      if (decided !== undefined) return decided;
      failed.push(second.node.name);
    }
    return await first;
  }

  /**
   * The first success; of two failures the one that says more than "not here". The loser is aborted. Absent: the second
   * has failed and the first still runs.
   */
  async #better<T>(
    first: Promise<Attempt<T>>,
    firstLease: GrantedLease,
    second: Promise<Attempt<T>>,
    secondLease: GrantedLease,
  ): Promise<Attempt<T> | undefined> {
    const tell = (result: "won" | "lost" | "failed") =>
      emit({ kind: "rpc_hedged", network: this.#context.options.name, result });
    const loser = (which: Promise<Attempt<T>>, lease: GrantedLease) => {
      lease.abort(new Superseded("another node was faster"));
      // It ends by its abort; what it says is of no use any more.
      which.catch(() => {});
    };
    try {
      const winner = await Promise.race([
        first.then((attempt) => ({ attempt, isFirst: true })),
        second.then((attempt) => ({ attempt, isFirst: false })),
      ]);
      if (winner.attempt.ok) {
        tell(winner.isFirst ? "lost" : "won");
        if (winner.isFirst) loser(second, secondLease);
        else loser(first, firstLease);
        return winner.attempt;
      }
      if (!winner.isFirst) return void tell("failed");
      const other = await second;
      tell(other.ok ? "won" : "failed");
      return other.ok || winner.attempt.failure.action === "missing" ? other : winner.attempt;
    } catch (error) {
      loser(first, firstLease);
      loser(second, secondLease);
      throw error;
    }
  }

  /** Another node, or the same one when there is no other; never one that is nearly full. */
  async #secondLease(
    call: Call,
    ask: RequestAsk<unknown>,
    lease: GrantedLease,
    avoid: readonly NodeName[],
  ): Promise<GrantedLease | undefined> {
    const { hedges, options, grants, clock, nodes } = this.#context;
    const tell = (result: "no_budget" | "no_node") => emit({ kind: "rpc_hedged", network: options.name, result });
    const wanted = leaseAskOf(call, ask, [...avoid, lease.node.name]);
    const { blockHash: _pin, ...unpinned } = wanted;
    const choice = grants.chooser.choose(unpinned, clock.now());
    if (choice.kind !== "node") return void tell("no_node");
    const { total, limit } = choice.node.classes[ask.class];
    if (total >= HEDGE_LOAD * limit) return void tell("no_node");
    if (!hedges.take()) return void tell("no_budget");
    const not = nodes.filter((node) => node !== choice.node).map((node) => node.name);
    try {
      return await grants.lease({ ...unpinned, need: { ...unpinned.need, not } });
    } catch {
      // The slot went to somebody else: the first call goes on alone.
      return undefined;
    }
  }

  /** Sends one call on a lease and reports how it went. */
  async #attempt<T>(call: Call, ask: RequestAsk<T>, lease: GrantedLease): Promise<Attempt<T>> {
    const { sender, clock, heads } = this.#context;
    try {
      const reply = await sender.send(lease.node, ask.class, call, lease.signal);
      if (!reply.ok) {
        lease.report({ kind: "failed", failure: this.#weighed(reply.failure, ask, lease.poolNode) });
        return reply;
      }
      const decoded = decode(ask, reply.result);
      if (!decoded.ok) {
        const failure = malformed(call, ask, lease, decoded.error);
        lease.report({ kind: "failed", failure });
        return { ok: false, failure, cause: decoded.error };
      }
      const { bytes, firstByteMs } = reply.exchange;
      const now = clock.now();
      lease.report({ kind: "ok", bytes, units: 1, firstByteMs, totalMs: now - lease.startedMs });
      const reached = headShown(call.method, reply.result);
      if (reached !== undefined) heads.reached(lease.poolNode, reached, now);
      return decoded;
    } catch (error) {
      lease.report({ kind: "cancelled" });
      if (error instanceof TimeLimit) {
        throw new TypeError("a time limit is the transport's to report", { cause: error });
      }
      throw error;
    }
  }

  /** "Not found" far below the tip is the node's failure: it lost what it should have. */
  #weighed(failure: Failure, ask: RequestAsk<unknown>, node: PoolNode): Failure {
    const { heads, clock } = this.#context;
    if (failure.action !== "missing" || ask.blockNumber === undefined || heads.tip === undefined) return failure;
    const expected = (node.headNumber ?? -1) >= ask.blockNumber && ask.blockNumber < heads.tip - YOUNG_BLOCKS &&
      ask.blockNumber >= node.lowestState(clock.now());
    return expected ? { ...failure, action: "other", reason: "lost_block" } : failure;
  }
}

/** A second call lost against the first, or the first against the second. */
export class Superseded extends Error {
  override readonly name = "Superseded";
}

/** The lease that a call needs; `items` of a batch. */
export function leaseAskOf(call: Call, ask: RequestAsk<unknown>, avoid: readonly NodeName[], items = 1): LeaseAsk {
  const { blockNumber, blockHash, stateAt, not, priority, deadlineMs, signal } = ask;
  const all = ask.avoid === undefined ? avoid : [...ask.avoid, ...avoid];
  return {
    need: {
      class: ask.class,
      method: call.method,
      units: items,
      stateAt,
      not,
      avoid: all.length === 0 ? undefined : all,
    },
    blockNumber,
    blockHash,
    priority,
    deadlineMs,
    signal,
  };
}

function decode<T>(ask: RequestAsk<T>, result: unknown): { ok: true; value: T } | { ok: false; error: unknown } {
  try {
    return { ok: true, value: ask.decode(result) };
  } catch (error) {
    return { ok: false, error };
  }
}

function malformed(call: Call, ask: RequestAsk<unknown>, lease: GrantedLease, error: unknown): Failure {
  return {
    class: ask.class,
    method: call.method,
    node: lease.node.name,
    action: "other",
    reason: "malformed",
    text: error instanceof Error ? error.message : String(error),
    bytes: 0,
  };
}

/** The block number that a reply proves the node to have. */
function headShown(method: string, result: unknown): number | undefined {
  if (method === "eth_blockNumber") return readQuantity(result);
  if (method !== "eth_getBlockByHash" && method !== "eth_getBlockByNumber") return undefined;
  return readQuantity((result as { number?: unknown } | null)?.number);
}
