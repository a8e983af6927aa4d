/**
 * The queue inside one process (`queue.url: memory:`), for a laptop and for tests. It keeps the whole contract,
 * several consumers and expiring leases included: {@linkcode MemoryNetwork} does in plain maps what the scripts of
 * `redis_streams.ts` do in Redis, rule by rule, and a property test compares the two.
 */
import { emit } from "../../telemetry/emit.ts";
import type { Clock } from "./clock.ts";
import { drawing } from "./draw.ts";
import {
  type Claim,
  type Claimed,
  crashFailure,
  type Delivery,
  type Ending,
  type Heart,
  Leases,
  type LeaseStore,
  type Return,
} from "./leases.ts";
import {
  type BlockPlan,
  type BlockRef,
  type BlockState,
  type ClassStats,
  type Completion,
  type DeadLetter,
  type EnqueueReceipt,
  type Failure,
  type LeaderRequest,
  type Lease,
  type Mode,
  modeOf,
  NotLeaderError,
  type Office,
  type PendingRequest,
  type QueueOptions,
  type QueueStats,
  type Random,
  type Task,
  TASK_CLASSES,
  type TaskClass,
  taskId,
  type TaskKind,
  type TransactionRange,
  type Verdict,
  type WorkQueue,
  type WorkQueues,
} from "./port.ts";
import { totalError } from "./plan_error.ts";
import { type Beating, Pulse } from "./pulse.ts";

const REQUEST_KEY_MS = 24 * 3600 * 1000;
const MAX_ROUNDS = 20;
const MAX_DUE = 100;

interface Entry {
  readonly task: Task;
  /** Deliveries under earlier entries. */
  readonly deliveries: number;
}

interface Pending extends Entry {
  readonly consumer: string;
  deliveredAtMs: number;
  times: number;
}

interface Stream {
  readonly waiting: Map<number, Entry & { readonly sinceMs: number }>;
  readonly pending: Map<number, Pending>;
}

type Place =
  | { readonly at: "stream"; readonly class: TaskClass; readonly entry: number }
  | { readonly at: "delayed"; readonly token: number }
  | { readonly at: "dead"; readonly letter: string; readonly token: number };

interface Block {
  /** Absent: only bits are known. */
  state: BlockState | undefined;
  total: number;
  class: TaskClass;
  verifyDelayMs: number | undefined;
  readonly done: Set<number>;
  readonly dead: Set<number>;
  readonly ref: BlockRef & { readonly kind: TaskKind };
  openIn: keyof QueueStats["open"];
}

/** What was stuck comes back by hand: it must not close the window for the head either. */
function reopen(block: Block): void {
  block.state = "open";
  block.openIn = "repair";
}

interface Telling {
  readonly completion: Completion;
  toldAtMs: number | undefined;
}

type Refusal = "not_leader" | "total";

