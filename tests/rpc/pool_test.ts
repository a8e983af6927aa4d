import assert from "node:assert/strict";
import { DeadlineExceeded, NodesUnavailable, Overloaded, RpcFailure } from "../../src/rpc/failure.ts";
import type { Lease, LeaseAsk, Outcome, RequestAsk } from "../../src/rpc/port.ts";
import { Recorder } from "./recorder.ts";
import { simulate } from "./simulated.ts";
import { settled } from "./virtual_clock.ts";

const OK: Outcome = { kind: "ok", bytes: 100, units: 1, firstByteMs: 1, totalMs: 2 };

function trace(deadlineMs: number, more: Partial<LeaseAsk> = {}): LeaseAsk {
  return { need: { class: "trace", method: "debug_traceTransaction" }, priority: "process", deadlineMs, ...more };
}

function read(deadlineMs: number, more: Partial<RequestAsk<unknown>> = {}): RequestAsk<unknown> {
  return { class: "read", decode: (result) => result, priority: "process", deadlineMs, ...more };
}

/** What became of a promise, without waiting for it. */
function watch<T>(promise: Promise<T>): { value?: T; error?: unknown } {
  const seen: { value?: T; error?: unknown } = {};
  promise.then((value) => seen.value = value, (error) => seen.error = error);
  return seen;
}

Deno.test("a pool becomes ready when its nodes have answered", async () => {
  await using simulation = await simulate({ a: {}, b: {} });
  const { pool, clock } = simulation;
  await pool.ready();
  assert.deepEqual(pool.nodes().map(({ name, condition, headNumber }) => [name, condition, headNumber]), [
    ["a", "ready", 100],
    ["b", "ready", 100],
  ]);
  assert.equal(clock.now(), 0);
});

Deno.test("a node that hangs at the start joins later", async () => {
  await using simulation = await simulate({ a: {}, b: {} });
  const { pool, clock, nodes } = simulation;
  nodes.a!.react = () => ({ afterMs: Infinity });
  pool.reset("a");
  await clock.advance(20_000);
  assert.equal(pool.nodes()[0]!.condition, "down");
  nodes.a!.react = () => ({});
  await clock.advance(15_000);
  assert.equal(pool.nodes()[0]!.condition, "ready");
});

Deno.test("a node that fails once by chance joins all the same at once", async () => {
  await using simulation = await simulate({ a: {} });
  const { pool, clock, nodes } = simulation;
  let calls = 0;
  nodes.a!.react = () => ++calls % 2 === 1 ? { status: 503 } : {};
  pool.reset("a");
  await clock.advance(400);
  assert.equal(pool.nodes()[0]!.condition, "ready");
});

Deno.test("a node that alone can take what waits is asked to join each moment, others later and later", async () => {
  await using simulation = await simulate({ a: {}, b: {} });
  const { pool, clock, nodes } = simulation;
  nodes.b!.chain.head = 101;
  nodes.b!.react = () => ({ fault: "refused" });
  pool.reset("b");
  await clock.advance(120_000);
  const askedBefore = nodes.b!.received.get("eth_chainId")!;
  await clock.advance(60_000);
  const askedInPeace = nodes.b!.received.get("eth_chainId")! - askedBefore;
  assert.ok(askedInPeace <= 7, String(askedInPeace));
  const waiting = watch(pool.lease(trace(clock.now() + 60_000, { blockNumber: 101 })));
  await clock.advance(2_000);
  assert.deepEqual(waiting, {});
  nodes.b!.react = () => ({});
  await clock.advance(1_000);
  assert.equal(waiting.value?.node.name, "b");
  waiting.value!.report(OK);
});

Deno.test("a node of another chain is refused and the network is fatal when all are", async () => {
  await using simulation = await simulate({ a: {} }, { chainId: 1 });
  await assert.rejects(simulation.pool.ready(), (error: Error) => {
    assert.match(error.message, /chain id is 1337 instead of 1/);
    return true;
  });
  assert.equal(simulation.pool.nodes()[0]!.condition, "wrong_chain");
});

