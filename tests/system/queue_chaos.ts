/**
 * Chaos for the queue: processes are killed and stopped for longer than their leases, Redis is killed, stopped and set
 * back by a second, tasks fail and outlast their leases. Then all is quiet, everything has to be done, and the journals of
 * the processes, the rows in the engine and the keys in Redis are looked at.
 */
import assert from "node:assert/strict";
import project from "../../deno.json" with { type: "json" };
import { speaker } from "../embedded/test_database.ts";
import { freshDatabase } from "../embedded/shared_engine.ts";
import { RedisServer } from "../stages/queue/with_redis.ts";
import {
  type ChaosSetup,
  INDICES,
  type JournalLine,
  NETWORK,
  QUEUE_OPTIONS,
  transactionsOf,
} from "./queue_chaos_world.ts";

/** What is broken on purpose, so that it is seen whether the suite would notice. */
export type Sabotage = "counter" | "no_reconciliation" | "stale_settlement";

/** How long and how much. */
export interface ChaosOptions {
  readonly processes: number;
  /** Acts of chaos. */
  readonly acts: number;
  readonly seed: number;
  /** In the quiet after the chaos: without progress for so long, work is lost. */
  readonly patienceMs: number;
  readonly sabotage?: Sabotage;
}

/** What was found. All of `wrong` has to be 0. */
export interface ChaosReport {
  readonly blocks: number;
  readonly deliveries: number;
  readonly kills: number;
  readonly wrong: {
    /** Blocks that never became complete. */
    readonly incomplete: number;
    /** Blocks told as complete before their rows were there. */
    readonly early: number;
    /** Deliveries whose token is not above that of an earlier one. */
    readonly tokenDecreases: number;
    /** Settlements taken from an owner whose task had been delivered anew. */
    readonly staleTaken: number;
    /** Rows missing, surplus or of wrong content, with FINAL. */
    readonly rows: number;
    /** Things left in Redis: entries, look-ups, delays, letters, open blocks. */
    readonly left: number;
    /** Processes that ended by themselves. */
    readonly ended: number;
    /** Processes that wrote to stderr, as ioredis does of every error that nobody listens to. */
    readonly noisy: number;
  };
}

/** How long a process is stopped, in leases: its successor may be at work on its tasks, or done with them. */
const STOPPED_LEASES = { from: 1, to: 1.5 } as const;
const QUIET_POLL_MS = 250;
const STOP_MS = 1_000;
/** What a loss of power takes with it. */
const LOST_MS = 1_000;
/** Around a time at which Redis may have forgotten something. */
const MARGIN_MS = 2_000;

/** What is replaced in a script, and by what. */
interface Patch {
  readonly script: "prelude.lua" | "end.lua" | "heartbeat.lua";
  readonly from: string;
  readonly to: string;
}

const PATCHES: Readonly<Record<Sabotage, readonly Patch[]>> = {
  counter: [{
    script: "prelude.lua",
    from: "local function bits(key, first, last)\n",
    to: "local function bits(key, first, last)\n  if string.find(key, '}:m:', 1, true) then return 0 end\n",
  }],
  no_reconciliation: [],
  stale_settlement: [
    {
      script: "prelude.lua",
      from: "if not entry or newest ~= token then",
      to: "if not entry then",
    },
    { script: "end.lua", from: "if newest == token_of[nth] then\n", to: "if newest then\n" },
    // An owner that learns of its loss by the heartbeat would not even try.
    { script: "heartbeat.lua", from: "lost[#lost + 1] = token", to: "local _" },
  ],
};
const SCRIPTS = new URL("../../src/stages/queue/scripts/", import.meta.url);

/** Scripts that are not what they should be, by name. @throws {AssertionError} a script has changed and its patch has not. */
export async function patched(sabotage: Sabotage): Promise<ReadonlyMap<string, string>> {
  const texts = new Map<string, string>();
  for (const { script, from, to } of PATCHES[sabotage]) {
    const text = texts.get(script) ?? await Deno.readTextFile(new URL(script, SCRIPTS));
    assert.equal(text.split(from).length, 2, `${script} has "${from}" once`);
    texts.set(script, text.replace(from, to));
  }
  return texts;
}

