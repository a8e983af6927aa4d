import assert from "node:assert/strict";
import { Subject, type Subscription } from "rxjs";
import { type FoundTransaction, lookUpTransactions } from "../../src/rpc/look_ups.ts";
import type { Hash } from "../../src/rpc/port.ts";
import { Recorder } from "./recorder.ts";
import { simulate, type SimulatedReply, type Simulation } from "./simulated.ts";
import { poolOptions } from "./options.ts";
import { settled } from "./virtual_clock.ts";

function hashOf(at: number): Hash {
  return `0x${at.toString(16).padStart(64, "0")}`;
}

interface LookingUp {
  readonly hashes: Subject<Hash>;
  readonly found: FoundTransaction[];
  readonly subscription: Subscription;
  completed: boolean;
}

function lookUp(simulation: Simulation, pending: { inFlight?: number; max?: number } = {}): LookingUp {
  const { rpc } = poolOptions({ nodes: [{ name: "a", url: "http://a.test/" }], rpc: { pending } });
  const hashes = new Subject<Hash>();
  const found: FoundTransaction[] = [];
  const looking: LookingUp = {
    hashes,
    found,
    completed: false,
    subscription: hashes.pipe(lookUpTransactions(simulation.pool, rpc, simulation.clock)).subscribe({
      next: (transaction) => found.push(transaction),
      complete: () => looking.completed = true,
    }),
  };
  return looking;
}

function known({ params }: { readonly params: readonly unknown[] }): SimulatedReply {
  return { result: { hash: params[0], nonce: "0x0" } };
}

Deno.test("lookUpTransactions() sends 100 hashes in one request, fewer after 5 ms", async () => {
  using recorder = new Recorder();
  await using simulation = await simulate({ a: {} });
  simulation.nodes.a!.react = known;
  const { hashes, found } = lookUp(simulation);
  for (let at = 0; at < 130; at++) hashes.next(hashOf(at));
  await settled();
  assert.deepEqual(recorder.of("rpc_batch").map(({ items }) => items), [100]);
  assert.equal(found.length, 100);
  await simulation.clock.advance(5);
  assert.deepEqual(recorder.of("rpc_batch").map(({ items }) => items), [100, 30]);
  assert.deepEqual(found.map(({ hash }) => hash), Array.from({ length: 130 }, (_, at) => hashOf(at)));
});

Deno.test("lookUpTransactions() asks an unknown hash once more, of another node, after 500 ms", async () => {
  using recorder = new Recorder();
  await using simulation = await simulate({ a: {}, b: {} });
  const asked: string[] = [];
  for (const [name, node] of Object.entries(simulation.nodes)) {
    node.react = (call) => {
      if (call.method !== "eth_getTransactionByHash") return {};
      asked.push(name);
      return asked.length === 1 ? { result: null } : known(call);
    };
  }
  const { hashes, found } = lookUp(simulation);
  hashes.next(hashOf(1));
  await simulation.clock.advance(400);
  assert.equal(asked.length, 1);
  assert.deepEqual(found, []);
  await simulation.clock.advance(200);
  assert.equal(asked.length, 2);
  assert.notEqual(asked[0], asked[1]);
  assert.deepEqual(found.map(({ hash }) => hash), [hashOf(1)]);
  assert.deepEqual(recorder.of("rpc_pending").map(({ result }) => result), ["found"]);
});

Deno.test("lookUpTransactions() gives up a hash that two nodes do not know", async () => {
  using recorder = new Recorder();
  await using simulation = await simulate({ a: {}, b: {} });
  for (const node of Object.values(simulation.nodes)) {
    node.react = ({ method }) => method === "eth_getTransactionByHash" ? { result: null } : {};
  }
  const looking = lookUp(simulation);
  looking.hashes.next(hashOf(1));
  looking.hashes.complete();
  await simulation.clock.advance(400);
  assert.equal(looking.completed, false);
  await simulation.clock.advance(200);
  assert.deepEqual(recorder.of("rpc_pending").map(({ result }) => result), ["unknown"]);
  assert.equal(looking.completed, true);
});

Deno.test("lookUpTransactions() keeps its bounds: batches in flight, and waiting hashes, the oldest dropped", async () => {
  using recorder = new Recorder();
  await using simulation = await simulate({ a: {} });
  const node = simulation.nodes.a!;
  node.react = (call) => ({ ...known(call), afterMs: 100 });
  const { hashes, found } = lookUp(simulation, { inFlight: 2, max: 150 });
  for (let at = 0; at < 400; at++) hashes.next(hashOf(at));
  await simulation.clock.advance(10);
  assert.equal(node.inHand, 2);
  assert.equal(recorder.of("rpc_pending_dropped").length, 50);
  assert.deepEqual(new Set(recorder.of("rpc_pending_dropped").map(({ reason }) => reason)), new Set(["overflow"]));
  await simulation.clock.advance(1_000);
  assert.ok(node.peak <= 2);
  const missing = new Set(Array.from({ length: 400 }, (_, at) => hashOf(at)));
  for (const { hash } of found) missing.delete(hash);
  assert.deepEqual([...missing], Array.from({ length: 50 }, (_, at) => hashOf(200 + at)));
});

Deno.test("lookUpTransactions() counts what fails and goes on", async () => {
  using recorder = new Recorder();
  await using simulation = await simulate({ a: {} }, { rpc: { retry: { attempts: 1 } } });
  simulation.nodes.a!.react = ({ method }) => method === "eth_getTransactionByHash" ? { result: "no object" } : {};
  const { hashes, found } = lookUp(simulation);
  hashes.next(hashOf(1));
  hashes.next(hashOf(2));
  await simulation.clock.advance(1_000);
  assert.deepEqual(recorder.of("rpc_pending").map(({ result }) => result), ["failed", "failed"]);
  simulation.nodes.a!.react = known;
  hashes.next(hashOf(3));
  await simulation.clock.advance(1_000);
  assert.deepEqual(found.map(({ hash }) => hash), [hashOf(3)]);
});

Deno.test("lookUpTransactions() leaves nothing behind when nobody wants it any more", async () => {
  await using simulation = await simulate({ a: {} });
  const node = simulation.nodes.a!;
  await simulation.clock.advance(100);
  const before = simulation.clock.pending;
  node.react = (call) => call.method === "eth_getTransactionByHash" ? { ...known(call), afterMs: Infinity } : {};
  const { hashes, subscription } = lookUp(simulation);
  for (let at = 0; at < 150; at++) hashes.next(hashOf(at));
  await settled();
  assert.equal(node.inHand, 1);
  subscription.unsubscribe();
  await simulation.clock.advance(100);
  assert.equal(node.inHand, 0);
  assert.equal(simulation.clock.pending, before);
});
