/** What the pool finds out about its nodes. */
import assert from "node:assert/strict";
import type { Head, RequestAsk } from "../../src/rpc/port.ts";
import { headerOf } from "./flaky_node.ts";
import { Recorder } from "./recorder.ts";
import { FakeSocket } from "./fake_socket.ts";
import { simulate, type Simulation } from "./simulated.ts";

function read(deadlineMs: number, more: Partial<RequestAsk<unknown>> = {}): RequestAsk<unknown> {
  return { class: "read", decode: (result) => result, priority: "process", deadlineMs, ...more };
}

Deno.test("a node whose block 0 is not the majority's is of another chain", async () => {
  using recorder = new Recorder();
  await using simulation = await simulate({ a: {}, b: {}, c: {} });
  const { pool, nodes, clock } = simulation;
  Object.assign(nodes.b!.chain, { fork: 1, forkAt: -1 });
  pool.reset("b");
  await clock.advance(1_000);
  assert.deepEqual(pool.nodes().map(({ condition }) => condition), ["ready", "wrong_chain", "ready"]);
  const told = recorder.of("rpc_node_condition").filter(({ to }) => to === "wrong_chain");
  assert.deepEqual(told.map(({ node }) => node), ["b"]);
  assert.match(told[0]!.reason, /^block 0 is 0x0{7}1.* instead of 0x0{8}/);
  // It stays out until somebody has looked at it.
  Object.assign(nodes.b!.chain, { fork: 0 });
  await clock.advance(600_000);
  assert.equal(pool.nodes()[1]!.condition, "wrong_chain");
  pool.reset("b");
  await clock.advance(1_000);
  assert.equal(pool.nodes()[1]!.condition, "ready");
});

Deno.test("a client that is replaced by another one is noticed within ten minutes", async () => {
  await using simulation = await simulate({ a: {} });
  const { pool, nodes, clock } = simulation;
  nodes.a!.chain.clientVersion = "Nethermind/v1.38.0";
  assert.equal(pool.nodes()[0]!.family, "geth");
  await clock.advance(601_000);
  const [node] = pool.nodes();
  assert.deepEqual([node!.clientVersion, node!.family], ["Nethermind/v1.38.0", "nethermind"]);
});

for (const way of ["its connection", "its socket"] as const) {
  Deno.test(`a node that comes back as another one is known by that at once: ${way}`, async () => {
    const sockets: FakeSocket[] = [];
    await using simulation = await simulate({ a: { ws: "ws://a.test/" } }, { blockTime: "12s" }, 1, () => {
      const socket = new FakeSocket();
      sockets.push(socket);
      return socket;
    });
    const { pool, nodes, clock } = simulation;
    await clock.advance(600);
    sockets[0]!.onopen!();
    await clock.advance(1_000);
    nodes.a!.chain.clientVersion = "Nethermind/v1.38.0";
    const comeBack = async () => {
      if (way === "its socket") {
        sockets.at(-1)!.onclose!({ code: 0 });
        const before = sockets.length;
        while (sockets.length === before) await clock.advance(100);
        sockets.at(-1)!.onopen!();
      } else {
        nodes.a!.react = () => ({ fault: "refused" });
        while (pool.nodes()[0]!.connectionBreaker === "closed") {
          pool.request("eth_getCode", [], read(clock.now() + 1_000)).catch(() => {});
          await clock.advance(1_000);
        }
        nodes.a!.react = () => ({});
      }
      await clock.advance(3_000);
    };
    await comeBack();
    assert.equal(pool.nodes()[0]!.family, "nethermind");
    Object.assign(nodes.a!.chain, { chainId: 5 });
    await comeBack();
    assert.equal(pool.nodes()[0]!.condition, "wrong_chain");
  });
}

Deno.test("a node whose small transaction has become too old to be traced is not kept away for that", async () => {
  await using simulation = await simulate({ a: {} });
  const { pool, nodes, clock } = simulation;
  const transactionHash = `0x${"3".repeat(64)}`;
  const lease = await pool.lease({
    need: { class: "trace", method: "debug_traceTransaction", units: 500, transactionHash },
    priority: "process",
    deadlineMs: clock.now() + 60_000,
  });
  lease.report({ kind: "ok", bytes: 50_000, units: 500, firstByteMs: 1, totalMs: 2 });
  pool.breaker("a", "trace").open("test");
  nodes.a!.react = ({ method }) =>
    method === "debug_traceTransaction" ? { error: { code: -32000, message: "missing trie node abc" } } : {};
  await clock.advance(13_000);
  assert.equal(nodes.a!.received.get("debug_traceTransaction"), 1);
  assert.equal(pool.breaker("a", "trace").state, "closed");
});

