/**
 * Leases that wait for a node: bounded, the head first, the others by weights so that none starves. Whoever is shed is
 * the newest of the lowest priority, never a head.
 */
import { type LeaseAsk, PRIORITIES, type Priority } from "./port.ts";

const WEIGHTS: Readonly<Record<Exclude<Priority, "head">, number>> = { repair: 8, process: 4, backfill: 2, verify: 1 };

/** One that waits. */
export interface Waiter {
  readonly ask: LeaseAsk;
  readonly sinceMs: number;
}

/** The waiting leases of one network. */
export class WaitingQueue<W extends Waiter> {
  readonly #max: number;
  readonly #queues: Readonly<Record<Priority, Set<W>>> = {
    head: new Set(),
    repair: new Set(),
    process: new Set(),
    backfill: new Set(),
    verify: new Set(),
  };
  /** Service received divided by weight: the lowest is served next. */
  readonly #served: Record<Exclude<Priority, "head">, number> = { repair: 0, process: 0, backfill: 0, verify: 0 };
  #size = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#size;
  }

  count(priority: Priority): number {
    return this.#queues[priority].size;
  }

  /** Adds a waiter. @returns whom it displaced: another, or itself when no lower priority waits */
  add(waiter: W): W | undefined {
    const { priority } = waiter.ask;
    const queue = this.#queues[priority];
    if (queue.size === 0 && priority !== "head") {
      // Idle time earns nothing: it begins level with those that are waiting.
      const others = ORDINARY.filter((other) => this.#queues[other].size > 0).map((other) => this.#served[other]);
      this.#served[priority] = Math.max(this.#served[priority], others.length === 0 ? 0 : Math.min(...others));
    }
    queue.add(waiter);
    this.#size++;
    if (this.#size <= this.#max) return undefined;
    const lowest = ORDINARY.findLast((other) => this.#queues[other].size > 0);
    // Only heads wait: they are few, and each is worth more than the bound.
    if (lowest === undefined) return undefined;
    const shed = [...this.#queues[lowest]].at(-1)!;
    this.remove(shed);
    return shed;
  }

  /** @returns whether it was waiting */
  remove(waiter: W): boolean {
    const removed = this.#queues[waiter.ask.priority].delete(waiter);
    if (removed) this.#size--;
    return removed;
  }

  /** Offers waiters in the order of service; `take` says whether it took one. Ends when none is taken any more. */
  offer(take: (waiter: W) => boolean): void {
    for (const waiter of this.#queues.head) if (take(waiter)) this.remove(waiter);
    let candidates = ORDINARY.filter((priority) => this.#queues[priority].size > 0);
    while (candidates.length > 0) {
      const next = candidates.reduce((a, b) => this.#served[b] < this.#served[a] ? b : a);
      const taken = this.#first(next, take);
      if (taken === undefined) {
        candidates = candidates.filter((priority) => priority !== next);
        continue;
      }
      this.remove(taken);
      this.#served[next] += 1 / WEIGHTS[next];
      candidates = candidates.filter((priority) => this.#queues[priority].size > 0);
    }
  }

  /** Everyone that waits. */
  all(): W[] {
    return PRIORITIES.flatMap((priority) => [...this.#queues[priority]]);
  }

  #first(priority: Priority, take: (waiter: W) => boolean): W | undefined {
    for (const waiter of this.#queues[priority]) if (take(waiter)) return waiter;
    return undefined;
  }
}

const ORDINARY = PRIORITIES.filter((priority) => priority !== "head");
