/** Each fault of the only node: which breaker it moves, along which path, and how long after its end work goes on. */
import assert from "node:assert/strict";
import { openNodePool } from "../../src/rpc/pool.ts";
import { RpcFailure } from "../../src/rpc/failure.ts";
import { Workload } from "../../src/embedded/workload.ts";
import { openChain } from "../embedded/open_chain.ts";
import { poolOptions } from "./options.ts";
import { Recorder } from "./recorder.ts";
import { simulate, type SimulatedReply } from "./simulated.ts";

/** Time after the end of a fault within which a call is answered: the next sign of life, or the next probe. */
const SOON_MS = 1_800;
const PROBE_MS = 12_100;
/** Longest pause of a node that says no time, with its spread. */
const PAUSE_MS = 72_100;

interface Case {
  readonly fault: SimulatedReply;
  /** Of the breakers of class read and of the connection: the one that must open; absent: none may. */
  readonly opens?: "read" | "connection";
  readonly withinMs: number;
}

const CASES: Readonly<Record<string, Case>> = {
  refused: { fault: { fault: "refused" }, opens: "connection", withinMs: SOON_MS },
  dns: { fault: { fault: "dns" }, opens: "connection", withinMs: SOON_MS },
  tls: { fault: { fault: "tls" }, opens: "connection", withinMs: SOON_MS },
  reset: { fault: { fault: "reset" }, opens: "connection", withinMs: SOON_MS },
  hang: { fault: { afterMs: Infinity }, opens: "connection", withinMs: SOON_MS + 3_000 },
  cut: { fault: { fault: "cut" }, opens: "read", withinMs: PROBE_MS },
  stalled: { fault: { fault: "stalled" }, opens: "read", withinMs: PROBE_MS },
  "500": { fault: { status: 500 }, opens: "read", withinMs: PROBE_MS },
  "502": { fault: { status: 502 }, opens: "read", withinMs: PROBE_MS },
  malformed: {
    fault: { result: undefined, error: { code: -32603, message: "internal" } },
    opens: "read",
    withinMs: PROBE_MS,
  },
  "429": { fault: { status: 429, retryAfter: "5" }, withinMs: 7_000 },
  "-32005": { fault: { error: { code: -32005, message: "slow down" } }, withinMs: PAUSE_MS },
};

for (const [name, { fault, opens, withinMs }] of Object.entries(CASES)) {
  Deno.test(`the only node recovers from: ${name}`, async () => {
    using recorder = new Recorder();
    await using simulation = await simulate({ a: {} }, { blockTime: "1s" });
    const { pool, nodes, clock } = simulation;
    const node = nodes.a!;
    let answered = 0;
    const pending: Promise<void>[] = [];
    const call = () => {
      const ask = {
        class: "read",
        decode: () => answered++,
        priority: "backfill",
        deadlineMs: clock.now() + 60_000,
      } as const;
      pending.push(pool.request("eth_getCode", [], ask).then(() => {}, () => {}));
    };
    node.react = () => fault;
    for (let second = 0; second < 40; second++) {
      call();
      await clock.advance(1_000);
    }
    const during = recorder.of("rpc_breaker").filter((event) => event.class === "read" || event.class === "connection");
    assert.equal(answered, 0);
    assert.deepEqual(during.filter(({ to }) => to === "open").map((event) => event.class)[0], opens);
    if (opens === undefined) assert.deepEqual(during, []);
    const sentBefore = node.received.get("eth_getCode")!;

    node.react = () => ({});
    const endMs = clock.now();
    call();
    while (answered === 0 && clock.now() < endMs + 120_000) await clock.advance(100);
    assert.ok(clock.now() - endMs <= withinMs, `answered after ${clock.now() - endMs} ms`);
    // Until the last call has been answered or has given up.
    await clock.advance(70_000);
    const path = recorder.of("rpc_breaker").filter((event) => event.class === opens).map(({ to }) => to);
    if (opens !== undefined) {
      assert.deepEqual(path.slice(-2), ["half_open", "closed"]);
      path.forEach((to, at) => assert.equal(to, at % 2 === 0 && at < path.length - 1 ? "open" : path[at]));
    }
    // An open breaker kept the calls away, and those that waited are not sent twice.
    await Promise.all(pending);
    assert.ok(sentBefore < 40 * 3, String(sentBefore));
    assert.ok(node.received.get("eth_getCode")! - sentBefore <= pending.length);
    assert.equal(pool.nodes()[0]!.classes.read.inFlight, 0);
  });
}

Deno.test("a real node that stops (SIGSTOP) is taken out and used again when it goes on", async () => {
  using recorder = new Recorder();
  await using chain = await openChain();
  for await (const _ of new Workload({ url: chain.httpUrl, seed: 1 }).mine(1, 1));
  await using pool = openNodePool({
    ...poolOptions({
      chainId: 31_337,
      blockTime: "1s",
      nodes: [{ name: "a", url: chain.httpUrl, ws: chain.wsUrl, timeouts: { head: "2s", read: "2s" } }],
      rpc: { retry: { attempts: 1 } },
    }),
  });
  await pool.ready();
  const read = () =>
    pool.request("eth_getBlockByNumber", ["0x1", false], {
      class: "read",
      decode: (result) => Number((result as { number: string }).number),
      priority: "head",
      deadlineMs: performance.now() + 120_000,
    });
  assert.equal(await read(), 1);
  Deno.kill(chain.pid, "SIGSTOP");
  // What was asked in the moment before every thread of it stood is answered.
  let failed: RpcFailure | undefined;
  while (failed === undefined) {
    await read().catch((error: RpcFailure) => failed = error);
  }
  assert.equal(failed.failure.reason, "first_byte_timeout");
  while (pool.nodes()[0]!.classes.read.breaker === "closed" && pool.nodes()[0]!.connectionBreaker === "closed") {
    await read().catch(() => {});
  }
  Deno.kill(chain.pid, "SIGCONT");
  assert.equal(await read(), 1);
  assert.ok(recorder.of("rpc_breaker").some(({ to }) => to === "closed"));
});
