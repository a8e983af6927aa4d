/**
 * The doorway between lanes and the queues of several networks. A lane asks for one lease; a claim is one message for
 * many lanes that wait, never for more than those, and goes in turn over the networks, so that a busy network cannot
 * starve another and an idle one costs nothing. Where many lanes wait a second claim is under way while the lanes begin
 * with what the first has brought.
 */
import { setImmediate } from "node:timers/promises";
import { pause } from "../../flow/pause.ts";
import type { Lease, WorkQueue } from "./port.ts";

/** Most claims under way; each speaks for its part of the lanes. */
const CLAIMS = 2;
/** Most tasks of one claim where few lanes are, and where many are: what a claim costs is shared by its tasks. */
const MOST_PER_CLAIM = { few: 64, many: 128 } as const;
/** How often a network that had no capacity is looked at again. */
const CAPACITY_POLL_MS = 250;
/** Reason of signals that only wake. */
const ROUSED = "roused";

/** How many more tasks of a network can be run now; 0 while no node can serve it. */
export type Capacity = (network: string) => number;

interface LaneWaiting {
  readonly drain: AbortSignal;
  readonly resolve: (lease: Lease | undefined) => void;
  readonly reject: (error: unknown) => void;
}

/** Hands leases to lanes. */
export class Claims {
  readonly #queues: readonly WorkQueue[];
  readonly #capacity: Capacity;
  readonly #aloneAfterRecoveries: number;
  readonly #waiting: LaneWaiting[] = [];
  /** Leases that run. */
  #running = 0;
  /** One of them is to run alone. */
  #runsAlone = false;
  /** Leases that wait until they can run alone, and do not stand still by it. */
  readonly #alone: { readonly lease: Lease; readonly waiting: Disposable }[] = [];
  readonly #drains = new WeakSet<AbortSignal>();
  #pumps = 0;
  /** Most lanes that have waited at a time. */
  #lanes = 0;
  /** Lanes that the claims under way speak for. */
  #asked = 0;
  #wake = new AbortController();
  #turn = 0;

  /**
   * @param capacity Asked before every claim; what it returns bounds the claim.
   * @param aloneAfterRecoveries A task that was in this many crashes runs while nothing else does: of those that crash
   *   together one is to blame, and the others are not to be buried with it.
   */
  constructor(queues: readonly WorkQueue[], capacity: Capacity, aloneAfterRecoveries: number) {
    this.#queues = queues;
    this.#capacity = capacity;
    this.#aloneAfterRecoveries = aloneAfterRecoveries;
  }