Deno.test("lease() stops at the limit and grants the next when one is reported", async () => {
  await using simulation = await simulate({ a: { limits: { trace: { start: 2 } } } });
  const { pool, clock } = simulation;
  const leases: Lease[] = [];
  const first = await pool.lease(trace(60_000));
  const second = watch(pool.lease(trace(60_000)));
  leases.push(first);
  await clock.advance(10);
  // The share of `process` of a limit of 2 is 1: the rest is kept for heads and repairs.
  assert.equal(second.value, undefined);
  const urgent = await pool.lease(trace(60_000, { priority: "head" }));
  assert.equal(pool.nodes()[0]!.classes.trace.inFlight, 2);
  urgent.report(OK);
  first.report(OK);
  await settled();
  assert.notEqual(second.value, undefined);
  second.value!.report(OK);
  second.value!.report(OK);
  assert.equal(pool.nodes()[0]!.classes.trace.inFlight, 0);
});

Deno.test("a lease that leaves its block unreported counts as cancelled", async () => {
  await using simulation = await simulate({ a: {} });
  const { pool } = simulation;
  {
    using lease = await pool.lease(trace(60_000));
    assert.equal(lease.node.name, "a");
    assert.equal(pool.nodes()[0]!.classes.trace.inFlight, 1);
  }
  const { inFlight, failures } = pool.nodes()[0]!.classes.trace;
  assert.deepEqual({ inFlight, failures }, { inFlight: 0, failures: 0 });
});

Deno.test("a lease ends at its time limit and is given up 5 s later", async () => {
  using recorder = new Recorder();
  await using simulation = await simulate({ a: {} });
  const { pool, clock } = simulation;
  const lease = await pool.lease(trace(100_000));
  assert.equal(lease.endByMs, 28_000);
  await clock.advance(27_900);
  assert.equal(lease.signal.aborted, false);
  await clock.advance(200);
  assert.equal(lease.signal.aborted, true);
  await clock.advance(5_000);
  assert.equal(pool.nodes()[0]!.classes.trace.inFlight, 0);
  assert.equal(recorder.of("rpc_lease_abandoned").length, 1);
});

Deno.test("who is patient with the answer and not with the queue has the node's whole limit, however late the lease", async () => {
  await using simulation = await simulate({ a: { timeouts: { trace: "10m" }, limits: { trace: { start: 1 } } } });
  const { pool, clock } = simulation;
  const ask = () => trace(Infinity, { waitUntilMs: clock.now() + 60_000 });
  const held = await pool.lease(ask());
  assert.equal(held.node.limits.wholeMs, 600_000 - 100);
  const next = watch(pool.lease(ask()));
  await clock.advance(20_000);
  const late = watch(pool.lease(ask()));
  held.report(OK);
  await settled();
  assert.equal(next.value!.endByMs, 20_000 + 600_000);
  await clock.advance(60_000);
  assert.deepEqual([next.value!.signal.aborted, late.error instanceof DeadlineExceeded], [false, true]);
  next.value!.report(OK);
});

Deno.test("a view survives the way to a worker", async () => {
  await using simulation = await simulate({ a: { headers: { authorization: "Bearer x" } } });
  const lease = await simulation.pool.lease(trace(60_000));
  assert.deepEqual(structuredClone(lease.node), lease.node);
  lease.report({ kind: "cancelled" });
});

Deno.test("an aborted caller leaves nothing behind", async () => {
  await using simulation = await simulate({ a: { limits: { trace: { start: 1 } } } });
  const { pool, clock } = simulation;
  const abort = new AbortController();
  const first = await pool.lease(trace(60_000, { signal: abort.signal }));
  const waiting = watch(pool.lease(trace(60_000, { signal: abort.signal })));
  const reason = new Error("enough");
  abort.abort(reason);
  await settled();
  assert.equal(waiting.error, reason);
  assert.equal(first.signal.reason, reason);
  first.report({ kind: "cancelled" });
  assert.equal((await pool.lease(trace(clock.now() + 1_000))).node.name, "a");
});

Deno.test("calls of one block stay on one node, in two processes the same", async () => {
  await using one = await simulate({ a: {}, b: {}, c: {} }, {}, 1);
  await using two = await simulate({ a: {}, b: {}, c: {} }, {}, 2);
  const chosen = new Map<string, number>();
  for (let block = 0; block < 60; block++) {
    const blockHash = `0x${(block * 7919).toString(16).padStart(64, "0")}`;
    const names = new Set<string>();
    for (const { pool } of [one, one, two]) {
      using lease = await pool.lease(trace(60_000, { blockHash }));
      names.add(lease.node.name);
    }
    assert.equal(names.size, 1);
    const [name] = names;
    chosen.set(name!, (chosen.get(name!) ?? 0) + 1);
  }
  for (const count of chosen.values()) assert.ok(count >= 8, `${JSON.stringify([...chosen])}`);
});