Deno.test("a head far above all others is believed when a second node says so", async () => {
  await using simulation = await simulate({ a: {}, b: {}, c: {} }, { blockTime: "1s" });
  const { pool, nodes, clock } = simulation;
  nodes.a!.chain.head = 290;
  await clock.advance(5_000);
  assert.deepEqual(pool.nodes().map(({ headNumber, lagBlocks }) => [headNumber, lagBlocks]), [[100, 0], [100, 0], [
    100,
    0,
  ]]);
  nodes.b!.chain.head = 290;
  await clock.advance(5_000);
  assert.deepEqual(pool.nodes().map(({ headNumber }) => headNumber), [290, 290, 100]);
  assert.equal(pool.nodes()[2]!.condition, "lagging");
});

/** Where the pool sends what says which chain is the canonical one. */
async function readByNumber(simulation: Simulation, number: number): Promise<unknown> {
  const { pool, clock } = simulation;
  const params = [`0x${number.toString(16)}`, false];
  const value = pool.request("eth_getBlockByNumber", params, read(clock.now() + 5_000, { blockNumber: number }));
  const settled = value.catch((error: unknown) => error);
  await clock.advance(1_000);
  return await settled;
}

for (
  const [head, forkAt, joining] of [
    [95, 40, "abc"],
    [95, 93, "abc"],
    [50, 40, "abc"],
    [95, 40, "c"],
    [95, 93, "c"],
    [50, 40, "c"],
  ] as const
) {
  Deno.test(`when ${joining} join, c with block ${head} of a fork above ${forkAt} is known before it is asked for the chain`, async () => {
    await using simulation = await simulate({ a: {}, b: {}, c: { weight: 1_000 } }, { blockTime: "1s" });
    const { pool, nodes, clock } = simulation;
    const heads: Head[] = [];
    const watching = pool.heads.subscribe((each) => void heads.push(each));
    Object.assign(nodes.c!.chain, { fork: 1, forkAt, head });
    for (const name of joining) pool.reset(name);
    await clock.advance(2_000);
    assert.deepEqual(pool.nodes().map(({ condition }) => condition), ["ready", "ready", "forked"]);
    nodes.c!.chain.head = head + 1;
    for (const node of [nodes.a!, nodes.b!]) node.chain.head = 101;
    await clock.advance(3_000);
    for (let block = forkAt + 1; block <= Math.min(head, forkAt + 10); block++) {
      assert.deepEqual(await readByNumber(simulation, block), headerOf(nodes.a!.chain, block));
      assert.equal(await pool.request("eth_blockNumber", [], { ...read(clock.now() + 1_000), class: "head" }), "0x65");
    }
    assert.deepEqual(heads.map(({ number, node }) => [number, node === "c"]), [[101, false]]);
    watching.unsubscribe();
    // It is on the chain again.
    Object.assign(nodes.c!.chain, { fork: 0, head: 101 });
    await clock.advance(45_000);
    assert.equal(pool.nodes()[2]!.condition, "ready");
  });
}

Deno.test("a node on a fork does not move the tip, however long its chain", async () => {
  await using simulation = await simulate({ a: {}, b: {}, c: {} }, { blockTime: "1s" });
  const { pool, nodes, clock } = simulation;
  Object.assign(nodes.c!.chain, { fork: 1, forkAt: 40 });
  pool.reset("c");
  await clock.advance(2_000);
  nodes.c!.chain.head = 130;
  await clock.advance(5_000);
  assert.deepEqual(pool.nodes().map(({ condition, lagBlocks }) => [condition, lagBlocks]), [
    ["ready", 0],
    ["ready", 0],
    ["forked", 0],
  ]);
});

