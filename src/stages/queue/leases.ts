/**
 * The owner's side of the queue, the same over every backend: leases in hand, their signals and progress cells, what a
 * failure becomes, and settlements gathered into batches. The backend's side is {@linkcode LeaseStore}.
 */
import { setImmediate } from "node:timers/promises";
import { emit } from "../../telemetry/emit.ts";
import {
  type Failure,
  type Lease,
  LeaseLostError,
  type QueueOptions,
  type Random,
  type Settlement,
  type Task,
  TASK_CLASSES,
  type TaskClass,
  taskId,
  type TransactionRange,
  type Verdict,
} from "./port.ts";
import { MOVES, waitingIn } from "./pulse.ts";
import { type ProgressCell, ProgressCells } from "./progress_cells.ts";

/** One delivery of a task. */
export interface Delivery {
  readonly task: Task;
  /** {@linkcode taskId} of the task. */
  readonly id: string;
  readonly token: number;
  /** Earlier deliveries, which may have written rows. */
  readonly deliveries: number;
}

/** A claim: never more than `free`, nor more of a class than `allow`. */
export interface Claim {
  readonly free: number;
  readonly allow: Readonly<Record<TaskClass, number>>;
  /** Seed of the weighted draw, 1 to 2^31 - 2. */
  readonly seed: number;
}

/** What a claim found. */
export interface Claimed {
  readonly deliveries: readonly Delivery[];
  /** When the next delayed task is due or the rate allows more; absent when nothing is in sight. */
  readonly nextMs?: number;
  /** Expired leases among the deliveries. */
  readonly recovered: number;
  /** Tasks over the limit of recoveries. */
  readonly buried: readonly Task[];
  readonly clockWentBack: boolean;
}

/** A settlement after which the task comes back, or is kept as a dead letter. */
type Comeback = Exclude<Settlement, { readonly outcome: "done" | "orphaned" }>;

/** A settlement that ends the task: its range is done, or its block left the chain. */
export interface Ending {
  readonly delivery: Delivery;
  readonly orphaned: boolean;
}

/** What a task comes back as. */
export interface Return {
  readonly delivery: Delivery;
  readonly done: readonly TransactionRange[];
  readonly rest: readonly Task[];
  readonly delayMs: number;
  readonly counter: "retried" | "released" | "split";
}

/** What the owner's side needs of a backend. Every call may run twice. */
export interface LeaseStore {
  fetch(claim: Claim): Promise<Claimed>;
  end(endings: readonly Ending[]): Promise<readonly Verdict[]>;
  giveBack(item: Return): Promise<Verdict>;
  bury(delivery: Delivery, failure: Failure): Promise<Verdict>;
}

/** Renews leases that move, from wherever a busy event loop cannot stop it. It sees them in their cells. */
export interface Heart {
  /** The leases of another memory are to be watched. */
  share(memory: SharedArrayBuffer): void;
  /** Its clock, milliseconds. */
  now(): number;
}

interface Waiting extends Ending {
  readonly held: Held;
  readonly verdict: PromiseWithResolvers<Verdict>;
}

/** Delay before attempt `attempts + 1`: exponential with equal jitter. */
export function backoffMs(attempts: number, options: QueueOptions, random: Random): number {
  const full = Math.min(options.backoffMaxMs, options.backoffBaseMs * 2 ** Math.min(attempts, 40));
  return Math.round(full / 2 + random() * full / 2);
}

/** A lease in hand. */
class Held implements Lease {
  readonly delivery: Delivery;
  readonly cell: ProgressCell;
  readonly sinceMs: number;
  verdict: Promise<Verdict> | undefined;
  /** Among those in hand; absent when it has ended. */
  place: number | undefined;
  readonly #settle: (held: Held, settlement: Settlement) => Promise<Verdict>;
  readonly #ended = Promise.withResolvers<void>();
  #abort: AbortController | undefined;

  constructor(
    delivery: Delivery,
    cells: ProgressCells,
    sinceMs: number,
    heartMs: number,
    settle: (held: Held, settlement: Settlement) => Promise<Verdict>,
  ) {
    this.delivery = delivery;
    this.cell = cells.take(delivery.token, delivery.id, heartMs);
    this.sinceMs = sinceMs;
    this.#settle = settle;
  }