/** The state of one network: what Redis would hold. Every method is one atomic step. */
export class MemoryNetwork {
  readonly #network: string;
  readonly #clock: Clock;
  readonly #options: QueueOptions;
  readonly #streams = new Map<TaskClass, Stream>(
    TASK_CLASSES.map((name) => [name, { waiting: new Map(), pending: new Map() }]),
  );
  readonly #places = new Map<string, Place>();
  readonly #tokens = new Map<string, number>();
  readonly #delayed = new Map<string, Entry & { readonly readyMs: number; readonly order: number }>();
  readonly #blocks = new Map<string, Block>();
  readonly #expiring = new Map<string, number>();
  readonly #letters = new Map<string, DeadLetter & { readonly deliveries: number }>();
  readonly #tellings = new Map<string, Telling>();
  readonly #requests = new Map<string, PendingRequest>();
  readonly #requestKeys = new Map<string, number>();
  readonly #leaders = new Map<Mode, { readonly office: Office; untilMs: number }>();
  readonly #fences = new Map<Mode, number>();
  readonly #paused = new Set<TaskClass>();
  readonly #counters = new Map<string, number>();
  #bucket: { readonly perSecond: number; level: number; atMs: number } | undefined;
  #lastToken: number;
  #lastEntry = 0;
  #reclaimedMs = -Infinity;
  #rung = false;
  readonly #idle = new Set<() => void>();
  readonly #listening = new Set<() => void>();

  /** @param firstToken Largest delivery token that was ever given: the largest `row_version` of the records. */
  constructor(network: string, options: QueueOptions, clock: Clock, firstToken: number) {
    this.#network = network;
    this.#options = options;
    this.#clock = clock;
    this.#lastToken = firstToken;
  }

  enqueue(plan: BlockPlan, office: Office): EnqueueReceipt | Refusal {
    this.#expire();
    if (!this.#leads(office)) return "not_leader";
    const reprocess = isReprocess(plan.class);
    const block = this.#block(plan, plan.class);
    // The fork came back; verified anew.
    const anew = block.state === "orphaned" || plan.kind === "verify" && block.state === "complete";
    if (block.state !== undefined && !anew && block.total !== plan.total) return "total";
    if (anew) {
      block.done.clear();
      block.dead.clear();
    }
    if (block.state === undefined || anew) {
      block.state = "open";
      block.total = plan.total;
      block.class = plan.class;
      // Repair passes a closed window, and must not close it for the head.
      block.openIn = reprocess ? "repair" : office.mode;
      block.verifyDelayMs = plan.verifyDelayMs;
      this.#expiring.delete(blockKey(block.ref));
    }
    const receipt = { enqueued: 0, duplicate: 0, done: 0, dead: 0 };
    if (block.state === "complete" && !reprocess) {
      this.#tell(block, "complete");
      return { state: "complete", ...receipt, done: plan.ranges.length };
    }
    for (const range of plan.ranges) {
      receipt[this.#offer(block, plan, range, reprocess)]++;
    }
    if (reprocess && block.state === "stuck" && receipt.enqueued > 0) reopen(block);
    if (reprocess && block.state === "complete" && receipt.enqueued > 0) this.#planVerify(block);
    if (receipt.enqueued > 0) this.#ring();
    this.#judge(block);
    return { state: block.state, ...receipt };
  }

  orphan(ref: BlockRef, office: Office): number | Refusal {
    if (!this.#leads(office)) return "not_leader";
    for (const kind of ["trace", "simple", "verify"] as const) {
      const block = this.#block({ ...ref, kind }, `process_${office.mode}`);
      block.state = "orphaned";
      this.#remember(block);
    }
    let dropped = 0;
    for (const [id, place] of [...this.#places]) {
      const [, number, hash] = id.split(":");
      if (Number(number) !== ref.blockNumber || hash !== ref.blockHash.slice(2, 10)) continue;
      if (place.at === "stream") this.#remove(place.class, place.entry);
      if (place.at === "delayed") this.#delayed.delete(id);
      if (place.at === "dead") this.#letters.delete(place.letter);
      this.#places.delete(id);
      this.#tokens.delete(id);
      dropped++;
    }
    return dropped;
  }

  fetch(consumer: string, claim: Claim): Claimed {
    this.#expire();
    const now = this.#clock.now();
    this.#wakeDelayed(now);
    let left = Math.min(claim.free, this.#allowance(now));
    const rateBound = left < claim.free;
    const found: Delivery[] = [];
    const buried: Task[] = [];
    const allow = { ...claim.allow };
    let recovered = 0;
    if (left > 0 && now - this.#reclaimedMs >= this.#options.reclaimMs) {
      let exhausted = false;
      for (const name of TASK_CLASSES) {
        if (this.#paused.has(name)) continue;
        for (const [entry, pending] of this.#expired(name, now)) {
          const recoveries = pending.task.recoveries + pending.times;
          if (recoveries > this.#options.maxRecoveries) {
            const task = { ...pending.task, recoveries };
            this.#take(name, entry, taskId(task));
            this.#count("recovered", 1);
            if (this.#block(task, name).state !== "orphaned") {
              this.#inter({ task, deliveries: pending.deliveries + pending.times }, crashFailure(task), 0);
              buried.push(task);
            }
            continue;
          }
          if (left === 0 || allow[name] === 0) {
            exhausted = true;
            break;
          }
          const stream = this.#stream(name);
          stream.pending.set(entry, { ...pending, consumer, deliveredAtMs: now, times: pending.times + 1 });
          const delivery = this.#deliver(name, entry, now);
          if (delivery === undefined) continue;
          found.push(delivery);
          recovered++;
          left--;
          allow[name]--;
          this.#count("recovered", 1);
        }
      }
      if (!exhausted) this.#reclaimedMs = now;
    }
    const draw = drawing(claim.seed);
    let open = TASK_CLASSES.filter((name) => !this.#paused.has(name) && allow[name] > 0 && this.#length(name) > 0);
    let rounds = 0;
    while (left > 0 && open.length > 0 && rounds < MAX_ROUNDS) {
      const quotas = this.#quotas(open, left, rounds === 0, draw);
      rounds++;
      for (const [index, name] of [...open].entries()) {
        const want = Math.min(quotas[index] as number, allow[name], left);
        if (want === 0) continue;
        const entries = [...this.#stream(name).waiting.keys()].slice(0, want);
        for (const entry of entries) {
          const stream = this.#stream(name);
          const { task, deliveries } = stream.waiting.get(entry) as Entry;
          stream.waiting.delete(entry);
          stream.pending.set(entry, { task, deliveries, consumer, deliveredAtMs: now, times: 1 });
          const delivery = this.#deliver(name, entry, now);
          if (delivery === undefined) continue;
          found.push(delivery);
          left--;
          allow[name]--;
        }
        if (entries.length < want || allow[name] === 0) open = open.filter((other) => other !== name);
      }
    }
    if (this.#bucket !== undefined) this.#bucket.level -= found.length;
    if (left === 0) this.#ring(); // there may be more, for another
    const nextMs = left > 0 && open.length > 0 ? 0 : this.#nextMs(now, rateBound);
    return {
      deliveries: found,
      recovered,
      buried,
      clockWentBack: false,
      ...(nextMs === undefined ? {} : { nextMs }),
    };
  }

  end(endings: readonly Ending[]): readonly Verdict[] {
    return endings.map(({ delivery, orphaned }) => {
      const { task } = delivery;
      const block = this.#block(task, task.class);
      if (!this.#takeBy(delivery)) {
        if (block.state === "orphaned") return "orphaned";
        const free = !this.#tokens.has(taskId(task));
        return free && !orphaned && indices(task).every((index) => block.done.has(index)) ? "settled" : this.#stale();
      }
      if (orphaned || block.state === "orphaned") {
        this.#count("orphaned", 1);
        return "orphaned";
      }
      this.#markDone(block, task);
      return "settled";
    });
  }

  giveBack({ delivery, done, rest, delayMs, counter }: Return): Verdict {
    const block = this.#block(delivery.task, delivery.task.class);
    if (!this.#takeBy(delivery)) {
      if (block.state === "orphaned") return "orphaned";
      const place = rest[0] && this.#places.get(taskId(rest[0]));
      return place?.at === "delayed" && place.token === delivery.token ? "settled" : this.#stale();
    }
    if (block.state === "orphaned") {
      this.#count("orphaned", 1);
      return "orphaned";
    }
    this.#count(counter, 1);
    for (const range of done) this.#markDone(block, range);
    for (const task of rest) {
      if (this.#places.has(taskId(task))) continue;
      this.#delay({ task, deliveries: delivery.deliveries + 1 }, this.#clock.now() + delayMs, delivery.token);
    }
    return "settled";
  }

  bury(delivery: Delivery, failure: Failure): Verdict {
    const { task } = delivery;
    const block = this.#block(task, task.class);
    if (!this.#takeBy(delivery)) {
      if (block.state === "orphaned") return "orphaned";
      const place = this.#places.get(taskId(task));
      return place?.at === "dead" && place.token === delivery.token ? "settled" : this.#stale();
    }
    if (block.state === "orphaned") {
      this.#count("orphaned", 1);
      return "orphaned";
    }
    this.#inter({ task, deliveries: delivery.deliveries + 1 }, failure, delivery.token);
    return "settled";
  }

  /** Renews those still owned. @returns tokens of the others. */
  renew(leases: readonly Beating[]): readonly number[] {
    return leases.flatMap(({ token, id }) => {
      const place = this.#places.get(id);
      const pending = place?.at === "stream" ? this.#stream(place.class).pending.get(place.entry) : undefined;
      if (pending === undefined || this.#tokens.get(id) !== token) return [token];
      pending.deliveredAtMs = this.#clock.now();
      return [];
    });
  }

  completions(max: number): readonly Completion[] {
    const now = this.#clock.now();
    const due = [...this.#tellings.values()].filter(({ toldAtMs }) =>
      toldAtMs === undefined || now - toldAtMs >= this.#options.leaseMs
    ).slice(0, max);
    for (const telling of due) telling.toldAtMs = now;
    return due.map(({ completion }) => completion);
  }

  confirm(ids: readonly string[]): void {
    for (const id of ids) this.#tellings.delete(id);
  }

  request({ key, mode, body }: LeaderRequest): boolean {
    const now = this.#clock.now();
    for (const [known, untilMs] of this.#requestKeys) {
      if (untilMs > now) break;
      this.#requestKeys.delete(known);
    }
    if (this.#requestKeys.has(key)) return false;
    this.#requestKeys.set(key, now + REQUEST_KEY_MS);
    const id = this.#nextId(now);
    this.#requests.set(id, { id, key, body, requestedMs: Math.floor(now), ...(mode === undefined ? {} : { mode }) });
    return true;
  }

  requests(office: Office, max: number): readonly PendingRequest[] | Refusal {
    if (!this.#leads(office)) return "not_leader";
    const unaddressed = office.mode === "forwards" || this.#leader("forwards") === undefined;
    return [...this.#requests.values()]
      .filter(({ mode }) => mode === office.mode || (mode === undefined && unaddressed)).slice(0, max);
  }

  answered(office: Office, requests: readonly PendingRequest[]): void | Refusal {
    if (!this.#leads(office)) return "not_leader";
    for (const { id } of requests) this.#requests.delete(id);
  }

  stats(): QueueStats {
    const now = this.#clock.now();
    const blocks = [...this.#blocks.values()].filter(({ ref }) => ref.kind !== "verify");
    // A block of several kinds of work is one block.
    const openBlocks = (mode: Block["openIn"]) =>
      new Set(
        blocks.filter(({ state, openIn }) => state === "open" && openIn === mode).map(({ ref }) => ref.blockNumber),
      )
        .size;
    return {
      classes: Object.fromEntries(TASK_CLASSES.map((name): [TaskClass, ClassStats] => {
        const { waiting, pending } = this.#stream(name);
        const oldest = waiting.values().next().value;
        return [name, {
          waiting: waiting.size,
          inFlight: pending.size,
          oldestWaitMs: oldest === undefined ? 0 : Math.max(0, Math.floor(now - oldest.sinceMs)),
          paused: this.#paused.has(name),
        }];
      })) as Record<TaskClass, ClassStats>,
      delayed: this.#delayed.size,
      dead: this.#letters.size,
      open: {
        forwards: openBlocks("forwards"),
        backwards: openBlocks("backwards"),
        repair: openBlocks("repair"),
      },
      stuck: blocks.filter(({ state }) => state === "stuck").length,
      completions: this.#tellings.size,
      requests: this.#requests.size,
      counters: Object.fromEntries(this.#counters),
      ...(this.#bucket === undefined ? {} : { limitPerSecond: this.#bucket.perSecond }),
    };
  }

  deadLetters(max: number, after: string | undefined): readonly DeadLetter[] {
    const letters = [...this.#letters.values()];
    const from = after === undefined ? 0 : letters.findIndex(({ id }) => compareIds(id, after) > 0);
    return from === -1 ? [] : letters.slice(from, from + max).map(publicLetter);
  }

  deadLetter(id: string): DeadLetter | undefined {
    const letter = this.#letters.get(id);
    return letter === undefined ? undefined : publicLetter(letter);
  }

  replay(ids: readonly string[]): number {
    let replayed = 0;
    for (const id of ids) {
      const letter = this.#letters.get(id);
      if (letter === undefined) continue;
      this.#letters.delete(id);
      const task = { ...letter.task, attempts: 0, recoveries: 0, failedNodes: [] };
      this.#places.delete(taskId(task));
      const block = this.#block(task, task.class);
      if (block.state === "orphaned") continue;
      const revived = indices(task).filter((index) => block.dead.delete(index));
      if (block.state === "stuck" && revived.length > 0) reopen(block);
      this.#add(task.class, { task, deliveries: letter.deliveries });
      replayed++;
    }
    if (replayed > 0) this.#ring();
    return replayed;
  }

  drop(ids: readonly string[]): number {
    let dropped = 0;
    for (const id of ids) {
      const letter = this.#letters.get(id);
      if (letter === undefined) continue;
      this.#letters.delete(id);
      this.#places.delete(taskId(letter.task));
      dropped++;
    }
    return dropped;
  }

  pause(classes: readonly TaskClass[]): void {
    for (const name of classes) this.#paused.add(name);
  }

  resume(classes: readonly TaskClass[]): void {
    for (const name of classes) this.#paused.delete(name);
    this.#ring();
  }

  limit(perSecond: number | undefined): void {
    this.#bucket = perSecond === undefined
      ? undefined
      : { perSecond, level: Math.max(1, perSecond), atMs: this.#clock.now() };
    this.#ring();
  }

  lead(mode: Mode, holder: string): Office | undefined {
    const leader = this.#leader(mode);
    const untilMs = this.#clock.now() + this.#options.leaderTtlMs;
    if (leader !== undefined) {
      if (leader.office.holder !== holder) return undefined;
      leader.untilMs = untilMs;
      return leader.office;
    }
    const token = Math.max((this.#fences.get(mode) ?? 0) + 1, Math.floor(this.#clock.now()));
    this.#fences.set(mode, token);
    const office = { mode, holder, token };
    this.#leaders.set(mode, { office, untilMs });
    return office;
  }

  renewOffice(office: Office): boolean {
    if (!this.#leads(office)) return false;
    this.#leaders.set(office.mode, { office, untilMs: this.#clock.now() + this.#options.leaderTtlMs });
    return true;
  }

  resign(office: Office): void {
    if (this.#leads(office)) this.#leaders.delete(office.mode);
  }

  /** Resolves when the bell rings, after `ms`, or when `signal` aborts. One ring wakes one. */
  idle(ms: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve();
    if (this.#rung) {
      this.#rung = false;
      return Promise.resolve();
    }
    return this.#waitIn(this.#idle, ms, signal);
  }

  /** Resolves when a completion is told, after `ms`, or when `signal` aborts. */
  listen(ms: number, signal: AbortSignal): Promise<void> {
    return signal.aborted ? Promise.resolve() : this.#waitIn(this.#listening, ms, signal);
  }

  #waitIn(waiters: Set<() => void>, ms: number, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const wake = () => {
      waiters.delete(wake);
      timer[Symbol.dispose]();
      signal.removeEventListener("abort", wake);
      resolve();
    };
    const timer = this.#clock.after(ms, wake);
    waiters.add(wake);
    signal.addEventListener("abort", wake);
    return promise;
  }

  #ring(): void {
    const [first] = this.#idle;
    if (first === undefined) this.#rung = true;
    else first();
  }

  #offer(
    block: Block,
    plan: BlockPlan,
    range: TransactionRange,
    reprocess: boolean,
  ): "enqueued" | "duplicate" | "done" | "dead" {
    const all = indices(range);
    if (!reprocess && all.every((index) => block.done.has(index))) return "done";
    const task: Task = {
      kind: plan.kind,
      network: this.#network,
      blockNumber: plan.blockNumber,
      blockHash: plan.blockHash,
      first: range.first,
      last: range.last,
      class: plan.class,
      attempts: 0,
      recoveries: 0,
      failedNodes: [],
      firstEnqueuedMs: Math.floor(this.#clock.now()),
    };
    const id = taskId(task);
    const place = this.#places.get(id);
    if (place !== undefined && place.at !== "dead") return "duplicate";
    if (!reprocess && all.every((index) => block.done.has(index) || block.dead.has(index))) return "dead";
    if (place !== undefined) {
      if (!reprocess) return "dead";
      this.#letters.delete(place.letter);
    }
    if (reprocess) { for (const index of all) block.dead.delete(index); }
    this.#add(plan.class, { task, deliveries: place === undefined ? 0 : 1 });
    return "enqueued";
  }

  #add(name: TaskClass, entry: Entry): void {
    const number = ++this.#lastEntry;
    this.#stream(name).waiting.set(number, { ...entry, sinceMs: this.#clock.now() });
    this.#places.set(taskId(entry.task), { at: "stream", class: name, entry: number });
  }

  #delay(entry: Entry, readyMs: number, token: number): void {
    const id = taskId(entry.task);
    const earliest = this.#earliest()?.readyMs ?? Infinity;
    this.#delayed.set(id, { ...entry, readyMs, order: ++this.#lastEntry });
    this.#places.set(id, { at: "delayed", token });
    if (readyMs < earliest) this.#ring();
  }

  #earliest(): { readonly readyMs: number } | undefined {
    let earliest: { readonly readyMs: number } | undefined;
    for (const entry of this.#delayed.values()) {
      if (earliest === undefined || entry.readyMs < earliest.readyMs) earliest = entry;
    }
    return earliest;
  }

  #wakeDelayed(now: number): void {
    const due = [...this.#delayed.entries()].filter(([, { readyMs }]) => readyMs <= now)
      .sort(([a, { readyMs: first }], [b, { readyMs: second }]) => first - second || (a < b ? -1 : 1));
    for (const [id, { task, deliveries }] of due.slice(0, MAX_DUE)) {
      this.#delayed.delete(id);
      this.#add(task.class, { task, deliveries });
    }
  }

  #expired(name: TaskClass, now: number): [number, Pending][] {
    return [...this.#stream(name).pending.entries()]
      .filter(([, { deliveredAtMs }]) => now - deliveredAtMs >= this.#options.leaseMs)
      .sort(([a], [b]) => a - b);
  }

  /** A token for a pending entry, or its end when there is nothing left to do. */
  #deliver(name: TaskClass, entry: number, now: number): Delivery | undefined {
    const pending = this.#stream(name).pending.get(entry) as Pending;
    const { task } = pending;
    const id = taskId(task);
    const block = this.#block(task, task.class);
    const finished = isProcess(name) && indices(task).every((index) => block.done.has(index));
    if (block.state === "orphaned" || finished) {
      this.#take(name, entry, id);
      this.#count(block.state === "orphaned" ? "orphaned" : "skipped", 1);
      return undefined;
    }
    this.#lastToken = Math.max(this.#lastToken + 1, Math.floor(now * 1000));
    this.#tokens.set(id, this.#lastToken);
    return {
      task: { ...task, recoveries: task.recoveries + pending.times - 1 },
      id,
      token: this.#lastToken,
      deliveries: pending.deliveries + pending.times - 1,
    };
  }

  #quotas(open: readonly TaskClass[], left: number, first: boolean, draw: () => number): number[] {
    const weights = open.map((name) => this.#options.weights[name]);
    const sum = weights.reduce((a, b) => a + b, 0);
    const quotas = weights.map((weight) => first ? Math.floor(left * weight / sum) : 0);
    for (let rest = left - quotas.reduce((a, b) => a + b, 0); rest > 0; rest--) {
      let mark = draw() * sum;
      let index = 0;
      while (index < open.length - 1 && mark >= (weights[index] as number)) {
        mark -= weights[index] as number;
        index++;
      }
      quotas[index] = (quotas[index] as number) + 1;
    }
    return quotas;
  }

  /** Claims that the rate allows now. */
  #allowance(now: number): number {
    const bucket = this.#bucket;
    if (bucket === undefined) return Infinity;
    const capacity = Math.max(1, bucket.perSecond);
    bucket.level = Math.min(capacity, bucket.level + Math.max(0, now - bucket.atMs) * bucket.perSecond / 1000);
    bucket.atMs = now;
    return Math.floor(bucket.level);
  }

  #nextMs(now: number, rateBound: boolean): number | undefined {
    const delayed = this.#earliest();
    const times = delayed === undefined ? [] : [Math.max(0, delayed.readyMs - now)];
    if (rateBound && this.#bucket !== undefined) {
      times.push(Math.ceil(Math.max(0, 1 - this.#bucket.level) * 1000 / this.#bucket.perSecond));
    }
    return times.length === 0 ? undefined : Math.min(...times);
  }

  #takeBy(delivery: Delivery): boolean {
    const { id } = delivery;
    const place = this.#places.get(id);
    if (place?.at !== "stream" || this.#tokens.get(id) !== delivery.token) return false;
    return this.#take(place.class, place.entry, id);
  }

  #take(name: TaskClass, entry: number, id: string): boolean {
    if (!this.#stream(name).pending.delete(entry)) return false;
    this.#tokens.delete(id);
    this.#places.delete(id);
    return true;
  }

  #remove(name: TaskClass, entry: number): void {
    this.#stream(name).waiting.delete(entry);
    this.#stream(name).pending.delete(entry);
  }

  #inter(entry: Entry, failure: Failure, token: number): void {
    const now = this.#clock.now();
    const letter = this.#nextId(now);
    const block = this.#block(entry.task, entry.task.class);
    this.#letters.set(letter, {
      id: letter,
      task: entry.task,
      failure: { code: failure.code, message: failure.message },
      diedMs: Math.floor(now),
      deliveries: entry.deliveries,
    });
    this.#places.set(taskId(entry.task), { at: "dead", letter, token });
    this.#count("dead", 1);
    for (const index of indices(entry.task)) if (!block.done.has(index)) block.dead.add(index);
    this.#judge(block);
  }

  #markDone(block: Block, range: TransactionRange): void {
    for (const index of indices(range)) {
      block.done.add(index);
      block.dead.delete(index);
    }
    if (block.state === undefined) this.#remember(block);
    this.#judge(block);
  }

  /** Complete or stuck, told once each time it becomes so. */
  #judge(block: Block): void {
    if (block.state !== "open" && block.state !== "stuck") return;
    if (block.done.size >= block.total) {
      block.state = "complete";
      this.#remember(block);
      this.#tell(block, "complete");
      this.#planVerify(block);
    } else if (block.state === "open" && block.done.size + block.dead.size >= block.total) {
      block.state = "stuck";
      this.#tell(block, "stuck");
      this.#planVerify(block);
    }
  }

  #tell(block: Block, state: "complete" | "stuck"): void {
    const id = this.#nextId(this.#clock.now());
    const { blockNumber, blockHash, kind } = block.ref;
    this.#tellings.set(id, {
      completion: { id, kind, class: block.class, blockNumber, blockHash, total: block.total, state },
      toldAtMs: undefined,
    });
    for (const wake of [...this.#listening]) wake();
  }

  #planVerify(block: Block): void {
    if (block.verifyDelayMs === undefined || block.total === 0 || block.ref.kind === "verify") return;
    const taskClass = `verify_${modeOf(block.class)}` as const;
    const task: Task = {
      ...block.ref,
      kind: "verify",
      network: this.#network,
      first: 0,
      last: block.total - 1,
      class: taskClass,
      attempts: 0,
      recoveries: 0,
      failedNodes: [],
      firstEnqueuedMs: Math.floor(this.#clock.now()),
    };
    if (this.#places.has(taskId(task))) return;
    this.#blocks.delete(blockKey(task));
    const verify = this.#block(task, taskClass);
    verify.state = "open";
    verify.total = block.total;
    this.#expiring.delete(blockKey(task));
    this.#delay({ task, deliveries: 0 }, this.#clock.now() + block.verifyDelayMs, 0);
  }

  #block(ref: BlockRef & { readonly kind: TaskKind }, taskClass: TaskClass): Block {
    const key = blockKey(ref);
    const known = this.#blocks.get(key);
    if (known !== undefined) return known;
    const block: Block = {
      state: undefined,
      total: 0,
      class: taskClass,
      verifyDelayMs: undefined,
      done: new Set(),
      dead: new Set(),
      ref: { kind: ref.kind, blockNumber: ref.blockNumber, blockHash: ref.blockHash },
      openIn: modeOf(taskClass),
    };
    this.#blocks.set(key, block);
    return block;
  }

  #remember(block: Block): void {
    const key = blockKey(block.ref);
    this.#expiring.delete(key);
    this.#expiring.set(key, this.#clock.now() + this.#options.keepCompleteMs);
  }

  #expire(): void {
    const now = this.#clock.now();
    for (const [key, untilMs] of this.#expiring) {
      if (untilMs > now) return;
      this.#expiring.delete(key);
      this.#blocks.delete(key);
    }
  }

  #leads(office: Office): boolean {
    const leader = this.#leader(office.mode);
    return leader !== undefined && leader.office.token === office.token && leader.office.holder === office.holder;
  }

  #leader(mode: Mode): { readonly office: Office; untilMs: number } | undefined {
    const leader = this.#leaders.get(mode);
    return leader !== undefined && leader.untilMs > this.#clock.now() ? leader : undefined;
  }

  #stream(name: TaskClass): Stream {
    return this.#streams.get(name) as Stream;
  }

  /** Entries waiting or pending, as Redis counts them. */
  #length(name: TaskClass): number {
    const { waiting, pending } = this.#stream(name);
    return waiting.size + pending.size;
  }

  #stale(): Verdict {
    this.#count("stale", 1);
    return "stale";
  }

  #count(counter: string, by: number): void {
    this.#counters.set(counter, (this.#counters.get(counter) ?? 0) + by);
  }

  #nextId(now: number): string {
    return `${Math.floor(now)}-${++this.#lastEntry}`;
  }
}

function isReprocess(name: TaskClass): boolean {
  return name.startsWith("reprocess_");
}

function isProcess(name: TaskClass): boolean {
  return name.startsWith("process_");
}

function blockKey({ kind, blockNumber, blockHash }: BlockRef & { readonly kind: TaskKind }): string {
  return `${kind}:${blockNumber}:${blockHash}`;
}

function indices({ first, last }: TransactionRange): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}

/** Ids are `<milliseconds>-<sequence>`, as Redis makes them. */
function compareIds(a: string, b: string): number {
  const [aMs, aSequence] = a.split("-").map(Number) as [number, number];
  const [bMs, bSequence] = b.split("-").map(Number) as [number, number];
  return aMs - bMs || aSequence - bSequence;
}

function publicLetter({ id, task, failure, diedMs }: DeadLetter): DeadLetter {
  return { id, task, failure, diedMs };
}

/** One consumer of a {@linkcode MemoryNetwork}. */
export class MemoryQueue implements WorkQueue {
  readonly network: string;
  readonly #state: MemoryNetwork;
  readonly #options: QueueOptions;
  readonly #clock: Clock;
  readonly #leases: Leases;
  readonly #pulse: Pulse;
  readonly #closed = new AbortController();
  #beat: Disposable;
  #beatAtMs: number;
  #nextMs: number | undefined;

  constructor(
    state: MemoryNetwork,
    network: string,
    consumer: string,
    options: QueueOptions,
    clock: Clock,
    random: Random,
  ) {
    this.network = network;
    this.#state = state;
    this.#options = options;
    this.#clock = clock;
    this.#pulse = new Pulse(options.stallTimeoutMs);
    const store: LeaseStore = {
      fetch: (claim) => Promise.resolve(state.fetch(consumer, claim)),
      end: (endings) => Promise.resolve(state.end(endings)),
      giveBack: (item) => Promise.resolve(state.giveBack(item)),
      bury: (delivery, failure) => Promise.resolve(state.bury(delivery, failure)),
    };
    const heart: Heart = { share: (memory) => this.#pulse.share(memory), now: () => clock.now() };
    this.#leases = new Leases(network, options, store, heart, random);
    this.#beatAtMs = clock.now();
    this.#beat = clock.after(options.heartbeatMs, () => this.#renew());
  }

  async fetch(free: number): Promise<readonly Lease[]> {
    if (this.#clock.now() - this.#beatAtMs >= this.#options.heartbeatMs) this.beat(); // the timer is late: a busy event loop must not lose its own leases
    const { leases, nextMs } = await this.#leases.fetch(free);
    this.#nextMs = nextMs;
    return leases;
  }

  idle(signal: AbortSignal): Promise<void> {
    const ms = Math.min(this.#options.reclaimMs, this.#nextMs ?? Infinity);
    return this.#state.idle(ms, AbortSignal.any([signal, this.#closed.signal]));
  }

  /** Renews what moves, gives up what stands still. Runs by itself every `heartbeatMs`. */
  beat(): void {
    this.#beatAtMs = this.#clock.now();
    const { moving, stalled } = this.#pulse.take(this.#clock.now());
    const lost = this.#state.renew(moving);
    if (lost.length > 0) this.#leases.lose(lost, "taken_over");
    if (moving.length > lost.length) {
      emit({ kind: "queue_renewed", network: this.network, leases: moving.length - lost.length });
    }
    void this.#leases.giveUp(stalled.map(({ token }) => token));
  }

  enqueue(plan: BlockPlan, office: Office): Promise<EnqueueReceipt> {
    return this.#attempt(() => {
      const receipt = this.#state.enqueue(plan, office);
      if (receipt === "total") throw totalError(plan);
      const result = accepted(receipt, this.network, office);
      emit({
        kind: "queue_enqueued",
        network: this.network,
        class: plan.class,
        tasks: result.enqueued,
        duplicates: result.duplicate,
      });
      return result;
    });
  }

  orphan(block: BlockRef, office: Office): Promise<number> {
    return this.#attempt(() => accepted(this.#state.orphan(block, office), this.network, office));
  }

  async completions(max: number, signal: AbortSignal): Promise<readonly Completion[]> {
    const end = AbortSignal.any([signal, this.#closed.signal]);
    while (!end.aborted) {
      const found = this.#state.completions(max);
      if (found.length > 0) return found;
      await this.#state.listen(this.#options.leaseMs, end);
    }
    return [];
  }

  confirm(completions: readonly Completion[]): Promise<void> {
    return this.#attempt(() => this.#state.confirm(completions.map(({ id }) => id)));
  }

  request(request: LeaderRequest): Promise<boolean> {
    return this.#attempt(() => this.#state.request(request));
  }

  requests(office: Office, max: number): Promise<readonly PendingRequest[]> {
    return this.#attempt(() => accepted(this.#state.requests(office, max), this.network, office));
  }

  answered(office: Office, requests: readonly PendingRequest[]): Promise<void> {
    return this.#attempt(() => accepted(this.#state.answered(office, requests), this.network, office));
  }

  stats(): Promise<QueueStats> {
    return this.#attempt(() => this.#state.stats());
  }

  deadLetters(max: number, after?: string): Promise<readonly DeadLetter[]> {
    return this.#attempt(() => this.#state.deadLetters(max, after));
  }

  deadLetter(id: string): Promise<DeadLetter | undefined> {
    return this.#attempt(() => this.#state.deadLetter(id));
  }

  replay(ids: readonly string[]): Promise<number> {
    return this.#attempt(() => this.#state.replay(ids));
  }

  drop(ids: readonly string[]): Promise<number> {
    return this.#attempt(() => this.#state.drop(ids));
  }

  pause(classes: readonly TaskClass[]): Promise<void> {
    return this.#attempt(() => this.#state.pause(classes));
  }

  resume(classes: readonly TaskClass[]): Promise<void> {
    return this.#attempt(() => this.#state.resume(classes));
  }

  limit(perSecond: number | undefined): Promise<void> {
    return this.#attempt(() => this.#state.limit(perSecond));
  }

  lead(mode: Mode, holder: string): Promise<Office | undefined> {
    return this.#attempt(() => this.#state.lead(mode, holder));
  }

  renew(office: Office): Promise<boolean> {
    return this.#attempt(() => this.#state.renewOffice(office));
  }

  resign(office: Office): Promise<void> {
    return this.#attempt(() => this.#state.resign(office));
  }

  /** There is no connection to lose. */
  onReconnect(_listener: () => void): Disposable {
    return { [Symbol.dispose]: () => {} };
  }

  async close(): Promise<void> {
    this.#beat[Symbol.dispose]();
    this.#closed.abort();
    await this.#leases.close();
  }

  #renew(): void {
    this.beat();
    if (!this.#closed.signal.aborted) this.#beat = this.#clock.after(this.#options.heartbeatMs, () => this.#renew());
  }

  async #attempt<T>(step: () => T): Promise<T> {
    await Promise.resolve(); // asynchronous like every backend, also where it throws
    return step();
  }
}

function accepted<T>(result: T | Refusal, network: string, office: Office): T {
  if (result === "not_leader" || result === "total") throw new NotLeaderError(network, office);
  return result;
}

/**
 * The queues of one process in memory.
 *
 * @param firstToken Per network: the largest `row_version` of the records, since tokens must grow over a restart.
 */
export function memoryQueues(
  options: QueueOptions,
  clock: Clock,
  random: Random,
  firstToken: (network: string) => Promise<number>,
): WorkQueues {
  const queues: MemoryQueue[] = [];
  return {
    open: async (network) => {
      const state = new MemoryNetwork(network, options, clock, await firstToken(network));
      const queue = new MemoryQueue(state, network, "memory", options, clock, random);
      queues.push(queue);
      return queue;
    },
    close: async () => {
      await Promise.all(queues.splice(0).map((queue) => queue.close()));
    },
  };
}
