/** What becomes of jobs whose trace worker throws, traps, spins or runs out of memory. */
import assert from "node:assert/strict";
import type { Workers } from "../../src/pipeline/workers.ts";
import { TRACE_WORKER } from "../../src/pipeline/workers.ts";
import { subscribe } from "../../src/telemetry/emit.ts";
import { deaf, jobOf, MADE_UP, openWorkers } from "./worker_job.ts";

const never = new AbortController().signal;

async function resultsOf(workers: Workers, network: string) {
  const { accepted, results } = workers.run(jobOf(network), never, deaf());
  const taken = await accepted.then(() => true, () => false);
  return { taken, ...await results };
}

function replacements() {
  const told: { worker: number; message: string; tasks: number }[] = [];
  const reader = subscribe((event) => {
    if (event.kind === "worker_replaced") told.push(event);
  });
  return { told, [Symbol.dispose]: () => reader[Symbol.dispose]() };
}

for (
  const [how, network, cause] of [
    ["an exception", "throws", /nobody foresaw this/],
    ["a wasm trap", "traps", /unreachable/],
  ] as const
) {
  Deno.test(`a worker is replaced after ${how}: its job is to be retried, the cause is told, and it works again`, async () => {
    using replaced = replacements();
    await using workers = await openWorkers(MADE_UP, 1);
    assert.deepEqual(await resultsOf(workers, "fine"), { taken: true, transactions: [] });
    for (let times = 1; times <= 2; times++) {
      const { taken, error } = await resultsOf(workers, network);
      assert.equal(taken, false);
      assert.deepEqual([error?.code, error?.disposition, error?.release], ["worker_ended", "retry", false]);
      assert.match(error!.message, cause);
      assert.equal(replaced.told.length, times);
      assert.match(replaced.told.at(-1)!.message, cause);
      const meanwhile = await resultsOf(workers, "fine");
      assert.deepEqual(meanwhile, { taken: true, transactions: [] }, "it waits for the new worker");
    }
  });
}

Deno.test("jobs beside one that ends their worker fail with it, those of another worker do not", async () => {
  using replaced = replacements();
  await using workers = await openWorkers(MADE_UP, 2);
  // The least busy worker gets each: 0, 1, 0, 1.
  const [first, second, third] = ["hangs", "hangs", "throws"].map((network) =>
    workers.run(jobOf(network), never, deaf())
  );
  assert.equal((await third!.results).error?.code, "worker_ended");
  assert.equal((await first!.results).error?.code, "worker_ended");
  assert.deepEqual(replaced.told.map(({ worker, tasks }) => [worker, tasks]), [[0, 2]]);
  assert.deepEqual((await resultsOf(workers, "fine")).error, undefined, "the other takes what comes");
  assert.equal(await Promise.race([second!.results, Promise.resolve("still there")]), "still there");
});

Deno.test("what nobody foresaw in a job ends the real worker: that job is retried, its neighbours lose no attempt", async () => {
  using replaced = replacements();
  const asked = Promise.withResolvers<void>();
  const go = Promise.withResolvers<Response>();
  await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, ({ url }) => {
    if (url.endsWith("/bad")) return new Response('{"jsonrpc":"2.0","id":1,"result":{}}');
    asked.resolve();
    return go.promise;
  });
  const url = `http://127.0.0.1:${server.addr.port}`;
  try {
    await using workers = await openWorkers(TRACE_WORKER, 1);
    const neighbour = workers.run(jobOf("one", `${url}/slow`), never, deaf());
    await asked.promise;
    const outcomes: string[] = [];
    const unforeseen = jobOf("one", `${url}/bad`);
    Reflect.deleteProperty(unforeseen.transactions[0]!, "start");
    const bad = workers.run(unforeseen, never, {
      ...deaf(),
      read: ({ kind }) => outcomes.push(kind),
    });
    const { error } = await bad.results;
    assert.deepEqual([error?.code, error?.disposition, error?.release], ["worker_ended", "retry", false]);
    assert.equal(outcomes.length, 1, "the node's lease ends once");
    const { error: other } = await neighbour.results;
    assert.deepEqual([other?.code, other?.release], ["worker_ended", true]);
    assert.equal(replaced.told.length, 1);
  } finally {
    go.resolve(new Response("{}"));
  }
});

Deno.test("an aborted job is no reason to replace its worker", async () => {
  using replaced = replacements();
  const asked = Promise.withResolvers<void>();
  const go = Promise.withResolvers<Response>();
  await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, () => {
    asked.resolve();
    return go.promise;
  });
  try {
    await using workers = await openWorkers(TRACE_WORKER, 1);
    const abort = new AbortController();
    const running = workers.run(jobOf("one", `http://127.0.0.1:${server.addr.port}`), abort.signal, deaf());
    await asked.promise;
    abort.abort(new DOMException("over", "AbortError"));
    const { error } = await running.results;
    assert.deepEqual([error?.code, error?.disposition, error?.release], ["job_aborted", "retry", true]);
    assert.match(error!.message, /over/, "says who aborted it");
    await workers.drain(1_000);
    assert.deepEqual(replaced.told, []);
  } finally {
    go.resolve(new Response("{}"));
  }
});

Deno.test("jobs of workers that are ended use no attempt", async () => {
  const workers = await openWorkers(MADE_UP, 1);
  const { results } = workers.run(jobOf("hangs"), never, deaf());
  await workers[Symbol.asyncDispose]();
  const { error } = await results;
  assert.deepEqual([error?.code, error?.release], ["worker_ended", true]);
});

async function processOf(job: string, ...flags: string[]) {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", "-A", ...flags, new URL("./worker_process.ts", import.meta.url).pathname, job],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).output();
  return { code, lines: new TextDecoder().decode(stderr).trim().split("\n") };
}

Deno.test("a worker that spins ends its process with exit code 70 and a last line that says so", async () => {
  const { code, lines } = await processOf("spins");
  assert.equal(code, 70, lines.join("\n"));
  assert.match(lines.at(-1)!, /trace worker does not answer: the process ends and the queue recovers its tasks/);
});

Deno.test("a worker that exhausts the heap ends its process with exit code 133", async () => {
  const { code, lines } = await processOf("hoards", "--v8-flags=--max-old-space-size=100");
  assert.equal(code, 133, lines.join("\n"));
  assert.match(lines.join("\n"), /out of memory/i);
});
