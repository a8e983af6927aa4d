/**
 * The queue between processes: Redis Streams, one consumer group a stream, and one Lua script for every step that has a
 * race (`scripts/`, each with the race it closes). The clock is Redis's own.
 */
import type { Redis } from "ioredis";
import { emit } from "../../telemetry/emit.ts";
import { PipelineError } from "../../errors.ts";
import { HeartbeatThread } from "./heartbeat_thread.ts";
import {
  type Claim,
  type Claimed,
  type Delivery,
  type Ending,
  Leases,
  type LeaseStore,
  type Return,
} from "./leases.ts";
import { totalError } from "./plan_error.ts";
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
  NotLeaderError,
  type Office,
  type PendingRequest,
  QueueFullError,
  type QueueOptions,
  type QueueStats,
  type Random,
  type Task,
  TASK_CLASSES,
  type TaskClass,
  taskIdHead,
  type TaskKind,
  type TransactionRange,
  type Verdict,
  type WorkQueue,
  type WorkQueues,
} from "./port.ts";
import {
  accessError,
  disconnected,
  keyPrefix,
  newClient,
  QueueAccessError,
  type RedisTarget,
  runScript,
  script,
  shortClass,
} from "./redis_connection.ts";
import adopt from "./scripts/adopt.lua" with { type: "text" };
import bury from "./scripts/bury.lua" with { type: "text" };
import confirm from "./scripts/confirm.lua" with { type: "text" };
import end from "./scripts/end.lua" with { type: "text" };
import enqueue from "./scripts/enqueue.lua" with { type: "text" };
import fetchTasks from "./scripts/fetch.lua" with { type: "text" };
import gc from "./scripts/gc.lua" with { type: "text" };
import giveBack from "./scripts/give_back.lua" with { type: "text" };
import lead from "./scripts/lead.lua" with { type: "text" };
import orphan from "./scripts/orphan.lua" with { type: "text" };
import renew from "./scripts/renew.lua" with { type: "text" };
import replay from "./scripts/replay.lua" with { type: "text" };
import request from "./scripts/request.lua" with { type: "text" };
import requests from "./scripts/requests.lua" with { type: "text" };
import stats from "./scripts/stats.lua" with { type: "text" };

const SCRIPTS = {
  adopt: script(adopt),
  bury: script(bury),
  confirm: script(confirm),
  end: script(end),
  enqueue: script(enqueue),
  fetch: script(fetchTasks),
  gc: script(gc),
  giveBack: script(giveBack),
  lead: script(lead),
  orphan: script(orphan),
  renew: script(renew),
  replay: script(replay),
  request: script(request),
  requests: script(requests),
  stats: script(stats),
};

const RANGES_PER_SCRIPT = 250;
const REQUEST_KEY_MS = 24 * 3600 * 1000;
const CONSUMER_GONE_MS = 3600 * 1000;
const OUTAGE_REMINDER_MS = 60_000;
/** Longest wait of a blocking command. */
const BLOCK_MS = 5_000;
const OLDEST_RELEASE = 7;
const LEDGER_GROUP = "ledger";
/** Words of a packed task before its range. */
const FACTS = 8;

const CLASS_OF: ReadonlyMap<string, TaskClass> = new Map(TASK_CLASSES.map((name) => [shortClass(name), name]));

/** The queues of one process on one Redis. Connects in the background: what is asked before waits. */
export function redisQueues(target: RedisTarget, options: QueueOptions, random: Random): WorkQueues {
  return new RedisQueues(target, options, random);
}

class RedisQueues implements WorkQueues {
  readonly #target: RedisTarget;
  readonly #options: QueueOptions;
  readonly #random: Random;
  readonly #consumer = `${Deno.pid}-${crypto.randomUUID().slice(0, 8)}`;
  readonly #queues = new Set<RedisQueue>();
  #main: MainConnection | undefined;
  #thread: HeartbeatThread | undefined;

  constructor(target: RedisTarget, options: QueueOptions, random: Random) {
    this.#target = target;
    this.#options = options;
    this.#random = random;
  }