Deno.test("a pin moves after a violated trace, is counted, and the lease says so", async () => {
  using recorder = new Recorder();
  await using simulation = await simulate({ a: {}, b: {} });
  const { pool } = simulation;
  const ask = trace(60_000, { blockHash: `0x${"7".repeat(64)}` });
  const first = await pool.lease(ask);
  first.report({ kind: "violated", identity: "R4" });
  const second = await pool.lease(ask);
  assert.notEqual(second.node.name, first.node.name);
  assert.deepEqual([first.moved, second.moved], [false, true]);
  second.report(OK);
  const third = await pool.lease(ask);
  assert.equal(third.node.name, second.node.name);
  third.report(OK);
  assert.deepEqual(recorder.of("rpc_pin_moved").map(({ reason }) => reason), ["violated"]);
});

Deno.test("a fallback is used only when no primary can serve", async () => {
  await using simulation = await simulate({ a: {}, spare: { tier: "fallback" } });
  const { pool, nodes } = simulation;
  for (let call = 0; call < 10; call++) await pool.request("eth_getCode", [], read(60_000));
  assert.equal(nodes.spare!.received.get("eth_getCode"), undefined);
  pool.setDrained("a", true);
  await pool.request("eth_getCode", [], read(60_000));
  assert.equal(nodes.spare!.received.get("eth_getCode"), 1);
});

Deno.test("a lagging node serves what it has and nothing above", async () => {
  await using simulation = await simulate({ a: {}, b: {} }, { blockTime: "1s" });
  const { pool, nodes, clock } = simulation;
  nodes.b!.chain.head = 160;
  await clock.advance(5_000);
  assert.equal(pool.nodes()[0]!.condition, "lagging");
  for (let call = 0; call < 10; call++) {
    using lease = await pool.lease(trace(clock.now() + 1_000, { blockNumber: 150 }));
    assert.equal(lease.node.name, "b");
  }
  const served = new Set<string>();
  for (let call = 0; call < 40; call++) {
    using lease = await pool.lease(trace(clock.now() + 1_000, { blockNumber: 90 }));
    served.add(lease.node.name);
  }
  assert.deepEqual([...served].sort(), ["a", "b"]);
});

Deno.test("a block above every head is waited for", async () => {
  await using simulation = await simulate({ a: {} }, { blockTime: "1s" });
  const { pool, nodes, clock } = simulation;
  const waiting = watch(pool.lease(trace(60_000, { blockNumber: 101 })));
  await clock.advance(2_000);
  assert.deepEqual(waiting, {});
  nodes.a!.chain.head = 101;
  await clock.advance(2_000);
  assert.equal(waiting.value?.node.name, "a");
  waiting.value!.report(OK);
});

Deno.test("lease() fails at once when nothing can help, and releases the task", async () => {
  await using simulation = await simulate({ a: { methods: { deny: ["debug_traceTransaction"] } } });
  await assert.rejects(simulation.pool.lease(trace(60_000)), (error) => {
    assert.ok(error instanceof NodesUnavailable);
    assert.equal(error.release, true);
    assert.match(error.message, /a: debug_traceTransaction not available/);
    return true;
  });
});

Deno.test("a full queue sheds the newest of the lowest priority, never a head", async () => {
  await using simulation = await simulate({ a: { limits: { trace: { start: 1 } } } }, { rpc: { queue: { max: 3 } } });
  const { pool, clock } = simulation;
  const held = await pool.lease(trace(60_000));
  const low = watch(pool.lease(trace(60_000, { priority: "backfill" })));
  const lowest = watch(pool.lease(trace(60_000, { priority: "verify" })));
  const middle = watch(pool.lease(trace(60_000)));
  const head = watch(pool.lease(trace(60_000, { priority: "head" })));
  await settled();
  assert.ok(lowest.error instanceof Overloaded);
  assert.equal(lowest.error.reason, "queue_full");
  const late = watch(pool.lease(trace(60_000, { priority: "verify" })));
  await settled();
  assert.ok(late.error instanceof Overloaded);
  held.report(OK);
  await settled();
  // The head was first, though it came last.
  assert.notEqual(head.value, undefined);
  assert.deepEqual([low, middle], [{}, {}]);
  head.value!.report(OK);
  await clock.advance(1);
  middle.value?.report(OK);
  low.value?.report(OK);
});