/** Lets the chaos loose. */
export async function chaos(options: ChaosOptions): Promise<ChaosReport> {
  const directory = await Deno.makeTempDir({ prefix: "chaos-" });
  await using cleaning = new AsyncDisposableStack();
  cleaning.defer(() => Deno.remove(directory, { recursive: true }));
  const database = cleaning.use(await freshDatabase());
  await database.query(
    "CREATE TABLE structlogs (block UInt64, transaction UInt32, position UInt32, version UInt64, value UInt64) ENGINE = ReplacingMergeTree(version) ORDER BY (block, transaction, position)",
  );
  await database.query(
    "CREATE TABLE ledger (number UInt64, complete UInt8) ENGINE = ReplacingMergeTree(complete) ORDER BY number",
  );
  const redis = await RedisServer.start(["--appendonly", "yes", "--auto-aof-rewrite-percentage", "0"]);
  cleaning.defer(() => redis.stop());
  const { url, user, password, database: name } = database;
  const setup: ChaosSetup = {
    redis: redis.url,
    engine: { url, user, password, database: name },
    journal: "",
    stop: `${directory}/stop`,
    reconciles: options.sabotage !== "no_reconciliation",
  };
  const world = new World(options, setup, redis, directory);
  cleaning.defer(() => world.end());
  await world.begin();
  await world.rage();
  await Deno.writeTextFile(setup.stop, "");
  const incomplete = await world.quiet();
  const left = await world.leftInRedis();
  await world.end();
  return await world.report(incomplete, left);
}

class World {
  readonly #options: ChaosOptions;
  readonly #setup: ChaosSetup;
  readonly #redis: RedisServer;
  readonly #directory: string;
  readonly #store: ReturnType<typeof speaker>;
  readonly #processes: (Deno.ChildProcess | undefined)[];
  /** Times of which Redis may have forgotten something. */
  readonly #gaps: { readonly fromMs: number; readonly toMs: number }[] = [];
  /** Sizes of the append-only file, the newest last. */
  #sizes: { readonly atMs: number; readonly bytes: number }[] = [];
  readonly #sizing: ReturnType<typeof setInterval>;
  #random: number;
  #started = 0;
  #kills = 0;
  #ended = 0;
  #noisy = 0;
  readonly #listening: Promise<void>[] = [];
  #over = false;
  #arguments: readonly string[] = [];

  constructor(options: ChaosOptions, setup: ChaosSetup, redis: RedisServer, directory: string) {
    this.#options = options;
    this.#setup = setup;
    this.#redis = redis;
    this.#directory = directory;
    this.#store = speaker(setup.engine, setup.engine.database);
    this.#processes = Array.from({ length: options.processes }, () => undefined);
    this.#random = options.seed;
    this.#sizing = setInterval(() => void this.#size(), 200);
  }