  async open(network: string): Promise<WorkQueue> {
    this.#main ??= new MainConnection(this.#target);
    await this.#main.ready;
    this.#thread ??= new HeartbeatThread(this.#target, this.#consumer, this.#options);
    const queue = new RedisQueue(
      network,
      this.#target,
      this.#options,
      this.#main,
      this.#thread,
      this.#consumer,
      this.#random,
    );
    this.#queues.add(queue);
    return queue;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#queues].map((queue) => queue.close()));
    this.#queues.clear();
    await this.#thread?.close();
    await this.#main?.close();
    this.#thread = undefined;
    this.#main = undefined;
  }
}

/** The connection that every script goes through; says when Redis is away and when it is back. */
class MainConnection {
  readonly client: Redis;
  /** Connected once, with settings looked at. @throws {QueueAccessError} */
  readonly ready: Promise<void>;
  readonly #target: RedisTarget;
  readonly #reconnected = new Set<() => void>();
  #awaySinceMs: number | undefined;
  #left = Promise.withResolvers<void>();
  readonly #first = Promise.withResolvers<void>();
  #saidAtMs = 0;
  #lastError = "connection closed";
  #opened = false;
  #closing = false;

  constructor(target: RedisTarget) {
    this.#target = target;
    this.client = newClient(target);
    const first = this.#first;
    this.client.on("error", (error: Error) => {
      this.#lastError = (error as Error & { code?: string }).code ?? error.message;
      const refused = accessError(target, error);
      if (refused !== undefined) first.reject(refused);
    });
    this.client.on("close", () => this.#away());
    this.client.on("ready", () => {
      first.resolve();
      this.#back();
    });
    this.client.connect().catch(() => {}); // reconnects by itself
    this.ready = first.promise.then(() => this.#inspect()).catch(async (error) => {
      await this.#disconnect();
      throw error;
    });
  }

  /** Resolves when Redis is away, at once if it is. */
  get away(): Promise<void> {
    return this.#left.promise;
  }

  onReconnect(listener: () => void): Disposable {
    this.#reconnected.add(listener);
    return { [Symbol.dispose]: () => void this.#reconnected.delete(listener) };
  }

  /** Whoever waits for the first connection waits no longer. */
  async close(): Promise<void> {
    this.#first.reject(new QueueClosedError(new URL(this.#target.url).host));
    await this.#disconnect();
  }

  /** What we end ourselves is no outage. */
  #disconnect(): Promise<void> {
    this.#closing = true;
    return disconnected(this.client);
  }

