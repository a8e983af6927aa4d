/**
 * The other side of the queue bench: BullMQ in Node, as its documentation says, one step a process. Prints the
 * milliseconds of the step, or of each sample, as JSON.
 *
 * Arguments: directory with node_modules, port of Redis, step (enqueue, drain or latency), tasks, batch, concurrency.
 */
import { createRequire } from "node:module";
import process from "node:process";

const [directory, port, step, tasksText, batchText, concurrencyText] = process.argv.slice(2);
const { Queue, Worker } = createRequire(`${directory}/`)("bullmq");
const [tasks, batch, concurrency] = [tasksText, batchText, concurrencyText].map(Number);
const connection = { host: "127.0.0.1", port: Number(port), maxRetriesPerRequest: null };
const NAME = "bench";
const OPTIONS = { attempts: 8, backoff: { type: "exponential", delay: 1_000 }, removeOnComplete: true };

/** The same content as a task has here, unique while it is pending. */
function jobOf(number) {
  const hash = `0x${Math.floor(number / batch).toString(16).padStart(64, "0")}`;
  const [block, index] = [Math.floor(number / batch), number % batch];
  const data = { kind: "trace", block, hash, first: index, last: index, class: "process_forwards" };
  return { name: "trace", data, opts: { ...OPTIONS, jobId: `trace-${block}-${hash.slice(2, 10)}-${index}` } };
}

async function enqueue(queue) {
  const began = performance.now();
  for (let from = 0; from < tasks; from += batch) {
    await queue.addBulk(Array.from({ length: Math.min(batch, tasks - from) }, (_, at) => jobOf(from + at)));
  }
  return performance.now() - began;
}

async function drain() {
  let left = tasks;
  const { promise, resolve } = Promise.withResolvers?.() ?? withResolvers();
  const worker = new Worker(NAME, () => Promise.resolve(), { connection, concurrency, autorun: false });
  worker.on("completed", () => {
    if (--left === 0) resolve();
  });
  await worker.waitUntilReady();
  const began = performance.now();
  void worker.run();
  await promise;
  const ms = performance.now() - began;
  await worker.close();
  return ms;
}

async function latency(queue) {
  let handled;
  const worker = new Worker(NAME, () => Promise.resolve(handled(performance.now())), { connection, concurrency });
  await worker.waitUntilReady();
  const samples = [];
  for (let number = 0; number < tasks; number++) {
    const { promise, resolve } = withResolvers();
    handled = resolve;
    const { name, data, opts } = jobOf(number);
    const began = performance.now();
    await queue.add(name, data, opts);
    samples.push(await promise - began);
    await new Promise((wake) => setTimeout(wake, 5));
  }
  await worker.close();
  return samples;
}

function withResolvers() {
  let resolve;
  const promise = new Promise((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

const queue = new Queue(NAME, { connection });
await queue.waitUntilReady();
const result = step === "enqueue" ? await enqueue(queue) : step === "drain" ? await drain() : await latency(queue);
await queue.close();
process.stdout.write(JSON.stringify(result));