Deno.test("a call that would wait longer than it is worth is sent back at once", async () => {
  await using simulation = await simulate({ a: { limits: { trace: { start: 1 } } } });
  const { pool, clock } = simulation;
  for (let time = 0; time < 8; time++) {
    const lease = await pool.lease(trace(clock.now() + 60_000));
    lease.report({ ...OK, totalMs: 2_000 });
  }
  const held = await pool.lease(trace(clock.now() + 60_000));
  const patient = Array.from({ length: 3 }, () => watch(pool.lease(trace(clock.now() + 60_000))));
  const hurried = watch(pool.lease(trace(clock.now() + 5_000)));
  const head = watch(pool.lease(trace(clock.now() + 5_000, { priority: "head" })));
  await settled();
  assert.deepEqual([...patient, head], [{}, {}, {}, {}]);
  assert.ok(hurried.error instanceof Overloaded);
  assert.deepEqual([hurried.error.reason, hurried.error.release], ["deadline", true]);
  held.report({ kind: "cancelled" });
});

Deno.test("two silent calls in a row make new connections: an idle one may be dead without a sign", async () => {
  await using simulation = await simulate({ a: {} }, { rpc: { retry: { attempts: 1 } } });
  const { pool, nodes, clock } = simulation;
  const ask = async (afterMs: number) => {
    nodes.a!.react = ({ method }) => method === "eth_getCode" ? { afterMs } : {};
    pool.request("eth_getCode", [], read(clock.now() + 60_000, { priority: "backfill" })).catch(() => {});
    await clock.advance(10_200);
    return nodes.a!.renewed;
  };
  const renewed: number[] = [];
  for (const afterMs of [Infinity, 1, Infinity, Infinity]) renewed.push(await ask(afterMs));
  assert.deepEqual(renewed, [0, 0, 0, 1]);
});

Deno.test("no priority starves", async () => {
  await using simulation = await simulate({ a: { limits: { trace: { start: 4 } } } });
  const { pool, clock } = simulation;
  const served: Record<string, number> = { repair: 0, process: 0, backfill: 0, verify: 0 };
  const work = async (priority: LeaseAsk["priority"]) => {
    while (clock.now() < 60_000) {
      const lease = await pool.lease(trace(200_000, { priority }));
      await new Promise<void>((resolve) => void clock.after(100, resolve));
      served[priority]!++;
      lease.report(OK);
    }
  };
  const all = (["repair", "process", "backfill", "verify"] as const).flatMap((priority) =>
    Array.from({ length: 4 }, () => work(priority))
  );
  await clock.advance(61_000);
  await Promise.all(all);
  assert.ok(served.verify! >= 50, JSON.stringify(served));
  assert.ok(served.repair! > served.process! && served.process! > served.backfill!, JSON.stringify(served));
});

Deno.test("request() tries another node and the breaker opens after five failures", async () => {
  using recorder = new Recorder();
  await using simulation = await simulate({ a: { weight: 1000 }, b: {} });
  const { pool, nodes, clock } = simulation;
  nodes.a!.react = ({ method }) => method === "eth_getCode" ? { status: 500 } : {};
  for (let call = 0; call < 8; call++) {
    const value = watch(pool.request("eth_getCode", [call], read(clock.now() + 60_000)));
    await clock.advance(500);
    assert.equal(value.value, `eth_getCode [${call}]`);
  }
  assert.equal(pool.breaker("a", "read").state, "open");
  assert.equal(nodes.a!.received.get("eth_getCode"), 5);
  assert.deepEqual(recorder.of("rpc_breaker").map(({ node, class: place, to }) => [node, place, to]), [
    ["a", "read", "open"],
  ]);
  // Half-open: the pool's own probe closes it.
  await clock.advance(12_100);
  assert.equal(pool.breaker("a", "read").state, "closed");
  assert.equal(nodes.a!.received.get("eth_getCode"), 5);
});