  #away(): void {
    if (this.#closing) return;
    const now = performance.now();
    this.#awaySinceMs ??= now;
    this.#left.resolve();
    if (this.#saidAtMs !== 0 && now - this.#saidAtMs < OUTAGE_REMINDER_MS) return;
    this.#saidAtMs = now;
    const seconds = (now - this.#awaySinceMs) / 1000;
    emit({ kind: "queue_unreachable", seconds, reason: this.#lastError });
  }

  #back(): void {
    const since = this.#awaySinceMs;
    this.#awaySinceMs = undefined;
    this.#left = Promise.withResolvers();
    this.#saidAtMs = 0;
    emit({ kind: "queue_reachable", seconds: since === undefined ? 0 : (performance.now() - since) / 1000 });
    if (this.#opened) { for (const listener of this.#reconnected) listener(); }
    this.#opened = true;
  }

  /** Settings that can lose work are told, where the user may read them. */
  async #inspect(): Promise<void> {
    const [, release] = /redis_version:(\d+)/.exec(await this.client.info("server").catch(() => "")) ?? [];
    if (release !== undefined && Number(release) < OLDEST_RELEASE) {
      throw new QueueAccessError(
        `Cannot use Redis at ${
          new URL(this.#target.url).host
        } as the queue: current value of its release is ${release}, ` +
          `${OLDEST_RELEASE}.0 or newer is needed`,
      );
    }
    const wanted = { "maxmemory-policy": "noeviction", appendonly: "yes" };
    for (const [setting, want] of Object.entries(wanted)) {
      const answer = await this.client.config("GET", setting).catch(() => []) as string[];
      const value = answer[1];
      if (value !== undefined && value !== want) emit({ kind: "queue_unsafe", setting, value, wanted: want });
    }
  }
}

/**
 * One blocking command at a time on a connection of its own. Whoever waits may stop waiting: the command goes on, and
 * what it brings when nobody waits any more goes to `unclaimed`.
 */
class BlockingConnection<T> {
  readonly #client: Redis;
  readonly #command: (client: Redis) => Promise<T | undefined>;
  readonly #unclaimed: (answer: T) => void;
  readonly #waiting = new Set<{ resolve(answer: T | undefined): void; reject(error: unknown): void }>();
  readonly #target: RedisTarget;
  #running: Promise<void> | undefined;

  constructor(
    target: RedisTarget,
    command: (client: Redis) => Promise<T | undefined>,
    unclaimed: (answer: T) => void,
  ) {
    this.#target = target;
    this.#client = newClient(target);
    this.#client.on("error", () => {}); // the main connection reports outages
    this.#client.connect().catch(() => {}); // reconnects by itself
    this.#command = command;
    this.#unclaimed = unclaimed;
  }

  /**
   * The command's answer; `undefined` when it found nothing, after `ms`, or when `signal` aborted.
   *
   * @throws {QueueAccessError}
   */
  wait(ms: number, signal: AbortSignal): Promise<T | undefined> {
    if (signal.aborted) return Promise.resolve(undefined);
    const { promise, resolve, reject } = Promise.withResolvers<T | undefined>();
    const waiter = { resolve, reject };
    const leave = () => resolve(undefined);
    const timer = setTimeout(leave, ms);
    signal.addEventListener("abort", leave);
    this.#waiting.add(waiter);
    this.#running ??= this.#run();
    return promise.finally(() => {
      this.#waiting.delete(waiter);
      clearTimeout(timer);
      signal.removeEventListener("abort", leave);
    });
  }

  async #run(): Promise<void> {
    let answer: T | undefined;
    let refused: QueueAccessError | undefined;
    try {
      answer = await this.#command(this.#client);
    } catch (error) {
      refused = accessError(this.#target, error);
      if (refused === undefined) { // who waits is released by time: a connection that breaks must not make it spin
        this.#running = undefined;
        return;
      }
    }
    this.#running = undefined;
    const [first, ...others] = [...this.#waiting];
    this.#waiting.clear();
    if (refused !== undefined) first?.reject(refused);
    else if (first !== undefined) first.resolve(answer);
    else if (answer !== undefined) this.#unclaimed(answer);
    for (const other of others) other.resolve(undefined);
  }

  /** A `disconnect` under a blocking command rejects it: it is awaited here, or the process would end by it. */
  async close(): Promise<void> {
    await disconnected(this.#client);
    await this.#running;
  }
}

class RedisQueue implements WorkQueue {
  readonly network: string;
  readonly #target: RedisTarget;
  readonly #options: QueueOptions;
  readonly #main: MainConnection;
  readonly #consumer: string;
  readonly #prefix: string;
  readonly #leases: Leases;
  readonly #closed = new AbortController();
  readonly #sweep: ReturnType<typeof setInterval>;
  readonly #reconnected: Disposable;
  #bell: BlockingConnection<true> | undefined;
  #tellings: BlockingConnection<readonly Completion[]> | undefined;
  /** No set, for the reason that {@linkcode Leases} has no map. */
  readonly #fetching: Promise<unknown>[] = [];
  #adopting: Promise<void> = Promise.resolve();
  #nextMs: number | undefined;
  #retoldAtMs = -Infinity;
  /** Read when nobody waited any more. */
  #kept: readonly Completion[] = [];

  constructor(
    network: string,
    target: RedisTarget,
    options: QueueOptions,
    main: MainConnection,
    thread: HeartbeatThread,
    consumer: string,
    random: Random,
  ) {
    this.network = network;
    this.#target = target;
    this.#options = options;
    this.#main = main;
    this.#consumer = consumer;
    this.#prefix = keyPrefix(target, network);
    const store: LeaseStore = {
      fetch: (claim) => this.#claim(claim),
      end: (endings) => this.#end(endings),
      giveBack: (item) => this.#giveBack(item),
      bury: (delivery, failure) => this.#bury(delivery, failure),
    };
    const heart = thread.heart(network, {
      lost: (tokens) => this.#leases.lose(tokens, "taken_over"),
      stalled: (tokens) => void this.#leases.giveUp(tokens),
    });
    this.#leases = new Leases(network, options, store, heart, random);
    this.#sweep = setInterval(() => void this.#run("gc", [CONSUMER_GONE_MS]).catch(() => {}), CONSUMER_GONE_MS);
    this.#reconnected = main.onReconnect(() => this.#adoptAlone());
  }

  async fetch(free: number): Promise<readonly Lease[]> {
    await this.#adopting;
    const fetching = this.#leases.fetch(free);
    this.#fetching.push(fetching);
    try {
      const { leases, nextMs } = await fetching;
      this.#nextMs = nextMs;
      return leases;
    } finally {
      this.#fetching.splice(this.#fetching.indexOf(fetching), 1);
    }
  }

  async idle(signal: AbortSignal): Promise<void> {
    const ms = Math.min(this.#options.reclaimMs, this.#nextMs ?? Infinity);
    if (ms <= 0) return;
    this.#bell ??= new BlockingConnection(this.#target, async (client) => {
      const rung = await client.bzpopmin(`${this.#prefix}bell`, BLOCK_MS / 1000);
      return rung === null ? undefined : true;
    }, () => void this.#ring().catch(() => {})); // for another process
    await this.#bell.wait(ms, AbortSignal.any([signal, this.#closed.signal]));
  }

  async enqueue(plan: BlockPlan, office: Office): Promise<EnqueueReceipt> {
    const head = [
      ...fenced(office),
      shortClass(plan.class),
      plan.kind,
      plan.blockNumber,
      plan.blockHash,
      plan.total,
      plan.verifyDelayMs ?? "",
    ];
    const sum = { enqueued: 0, duplicate: 0, done: 0, dead: 0 };
    let state: BlockState = "open";
    let from = 0;
    do {
      const ranges = plan.ranges.slice(from, from + RANGES_PER_SCRIPT).flatMap(({ first, last }) => [first, last]);
      const answer = await this.#run("enqueue", [...head, ...ranges]) as [string, ...number[]];
      if (answer[0] === "not_leader") throw new NotLeaderError(this.network, office);
      if (answer[0] === "total") throw totalError(plan);
      state = answer[0] as BlockState;
      const [enqueued, duplicate, done, dead] = answer.slice(1) as [number, number, number, number];
      sum.enqueued += enqueued;
      sum.duplicate += duplicate;
      sum.done += done;
      sum.dead += dead;
      from += RANGES_PER_SCRIPT;
    } while (from < plan.ranges.length);
    emit({
      kind: "queue_enqueued",
      network: this.network,
      class: plan.class,
      tasks: sum.enqueued,
      duplicates: sum.duplicate,
    });
    return { state, ...sum };
  }

  async orphan(block: BlockRef, office: Office): Promise<number> {
    const head = [...fenced(office), block.blockNumber, block.blockHash];
    await this.#orphan(head, office);
    const pattern = `*:${block.blockNumber}:${block.blockHash.slice(2, 10)}:*`;
    let dropped = 0;
    let cursor = "0";
    do { // outside the script: a long one would stop every other client
      const [next, found] = await this.#main.client.hscan(`${this.#prefix}u`, cursor, "MATCH", pattern, "COUNT", 1000);
      const ids = found.filter((_, index) => index % 2 === 0);
      if (ids.length > 0) dropped += await this.#orphan([...head, ...ids], office);
      cursor = next;
    } while (cursor !== "0");
    return dropped;
  }

  async completions(max: number, signal: AbortSignal): Promise<readonly Completion[]> {
    const over = AbortSignal.any([signal, this.#closed.signal]);
    this.#tellings ??= new BlockingConnection(this.#target, (client) => this.#readTellings(client, max), (found) => {
      this.#kept = found;
    });
    while (!over.aborted) {
      const again = this.#kept.length > 0 ? this.#kept : await this.#retold(max);
      this.#kept = [];
      if (again.length > 0) return again;
      const found = await this.#tellings.wait(BLOCK_MS, over);
      if (found !== undefined && found.length > 0) return found;
    }
    return [];
  }

  async confirm(completions: readonly Completion[]): Promise<void> {
    if (completions.length > 0) await this.#run("confirm", completions.map(({ id }) => id));
  }

  async request({ key, mode, body }: LeaderRequest): Promise<boolean> {
    return await this.#run("request", [mode ?? "-", key, REQUEST_KEY_MS, body]) === 1;
  }

  requests(office: Office, max: number): Promise<readonly PendingRequest[]> {
    return this.#requests(office, max, []);
  }

  async answered(office: Office, requests: readonly PendingRequest[]): Promise<void> {
    await this.#requests(office, 0, requests.map(({ id }) => id));
  }

  async stats(): Promise<QueueStats> {
    const answer = await this.#run("stats", []) as [
      number,
      number,
      number,
      number,
      number,
      number,
      number,
      number,
      string[],
      string[],
      ...number[],
    ];
    const [
      delayed,
      dead,
      forwards,
      backwards,
      repair,
      stuck,
      completions,
      requests,
      metaPairs,
      counterPairs,
      ...depths
    ] = answer;
    const meta = pairs(metaPairs);
    const classes = TASK_CLASSES.map((name, index): [TaskClass, ClassStats] => {
      const [waiting, inFlight, oldestWaitMs] = depths.slice(3 * index, 3 * index + 3) as [number, number, number];
      return [name, { waiting, inFlight, oldestWaitMs, paused: meta.has(`paused:${shortClass(name)}`) }];
    });
    const rate = meta.get("rate");
    return {
      classes: Object.fromEntries(classes) as Record<TaskClass, ClassStats>,
      delayed,
      dead,
      open: { forwards, backwards, repair },
      stuck,
      completions,
      requests,
      counters: Object.fromEntries([...pairs(counterPairs)].map(([name, value]) => [name, Number(value)])),
      ...(rate === undefined ? {} : { limitPerSecond: Number(rate) }),
    };
  }

  async deadLetters(max: number, after?: string): Promise<readonly DeadLetter[]> {
    const from = after === undefined ? "-" : `(${after}`;
    const found = await this.#main.client.xrange(`${this.#prefix}dlq`, from, "+", "COUNT", max);
    return found.map(([id, fields]) => this.#letter(id, fields));
  }

  async deadLetter(id: string): Promise<DeadLetter | undefined> {
    if (!/^\d+-\d+$/.test(id)) return undefined;
    const [found] = await this.#main.client.xrange(`${this.#prefix}dlq`, id, id);
    return found === undefined ? undefined : this.#letter(...found);
  }

  async replay(ids: readonly string[]): Promise<number> {
    return await this.#run("replay", ["replay", ...ids.filter(isEntryId)]) as number;
  }

  async drop(ids: readonly string[]): Promise<number> {
    return await this.#run("replay", ["drop", ...ids.filter(isEntryId)]) as number;
  }

  async pause(classes: readonly TaskClass[]): Promise<void> {
    if (classes.length === 0) return;
    const fields = classes.flatMap((name) => [`paused:${shortClass(name)}`, "1"]);
    await this.#main.client.hset(`${this.#prefix}meta`, ...fields);
  }

  async resume(classes: readonly TaskClass[]): Promise<void> {
    if (classes.length === 0) return;
    await this.#main.client.hdel(`${this.#prefix}meta`, ...classes.map((name) => `paused:${shortClass(name)}`));
    await this.#ring();
  }

  async limit(perSecond: number | undefined): Promise<void> {
    const key = `${this.#prefix}meta`;
    if (perSecond === undefined) await this.#main.client.hdel(key, "rate", "rate_level", "rate_at");
    else {
      await this.#main.client.hset(key, { rate: perSecond, rate_level: Math.max(1, perSecond), rate_at: 0 });
    }
    await this.#ring();
  }

  async lead(mode: Mode, holder: string): Promise<Office | undefined> {
    const token = await this.#run("lead", [mode, holder, this.#options.leaderTtlMs]);
    if (token === null) return undefined;
    const office = { mode, holder, token: Number(token) };
    if (this.#target.replicas === 0) return office;
    const reached = await this.#main.client.wait(this.#target.replicas, Math.floor(this.#options.leaderTtlMs / 4));
    if (reached >= this.#target.replicas) return office;
    await this.resign(office); // a failover could forget this term, and give its token again
    return undefined;
  }

  async renew(office: Office): Promise<boolean> {
    return await this.#run("renew", [office.mode, officeValue(office), this.#options.leaderTtlMs]) === 1;
  }

  async resign(office: Office): Promise<void> {
    await this.#run("renew", [office.mode, officeValue(office), 0]);
  }

  onReconnect(listener: () => void): Disposable {
    return this.#main.onReconnect(listener);
  }

  async close(): Promise<void> {
    if (this.#closed.signal.aborted) return;
    this.#closed.abort();
    clearInterval(this.#sweep);
    this.#reconnected[Symbol.dispose]();
    // While Redis is away nothing can be sent: what is not settled runs again.
    await Promise.race([this.#leases.close(), this.#main.away]);
    await Promise.all([this.#bell?.close(), this.#tellings?.close()]);
  }

  async #claim({ free, allow, seed }: Claim): Promise<Claimed> {
    const { leaseMs, reclaimMs, maxRecoveries, weights } = this.#options;
    const answer = await this.#run("fetch", [
      this.#consumer,
      free,
      leaseMs,
      reclaimMs,
      maxRecoveries,
      seed,
      ...TASK_CLASSES.map((name) => allow[name]),
      ...TASK_CLASSES.map((name) => weights[name]),
    ]) as [string, number, number, string[], string];
    const [next, recovered, wentBack, buried, found] = answer;
    const deliveries = found === "" ? [] : found.split("\n").flatMap((line) => unpackRun(line, this.network));
    const nextMs = Number(next);
    return {
      deliveries,
      recovered,
      clockWentBack: wentBack === 1,
      buried: buried.map((text) => unpack(text.slice(3), text.slice(0, 2), this.network).task),
      ...(nextMs < 0 ? {} : { nextMs }),
    };
  }

  /** What the leases of a block have in common is said once, and their ranges come in order: those that touch become one. */
  async #end(endings: readonly Ending[]): Promise<readonly Verdict[]> {
    const args: string[] = [];
    const order: number[] = [];
    for (const [group, indices] of endingGroups(endings)) {
      indices.sort((a, b) => firstOf(endings[a]) - firstOf(endings[b]));
      const leases = indices.map((index) => {
        const { token, task: { first, last } } = (endings[index] as Ending).delivery;
        return `${token} ${first}-${last}`;
      });
      args.push(...group.split(" "), leases.join(" "));
      order.push(...indices);
    }
    const others = await this.#run("end", args) as (number | Verdict)[];
    const verdicts = new Array<Verdict>(endings.length).fill("settled");
    for (let at = 0; at < others.length; at += 2) {
      verdicts[order[others[at] as number - 1] as number] = others[at + 1] as Verdict;
    }
    return verdicts;
  }

  async #giveBack({ delivery, done, rest, delayMs, counter }: Return): Promise<Verdict> {
    return await this.#run("giveBack", [
      ...packLease(delivery),
      delayMs,
      counter,
      done.length,
      ...done.flatMap(({ first, last }) => [first, last]),
      ...rest.map((task) => pack(task, delivery.deliveries + 1)),
    ]) as Verdict;
  }

  async #bury(delivery: Delivery, { code, message }: Failure): Promise<Verdict> {
    return await this.#run("bury", [...packLease(delivery), code, message]) as Verdict;
  }

  async #adopt(): Promise<void> {
    const tasks = await this.#run("adopt", [this.#consumer, ...this.#leases.tokens]) as number;
    if (tasks > 0) emit({ kind: "queue_adopted", network: this.network, tasks });
  }

  async #orphan(args: readonly (string | number)[], office: Office): Promise<number> {
    const answer = await this.#run("orphan", args);
    if (answer === "not_leader") throw new NotLeaderError(this.network, office);
    return answer as number;
  }

  async #requests(office: Office, max: number, answered: readonly string[]): Promise<readonly PendingRequest[]> {
    const answer = await this.#run("requests", [...fenced(office), max, ...answered]);
    if (answer === "not_leader") throw new NotLeaderError(this.network, office);
    const flat = answer as string[];
    return Array.from({ length: flat.length / 5 }, (_, index) => {
      const [id, mode, key, body, at] = flat.slice(5 * index, 5 * index + 5) as [
        string,
        string,
        string,
        string,
        string,
      ];
      const addressed = mode === "-" ? {} : { mode: mode as Mode };
      return { id, key, body, requestedMs: Number(at), ...addressed };
    });
  }

  /** Completions that a reader took and never confirmed. */
  async #retold(max: number): Promise<readonly Completion[]> {
    const now = performance.now();
    if (now - this.#retoldAtMs < this.#options.reclaimMs) return [];
    this.#retoldAtMs = now;
    const answer = await this.#withLedgerGroup(this.#main.client, () =>
      this.#main.client.xautoclaim(
        `${this.#prefix}blocks`,
        LEDGER_GROUP,
        this.#consumer,
        this.#options.leaseMs,
        "0-0",
        "COUNT",
        max,
      )) as [string, [string, string[]][]];
    return answer[1].map(([id, fields]) => completion(id, fields));
  }