  get task(): Task {
    return this.delivery.task;
  }

  get id(): string {
    return this.delivery.id;
  }

  get token(): number {
    return this.delivery.token;
  }

  get firstDelivery(): boolean {
    return this.delivery.deliveries === 0;
  }

  get signal(): AbortSignal {
    return (this.#abort ??= new AbortController()).signal;
  }

  get progress(): Int32Array {
    return this.cell.progress;
  }

  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  moved(): void {
    Atomics.add(this.progress, MOVES, 1);
  }

  waiting(): Disposable {
    return waitingIn(this.progress);
  }

  settle(settlement: Settlement): Promise<Verdict> {
    return this.verdict ??= this.#settle(this, settlement);
  }

  /** Settling it has no effect any more. */
  lose(reason: LeaseLostError["reason"]): void {
    this.verdict = Promise.resolve(reason === "orphaned" ? "orphaned" : "stale");
    this.#abort ??= new AbortController();
    this.#abort.abort(new LeaseLostError(this.id, reason));
  }

  end(): void {
    this.#ended.resolve();
  }
}

/** Leases in hand of one network. */
export class Leases {
  readonly #network: string;
  readonly #options: QueueOptions;
  readonly #store: LeaseStore;
  readonly #heart: Heart;
  readonly #random: Random;
  readonly #cells: ProgressCells;
  /**
   * No map: V8's remember their next table, so that one that changes with every task keeps all that was in it until the
   * whole heap is collected.
   */
  readonly #held: Held[] = [];
  readonly #inFlight = new Map<TaskClass, number>();
  readonly #endings: Waiting[] = [];
  readonly #settleHeld = (held: Held, settlement: Settlement) => this.#settle(held, settlement);
  #sending: Promise<void> | undefined;
  /** Tasks that the claims under way may bring. */
  #claiming = 0;
  #claimed: Promise<unknown> = Promise.resolve();

  constructor(network: string, options: QueueOptions, store: LeaseStore, heart: Heart, random: Random) {
    this.#network = network;
    this.#options = options;
    this.#store = store;
    this.#heart = heart;
    this.#random = random;
    this.#cells = new ProgressCells((memory) => heart.share(memory));
  }

  /** Tokens of the leases in hand. */
  get tokens(): readonly number[] {
    return this.#held.map(({ token }) => token);
  }

  /** Claims up to `free` tasks. `nextMs`: when to look again, if known. */
  async fetch(free: number): Promise<{ readonly leases: readonly Lease[]; readonly nextMs?: number }> {
    if (free <= 0) return { leases: [] };
    while (this.#claiming > 0 && this.#isTight(free)) await this.#claimed;
    this.#claiming += free;
    const claim = this.#store.fetch({ free, allow: this.#allowances(), seed: this.#seed() });
    const earlier = this.#claimed;
    this.#claimed = claim.then(() => earlier, () => earlier);
    try {
      const claimed = await claim;
      this.#tell(claimed);
      const leases = this.#hold(claimed.deliveries);
      return claimed.nextMs === undefined ? { leases } : { leases, nextMs: claimed.nextMs };
    } finally {
      this.#claiming -= free;
    }
  }

  /** Whether claims side by side could take more of a class than it may have in flight. */
  #isTight(free: number): boolean {
    return Object.values(this.#allowances()).some((room) => room > 0 && room < this.#claiming + free);
  }

  /** The backend or the heartbeat says that these leases are over. */
  lose(tokens: readonly number[], reason: LeaseLostError["reason"]): void {
    this.#lose(this.#unsettled(tokens), reason);
  }

  /** Those of the tokens that are in hand, and not on their way back. */
  #unsettled(tokens: readonly number[]): readonly Held[] {
    const wanted = new Set(tokens);
    return this.#held.filter(({ token, verdict }) => wanted.has(token) && verdict === undefined);
  }