Deno.test("timeouts open the breaker: a hung node does not", async () => {
  await using simulation = await simulate({ a: {} }, { rpc: { retry: { attempts: 1 } } });
  const { pool, nodes, clock } = simulation;
  nodes.a!.react = ({ method }) => method === "eth_getCode" ? { afterMs: Infinity } : {};
  for (let call = 0; call < 5; call++) {
    const failed = watch(pool.request("eth_getCode", [], read(clock.now() + 60_000, { priority: "backfill" })));
    await clock.advance(10_200);
    assert.ok(failed.error instanceof RpcFailure, String(failed.error));
    assert.equal(failed.error.failure.reason, "first_byte_timeout");
  }
  assert.equal(pool.breaker("a", "read").state, "open");
});

Deno.test("while half-open all calls but the probe go elsewhere", async () => {
  await using simulation = await simulate({ a: { weight: 1000 }, b: {} });
  const { pool, nodes, clock } = simulation;
  nodes.a!.react = ({ method }) => method === "eth_getBlockByNumber" ? { afterMs: 5_000 } : {};
  pool.breaker("a", "read").open("test");
  await clock.advance(12_100);
  assert.equal(pool.breaker("a", "read").state, "half_open");
  const before = nodes.b!.received.get("eth_getCode") ?? 0;
  const calls = Array.from({ length: 20 }, () => watch(pool.request("eth_getCode", [], read(clock.now() + 60_000))));
  await clock.advance(100);
  assert.equal(calls.filter(({ value }) => value !== undefined).length, 20);
  assert.equal(nodes.b!.received.get("eth_getCode"), before + 20);
  assert.equal(nodes.a!.received.get("eth_getCode"), undefined);
});

Deno.test("an operator opens and closes a breaker", async () => {
  await using simulation = await simulate({ a: {} });
  const control = simulation.pool.breaker("a", "trace");
  control.open("maintenance");
  assert.equal(control.state, "open");
  control.reset();
  assert.deepEqual([control.state, control.failures], ["closed", 0]);
  assert.throws(() => simulation.pool.breaker("x", "trace"), /its nodes are a/);
});

Deno.test("an outage of all nodes says so once a minute and ends within 1 s of the first return", async () => {
  using recorder = new Recorder();
  await using simulation = await simulate({ a: {}, b: {} }, { blockTime: "1s" });
  const { pool, nodes, clock } = simulation;
  for (const node of Object.values(nodes)) node.react = () => ({ fault: "refused" });
  await clock.advance(20_000);
  const outages = () => recorder.of("rpc_outage").filter(({ class: of }) => of === "trace");
  assert.equal(outages().length, 1);
  assert.match(outages()[0]!.reasons, /a: connection breaker open: refused; b: /);
  await clock.advance(125_000);
  assert.equal(outages().length, 3);
  const waiting = watch(pool.lease(trace(clock.now() + 60_000)));
  await clock.advance(1_000);
  assert.deepEqual(waiting, {});
  nodes.b!.react = () => ({});
  await clock.advance(1_000);
  assert.equal(waiting.value?.node.name, "b");
  waiting.value!.report(OK);
  assert.equal(outages().at(-1)!.over, true);
});

Deno.test("in an outage work goes back after 5 s or a little more, who follows the head waits", async () => {
  await using simulation = await simulate({ a: {} });
  const { pool, nodes, clock } = simulation;
  nodes.a!.react = () => ({ fault: "refused" });
  await clock.advance(60_000);
  const waiting = watch(pool.lease(trace(clock.now() + 60_000)));
  const reading = watch(pool.request("eth_getCode", [], read(clock.now() + 60_000)));
  const following = watch(pool.request("eth_getCode", [], read(clock.now() + 60_000, { priority: "head" })));
  await clock.advance(4_900);
  assert.deepEqual(waiting, {});
  await clock.advance(5_200);
  assert.ok(waiting.error instanceof NodesUnavailable);
  assert.equal(waiting.error.release, true);
  assert.ok(reading.error instanceof NodesUnavailable);
  assert.deepEqual(following, {});
});

Deno.test("an outage releases the task", async () => {
  await using simulation = await simulate({ a: {} }, { rpc: { retry: { attempts: 1 } } });
  const { pool, nodes, clock } = simulation;
  nodes.a!.react = () => ({ fault: "refused" });
  for (let call = 0; call < 8; call++) {
    const failed = watch(pool.request("eth_getCode", [], read(clock.now() + 500)));
    await clock.advance(600);
    assert.equal((failed.error as RpcFailure).release, true);
  }
});

