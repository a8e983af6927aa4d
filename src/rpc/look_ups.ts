/**
 * Transactions of pending hashes: many hashes, few requests. What waits is bounded, and only here may something be
 * dropped: a pending transaction that is not looked up in time is of no use any more.
 */
import { Observable, type OperatorFunction } from "rxjs";
import { emit } from "../telemetry/emit.ts";
import { type Clock, systemClock } from "./clock.ts";
import type { RpcOptions } from "./options.ts";
import type { Hash, NodeName, NodePool, Result } from "./port.ts";

/** After this long a hash that a node did not know is asked of another one, once. */
const AGAIN_MS = 500;
/** How long an answer is of use. */
const WITHIN_MS = 10_000;

/** A transaction as its node answered it. */
export interface FoundTransaction {
  readonly hash: Hash;
  readonly transaction: Readonly<Record<string, unknown>>;
}

/** Bounds of the look-ups. */
export type LookUpOptions = Pick<RpcOptions, "batch" | "pending">;

/**
 * Looks hashes up: batches of `batch.items` or what came within `batch.wait` milliseconds, at most `pending.inFlight` of
 * them in flight. Of more than `pending.max` waiting hashes the oldest are dropped and counted. Emits what is found, in
 * the order of the answers. Unsubscribing ends what is in flight.
 */
export function lookUpTransactions(
  pool: Pick<NodePool, "network" | "batch">,
  options: LookUpOptions,
  clock: Clock = systemClock,
): OperatorFunction<Hash, FoundTransaction> {
  return (hashes) =>
    new Observable((subscriber) => {
      const lookUps = new LookUps(pool, options, clock, {
        found: (transaction) => subscriber.next(transaction),
        done: () => subscriber.complete(),
      });
      const subscription = hashes.subscribe({
        next: (hash) => lookUps.add(hash),
        error: (error) => subscriber.error(error),
        complete: () => lookUps.end(),
      });
      return () => {
        subscription.unsubscribe();
        lookUps[Symbol.dispose]();
      };
    });
}

interface Listener {
  readonly found: (transaction: FoundTransaction) => void;
  readonly done: () => void;
}

/** A hash that waits; `unknownTo` has been asked before. */
interface Waiting {
  readonly unknownTo: NodeName | undefined;
}

type Answer = FoundTransaction | { readonly unknownTo: NodeName };

class LookUps implements Disposable {
  readonly #pool: Pick<NodePool, "network" | "batch">;
  readonly #options: LookUpOptions;
  readonly #clock: Clock;
  readonly #listener: Listener;
  readonly #abort = new AbortController();
  /** Oldest first. */
  readonly #waiting = new Map<Hash, Waiting>();
  /** Hashes that will be asked again, with their timers. */
  readonly #resting = new Map<Hash, Disposable>();
  #inFlight = 0;
  #flushing: Disposable | undefined;
  #ended = false;

  constructor(pool: Pick<NodePool, "network" | "batch">, options: LookUpOptions, clock: Clock, listener: Listener) {
    this.#pool = pool;
    this.#options = options;
    this.#clock = clock;
    this.#listener = listener;
  }