  async #readTellings(client: Redis, max: number): Promise<readonly Completion[] | undefined> {
    const answer = await this.#withLedgerGroup(client, () =>
      client.xreadgroup(
        "GROUP",
        LEDGER_GROUP,
        this.#consumer,
        "COUNT",
        max,
        "BLOCK",
        BLOCK_MS,
        "STREAMS",
        `${this.#prefix}blocks`,
        ">",
      )) as [string, [string, string[]][]][] | null;
    return answer?.[0]?.[1].map(([id, fields]) => completion(id, fields));
  }

  /** DEL, FLUSHALL and a failover take the group away, and end who waits in it: it is made again, at 0. */
  async #withLedgerGroup<T>(client: Redis, call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (error) {
      const text = (error as Error).message;
      if (!text.startsWith("NOGROUP") && !text.startsWith("UNBLOCKED")) throw accessError(this.#target, error) ?? error;
      await client.xgroup("CREATE", `${this.#prefix}blocks`, LEDGER_GROUP, "0", "MKSTREAM").catch((failure: Error) => {
        if (!failure.message.startsWith("BUSYGROUP")) throw failure;
      });
      return await call();
    }
  }

  #letter(id: string, fields: string[]): DeadLetter {
    const values = pairs(fields);
    const { task } = unpack(values.get("t") as string, values.get("c") as string, this.network);
    return {
      id,
      task,
      failure: { code: values.get("e") as string, message: values.get("m") as string },
      diedMs: Number(values.get("at")),
    };
  }

  async #ring(): Promise<void> {
    await this.#main.client.zadd(`${this.#prefix}bell`, 0, "ring");
  }

  /** No fetch while this runs: what is on its way to us would be handed back. */
  #adoptAlone(): void {
    this.#adopting = this.#adopting.then(() => Promise.allSettled(this.#fetching)).then(() => this.#adopt()).catch(
      () => {},
    );
  }

  async #run(name: keyof typeof SCRIPTS, args: readonly (string | number)[]): Promise<unknown> {
    try {
      return await runScript(this.#main.client, this.#target, SCRIPTS[name], this.network, [
        this.#options.keepCompleteMs,
        ...args,
      ]);
    } catch (error) {
      if (error instanceof Error && /\bOOM\b/.test(error.message)) {
        throw new QueueFullError(this.network, { cause: error });
      }
      if (error instanceof Error && error.message === "Connection is closed.") throw new QueueClosedError(this.network);
      throw error;
    }
  }
}