Deno.test("a rate limit pauses the node, is no failure and opens nothing", async () => {
  await using simulation = await simulate({ a: { weight: 1000 }, b: {} });
  const { pool, nodes, clock } = simulation;
  nodes.a!.react = ({ method }) => method === "eth_getCode" ? { status: 429, retryAfter: "7" } : {};
  for (let call = 0; call < 20; call++) {
    const value = watch(pool.request("eth_getCode", [], read(clock.now() + 60_000)));
    await clock.advance(200);
    assert.notEqual(value.value, undefined);
  }
  assert.equal(nodes.a!.received.get("eth_getCode"), 1);
  assert.equal(pool.nodes()[0]!.classes.read.breaker, "closed");
  await clock.advance(10_000);
  nodes.a!.react = () => ({});
  for (let call = 0; call < 20; call++) await pool.request("eth_getCode", [], read(clock.now() + 60_000));
  assert.ok(nodes.a!.received.get("eth_getCode")! > 1);
});

Deno.test("a rate limit told inside an answer pauses the node as long as its header says", async () => {
  await using simulation = await simulate({ a: {} }, { rpc: { retry: { attempts: 1 } } });
  const { pool, nodes, clock } = simulation;
  nodes.a!.react = ({ method }) =>
    method === "eth_getCode" ? { error: { code: -32005, message: "slow down" }, retryAfter: "40" } : {};
  const refused = watch(pool.request("eth_getCode", [], read(clock.now() + 60_000)));
  await clock.advance(100);
  assert.ok(refused.error instanceof RpcFailure);
  assert.ok(pool.nodes()[0]!.pausedMs! > 39_000, String(pool.nodes()[0]!.pausedMs));
});

Deno.test("a gateway that refuses a call by chance lowers no limit, a node that says it has too much does", async () => {
  await using simulation = await simulate({ a: { limits: { trace: { start: 10 } } } });
  const { pool } = simulation;
  const leases = await Promise.all(
    Array.from({ length: 10 }, () => pool.lease(trace(60_000, { priority: "head" }))),
  );
  const fail = (reason: string) =>
    leases.pop()!.report({
      kind: "failed",
      failure: {
        class: "trace",
        method: "debug_traceTransaction",
        node: "a",
        action: "overload",
        reason,
        text: "",
        bytes: 0,
      },
    });
  fail("gateway");
  assert.equal(pool.nodes()[0]!.classes.trace.limit, 10);
  fail("too_many_concurrent");
  assert.equal(pool.nodes()[0]!.classes.trace.limit, 7);
  for (const lease of leases) lease.report({ kind: "cancelled" });
});

Deno.test("predicted bytes in flight are whole, and gone without a rest", async () => {
  await using simulation = await simulate({ a: {} });
  const { pool } = simulation;
  const ask = (units: number) => trace(60_000, { need: { class: "trace", method: "debug_traceTransaction", units } });
  const learning = await pool.lease(ask(1_000));
  learning.report({ kind: "ok", bytes: 100_001, units: 999, firstByteMs: 1, totalMs: 2 });
  const [first, second] = [await pool.lease(ask(0.1)), await pool.lease(ask(12_345.6))];
  assert.ok(Number.isSafeInteger(pool.nodes()[0]!.traceBytesInFlight));
  assert.ok(pool.nodes()[0]!.traceBytesInFlight > 1_000_000);
  first.report(OK);
  second.report(OK);
  assert.equal(pool.nodes()[0]!.traceBytesInFlight, 0);
});

Deno.test("a rate below the current use still lets calls through", async () => {
  await using simulation = await simulate({
    a: { limits: { rates: [{ methods: "eth_get*", perSecond: 2, burst: 2 }] } },
  });
  const { pool, clock } = simulation;
  const calls = Array.from({ length: 10 }, () => watch(pool.request("eth_getCode", [], read(60_000))));
  await clock.advance(100);
  assert.equal(calls.filter(({ value }) => value !== undefined).length, 2);
  await clock.advance(5_000);
  assert.equal(calls.filter(({ value }) => value !== undefined).length, 10);
});

