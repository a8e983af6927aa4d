/**
 * The queue against BullMQ on the same Redis in the same run, taking turns: enqueue, drain with a handler that does
 * nothing until the last task is settled, memory per waiting task, and latency to an idle lane. As many lanes here as
 * BullMQ has concurrency there, each side as it is used: a lane here is free when its work is accepted and its task
 * settles later, BullMQ brings the next job in the step that ends the last; enough tasks that a start costs neither side
 * much. Then what failures cost: a process that is killed while it holds a task, and a Redis that was away. Figures are lines
 * `name<TAB>value<TAB>unit`; progress goes to stderr.
 */
import { RedisServer } from "../tests/stages/queue/with_redis.ts";
import { BENCH_OPTIONS, drain, elected, enqueue, enqueueBlock, latency, openQueue } from "./queue_way.ts";
import { figure, median, say } from "./figures.ts";

const BULLMQ = ["bullmq@6.7.0", "ioredis@6.0.0"];
const TASKS = 50_000;
const BATCH = 250;
/** Lanes here, concurrency there: so many tasks are in hand at a time. Jobs that wait for others are run by hundreds. */
const CONCURRENCY = 256;
/** The drain once more where fewer run side by side: messages are smaller then. */
const FEWER = 64;
const SAMPLES = 100;
const ROUNDS = 5;
const KILLS = 3;
const OUTAGES = 3;
/** A shorter lease than the default, so that the bench does not wait for minutes. */
const RECOVERY = { ...BENCH_OPTIONS, leaseMs: 3_000, heartbeatMs: 1_000, reclaimMs: 500 };

interface Round {
  readonly enqueueMs: number;
  readonly drainMs: number;
  readonly fewerDrainMs: number;
  readonly bytes: number;
  readonly latencyMs: number;
}