  /**
   * The next lease for a free lane; waits for one. `undefined` when `drain` aborts.
   *
   * A lane asks again when it is free for more work, which may be before its last lease has ended.
   *
   * @throws what the queue throws: the process cannot go on.
   */
  next(drain: AbortSignal): Promise<Lease | undefined> {
    if (drain.aborted) return Promise.resolve(undefined);
    if (!this.#drains.has(drain)) { // one listener for every turn of every lane
      this.#drains.add(drain);
      drain.addEventListener("abort", () => this.#leave(drain), { once: true });
    }
    const { promise, resolve, reject } = Promise.withResolvers<Lease | undefined>();
    this.#lanes = Math.max(this.#lanes, this.#waiting.push({ drain, resolve, reject }));
    this.#rouse();
    if (this.#pumps === 0 || this.#pumps < CLAIMS && this.#free >= this.#most) void this.#run();
    return promise;
  }

  /** Lanes that wait and that no claim under way speaks for. */
  get #free(): number {
    return this.#waiting.length - this.#asked;
  }

  /** Most tasks of one claim. */
  get #most(): number {
    return Math.min(Math.max(MOST_PER_CLAIM.few, Math.ceil(this.#lanes / CLAIMS)), MOST_PER_CLAIM.many);
  }

  /** A lane whose lease is on the way does not wait here any more. */
  #leave(drain: AbortSignal): void {
    const leaving = this.#waiting.filter((lane) => lane.drain === drain);
    const staying = this.#waiting.filter((lane) => lane.drain !== drain);
    this.#waiting.splice(0, this.#waiting.length, ...staying);
    if (leaving.length > 0) this.#rouse();
    for (const lane of leaving) lane.resolve(undefined);
    this.#giveBackAlone();
  }

  /** A lease that waits to run alone has a lane that waits with it, or the lanes have drained. */
  #giveBackAlone(): void {
    if (this.#waiting.length > 0) return;
    for (const { lease, waiting } of this.#alone.splice(0)) {
      waiting[Symbol.dispose]();
      giveBack(lease);
    }
  }

  async #run(): Promise<void> {
    this.#pumps++;
    try {
      while (true) {
        if (this.#free < this.#most) await setImmediate(); // lanes that are free in one turn of the event loop claim together
        if (this.#free < (this.#pumps === 1 ? 1 : this.#most)) return;
        this.#wake = new AbortController();
        if (await this.#serve()) continue;
        if (this.#pumps > 1 || this.#free < 1) return; // the other one goes on
        await this.#idle(this.#wake.signal);
      }
    } catch (error) {
      for (const lane of this.#waiting.splice(0)) lane.reject(error);
    } finally {
      this.#pumps--;
      this.#giveBackAlone(); // what came after a drain
    }
  }

  /** One round over the networks. @returns whether a lane got a lease. */
  async #serve(): Promise<boolean> {
    const turn = this.#turn;
    this.#turn = (turn + 1) % Math.max(1, this.#queues.length);
    let served = this.#startAlone();
    for (let step = 0; step < this.#queues.length; step++) {
      if (this.#alone.length > 0 || this.#runsAlone) break;
      const queue = this.#queues[(turn + step) % this.#queues.length] as WorkQueue;
      const left = this.#queues.length - step;
      const share = Math.min(Math.ceil(this.#free / left), this.#most, this.#capacity(queue.network));
      if (share <= 0) continue;
      for (const lease of await this.#claim(queue, share)) {
        if (this.#mustRunAlone(lease)) this.#alone.push({ lease, waiting: lease.waiting() });
        else this.#give(lease);
        served = true;
      }
    }
    return this.#startAlone() || served;
  }

  async #claim(queue: WorkQueue, share: number): Promise<readonly Lease[]> {
    this.#asked += share;
    try {
      return await queue.fetch(share);
    } finally {
      this.#asked -= share;
    }
  }

  /** Ends the wait for work. An abort without a reason would make an exception with its stack, for every lease. */
  #rouse(): void {
    if (!this.#wake.signal.aborted) this.#wake.abort(ROUSED);
  }

  #startAlone(): boolean {
    if (this.#running > 0 || this.#asked > 0 || this.#waiting.length === 0) return false;
    const next = this.#alone.shift();
    if (next === undefined) return false;
    next.waiting[Symbol.dispose]();
    this.#give(next.lease);
    return true;
  }

  #mustRunAlone({ task }: Lease): boolean {
    return task.recoveries >= this.#aloneAfterRecoveries;
  }

  #give(lease: Lease): void {
    const lane = this.#waiting.shift();
    if (lane === undefined) { // its lane drained while the claim was on its way
      giveBack(lease);
      return;
    }
    this.#running++;
    this.#runsAlone = this.#mustRunAlone(lease);
    void lease.ended.then(() => {
      this.#running--;
      this.#runsAlone = false;
      this.#rouse(); // a lane, a class or the right to run alone may be free now
    });
    lane.resolve(lease);
  }

  /** Until work may be there for a network that has capacity, or something here changed. */
  async #idle(wake: AbortSignal): Promise<void> {
    if (this.#alone.length > 0 || this.#runsAlone) {
      await aborted(wake);
      return;
    }
    const over = new AbortController();
    const end = AbortSignal.any([wake, over.signal]);
    const open = this.#queues.filter(({ network }) => this.#capacity(network) > 0);
    const waits = open.map((queue) => queue.idle(end));
    if (open.length < this.#queues.length) waits.push(pause(CAPACITY_POLL_MS, end));
    try {
      await Promise.race(waits);
    } finally {
      over.abort(ROUSED);
    }
  }
}

/** Where the queue does not take it, the lease runs out. */
function giveBack(lease: Lease): void {
  lease.settle({ outcome: "release", delayMs: 0 }).catch(() => {});
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  const { promise, resolve } = Promise.withResolvers<void>();
  signal.addEventListener("abort", () => resolve(), { once: true });
  return promise;
}