Deno.test("null of a node that is behind is no answer; of one above every head it is", async () => {
  await using simulation = await simulate({ a: { weight: 1000 }, b: {} });
  const { pool, nodes, clock } = simulation;
  const hash = `0x${"5".repeat(64)}`;
  const receipt = (blockNumber: number) =>
    watch(pool.request("eth_getTransactionReceipt", [hash], read(clock.now() + 60_000, { blockNumber })));
  nodes.a!.react = ({ method }) => method === "eth_getTransactionReceipt" ? { result: null } : {};
  const found = receipt(95);
  await clock.advance(3_000);
  assert.match(String(found.value), /eth_getTransactionReceipt/);
  assert.equal(pool.nodes()[0]!.classes.read.failures, 0);
  const lost = receipt(3);
  await clock.advance(3_000);
  assert.match(String(lost.value), /eth_getTransactionReceipt/);
  assert.equal(pool.nodes()[0]!.classes.read.failures, 1);
});

Deno.test("a late call gets a second one on another node and the loser is aborted", async () => {
  using recorder = new Recorder();
  await using simulation = await simulate({ a: { weight: 1000 }, b: {} });
  const { pool, nodes, clock } = simulation;
  for (let call = 0; call < 20; call++) {
    const warm = watch(pool.request("eth_getCode", [], read(clock.now() + 60_000)));
    await clock.advance(10);
    assert.notEqual(warm.value, undefined);
  }
  nodes.a!.react = ({ method }) => method === "eth_getCode" ? { afterMs: Infinity } : {};
  const value = watch(pool.request("eth_getCode", [], read(clock.now() + 60_000)));
  await clock.advance(60);
  assert.notEqual(value.value, undefined);
  assert.deepEqual(recorder.of("rpc_hedged").map(({ result }) => result), ["won"]);
  assert.equal(nodes.a!.inHand, 0);
  assert.equal(pool.nodes()[0]!.classes.read.inFlight, 0);
});

Deno.test("a second call that is refused is replaced by another while the first says nothing", async () => {
  using recorder = new Recorder();
  await using simulation = await simulate({ a: { weight: 1e9 }, b: {}, c: {} });
  const { pool, nodes, clock } = simulation;
  let seconds = 0;
  nodes.a!.react = ({ method }) => method === "eth_getCode" ? { afterMs: Infinity } : {};
  nodes.b!.react = ({ method }) => method === "eth_getCode" && ++seconds === 1 ? { status: 503 } : {};
  nodes.c!.react = nodes.b!.react;
  const value = watch(pool.request("eth_getCode", [], read(60_000)));
  await clock.advance(1_900);
  assert.deepEqual(value, {});
  await clock.advance(200);
  assert.equal(value.value, "eth_getCode []");
  assert.deepEqual(recorder.of("rpc_hedged").map(({ result }) => result), ["failed", "won"]);
  assert.deepEqual(pool.nodes().map(({ classes }) => classes.read.inFlight), [0, 0, 0]);
  assert.equal(nodes.a!.inHand, 0);
});

Deno.test("an empty budget of second calls leaves the running call alone", async () => {
  using recorder = new Recorder();
  await using simulation = await simulate({ a: { weight: 1000 }, b: {} }, { rpc: { hedge: { ratio: 0 } } });
  const { pool, nodes, clock } = simulation;
  nodes.a!.react = ({ method }) => method === "eth_getCode" ? { afterMs: 4_000 } : {};
  const value = watch(pool.request("eth_getCode", [], read(60_000)));
  await clock.advance(3_900);
  assert.deepEqual(value, {});
  await clock.advance(200);
  assert.notEqual(value.value, undefined);
  assert.deepEqual(recorder.of("rpc_hedged").map(({ result }) => result), ["no_budget"]);
});

Deno.test("a method that a node does not have is learned and asked elsewhere", async () => {
  await using simulation = await simulate({ a: { weight: 1000 }, b: {} });
  const { pool, nodes, clock } = simulation;
  nodes.a!.react = ({ method }) =>
    method === "eth_getCode" ? { error: { code: -32601, message: "the method eth_getCode does not exist" } } : {};
  for (let call = 0; call < 5; call++) {
    const value = watch(pool.request("eth_getCode", [], read(clock.now() + 60_000)));
    await clock.advance(300);
    assert.notEqual(value.value, undefined);
  }
  assert.equal(nodes.a!.received.get("eth_getCode"), 1);
  assert.deepEqual(pool.nodes()[0]!.methodsOff, ["eth_getCode"]);
  assert.equal(pool.nodes()[0]!.classes.read.breaker, "closed");
});

