/**
 * One process of the chaos: stands for leader, makes up blocks, works on tasks and writes the ledger, all with the queue's
 * real parts against a real Redis and a real engine. What it saw goes to a journal line by line, so that `kill -9` loses
 * nothing of it.
 */
import { map, merge, Observable, startWith, switchMap } from "rxjs";
import { classified } from "../../src/errors.ts";
import { abortable } from "../../src/flow/abortable.ts";
import { lanes } from "../../src/flow/lanes.ts";
import { leaderGate } from "../../src/flow/leader_gate.ts";
import { pause } from "../../src/flow/pause.ts";
import { leadership } from "../../src/stages/gate/leadership.ts";
import { Claims } from "../../src/stages/queue/claims.ts";
import { type Lease, type Office, taskId, type WorkQueue } from "../../src/stages/queue/port.ts";
import { redisQueues } from "../../src/stages/queue/redis_streams.ts";
import { speaker } from "../embedded/test_database.ts";
import {
  type ChaosSetup,
  hashOf,
  INDICES,
  type JournalLine,
  LANES,
  NETWORK,
  OPEN_BLOCKS,
  QUEUE_OPTIONS,
  rangesOf,
  transactionsOf,
} from "./queue_chaos_world.ts";

const RENEW_MS = 500;
const RECONCILE_MS = 2_000;
const RETRY_MS = 200;
const FAILURE = { code: "chaos", message: "it was made to fail" };

const setup = JSON.parse(Deno.args[0]!) as ChaosSetup;
const store = speaker(setup.engine, setup.engine.database);
const journal = await Deno.open(setup.journal, { append: true, create: true, write: true });
const encoder = new TextEncoder();

function write(line: JournalLine): void {
  journal.writeSync(encoder.encode(`${JSON.stringify(line)}\n`));
}

/** Comparable between processes of one machine. */
function now(): number {
  return performance.timeOrigin + performance.now();
}

async function rows<T>(sql: string): Promise<T[]> {
  const text = await store.query(`${sql} FORMAT JSONEachRow`);
  return text.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line) as T);
}

async function producing(): Promise<boolean> {
  try {
    await Deno.stat(setup.stop);
    return false;
  } catch {
    return true;
  }
}

async function enqueue(queue: WorkQueue, number: number, office: Office): Promise<void> {
  await queue.enqueue({
    kind: "trace",
    class: "process_forwards",
    blockNumber: number,
    blockHash: hashOf(number),
    total: transactionsOf(number),
    ranges: rangesOf(number),
  }, office);
}

/** What the ledger says is open is enqueued again. */
async function reconcile(queue: WorkQueue, office: Office, signal: AbortSignal): Promise<void> {
  if (!setup.reconciles) return;
  const open = await rows<{ number: string }>("SELECT number FROM ledger FINAL WHERE complete = 0 ORDER BY number");
  for (const { number } of open) {
    if (signal.aborted) return;
    await enqueue(queue, Number(number), office);
  }
}

/** A term: reconciles, then lets blocks in as long as few are open. */
async function term(queue: WorkQueue, office: Office, signal: AbortSignal): Promise<void> {
  let reconciledMs = -Infinity;
  let next: number | undefined;
  while (!signal.aborted) {
    try {
      if (now() - reconciledMs > RECONCILE_MS) {
        await reconcile(queue, office, signal);
        reconciledMs = now();
      }
      next ??= 1 + Number((await rows<{ highest: string }>("SELECT max(number) AS highest FROM ledger"))[0]!.highest);
      if ((await queue.stats()).open.forwards >= OPEN_BLOCKS || !await producing()) {
        await pause(RETRY_MS / 2, signal);
        continue;
      }
      await store.insert("INSERT INTO ledger FORMAT JSONEachRow", JSON.stringify({ number: next, complete: 0 }));
      await enqueue(queue, next, office);
      next++;
    } catch (error) {
      if (classified(error).disposition === "fatal") throw error;
      next = undefined;
      await pause(RETRY_MS, signal);
    }
  }
}

function leads(queue: WorkQueue): Observable<never> {
  const reconnections = new Observable<void>((subscriber) => {
    const listening = queue.onReconnect(() => subscriber.next());
    return () => listening[Symbol.dispose]();
  });
  return leadership(queue, "forwards", crypto.randomUUID(), {
    renewMs: RENEW_MS,
    ttlMs: QUEUE_OPTIONS.leaderTtlMs,
  }).pipe(
    switchMap(({ office }) => reconnections.pipe(startWith(undefined), map(() => office))),
    leaderGate((office: Office | undefined) => office, (office) => {
      write({ kind: "office", token: office.token, atMs: now() });
      return abortable<never>((signal) => term(queue, office, signal));
    }),
  );
}