  #lose(lost: readonly Held[], reason: LeaseLostError["reason"]): void {
    for (const held of lost) {
      held.lose(reason);
      emit({ kind: "queue_lease_lost", network: this.#network, task: held.id, reason });
      this.#release(held);
    }
    if (lost.length > 0) this.#tellInHand();
  }

  /** Leases that stood still: they go back without an attempt or a recovery used. */
  async giveUp(tokens: readonly number[]): Promise<void> {
    const stalled = this.#unsettled(tokens);
    this.#lose(stalled, "stalled");
    await Promise.all(
      stalled.map(({ delivery }) =>
        this.#store.giveBack({ delivery, done: [], rest: [delivery.task], delayMs: 0, counter: "released" })
      ),
    );
  }

  /** Sends what is settled; leases in hand are lost. */
  async close(): Promise<void> {
    while (this.#sending !== undefined) await this.#sending;
    this.lose(this.tokens, "closed");
  }

  #hold(deliveries: readonly Delivery[]): readonly Held[] {
    if (deliveries.length === 0) return [];
    const [nowMs, dateMs, heartMs] = [performance.now(), Date.now(), this.#heart.now()];
    const fresh = deliveries.map((delivery) => new Held(delivery, this.#cells, nowMs, heartMs, this.#settleHeld));
    const ids = new Set(fresh.map(({ id }) => id)); // where this process had been stopped for longer than its lease
    this.#lose(this.#held.filter(({ id, verdict }) => ids.has(id) && verdict === undefined), "taken_over");
    for (const held of fresh) {
      const { class: taskClass, firstEnqueuedMs, attempts, recoveries } = held.task;
      held.place = this.#held.push(held) - 1;
      this.#count(taskClass, 1);
      const waitSeconds = Math.max(0, dateMs - firstEnqueuedMs) / 1000;
      emit({ kind: "queue_claimed", network: this.#network, class: taskClass, waitSeconds, attempts, recoveries });
    }
    this.#tellInHand();
    return fresh;
  }

  #settle(held: Held, settlement: Settlement): Promise<Verdict> {
    const { outcome } = settlement;
    if (outcome === "done" || outcome === "orphaned") return this.#end(held, outcome);
    return this.#send(held.delivery, settlement).then((verdict) => {
      this.#tellSettled(held, outcome, verdict, performance.now());
      return verdict;
    }).finally(() => {
      this.#release(held);
      this.#tellInHand();
    });
  }

  #send(delivery: Delivery, settlement: Comeback): Promise<Verdict> {
    switch (settlement.outcome) {
      case "dead":
        return this.#bury(delivery, settlement.failure);
      case "release":
        return this.#store.giveBack({
          delivery,
          done: [],
          rest: [delivery.task],
          delayMs: settlement.delayMs,
          counter: "released",
        });
      case "split":
        return this.#split(delivery, settlement.done, settlement.rest, settlement.failure);
      case "fail":
        return this.#fail(delivery, settlement.failure);
    }
  }

  /** Once more, in halves when a range has used up its attempts: each half gets one, down to the one that fails alone. */
  #fail(delivery: Delivery, failure: Failure): Promise<Verdict> {
    const { task } = delivery;
    if (task.attempts + 1 < this.#options.maxAttempts) {
      return this.#again(delivery, [], [task], task.attempts + 1, failure, "retried");
    }
    if (task.first === task.last) return this.#bury(delivery, failure);
    const middle = Math.floor((task.first + task.last) / 2);
    const halves = [{ first: task.first, last: middle }, { first: middle + 1, last: task.last }];
    return this.#again(delivery, [], halves, this.#options.maxAttempts - 1, failure, "split");
  }