Deno.test("an address whose head goes back and forth is several nodes", async () => {
  await using simulation = await simulate({ a: {}, b: {} }, { blockTime: "1s" });
  const { pool, nodes, clock } = simulation;
  for (let second = 0; second < 12; second++) {
    nodes.a!.chain.head = 101 + (second % 2);
    await clock.advance(1_100);
  }
  assert.deepEqual(pool.nodes().map(({ balanced }) => balanced), [true, false]);
});

Deno.test("a minority on a fork serves only what it announced; without a majority the blocks above wait", async () => {
  using recorder = new Recorder();
  await using simulation = await simulate({ a: {}, b: {}, c: {} }, { blockTime: "1s" });
  const { pool, nodes, clock } = simulation;
  Object.assign(nodes.a!.chain, { fork: 1, forkAt: 80 });
  await clock.advance(31_000);
  assert.deepEqual(pool.nodes().map(({ condition }) => condition), ["forked", "ready", "ready"]);
  for (let block = 0; block < 12; block++) {
    using lease = await pool.lease(
      trace(clock.now() + 1_000, { blockHash: `0x${block.toString(16).padStart(64, "0")}`, blockNumber: 85 }),
    );
    assert.notEqual(lease.node.name, "a");
  }
  Object.assign(nodes.b!.chain, { fork: 2, forkAt: 80 });
  await clock.advance(31_000);
  assert.equal(recorder.of("rpc_chain_split").length >= 1, true);
  const waiting = watch(pool.lease(trace(clock.now() + 1_000, { blockNumber: 99 })));
  await clock.advance(500);
  assert.deepEqual(waiting, {});
  await clock.advance(1_000);
  assert.ok(waiting.error instanceof NodesUnavailable);
});

Deno.test("three violated traces of a hundred take the node out of tracing", async () => {
  await using simulation = await simulate({ a: {} });
  const { pool, clock } = simulation;
  for (let time = 0; time < 3; time++) {
    const lease = await pool.lease(trace(clock.now() + 60_000));
    lease.report({ kind: "violated", identity: "R4" });
    const good = watch(pool.lease(trace(clock.now() + 60_000)));
    await settled();
    good.value?.report(OK);
  }
  assert.equal(pool.breaker("a", "trace").state, "open");
});

Deno.test("drain() grants nothing more and waits for the leases in hand", async () => {
  await using simulation = await simulate({ a: { limits: { trace: { start: 1 } } } });
  const { pool } = simulation;
  const held = await pool.lease(trace(60_000));
  const waiting = watch(pool.lease(trace(60_000)));
  const drained = watch(pool.drain());
  await settled();
  assert.ok(waiting.error instanceof Overloaded);
  assert.equal("value" in drained, false);
  await assert.rejects(pool.lease(trace(60_000)), Overloaded);
  held.report(OK);
  await settled();
  assert.equal("value" in drained, true);
});

Deno.test("a closed pool leaves no timer and no lease", async () => {
  const simulation = await simulate({ a: {}, b: {} });
  const { pool, clock } = simulation;
  const lease = await pool.lease(trace(60_000));
  const call = watch(pool.request("eth_getCode", [], read(60_000)));
  await pool[Symbol.asyncDispose]();
  assert.equal(lease.signal.aborted, true);
  await settled();
  assert.notEqual(call.error ?? call.value, undefined);
  assert.equal(clock.pending, 0);
});

Deno.test("capacity tells at once and on each change whether a class can be served", async () => {
  await using simulation = await simulate({ a: { limits: { trace: { start: 1 } } } });
  const { pool } = simulation;
  const told: string[] = [];
  const subscription = pool.capacity.subscribe(({ class: of, free, available }) => {
    if (of === "trace") told.push(`${free} ${available}`);
  });
  const lease = await pool.lease(trace(60_000));
  lease.report(OK);
  pool.setDrained("a", true);
  subscription.unsubscribe();
  assert.deepEqual(told, ["1 true", "0 true", "1 true", "0 false"]);
});