async function output(program: string, args: readonly string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, { args: [...args], stdin: "null" }).output();
  if (!success) throw new Error(`Cannot run ${program} ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}

async function usedBytes(redis: RedisServer): Promise<number> {
  return Number(/used_memory:(\d+)/.exec(await redis.inspect.info("memory"))![1]);
}

/** Memory that `fill` takes per task. */
async function bytesOf(redis: RedisServer, fill: () => Promise<number>): Promise<{ ms: number; bytes: number }> {
  await redis.inspect.flushall();
  const before = await usedBytes(redis);
  const ms = await fill();
  return { ms, bytes: (await usedBytes(redis) - before) / TASKS };
}

async function ours(redis: RedisServer): Promise<Round> {
  await using opened = await openQueue(redis.url);
  const { queue } = opened;
  const { ms, bytes } = await bytesOf(redis, () => enqueue(queue, TASKS, BATCH));
  const drainMs = await drain(queue, TASKS, CONCURRENCY);
  const latencyMs = median(await latency(queue, SAMPLES));
  await redis.inspect.flushall();
  await enqueue(queue, TASKS, BATCH);
  return { enqueueMs: ms, bytes, drainMs, latencyMs, fewerDrainMs: await drain(queue, TASKS, FEWER) };
}

async function theirs(redis: RedisServer, directory: string): Promise<Round> {
  const script = new URL("./queue_bullmq.mjs", import.meta.url).pathname;
  const step = async <T>(name: string, tasks: number, concurrency = CONCURRENCY): Promise<T> =>
    JSON.parse(
      await output("node", [script, directory, ...[redis.port, name, tasks, BATCH, concurrency].map(String)]),
    ) as T;
  const { ms, bytes } = await bytesOf(redis, () => step<number>("enqueue", TASKS));
  const drainMs = await step<number>("drain", TASKS);
  const latencyMs = median(await step<number[]>("latency", SAMPLES));
  await redis.inspect.flushall();
  await step<number>("enqueue", TASKS);
  return { enqueueMs: ms, bytes, drainMs, latencyMs, fewerDrainMs: await step<number>("drain", TASKS, FEWER) };
}

/** From a kill -9 of the owner until another process has its task. */
async function recovery(redis: RedisServer): Promise<number> {
  await redis.inspect.flushall();
  await using opened = await openQueue(redis.url, RECOVERY);
  const { queue } = opened;
  const victim = new Deno.Command(Deno.execPath(), {
    args: [
      ...[
        "run",
        "--no-check",
        "--allow-read",
        "--allow-net",
        "--allow-env",
        "--allow-sys",
        new URL("./queue_victim.ts", import.meta.url).pathname,
      ],
      ...[redis.url, JSON.stringify(RECOVERY)],
    ],
    stdin: "null",
    stdout: "piped",
  }).spawn();
  await enqueueBlock(queue, await elected(queue), 1, 1);
  for await (const _claimed of victim.stdout) {
    victim.kill("SIGKILL");
    break;
  }
  const began = performance.now();
  await victim.status;
  while (true) {
    const [lease] = await queue.fetch(1);
    if (lease !== undefined) {
      const ms = performance.now() - began;
      await lease.settle({ outcome: "done" });
      return ms;
    }
    await queue.idle(new AbortController().signal);
  }
}

/** From the return of Redis until a call that waited for it is answered. */
async function resumption(redis: RedisServer): Promise<number> {
  await redis.inspect.flushall();
  await using opened = await openQueue(redis.url);
  await redis.down();
  const call = opened.queue.stats();
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  await redis.up();
  const began = performance.now();
  await call;
  return performance.now() - began;
}

const directory = await Deno.makeTempDir({ prefix: "bullmq-" });
const redis = await RedisServer.start([
  ...["--appendonly", "yes", "--appendfsync", "everysec"],
  ...["--auto-aof-rewrite-percentage", "0"], // or it comes in the middle of a measurement of either side
]);
try {
  await output("npm", ["install", "--omit=optional", "--no-audit", "--no-fund", "--prefix", directory, ...BULLMQ]);
  say(
    `${TASKS} tasks a round, enqueued ${BATCH} at a time, drained by ${CONCURRENCY} and by ${FEWER} lanes on either side`,
  );
  const rounds: { ours: Round; theirs: Round }[] = [];
  for (let round = 0; round <= ROUNDS; round++) {
    const measured = { ours: await ours(redis), theirs: await theirs(redis, directory) };
    if (round === 0) continue; // both warm up
    rounds.push(measured);
    const shown = (side: Round) =>
      `enqueue ${(TASKS / side.enqueueMs).toFixed(1)} k/s, drain ${(TASKS / side.drainMs).toFixed(1)} and ` +
      `${(TASKS / side.fewerDrainMs).toFixed(1)} k/s, ` +
      `${Math.round(side.bytes)} bytes, p50 ${side.latencyMs.toFixed(2)} ms`;
    say(`round ${round} of ${ROUNDS}: ${shown(measured.ours)}; BullMQ ${shown(measured.theirs)}`);
  }
  const typical = (side: "ours" | "theirs", name: keyof Round) => median(rounds.map((round) => round[side][name]));
  const ratio = (name: keyof Round) => median(rounds.map(({ ours, theirs }) => theirs[name] / ours[name]));
  figure("queue_enqueue_per_second", Math.round(1_000 * TASKS / typical("ours", "enqueueMs")), "tasks/s");
  figure("queue_drain_per_second", Math.round(1_000 * TASKS / typical("ours", "drainMs")), "tasks/s");
  figure("queue_bytes_per_task", Math.round(typical("ours", "bytes")), "bytes");
  figure("queue_latency_p50_ms", typical("ours", "latencyMs").toFixed(2), "ms");
  figure("queue_enqueue_vs_bullmq", ratio("enqueueMs").toFixed(2), "ratio");
  figure("queue_drain_vs_bullmq", ratio("drainMs").toFixed(2), "ratio");
  figure(`queue_drain_vs_bullmq_${FEWER}_lanes`, ratio("fewerDrainMs").toFixed(2), "ratio");
  figure("queue_memory_vs_bullmq", (1 / ratio("bytes")).toFixed(2), "ratio");
  figure("queue_latency_vs_bullmq", (1 / ratio("latencyMs")).toFixed(2), "ratio");
  const recoveries: number[] = [];
  for (let kill = 0; kill < KILLS; kill++) recoveries.push(await recovery(redis));
  figure("queue_recovery_ms", Math.round(Math.max(...recoveries)), "ms");
  figure("queue_recovery_bound_ms", RECOVERY.leaseMs + RECOVERY.reclaimMs, "ms");
  const resumptions: number[] = [];
  for (let outage = 0; outage < OUTAGES; outage++) resumptions.push(await resumption(redis));
  figure("queue_resume_ms", Math.round(Math.max(...resumptions)), "ms");
} finally {
  await redis.stop();
  await Deno.remove(directory, { recursive: true });
}