/** The queue was closed under a call. */
export class QueueClosedError extends PipelineError {
  readonly code = "queue_closed";
  readonly disposition = "retry";
  override readonly release = true;

  /** @param name Of the network, or the host before there is one. */
  constructor(name: string) {
    super(`Cannot reach the queue of ${name}: current value of its connection is closed`);
  }
}

function fenced(office: Office): (string | number)[] {
  return [office.mode, officeValue(office), office.token];
}

function officeValue({ token, holder }: Office): string {
  return `${token}:${holder}`;
}

function isEntryId(id: string): boolean {
  return /^\d+-\d+$/.test(id);
}

/** Indices of endings by what {@linkcode endingGroup} says of them; it is asked once for neighbours of one block. */
function endingGroups(endings: readonly Ending[]): Map<string, number[]> {
  const groups = new Map<string, number[]>();
  let before: Ending | undefined;
  let group: number[] = [];
  endings.forEach((ending, index) => {
    if (before === undefined || !areOfOneGroup(before, ending)) {
      const name = endingGroup(ending);
      group = groups.get(name) ?? [];
      groups.set(name, group);
    }
    group.push(index);
    before = ending;
  });
  return groups;
}

function areOfOneGroup(a: Ending, b: Ending): boolean {
  const [one, other] = [a.delivery.task, b.delivery.task];
  return one.blockHash === other.blockHash && one.blockNumber === other.blockNumber && one.kind === other.kind &&
    one.class === other.class && a.orphaned === b.orphaned;
}

