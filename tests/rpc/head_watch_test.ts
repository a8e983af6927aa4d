/** Sockets die silently, lose subscriptions and talk nonsense; heads go on. */
import assert from "node:assert/strict";
import { openNodePool } from "../../src/rpc/pool.ts";
import type { Head } from "../../src/rpc/port.ts";
import { FakeSocket } from "./fake_socket.ts";
import { hashOf, headerOf, startFlakyNode } from "./flaky_node.ts";
import { poolOptions } from "./options.ts";
import { Recorder } from "./recorder.ts";
import { simulate, type Simulation } from "./simulated.ts";
import { settled } from "./virtual_clock.ts";

interface Watched extends AsyncDisposable {
  readonly simulation: Simulation;
  readonly sockets: FakeSocket[];
  readonly heads: Head[];
  readonly recorder: Recorder;
}

/** A pool of one node whose first socket is open. */
async function watched(blockTime = "12s"): Promise<Watched> {
  const sockets: FakeSocket[] = [];
  const recorder = new Recorder();
  const simulation = await simulate({ a: { ws: "ws://a.test/" } }, { blockTime }, 1, () => {
    const socket = new FakeSocket();
    sockets.push(socket);
    return socket;
  });
  const heads: Head[] = [];
  simulation.pool.heads.subscribe((head) => heads.push(head));
  await simulation.clock.advance(600);
  sockets[0]!.onopen!();
  await settled();
  return {
    simulation,
    sockets,
    heads,
    recorder,
    async [Symbol.asyncDispose]() {
      await simulation[Symbol.asyncDispose]();
      recorder[Symbol.dispose]();
    },
  };
}

/** The newest block of the simulated node becomes this one. */
function grow({ simulation }: Watched, head: number): Record<string, unknown> {
  const { chain } = simulation.nodes.a!;
  chain.head = head;
  return headerOf(chain, head);
}

Deno.test("heads of a socket are passed on once; another hash of the same number is a reorg", async () => {
  await using world = await watched();
  const { sockets, heads, recorder, simulation } = world;
  const [socket] = sockets as [FakeSocket];
  assert.deepEqual(socket.sent, ["eth_subscribe"]);
  const header = grow(world, 101);
  socket.announce(header);
  socket.announce(header);
  Object.assign(simulation.nodes.a!.chain, { fork: 1, forkAt: 100 });
  socket.announce(headerOf(simulation.nodes.a!.chain, 101));
  assert.deepEqual(heads.map(({ number, reorg }) => [number, reorg]), [[101, false], [101, true]]);
  assert.deepEqual(recorder.of("rpc_head").map(({ result }) => result).slice(-3), ["new", "duplicate", "reorg"]);
});

Deno.test("a socket that falls silent is noticed within 20 s and replaced, with polls in between", async () => {
  await using world = await watched();
  const { sockets, heads, recorder, simulation } = world;
  sockets[0]!.answers = false;
  await simulation.clock.advance(20_100);
  assert.deepEqual(recorder.of("rpc_ws").map(({ connected, reason }) => [connected, reason]), [
    [true, ""],
    [false, "silent"],
  ]);
  assert.equal(sockets[0]!.closed, true);
  grow(world, 102);
  await simulation.clock.advance(15_000);
  assert.deepEqual(heads.at(-1)?.number, 102);
  assert.ok(sockets.length >= 2);
  sockets.at(-1)!.onopen!();
  await settled();
  sockets.at(-1)!.announce(grow(world, 103));
  assert.deepEqual(heads.at(-1)?.number, 103);
});

Deno.test("a subscription that went away is found by a poll and renewed", async () => {
  await using world = await watched("2s");
  const { sockets, heads, recorder, simulation } = world;
  grow(world, 110);
  await simulation.clock.advance(46_000);
  assert.equal(recorder.of("rpc_ws")[1]?.reason, "subscription_silent");
  assert.equal(heads.at(-1)!.number, 110);
  assert.ok(sockets.length >= 2);
});

Deno.test("a closed socket is opened again, later each time, and what was missed is read", async () => {
  await using world = await watched();
  const { sockets, heads, recorder, simulation } = world;
  const openedMs: number[] = [];
  for (let time = 0; time < 5; time++) {
    const before = sockets.length;
    sockets.at(-1)!.onclose!({ code: 0 });
    const lostMs = simulation.clock.now();
    while (sockets.length === before) await simulation.clock.advance(50);
    openedMs.push(simulation.clock.now() - lostMs);
  }
  for (let at = 1; at < openedMs.length; at++) assert.ok(openedMs[at]! > openedMs[at - 1]!, openedMs.join(" "));
  assert.equal(recorder.of("rpc_ws").at(-1)!.reason, "closed_other");
  const before = heads.at(-1)?.number ?? 100;
  grow(world, before + 6);
  sockets.at(-1)!.onopen!();
  await simulation.clock.advance(100);
  assert.deepEqual(
    heads.map(({ number }) => number).filter((number) => number > before).sort((a, b) => a - b),
    [1, 2, 3, 4, 5, 6].map((more) => before + more),
  );
});