  #split(
    delivery: Delivery,
    done: readonly TransactionRange[],
    rest: readonly TransactionRange[],
    failure: Failure,
  ): Promise<Verdict> {
    const { task } = delivery;
    const whole = done.length === 0 && rest.length === 1 && rest[0]?.first === task.first &&
      rest[0]?.last === task.last;
    if (whole) return this.#fail(delivery, failure);
    const attempts = task.attempts + 1;
    // A narrower range has not failed by itself yet: it keeps at least one attempt of its own.
    return this.#again(delivery, done, rest, Math.min(attempts, this.#options.maxAttempts - 1), failure, "split");
  }

  #again(
    delivery: Delivery,
    done: readonly TransactionRange[],
    ranges: readonly TransactionRange[],
    attempts: number,
    failure: Failure,
    counter: "retried" | "split",
  ): Promise<Verdict> {
    const { task } = delivery;
    const failedNodes = failure.node === undefined || task.failedNodes.includes(failure.node)
      ? task.failedNodes
      : [...task.failedNodes, failure.node];
    const rest = ranges.map(({ first, last }) => ({ ...task, first, last, attempts, failedNodes }));
    const delayMs = backoffMs(task.attempts, this.#options, this.#random);
    return this.#store.giveBack({ delivery, done, rest, delayMs, counter });
  }

  async #bury(delivery: Delivery, failure: Failure): Promise<Verdict> {
    const verdict = await this.#store.bury(delivery, failure);
    if (verdict === "settled") this.#tellDead(delivery.task, failure);
    return verdict;
  }

  /** One message in flight; what is settled meanwhile goes with the next. */
  #end(held: Held, outcome: "done" | "orphaned"): Promise<Verdict> {
    const verdict = Promise.withResolvers<Verdict>();
    this.#endings.push({ held, delivery: held.delivery, orphaned: outcome === "orphaned", verdict });
    this.#sending ??= this.#sendEndings();
    return verdict.promise;
  }

  async #sendEndings(): Promise<void> {
    // Settlements of one turn of the event loop go together, after the claims of the lanes that they made free: the
    // backend ends these leases while the next ones are begun here.
    await setImmediate();
    while (this.#endings.length > 0) {
      const batch = this.#endings.splice(0, this.#options.ackBatch);
      let verdicts: readonly Verdict[] | undefined;
      let failure: unknown;
      try {
        verdicts = await this.#store.end(batch);
      } catch (error) {
        failure = error;
      }
      const nowMs = performance.now();
      batch.forEach(({ held, orphaned, verdict }, index) => {
        const found = verdicts?.[index];
        if (found !== undefined) {
          this.#tellSettled(held, orphaned ? "orphaned" : "done", found, nowMs);
          verdict.resolve(found);
        } else verdict.reject(failure);
        this.#release(held);
      });
      this.#tellInHand();
    }
    this.#sending = undefined;
  }

  #tellSettled(held: Held, outcome: Settlement["outcome"], verdict: Verdict, nowMs: number): void {
    const heldSeconds = (nowMs - held.sinceMs) / 1000;
    const { class: taskClass } = held.task;
    emit({ kind: "queue_settled", network: this.#network, class: taskClass, outcome, verdict, heldSeconds });
  }

  #release(held: Held): void {
    if (held.place === undefined) return;
    const last = this.#held.pop() as Held;
    if (last !== held) {
      this.#held[held.place] = last;
      last.place = held.place;
    }
    held.place = undefined;
    this.#cells.give(held.cell);
    this.#count(held.task.class, -1);
    held.end();
  }

  #count(taskClass: TaskClass, change: number): void {
    this.#inFlight.set(taskClass, (this.#inFlight.get(taskClass) ?? 0) + change);
  }

  #allowances(): Record<TaskClass, number> {
    return Object.fromEntries(
      TASK_CLASSES.map((name) => [
        name,
        Math.max(0, this.#options.inFlight[name] - (this.#inFlight.get(name) ?? 0)),
      ]),
    ) as Record<TaskClass, number>;
  }

  #seed(): number {
    return 1 + Math.floor(this.#random() * 2147483645);
  }

  #tell(claimed: Claimed): void {
    if (claimed.recovered > 0) {
      emit({ kind: "queue_recovered", network: this.#network, tasks: claimed.recovered });
    }
    if (claimed.clockWentBack) emit({ kind: "queue_clock_went_back", network: this.#network });
    for (const task of claimed.buried) this.#tellDead(task, crashFailure(task));
  }

  #tellDead(task: Task, failure: Failure): void {
    emit({
      kind: "queue_task_dead",
      network: this.#network,
      class: task.class,
      task: taskId(task),
      code: failure.code,
      message: failure.message,
    });
  }

  #tellInHand(): void {
    emit({ kind: "queue_in_hand", network: this.#network, leases: this.#held.length });
  }
}

/** Why a task over the limit of recoveries is dead. */
export function crashFailure(task: { readonly recoveries: number }): Failure {
  return { code: "crashed", message: `${task.recoveries} processes vanished while they held the task` };
}