function endingGroup({ delivery: { task }, orphaned }: Ending): string {
  const { kind, blockNumber, blockHash } = task;
  const how = orphaned ? "orphaned" : "done";
  return `${how} ${shortClass(task.class)} ${kind}:${blockNumber}:${blockHash} ${taskIdHead(task)}`;
}

function firstOf(ending: Ending | undefined): number {
  return (ending as Ending).delivery.task.first;
}

function packLease({ task, token, deliveries }: Delivery): (string | number)[] {
  return [token, pack(task, deliveries)];
}

/** As `scripts/prelude.lua` describes it. */
function pack(task: Task, deliveries: number): string {
  const nodes = task.failedNodes.length === 0 ? "-" : `+${task.failedNodes.map(encodeURIComponent).join(",")}`;
  return [
    task.kind,
    task.blockNumber,
    task.blockHash,
    task.attempts,
    task.recoveries,
    deliveries,
    task.firstEnqueuedMs,
    nodes,
    `${task.first}-${task.last}`,
  ].join(" ");
}

/** A line of what `scripts/fetch.lua` delivers. */
function unpackRun(line: string, network: string): Delivery[] {
  const [short, ...words] = line.split(" ");
  const [earlierText, tokenText] = words.splice(FACTS, 2);
  const { facts, deliveries } = unpackFacts(words, short as string, network);
  const [earlier, token] = [Number(earlierText), Number(tokenText)];
  const recoveries = facts.recoveries + earlier;
  const head = taskIdHead(facts);
  return words.slice(FACTS).map((range, nth) => ({
    task: { ...facts, recoveries, ...unpackRange(range) },
    id: head + range,
    token: token + nth,
    deliveries: deliveries + earlier,
  }));
}