Deno.test("what says which chain is the canonical one is asked of a node at the tip", async () => {
  await using simulation = await simulate({ a: {}, b: { weight: 1_000 }, c: { weight: 1_000 } }, { blockTime: "1s" });
  const { pool, nodes, clock } = simulation;
  const heads: Head[] = [];
  const watching = pool.heads.subscribe((each) => void heads.push(each));
  nodes.a!.chain.head = 103;
  await clock.advance(2_000);
  Object.assign(nodes.b!.chain, { head: 101, fork: 1, forkAt: 99 });
  await clock.advance(2_000);
  for (let time = 0; time < 10; time++) {
    assert.deepEqual(await readByNumber(simulation, 100), headerOf(nodes.a!.chain, 100));
    assert.equal(await pool.request("eth_blockNumber", [], { ...read(clock.now() + 1_000), class: "head" }), "0x67");
  }
  assert.deepEqual(heads.map(({ number }) => number), [103]);
  watching.unsubscribe();
  // Without it the others answer.
  pool.setDrained("a", true);
  assert.notEqual((await readByNumber(simulation, 100) as { number?: string }).number, undefined);
});

Deno.test("state that a node has pruned is learned, asked elsewhere, and forgotten after an hour", async () => {
  await using simulation = await simulate({ a: { weight: 1_000 }, b: {} });
  const { pool, nodes, clock } = simulation;
  nodes.a!.react = ({ method, params }) =>
    method === "eth_getCode" && Number(params[1]) < 90
      ? { error: { code: -32000, message: "missing trie node abc (path ) state 0x1 is not available" } }
      : {};
  const ask = async (block: number) => {
    const value = pool.request(
      "eth_getCode",
      ["0x", `0x${block.toString(16)}`],
      read(clock.now() + 30_000, { stateAt: block }),
    );
    value.catch(() => {});
    await clock.advance(3_000);
    return await value;
  };
  assert.ok(await ask(50));
  assert.ok(await ask(40));
  assert.equal(nodes.a!.received.get("eth_getCode"), 1);
  assert.equal(pool.nodes()[0]!.lowestState, 51);
  assert.equal(pool.nodes()[0]!.classes.read.breaker, "closed");
  assert.ok(await ask(95));
  await clock.advance(3_600_000);
  assert.equal(pool.nodes()[0]!.lowestState, undefined);
});

Deno.test("a node whose authority's file cannot be read is down for that reason, and the others work", async () => {
  using recorder = new Recorder();
  await using simulation = await simulate({ a: {}, b: { caFile: "no/such/authority.pem" } });
  const { pool } = simulation;
  const { reason } = await recorder.until("rpc_node_condition", ({ node, to }) => node === "b" && to === "down");
  assert.equal(reason, "caFile no/such/authority.pem cannot be read: NotFound");
  await pool.ready();
  assert.deepEqual(pool.nodes().map(({ condition }) => condition), ["ready", "down"]);
});

Deno.test("allowed and denied methods are kept to", async () => {
  await using simulation = await simulate({
    a: { weight: 1_000, methods: { deny: ["eth_getCode"] } },
    b: { methods: { allow: ["eth_getCode"] } },
  });
  const { pool, nodes, clock } = simulation;
  for (let call = 0; call < 10; call++) {
    await pool.request("eth_getCode", [], read(clock.now() + 1_000));
    await pool.request("eth_getBalance", [], read(clock.now() + 1_000));
  }
  assert.equal(nodes.a!.received.get("eth_getCode"), undefined);
  assert.equal(nodes.b!.received.get("eth_getBalance"), undefined);
  assert.equal(nodes.b!.received.get("eth_getCode"), 10);
});

Deno.test("a node that is behind the others because of our load is asked for less at once", async () => {
  await using simulation = await simulate(
    { a: { limits: { trace: { start: 10 } } }, b: {} },
    { blockTime: "1s" },
  );
  const { pool, nodes, clock } = simulation;
  const ask = {
    need: { class: "trace", method: "debug_traceTransaction", not: ["b"] },
    priority: "head",
    deadlineMs: 600_000,
  } as const;
  const leases = await Promise.all(Array.from({ length: 8 }, () => pool.lease(ask)));
  assert.equal(pool.nodes()[0]!.classes.trace.limit, 10);
  nodes.b!.chain.head = 103;
  await clock.advance(3_000);
  assert.equal(pool.nodes()[0]!.classes.trace.limit, 7);
  for (const lease of leases) lease.report({ kind: "cancelled" });
});