  async begin(): Promise<void> {
    this.#arguments = ["run", "--quiet", "--no-check", "-A", ...await this.#sabotaged()];
    for (let at = 0; at < this.#processes.length; at++) this.#start(at);
    await this.#until("some blocks", async () => (await this.#ledger()).complete >= 3);
  }

  /** Every kind of act, in an order of chance, again and again. */
  async rage(): Promise<void> {
    const acts = ["kill", "kill", "kill", "stop", "stop", "restart", "cut", "hang"] as const;
    let round: (typeof acts)[number][] = [];
    for (let act = 0; act < this.#options.acts; act++) {
      if (round.length === 0) round = this.#shuffled([...acts]);
      await wait(200 + 600 * this.#next());
      const at = Math.floor(this.#next() * this.#processes.length);
      switch (round.pop()!) {
        case "kill":
          await this.#kill(at);
          break;
        case "stop":
          await this.#stop(at);
          break;
        case "restart":
          await this.#restart();
          break;
        case "cut":
          await this.#cut();
          break;
        case "hang":
          this.#redis.signal("SIGSTOP");
          await wait(STOP_MS);
          this.#redis.signal("SIGCONT");
          break;
      }
    }
  }

  /** Waits until all is done. @returns blocks that are not. */
  async quiet(): Promise<number> {
    let seen = "";
    let sinceMs = performance.now();
    while (performance.now() - sinceMs < this.#options.patienceMs) {
      const { accepted, complete } = await this.#ledger();
      const left = await this.leftInRedis();
      if (accepted === complete && left === 0) return 0;
      const now = `${accepted} ${complete} ${left}`;
      if (now !== seen) sinceMs = performance.now();
      seen = now;
      await wait(QUIET_POLL_MS);
    }
    const { accepted, complete } = await this.#ledger();
    return accepted - complete;
  }

  async leftInRedis(): Promise<number> {
    const prefix = `chaos:{${NETWORK}}:`;
    const { inspect } = this.#redis;
    const streams = ["s:rf", "s:rb", "s:pf", "s:pb", "s:vf", "s:vb", "dlq", "blocks", "requests"];
    const lengths = await Promise.all([
      ...streams.map((key) => inspect.xlen(prefix + key)),
      ...["u", "tok", "dt"].map((key) => inspect.hlen(prefix + key)),
      ...["d", "open:forwards", "open:backwards", "open:repair", "stuck"].map((key) => inspect.zcard(prefix + key)),
    ]);
    return lengths.reduce((sum, length) => sum + length, 0);
  }

  async report(incomplete: number, left: number): Promise<ChaosReport> {
    const lines = await this.#journal();
    const { accepted } = await this.#ledger();
    return {
      blocks: accepted,
      deliveries: lines.filter(({ kind }) => kind === "delivered").length,
      kills: this.#kills,
      wrong: {
        incomplete,
        early: lines.filter(({ kind }) => kind === "early").length,
        tokenDecreases: decreases(lines),
        staleTaken: this.#staleTaken(lines),
        rows: await this.#wrongRows(accepted),
        left,
        ended: this.#ended,
        noisy: this.#noisy,
      },
    };
  }

  async end(): Promise<void> {
    if (this.#over) return;
    this.#over = true;
    clearInterval(this.#sizing);
    for (const process of this.#processes) process?.kill("SIGKILL");
    await Promise.all([...this.#processes.map((process) => process?.status), ...this.#listening]);
  }

  /** Flags of a process whose scripts are not what they should be. */
  async #sabotaged(): Promise<string[]> {
    if (this.#options.sabotage === undefined) return [];
    const texts = await patched(this.#options.sabotage);
    if (texts.size === 0) return [];
    const imports: Record<string, string> = { ...project.imports };
    for (const [script, text] of texts) {
      await Deno.writeTextFile(`${this.#directory}/${script}`, text);
      imports[new URL(script, SCRIPTS).href] = `file://${this.#directory}/${script}`;
    }
    await Deno.writeTextFile(`${this.#directory}/imports.json`, JSON.stringify({ imports }));
    return [`--import-map=${this.#directory}/imports.json`];
  }

  #start(at: number): void {
    const setup = { ...this.#setup, journal: `${this.#directory}/${this.#started++}.journal` };
    const process = new Deno.Command(Deno.execPath(), {
      args: [
        ...this.#arguments,
        new URL("./queue_chaos_process.ts", import.meta.url).pathname,
        JSON.stringify(setup),
      ],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    this.#processes[at] = process;
    this.#listening.push(this.#listen(process));
    void process.status.then(({ signal }) => {
      if (signal === null) this.#ended++;
    });
  }

  async #listen(process: Deno.ChildProcess): Promise<void> {
    const said = new Uint8Array(await new Response(process.stderr).arrayBuffer());
    if (said.length === 0) return;
    this.#noisy++;
    await Deno.stderr.write(said);
  }

  async #kill(at: number): Promise<void> {
    const process = this.#processes[at]!;
    process.kill("SIGKILL");
    await process.status;
    this.#kills++;
    this.#start(at);
  }

  async #stop(at: number): Promise<void> {
    const process = this.#processes[at]!;
    process.kill("SIGSTOP");
    const { from, to } = STOPPED_LEASES;
    await wait(QUEUE_OPTIONS.leaseMs * (from + (to - from) * this.#next()));
    process.kill("SIGCONT");
  }

  async #restart(): Promise<void> {
    const killedMs = now();
    await this.#redis.down();
    await wait(500 * this.#next());
    await this.#redis.up();
    this.#gaps.push({ fromMs: killedMs, toMs: now() });
  }

  /** A loss of power: what was written in the last second is gone. */
  async #cut(): Promise<void> {
    const killedMs = now();
    await this.#redis.down();
    const before = this.#sizes.filter(({ atMs }) => atMs <= killedMs - LOST_MS).at(-1);
    if (before !== undefined) {
      await Deno.truncate(this.#log(), before.bytes);
      this.#sizes = this.#sizes.filter(({ atMs }) => atMs <= before.atMs);
    }
    await this.#redis.up();
    this.#gaps.push({ fromMs: before?.atMs ?? killedMs, toMs: now() });
  }

  async #size(): Promise<void> {
    const atMs = now();
    const found = await Deno.stat(this.#log()).catch(() => undefined);
    if (found !== undefined) this.#sizes = [...this.#sizes.slice(-50), { atMs, bytes: found.size }];
  }

  #log(): string {
    return `${this.#redis.directory}/appendonlydir/appendonly.aof.1.incr.aof`;
  }

  async #ledger(): Promise<{ accepted: number; complete: number }> {
    const text = await this.#store.query("SELECT count(), sum(complete) FROM ledger FINAL FORMAT TSV");
    const [accepted, complete] = text.trim().split("\t").map(Number);
    return { accepted: accepted!, complete: complete! };
  }

  async #until(what: string, holds: () => Promise<boolean>): Promise<void> {
    const end = performance.now() + this.#options.patienceMs;
    while (!await holds()) {
      assert.ok(performance.now() < end, `Cannot wait longer for ${what}`);
      await wait(QUIET_POLL_MS);
    }
  }

  async #journal(): Promise<JournalLine[]> {
    const lines: JournalLine[] = [];
    for (let number = 0; number < this.#started; number++) {
      const text = await Deno.readTextFile(`${this.#directory}/${number}.journal`).catch(() => "");
      for (const line of text.split("\n").slice(0, -1)) lines.push(JSON.parse(line));
    }
    return lines;
  }

  /**
   * Settlements taken although a newer delivery had begun. What is done already is answered as settled to whoever asks,
   * with no effect: so only those count before which no other delivery can have done it. What Redis forgot proves nothing.
   */
  #staleTaken(lines: readonly JournalLine[]): number {
    const deliveries = Map.groupBy(lines.filter((line) => line.kind === "delivered"), ({ task }) => task);
    const settlements = new Map(lines.filter((line) => line.kind === "settled").map((line) => [line.token, line]));
    const lost = new Set(lines.filter((line) => line.kind === "lost").map(({ token }) => token));
    let count = 0;
    for (const line of settlements.values()) {
      if (line.verdict !== "settled") continue;
      const others = deliveries.get(line.task)!.filter(({ token }) => token !== line.token);
      const newer = others.some((other) =>
        other.token > line.token && other.receivedMs < line.sentMs && !this.#forgotten(other.sentMs, other.receivedMs)
      );
      const doneByAnother = line.outcome === "done" && others.some(({ token }) => {
        if (lost.has(token)) return false;
        const theirs = settlements.get(token);
        return theirs === undefined || theirs.sentMs < line.receivedMs;
      });
      if (newer && !doneByAnother) count++;
    }
    return count;
  }

  /** Whether Redis may have forgotten what it did between these times. */
  #forgotten(fromMs: number, toMs: number): boolean {
    return this.#gaps.some((gap) => fromMs < gap.toMs + MARGIN_MS && gap.fromMs - MARGIN_MS < toMs);
  }

  async #wrongRows(blocks: number): Promise<number> {
    const text = await this.#store.query(
      "SELECT block, count(), countIf(value != block * 1000 + transaction * 10 + position) FROM structlogs FINAL GROUP BY block FORMAT TSV",
    );
    const found = new Map(
      text.trim().split("\n").filter((line) => line !== "").map((line) => {
        const [block, rows, bad] = line.split("\t").map(Number) as [number, number, number];
        return [block, { rows, bad }] as const;
      }),
    );
    let wrong = 0;
    for (let block = 1; block <= blocks; block++) {
      const { rows, bad } = found.get(block) ?? { rows: 0, bad: 0 };
      wrong += Math.abs(rows - INDICES * transactionsOf(block)) + bad;
      found.delete(block);
    }
    return wrong + found.size;
  }

  /** Park and Miller, 0 to 1. */
  #next(): number {
    this.#random = (this.#random * 16807) % 2147483647;
    return this.#random / 2147483647;
  }

  #shuffled<T>(items: T[]): T[] {
    for (let last = items.length - 1; last > 0; last--) {
      const other = Math.floor(this.#next() * (last + 1));
      [items[last], items[other]] = [items[other]!, items[last]!];
    }
    return items;
  }
}

/** Deliveries that began after another of their task had been received, and have no larger token. */
function decreases(lines: readonly JournalLine[]): number {
  let count = 0;
  for (const group of Map.groupBy(lines.filter((line) => line.kind === "delivered"), ({ task }) => task).values()) {
    for (const later of group) {
      if (group.some((earlier) => earlier.receivedMs < later.sentMs && earlier.token >= later.token)) count++;
    }
  }
  return count;
}

/** As the processes say it. */
function now(): number {
  return performance.timeOrigin + performance.now();
}

function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
