import assert from "node:assert/strict";
import type { Call, FailureMode, RequestAsk, Result } from "../../src/rpc/port.ts";
import { Recorder } from "./recorder.ts";
import { simulate, type Simulation } from "./simulated.ts";

function callsOf(count: number): Call[] {
  return Array.from({ length: count }, (_, at) => ({ method: "eth_getCode", params: [at] }));
}

/** The result of a batch, after enough time. */
async function sent(
  { pool, clock }: Simulation,
  calls: readonly Call[],
  mode: FailureMode = "collect",
  more: Partial<RequestAsk<unknown>> = {},
): Promise<readonly Result<unknown>[]> {
  const results = pool.batch(calls, {
    class: "read",
    decode: (result) => result,
    priority: "process",
    deadlineMs: clock.now() + 60_000,
    mode,
    ...more,
  });
  results.catch(() => {});
  await clock.advance(20_000);
  return await results;
}

function valuesOf(results: readonly Result<unknown>[]): unknown[] {
  return results.map((result) => result.ok ? result.value : result.error.message);
}

function expected(count: number): string[] {
  return Array.from({ length: count }, (_, at) => `eth_getCode [${at}]`);
}

/** Sizes of the batches sent. */
function sizes(recorder: Recorder): number[] {
  return recorder.of("rpc_batch").map(({ items }) => items);
}

Deno.test("batch() cuts at 100 calls and keeps the order", async () => {
  using recorder = new Recorder();
  await using simulation = await simulate({ a: {} });
  assert.deepEqual(valuesOf(await sent(simulation, callsOf(250))), expected(250));
  assert.deepEqual(sizes(recorder), [100, 100, 50]);
});

Deno.test("batch() cuts at the bytes of a request", async () => {
  using recorder = new Recorder();
  await using simulation = await simulate({ a: {} }, { rpc: { batch: { bytes: "1KiB" } } });
  assert.deepEqual(valuesOf(await sent(simulation, callsOf(40))), expected(40));
  // The last call goes alone.
  assert.deepEqual(sizes(recorder), [13, 13, 13]);
});

Deno.test("batch() sends alone what failed or got no answer, and keeps what is done", async () => {
  await using simulation = await simulate({ a: {} });
  const node = simulation.nodes.a!;
  let batched = true;
  node.react = ({ params }) => {
    if (params[0] === 2 && batched) return { omitted: true };
    if (params[0] === 3 && batched) return { error: { code: -32603, message: "something" } };
    return {};
  };
  node.reactToBatch = () => {
    batched = false;
    return undefined;
  };
  assert.deepEqual(valuesOf(await sent(simulation, callsOf(5))), expected(5));
  assert.equal(node.received.get("eth_getCode"), 7);
});

for (
  const [name, reply] of [
    ["413", { status: 413 }],
    ["batch too large", { error: { code: -32600, message: "batch too large" } }],
    ["a cut", { fault: "cut" }],
  ] as const
) {
  Deno.test(`batch() is halved on ${name}, and the size is remembered`, async () => {
    using recorder = new Recorder();
    await using simulation = await simulate({ a: {} });
    const node = simulation.nodes.a!;
    node.reactToBatch = (calls) => calls > 20 ? reply : undefined;
    assert.deepEqual(valuesOf(await sent(simulation, callsOf(80))), expected(80));
    assert.deepEqual(sizes(recorder).slice(0, 3), [80, 40, 40]);
    assert.ok(recorder.of("rpc_batch_split").length >= 3);
    if (name === "a cut") return;
    assert.ok(simulation.pool.nodes()[0]!.batchItems <= 20);
    const before = sizes(recorder).length;
    await sent(simulation, callsOf(80));
    assert.ok(Math.max(...sizes(recorder).slice(before)) <= 20);
  });
}

Deno.test("batch() of a node that takes few calls is cut for that node", async () => {
  using recorder = new Recorder();
  await using simulation = await simulate({ a: { limits: { batchItems: 10 } } });
  assert.deepEqual(valuesOf(await sent(simulation, callsOf(25))), expected(25));
  assert.deepEqual(sizes(recorder), [10, 10, 5]);
});

Deno.test("batch() goes to another node when the first one is away", async () => {
  await using simulation = await simulate({ a: { weight: 1_000 }, b: {} });
  simulation.nodes.a!.reactToBatch = () => ({ fault: "reset" });
  assert.deepEqual(valuesOf(await sent(simulation, callsOf(30))), expected(30));
});

Deno.test("batch() collects failures in their places, or throws the first one", async () => {
  await using simulation = await simulate({ a: {} }, { rpc: { retry: { attempts: 1 } } });
  simulation.nodes.a!.react = ({ params }) =>
    params[0] === 1 ? { error: { code: -32602, message: "invalid params" } } : {};
  const results = await sent(simulation, callsOf(3));
  assert.deepEqual(results.map(({ ok }) => ok), [true, false, true]);
  await assert.rejects(sent(simulation, callsOf(3), "failFast"), /invalid params/);
  assert.equal(simulation.nodes.a!.inHand, 0);
});

Deno.test("batch() ends with its caller", async () => {
  await using simulation = await simulate({ a: {} });
  const node = simulation.nodes.a!;
  node.react = ({ method }) => method === "eth_getCode" ? { afterMs: Infinity } : {};
  const abort = new AbortController();
  const reason = new Error("enough");
  const results = sent(simulation, callsOf(5), "collect", { signal: abort.signal });
  await simulation.clock.advance(10);
  assert.equal(node.inHand, 1);
  abort.abort(reason);
  await assert.rejects(results, reason);
  assert.equal(node.inHand, 0);
});
