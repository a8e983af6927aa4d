/**
 * Nodes in virtual time for limits of concurrency: each kind shares its power among the calls in hand in its own way, the
 * caller always has work, and what counts is the work that comes back. Seeded; nothing here takes real time.
 */
import { ConcurrencyLimit } from "../src/rpc/concurrency.ts";

/** What decides how many calls run at once. */
export interface Limiter {
  readonly limit: number;
  /** A call came back. `full`: the limit was reached meanwhile. */
  completed(nowMs: number, units: number, full: boolean, latencyMs: number, inFlight: number): void;
  /** A call was refused or ran out of time. */
  overloaded(nowMs: number, startedAtMs: number, inFlight: number): void;
}

/** A kind of node. */
export interface NodeKind {
  readonly name: string;
  /** Units per second of all calls together, by their number. */
  readonly power: (calls: number, nowMs: number) => number;
  /** More calls than this are refused at once. */
  readonly slots: number;
  /** Share of calls that it refuses, whatever it has to do. */
  readonly refuses?: number;
}

/** Units of a call, the middle one of many. */
const MEDIAN_UNITS = 1_000;
const TIME_LIMIT_MS = 28_000;
/** A refused call goes elsewhere; its place stays empty this long. */
const REFUSED_MS = 100;
/** The first part of a run, in which nothing counts yet. */
const WARM_UP_SHARE = 0.1;

/** Nodes that differ in what too many calls do to them. */
export const KINDS: readonly NodeKind[] = [
  { name: "four cores", power: (calls) => 5_000 * Math.min(calls, 4), slots: Infinity },
  {
    name: "sixteen slow disks, then slower with each call",
    power: (calls) => 2_000 * Math.min(calls, 16) / (1 + Math.max(0, calls - 16) / 48),
    slots: Infinity,
  },
  {
    name: "six calls, then it swaps",
    power: (calls) => calls <= 6 ? 3_000 * calls : 18_000 * (6 / calls) ** 2,
    slots: Infinity,
  },
  { name: "eight slots, the next is refused", power: (calls) => 2_500 * Math.min(calls, 8), slots: 8 },
  {
    name: "twenty cores by night, five by day",
    power: (calls, nowMs) => 2_000 * Math.min(calls, Math.floor(nowMs / 600_000) % 2 === 0 ? 20 : 5),
    slots: Infinity,
  },
  {
    name: "sixteen cores behind a gateway that refuses one call of thirty",
    power: (calls) => 2_000 * Math.min(calls, 16),
    slots: Infinity,
    refuses: 1 / 30,
  },
];

/** Ways to find a limit. */
export const LIMITERS: Readonly<Record<string, () => Limiter>> = {
  "this pool": () => {
    const limit = new ConcurrencyLimit({ min: 1, max: 64, start: 4 });
    return {
      get limit() {
        return limit.limit;
      },
      completed: (nowMs, units, full) => limit.completed(nowMs, units, full),
      overloaded: (nowMs, startedAtMs, inFlight) => limit.refused(nowMs, startedAtMs, inFlight),
    };
  },
  "fixed 10": () => fixed(10),
  Gradient2: () => new Gradient2(),
  AIMD: () => new Aimd(),
};

/** A limit that does not move. */
export function fixed(limit: number): Limiter {
  return { limit, completed() {}, overloaded() {} };
}

/** Netflix's Gradient2: the long average of the latency against the latest one. */
class Gradient2 implements Limiter {
  #limit = 4;
  #longMs: number | undefined;

  get limit(): number {
    return Math.max(1, Math.floor(this.#limit));
  }

  completed(_nowMs: number, _units: number, _full: boolean, latencyMs: number, inFlight: number): void {
    this.#longMs = this.#longMs === undefined ? latencyMs : this.#longMs + (latencyMs - this.#longMs) * 2 / 601;
    if (this.#longMs / latencyMs > 2) this.#longMs *= 0.95;
    if (inFlight < this.#limit / 2) return;
    const gradient = Math.max(0.5, Math.min(1, 1.5 * this.#longMs / latencyMs));
    const next = this.#limit * gradient + 4;
    this.#limit = Math.min(64, Math.max(1, this.#limit * 0.8 + next * 0.2));
  }

  overloaded(): void {}
}

/** Additive increase, multiplicative decrease. */
class Aimd implements Limiter {
  #limit = 4;

  get limit(): number {
    return Math.max(1, Math.floor(this.#limit));
  }

  completed(_nowMs: number, _units: number, _full: boolean, _latencyMs: number, inFlight: number): void {
    if (inFlight * 2 >= this.#limit) this.#limit = Math.min(64, this.#limit + 1);
  }

  overloaded(): void {
    this.#limit = Math.max(1, this.#limit * 0.9);
  }
}

interface Running {
  readonly units: number;
  readonly startedMs: number;
  left: number;
}

/** Runs one limiter on one kind of node for `forMs` of virtual time. @returns units per second that came back. */
export function workDone(kind: NodeKind, limiter: Limiter, forMs: number, random: () => number): number {
  const running = new Set<Running>();
  let [nowMs, done, blockedUntilMs] = [0, 0, 0];
  while (nowMs < forMs) {
    while (running.size < limiter.limit && nowMs >= blockedUntilMs) {
      if (running.size >= kind.slots) {
        blockedUntilMs = nowMs + REFUSED_MS;
        limiter.overloaded(nowMs, nowMs, running.size + 1);
      } else if (kind.refuses !== undefined && random() < kind.refuses) {
        limiter.overloaded(nowMs, nowMs, running.size + 1);
      } else running.add(startedAt(nowMs, random));
    }
    const perMs = kind.power(running.size, nowMs) / running.size / 1_000;
    let stepMs = Infinity;
    for (const call of running) {
      stepMs = Math.min(stepMs, call.left / perMs, call.startedMs + TIME_LIMIT_MS - nowMs);
    }
    if (blockedUntilMs > nowMs) stepMs = Math.min(stepMs, blockedUntilMs - nowMs);
    nowMs += Math.max(0, stepMs);
    for (const call of running) {
      call.left -= perMs * stepMs;
      const ended = call.left <= 1e-6;
      const late = !ended && nowMs - call.startedMs >= TIME_LIMIT_MS - 1e-6;
      if (!ended && !late) continue;
      const inFlight = running.size;
      running.delete(call);
      if (late) {
        limiter.overloaded(nowMs, call.startedMs, inFlight);
        continue;
      }
      if (nowMs >= WARM_UP_SHARE * forMs) done += call.units;
      limiter.completed(nowMs, call.units, inFlight >= limiter.limit, nowMs - call.startedMs, inFlight);
    }
  }
  return done * 1_000 / (forMs * (1 - WARM_UP_SHARE));
}

/** A call of random size: a few are ten times the middle one. */
function startedAt(nowMs: number, random: () => number): Running {
  const gauss = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const units = MEDIAN_UNITS * Math.exp(gauss);
  return { units, startedMs: nowMs, left: units };
}

/** Work done under the fixed limit that suits the kind best. */
export function bestFixed(kind: NodeKind, forMs: number, random: () => () => number): number {
  return Math.max(
    ...[1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 18, 20, 24, 32, 48, 64].map((limit) =>
      workDone(kind, fixed(limit), forMs, random())
    ),
  );
}