Deno.test("what was missed is read though the first poll fails", async () => {
  await using world = await watched();
  const { sockets, heads, simulation } = world;
  const { clock, nodes } = simulation;
  sockets[0]!.onclose!({ code: 0 });
  await clock.advance(1_000);
  let polls = 0;
  nodes.a!.react = ({ params }) => params[0] === "latest" && polls++ === 0 ? { status: 503 } : {};
  grow(world, 103);
  sockets.at(-1)!.onopen!();
  await clock.advance(2_000);
  assert.deepEqual(heads.map(({ number }) => number).filter((number) => number > 100).sort(), [101, 102, 103]);
  assert.equal(simulation.pool.nodes()[0]!.headNumber, 103);
});

Deno.test("a poll that a newer head overtook moves nothing back; told three times, the node has lost its blocks", async () => {
  await using world = await watched();
  const { sockets, simulation } = world;
  const { chain } = simulation.nodes.a!;
  const head = () => simulation.pool.nodes()[0]!.headNumber;
  const announce = async (number: number) => {
    sockets[0]!.announce(headerOf(chain, number));
    await settled();
  };
  await announce(105);
  await announce(104);
  await announce(103);
  assert.equal(head(), 105);
  await announce(106);
  await announce(104);
  await announce(104);
  assert.equal(head(), 106);
  await announce(104);
  assert.equal(head(), 104);
});

Deno.test("a connection that never opens is given up", async () => {
  await using world = await watched();
  const { sockets, recorder, simulation } = world;
  sockets[0]!.onerror!({});
  await simulation.clock.advance(1_000);
  assert.equal(sockets.length, 2);
  await simulation.clock.advance(11_000);
  assert.equal(recorder.of("rpc_ws").at(-1)!.reason, "connect_timeout");
});

Deno.test("nonsense on a socket is counted by kind and never thrown, also in floods", async () => {
  await using world = await watched();
  const { sockets, heads, recorder } = world;
  const [socket] = sockets as [FakeSocket];
  socket.onmessage!({ data: new ArrayBuffer(1) });
  socket.say("{");
  socket.say("7");
  socket.say({ id: 999, result: "0x1" });
  socket.say({ method: "eth_other" });
  socket.announce(headerOf(world.simulation.nodes.a!.chain, 101), "0xforeign");
  socket.announce({ number: "0x65", hash: "short" });
  for (let at = 0; at < 2_000; at++) socket.announce(null);
  const counts = new Map<string, number>();
  for (const { what } of recorder.of("rpc_ws_unreadable")) counts.set(what, (counts.get(what) ?? 0) + 1);
  assert.deepEqual(Object.fromEntries(counts), {
    binary: 1,
    not_json: 1,
    not_an_object: 1,
    foreign_id: 1,
    method: 1,
    foreign_subscription: 1,
    head: 2_001,
  });
  assert.deepEqual(heads, []);
  assert.equal(socket.closed, false);
});

Deno.test("stale heads and heads from the future move nothing", async () => {
  await using world = await watched();
  const { sockets, heads, recorder, simulation } = world;
  const { chain } = simulation.nodes.a!;
  const [socket] = sockets as [FakeSocket];
  socket.announce(grow(world, 101));
  socket.announce(headerOf({ ...chain, fork: 7 }, 20));
  const late = headerOf(chain, 102);
  socket.announce({ ...late, timestamp: `0x${Math.ceil(simulation.clock.epochMs() / 1_000 + 60).toString(16)}` });
  assert.deepEqual(heads.map(({ number }) => number), [101]);
  assert.deepEqual(recorder.of("rpc_head").slice(-2).map(({ result }) => result), ["stale", "stale"]);
  assert.equal(simulation.pool.nodes()[0]!.headNumber, 101);
  for (let time = 0; time < 3; time++) socket.announce(headerOf(chain, 20 + time));
  assert.equal(simulation.pool.nodes()[0]!.headNumber, 22);
});

Deno.test("a real socket that is cut is open again, and announces", async () => {
  await using node = startFlakyNode();
  using recorder = new Recorder();
  await using pool = openNodePool(poolOptions({ nodes: [{ name: "a", url: node.url, ws: node.ws }] }));
  await recorder.until("rpc_ws", ({ connected }) => connected);
  node.dropSockets();
  await recorder.until("rpc_ws", ({ connected }) => !connected);
  const again = recorder.of("rpc_ws").length;
  await recorder.until("rpc_ws", (event) => event.connected && recorder.of("rpc_ws").indexOf(event) >= again);
  const announced = new Promise<Head>((resolve) => {
    const subscription = pool.heads.subscribe((head) => {
      if (head.number !== 107) return;
      resolve(head);
      queueMicrotask(() => subscription.unsubscribe());
    });
  });
  node.chain.head = 107;
  node.announce();
  assert.equal((await announced).hash, hashOf(node.chain, 107));
});