  add(hash: Hash): void {
    if (this.#waiting.has(hash) || this.#resting.has(hash)) return;
    this.#enqueue(hash, { unknownTo: undefined });
  }

  /** Nothing more will be added. */
  end(): void {
    this.#ended = true;
    this.#complete();
  }

  [Symbol.dispose](): void {
    this.#abort.abort(new DOMException("Nobody waits for the look-ups any more", "AbortError"));
    this.#flushing?.[Symbol.dispose]();
    for (const timer of this.#resting.values()) timer[Symbol.dispose]();
    this.#waiting.clear();
    this.#resting.clear();
  }

  #enqueue(hash: Hash, waiting: Waiting): void {
    this.#waiting.set(hash, waiting);
    if (this.#waiting.size + this.#resting.size > this.#options.pending.max) this.#dropOldest();
    this.#flush();
  }

  #dropOldest(): void {
    const hash = (this.#resting.keys().next().value ?? this.#waiting.keys().next().value)!;
    this.#resting.get(hash)?.[Symbol.dispose]();
    if (!this.#resting.delete(hash)) this.#waiting.delete(hash);
    emit({ kind: "rpc_pending_dropped", network: this.#pool.network, reason: "overflow" });
  }

  /** Sends full batches at once, and what is left when its time has come. */
  #flush(): void {
    const { items, wait } = this.#options.batch;
    while (this.#waiting.size >= items && this.#inFlight < this.#options.pending.inFlight) this.#send();
    if (this.#waiting.size === 0 || this.#flushing !== undefined) return;
    this.#flushing = this.#clock.after(wait, () => {
      this.#flushing = undefined;
      if (this.#waiting.size > 0 && this.#inFlight < this.#options.pending.inFlight) this.#send();
    });
  }

  #send(): void {
    const [[, first]] = this.#waiting as unknown as [[Hash, Waiting]];
    const hashes: Hash[] = [];
    for (const [hash, { unknownTo }] of this.#waiting) {
      if (hashes.length === this.#options.batch.items) break;
      if (unknownTo === first.unknownTo) hashes.push(hash);
    }
    for (const hash of hashes) this.#waiting.delete(hash);
    this.#inFlight++;
    void this.#ask(hashes, first.unknownTo).then((results) => {
      if (this.#abort.signal.aborted) return;
      for (const [at, result] of results.entries()) this.#settle(hashes[at]!, result, first.unknownTo !== undefined);
    }).finally(() => {
      this.#inFlight--;
      if (this.#abort.signal.aborted) return;
      if (this.#waiting.size > 0) this.#flush();
      this.#complete();
    });
  }

  async #ask(hashes: readonly Hash[], unknownTo: NodeName | undefined): Promise<readonly Result<Answer>[]> {
    try {
      return await this.#pool.batch<Answer>(
        hashes.map((hash) => ({ method: "eth_getTransactionByHash", params: [hash] })),
        {
          class: "read",
          mode: "collect",
          priority: "process",
          deadlineMs: this.#clock.now() + WITHIN_MS,
          signal: this.#abort.signal,
          decode: readTransaction,
          absent: (node) => ({ unknownTo: node }),
          ...(unknownTo === undefined ? {} : { avoid: [unknownTo] }),
        },
      );
    } catch (error) {
      const failed = { ok: false, error: error instanceof Error ? error : new Error(String(error)) } as const;
      return hashes.map(() => failed);
    }
  }

  #settle(hash: Hash, result: Result<Answer>, isSecond: boolean): void {
    const { network } = this.#pool;
    if (!result.ok) return emit({ kind: "rpc_pending", network, result: "failed" });
    if (!("unknownTo" in result.value)) {
      emit({ kind: "rpc_pending", network, result: "found" });
      return this.#listener.found(result.value);
    }
    if (isSecond) return emit({ kind: "rpc_pending", network, result: "unknown" });
    const { unknownTo } = result.value;
    const timer = this.#clock.after(AGAIN_MS, () => {
      this.#resting.delete(hash);
      this.#enqueue(hash, { unknownTo });
    });
    this.#resting.set(hash, timer);
  }

  #complete(): void {
    const idle = this.#inFlight === 0 && this.#waiting.size === 0 && this.#resting.size === 0;
    if (this.#ended && idle) this.#listener.done();
  }
}

function readTransaction(result: unknown): FoundTransaction {
  if (typeof result !== "object" || result === null) throw new TypeError("expected an object for a transaction");
  const transaction = result as Readonly<Record<string, unknown>>;
  if (typeof transaction["hash"] !== "string") throw new TypeError("expected the hash of a transaction");
  return { hash: transaction["hash"].toLowerCase(), transaction };
}