function unpack(body: string, short: string, network: string): Pick<Delivery, "task" | "deliveries"> {
  const words = body.split(" ");
  const { facts, deliveries } = unpackFacts(words, short, network);
  return { task: { ...facts, ...unpackRange(words[FACTS] as string) }, deliveries };
}

/** What a packed task says up to its range. */
function unpackFacts(words: readonly string[], short: string, network: string) {
  const [kind, number, hash, attempts, recoveries, deliveries, at, nodes] = words as [
    TaskKind,
    string,
    string,
    string,
    string,
    string,
    string,
    string,
  ];
  const facts: Omit<Task, keyof TransactionRange> = {
    kind,
    network,
    blockNumber: Number(number),
    blockHash: hash,
    class: CLASS_OF.get(short) as TaskClass,
    attempts: Number(attempts),
    recoveries: Number(recoveries),
    failedNodes: nodes === "-" ? [] : nodes.slice(1).split(",").map(decodeURIComponent),
    firstEnqueuedMs: Number(at),
  };
  return { facts, deliveries: Number(deliveries) };
}

function unpackRange(range: string): TransactionRange {
  const dash = range.indexOf("-");
  return { first: Number(range.slice(0, dash)), last: Number(range.slice(dash + 1)) };
}

function completion(id: string, fields: string[]): Completion {
  const [block, short, total, state] = (fields[1] as string).split(" ") as [string, string, string, string];
  const [kind, number, hash] = block.split(":") as [TaskKind, string, string];
  return {
    id,
    kind,
    class: CLASS_OF.get(short) as TaskClass,
    blockNumber: Number(number),
    blockHash: hash,
    total: Number(total),
    state: state as "complete" | "stuck",
  };
}

function pairs(flat: readonly string[]): Map<string, string> {
  const map = new Map<string, string>();
  for (let index = 0; index < flat.length; index += 2) map.set(flat[index] as string, flat[index + 1] as string);
  return map;
}