/** Writes the ledger; whether a block is complete can be seen in its rows. */
function writesLedger(queue: WorkQueue): Observable<never> {
  return abortable<never>(async (signal) => {
    while (!signal.aborted) {
      try {
        for (const completion of await queue.completions(20, signal)) {
          const number = completion.blockNumber;
          const [found] = await rows<{ rows: string }>(
            `SELECT count() AS rows FROM structlogs FINAL WHERE block = ${number}`,
          );
          if (Number(found!.rows) < INDICES * transactionsOf(number)) write({ kind: "early", block: number });
          await store.insert("INSERT INTO ledger FORMAT JSONEachRow", JSON.stringify({ number, complete: 1 }));
          await queue.confirm([completion]);
        }
      } catch (error) {
        if (classified(error).disposition === "fatal") throw error;
        await pause(RETRY_MS, signal);
      }
    }
  });
}

/** Half the rows of each transaction: what a process that ends between the halves leaves behind. */
async function insertHalf({ task, token }: Lease, first: number, last: number, half: 0 | 1): Promise<void> {
  const lines: string[] = [];
  for (let transaction = first; transaction <= last; transaction++) {
    for (let position = half * INDICES / 2; position < (half + 1) * INDICES / 2; position++) {
      const value = task.blockNumber * 1_000 + transaction * 10 + position;
      lines.push(JSON.stringify({ block: task.blockNumber, transaction, position, version: token, value }));
    }
  }
  await store.insert("INSERT INTO structlogs FORMAT JSONEachRow", lines.join("\n"));
}

async function busy(lease: Lease, ms: number): Promise<void> {
  const end = now() + ms;
  while (now() < end && !lease.signal.aborted) {
    lease.moved();
    await pause(Math.min(50, Math.max(1, end - now())), lease.signal);
  }
}

async function perform(lease: Lease): Promise<void> {
  const { task, token } = lease;
  const dice = Math.random();
  const { first, last } = task;
  await insertHalf(lease, first, last, 0);
  await busy(lease, dice < 0.15 ? 1.5 * QUEUE_OPTIONS.leaseMs : 20 + 200 * Math.random());
  if (lease.signal.aborted) return write({ kind: "lost", task: taskId(task), token });
  const sentMs = now();
  const ends = async (settlement: Parameters<Lease["settle"]>[0]) => {
    const verdict = await lease.settle(settlement);
    const { outcome } = settlement;
    write({ kind: "settled", task: taskId(task), token, outcome, verdict, sentMs, receivedMs: now() });
  };
  if (dice > 0.95) return await ends({ outcome: "fail", failure: FAILURE });
  if (dice > 0.92) return await ends({ outcome: "release", delayMs: 50 });
  if (dice > 0.85 && last > first) {
    await insertHalf(lease, first, first, 1);
    const done = [{ first, last: first }];
    return await ends({ outcome: "split", done, rest: [{ first: first + 1, last }], failure: FAILURE });
  }
  await insertHalf(lease, first, last, 1);
  await ends({ outcome: "done" });
}

const queues = redisQueues({ url: setup.redis, prefix: "chaos", replicas: 0 }, QUEUE_OPTIONS, Math.random);
const queue = await queues.open(NETWORK);
const claims = new Claims([queue], () => LANES, 2);
const drain = new AbortController();

async function turn(): Promise<never[]> {
  const sentMs = now();
  const lease = await claims.next(drain.signal);
  if (lease === undefined) return [];
  const receivedMs = now();
  write({ kind: "delivered", task: taskId(lease.task), token: lease.token, sentMs, receivedMs });
  await perform(lease).catch((error: unknown) => {
    if (classified(error).disposition === "fatal") throw error;
  });
  return [];
}

const running = merge(lanes(LANES, () => turn(), drain.signal), leads(queue), writesLedger(queue)).subscribe({
  error: (error) => {
    write({ kind: "ended", message: classified(error).message });
    Deno.exit(1);
  },
});
Deno.addSignalListener("SIGTERM", () => {
  drain.abort();
  running.unsubscribe();
  void queues.close().then(() => Deno.exit(0));
});
