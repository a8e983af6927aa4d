/** Real faults on real sockets: each must end in the right class, and leave no connection, slot or timer behind. */
import assert from "node:assert/strict";
import { Connections } from "../../src/rpc/connections.ts";
import { RpcFailure } from "../../src/rpc/failure.ts";
import { openTrace, type TraceReply } from "../../src/rpc/open_trace.ts";
import { openNodePool } from "../../src/rpc/pool.ts";
import type { NodePool, NodeView, RequestAsk } from "../../src/rpc/port.ts";
import type { TraceRequest } from "../../src/rpc/trace_request.ts";
import { type FlakyNode, type Reaction, startFlakyNode } from "./flaky_node.ts";
import { poolOptions } from "./options.ts";
import { Recorder } from "./recorder.ts";

const HASH = `0x${"4".repeat(64)}`;
const REQUEST: TraceRequest = {
  target: { kind: "transaction", hash: HASH },
  memory: false,
  stack: true,
  storage: false,
  returnData: true,
};

function read(more: Partial<RequestAsk<unknown>> = {}): RequestAsk<unknown> {
  return {
    class: "read",
    decode: (result) => result,
    priority: "backfill",
    deadlineMs: performance.now() + 20_000,
    ...more,
  };
}

/** A pool that gives up at the first failure, quickly. */
async function open(node: FlakyNode, more: Record<string, unknown> = {}): Promise<NodePool> {
  const pool = openNodePool(poolOptions({
    nodes: [{ name: "a", url: node.url, ...more }],
    rpc: { retry: { attempts: 1 } },
  }));
  await pool.ready();
  return pool;
}

const FAULTS: readonly (readonly [name: string, reaction: Reaction, action: string, reason: string])[] = [
  ["a hang", { kind: "hang" }, "other", "first_byte_timeout"],
  ["a close before the first byte", { kind: "close" }, "other", "reset"],
  ["a body cut by length", { kind: "cut", bytes: 10 }, "other", "cut"],
  ["a chunked body cut", { kind: "cut", bytes: 10, chunked: true }, "other", "cut"],
  ["a body that stalls", { kind: "stall", bytes: 10 }, "other", "timeout"],
  ["a redirect", { kind: "status", status: 302, headers: { location: "/x" } }, "fatal", "redirect"],
  ["500", { kind: "status", status: 500, body: "oops" }, "other", "internal_server_error"],
  ["502", { kind: "status", status: 502 }, "overload", "gateway"],
  ["503", { kind: "status", status: 503 }, "overload", "gateway"],
  ["504", { kind: "status", status: 504 }, "overload", "gateway"],
  ["413 of a single call", { kind: "status", status: 413 }, "dead", "too_large_request"],
  ["429", { kind: "status", status: 429, headers: { "retry-after": "1" } }, "limit", "rate_limit"],
  ["-32005 in a 200", { kind: "error", error: { code: -32005, message: "slow down" } }, "limit", "rate_limit"],
  ["404", { kind: "status", status: 404 }, "fatal", "wrong_path"],
  ["401", { kind: "status", status: 401 }, "depth", "not_permitted"],
  ["a page instead of JSON", { kind: "body", body: "<html>" }, "other", "malformed"],
  ["an answer without id", { kind: "body", body: '{"jsonrpc":"2.0","result":1}' }, "other", "malformed"],
  ["a foreign id", { kind: "body", body: '{"jsonrpc":"2.0","id":-1,"result":1}' }, "other", "malformed"],
  ["neither result nor error", { kind: "body", body: '{"jsonrpc":"2.0","id":1}' }, "other", "malformed"],
  ["bytes after the document", { kind: "body", body: '{"jsonrpc":"2.0","id":1,"result":1}}' }, "other", "malformed"],
  ["-32601", { kind: "error", error: { code: -32601, message: "no" } }, "depth", "method_off"],
];

/** For a whole reply: longer than its first bytes may take on a slow machine. */
const WHOLE_MS = 2_000;

for (const [name, reaction, action, reason] of FAULTS) {
  Deno.test(`request() classifies ${name} as ${action}`, async () => {
    await using node = startFlakyNode();
    const isSilent = reaction.kind === "hang" || reaction.kind === "stall";
    await using pool = await open(node, isSilent ? { timeouts: { read: `${WHOLE_MS}ms` } } : {});
    node.script = ({ method }) => method === "eth_getCode" ? reaction : undefined;
    await assert.rejects(pool.request("eth_getCode", ["0x", "latest"], read()), (error) => {
      assert.ok(error instanceof RpcFailure, String(error));
      assert.deepEqual([error.failure.action, error.failure.reason], [action, reason]);
      assert.doesNotMatch(error.message, /127\.0\.0\.1/);
      return true;
    });
    assert.equal(pool.nodes()[0]!.classes.read.inFlight, 0);
  });
}

Deno.test("a request that a node refuses as malformed is told whole: the mistake is ours", async () => {
  using recorder = new Recorder();
  await using node = startFlakyNode();
  await using pool = await open(node);
  const error = { code: -32602, message: "invalid argument 0" };
  node.script = ({ method }) =>
    method.endsWith("Code") || method.startsWith("debug") ? { kind: "error", error } : undefined;
  await assert.rejects(pool.request("eth_getCode", ["0x12", "latest"], read()), (failure) => {
    assert.ok(failure instanceof RpcFailure);
    assert.equal(failure.disposition, "dead");
    return true;
  });
  assert.match(
    recorder.of("rpc_failed").at(-1)!.text,
    /^invalid argument 0 \(asked: \{"jsonrpc":"2\.0","id":\d+,"method":"eth_getCode","params":\["0x12","latest"\]\}\)$/,
  );
  await traceOf(node, {}, async (reply) => {
    await new Response(reply.body).bytes();
    assert.match(reply.failure({ kind: "error", error }).text, /asked: .*"debug_traceTransaction".*4444/);
  });
});

Deno.test("a compressed answer beyond the cap ends the call, not the process", async () => {
  const zeros = new ReadableStream<Uint8Array<ArrayBuffer>>({
    start(controller) {
      for (let chunk = 0; chunk < 80; chunk++) controller.enqueue(new Uint8Array(1_048_576).fill(32));
      controller.close();
    },
  });
  const bomb = await new Response(zeros.pipeThrough(new CompressionStream("gzip"))).bytes();
  await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
    const { method, id } = await request.json();
    if (method === "eth_getCode") return new Response(bomb, { headers: { "content-encoding": "gzip" } });
    const result = method === "eth_chainId" ? "0x539" : method === "web3_clientVersion" ? "Geth/v1.17.8" : null;
    return Response.json({ jsonrpc: "2.0", id, result });
  });
  const url = `http://127.0.0.1:${server.addr.port}/`;
  await using pool = openNodePool(
    poolOptions({ nodes: [{ name: "a", url, gzip: true }], rpc: { retry: { attempts: 1 } } }),
  );
  await pool.ready();
  await assert.rejects(pool.request("eth_getCode", [], read()), (error) => {
    assert.equal((error as RpcFailure).failure.reason, "reply_too_large");
    return true;
  });
});

Deno.test("request() finds the node again after a restart on the same port", async () => {
  using recorder = new Recorder();
  await using node = startFlakyNode();
  await using pool = await open(node);
  node.down();
  let failures = 0;
  while (pool.nodes()[0]!.connectionBreaker === "closed") {
    await assert.rejects(pool.request("eth_getCode", [], read()), (error) => {
      assert.equal((error as RpcFailure).release, true);
      return true;
    });
    failures++;
  }
  assert.ok(failures <= 4, String(failures));
  await recorder.until("rpc_outage", ({ over }) => !over);
  node.up();
  assert.equal(await pool.request("eth_getCode", [], read()), "0x");
});

Deno.test("refused, unknown and unencrypted hosts fail a node at its start, by name of the fault", async () => {
  await using node = startFlakyNode();
  const dead = startFlakyNode();
  await dead[Symbol.asyncDispose]();
  using recorder = new Recorder();
  await using pool = openNodePool(poolOptions({
    nodes: [
      { name: "refused", url: dead.url },
      // Where nobody answers for names it takes its time.
      { name: "dns", url: "http://no-such-host.invalid/", timeouts: { head: "2m" } },
      { name: "tls", url: node.url.replace("http:", "https:") },
      { name: "port", url: "http://127.0.0.1:6000/" },
    ],
  }));
  const reasons: Record<string, string> = {};
  for (const name of ["refused", "dns", "tls", "port"]) {
    const { reason } = await recorder.until(
      "rpc_node_condition",
      (event) => event.node === name && event.to === "down",
    );
    reasons[name] = reason;
  }
  assert.deepEqual(reasons, { refused: "refused", dns: "dns", tls: "tls", port: "refused_port" });
  assert.equal(pool.nodes().length, 4);
});

Deno.test("ten calls at a time are ten times as fast as one at a time", async () => {
  await using node = startFlakyNode();
  await using pool = await open(node);
  const { results, failures } = await pool.each(
    Array.from({ length: 30 }, (_, at) => at),
    { concurrency: 10, mode: "collect" },
    () => pool.request("eth_getCode", ["0x", "latest"], read()),
  );
  assert.equal(failures, 0);
  assert.equal(results.length, 30);
  assert.ok(node.peak > 1 && node.peak <= 10, String(node.peak));
});

Deno.test("a call that is late is asked elsewhere, and the connection of the loser ends", async () => {
  using recorder = new Recorder();
  await using late = startFlakyNode();
  await using other = startFlakyNode();
  late.script = ({ method }) => method === "eth_getCode" ? { kind: "hang" } : undefined;
  await using pool = openNodePool(poolOptions({
    nodes: [{ name: "late", url: late.url, weight: 1e6 }, { name: "other", url: other.url }],
    rpc: { hedge: { max: "100ms" }, timeouts: { read: "2m" } },
  }));
  await recorder.until("rpc_node_condition", ({ node, to }) => node === "late" && to === "ready");
  await recorder.until("rpc_node_condition", ({ node, to }) => node === "other" && to === "ready");
  const pinned = { blockHash: HASH, blockNumber: 1, priority: "process" as const };
  assert.equal(await pool.request("eth_getCode", ["0x", "latest"], read(pinned)), "0x");
  await late.abandoned;
  assert.deepEqual(recorder.of("rpc_hedged").map(({ result }) => result), ["won"]);
  assert.deepEqual(pool.nodes().map(({ classes }) => classes.read.inFlight), [0, 0]);
  assert.equal(pool.nodes()[0]!.classes.read.breaker, "closed");
});

async function traceOf(
  node: FlakyNode,
  limits: Partial<NodeView["limits"]>,
  use: (reply: TraceReply) => Promise<void>,
  signal = new AbortController().signal,
): Promise<void> {
  await using pool = await open(node);
  const lease = await pool.lease({
    need: { class: "trace", method: "debug_traceTransaction" },
    priority: "process",
    deadlineMs: performance.now() + 20_000,
  });
  using connections = new Connections();
  const view = { ...lease.node, limits: { ...lease.node.limits, ...limits } };
  try {
    await using reply = await openTrace(view, REQUEST, signal, connections);
    await use(reply);
  } finally {
    lease.report({ kind: "cancelled" });
  }
}

function failsWith(reason: string): (error: unknown) => true {
  return (error) => {
    assert.ok(error instanceof RpcFailure, String(error));
    assert.equal(error.failure.reason, reason);
    return true;
  };
}

Deno.test("openTrace() hands over the bytes of the reply", async () => {
  await using node = startFlakyNode();
  await traceOf(node, {}, async (reply) => {
    const text = await new Response(reply.body).text();
    assert.equal(reply.bytes, text.length);
    assert.equal(reply.contentLength, text.length);
    assert.deepEqual(JSON.parse(text).result.structLogs, []);
    const outcome = reply.outcome(0);
    assert.equal(outcome.kind === "ok" && outcome.bytes, text.length);
  });
});

Deno.test("openTrace() fills the reader's own buffer", async () => {
  await using node = startFlakyNode();
  await traceOf(node, {}, async (reply) => {
    const reader = reply.body.getReader({ mode: "byob" });
    let [buffer, bytes] = [new ArrayBuffer(7), 0];
    while (true) {
      const { value, done } = await reader.read(new Uint8Array(buffer));
      if (done) break;
      assert.equal(value.buffer.byteLength, 7);
      bytes += value.byteLength;
      buffer = value.buffer;
    }
    assert.equal(bytes, reply.contentLength);
  });
});

Deno.test("openTrace() notices every cut, by length and chunked", async () => {
  await using node = startFlakyNode();
  let bytes = 0;
  await traceOf(node, {}, async (reply) => void (bytes = (await new Response(reply.body).bytes()).length));
  for (const chunked of [false, true]) {
    for (let cut = 0; cut < bytes; cut += Math.ceil(bytes / 10)) {
      node.script = ({ method }) =>
        method === "debug_traceTransaction" ? { kind: "cut", bytes: cut, chunked } : undefined;
      await assert.rejects(
        traceOf(node, {}, async (reply) => void await new Response(reply.body).bytes()),
        failsWith("cut"),
      );
    }
  }
});

const LATE: readonly (readonly [reason: string, reaction: Reaction, limits: Partial<NodeView["limits"]>])[] = [
  ["first_byte_timeout", { kind: "hang" }, { firstByteMs: 50 }],
  ["stalled", { kind: "stall", bytes: 20 }, { stallMs: 50 }],
  ["timeout", { kind: "stall", bytes: 20 }, { wholeMs: WHOLE_MS }],
];

for (const [reason, reaction, limits] of LATE) {
  Deno.test(`openTrace() ends a reply that is late: ${reason}`, async () => {
    await using node = startFlakyNode();
    node.script = ({ method }) => method === "debug_traceTransaction" ? reaction : undefined;
    await assert.rejects(
      traceOf(node, limits, async (reply) => void await new Response(reply.body).bytes()),
      failsWith(reason),
    );
  });
}

Deno.test("openTrace() ends with its caller, before and while it reads", async () => {
  await using node = startFlakyNode();
  node.script = ({ method }) => method === "debug_traceTransaction" ? { kind: "stall", bytes: 20 } : undefined;
  const reason = new Error("enough");
  const abort = new AbortController();
  await assert.rejects(
    traceOf(node, {}, async (reply) => {
      const reading = new Response(reply.body).bytes();
      abort.abort(reason);
      await reading;
    }, abort.signal),
    reason,
  );
  await assert.rejects(traceOf(node, {}, () => Promise.resolve(), abort.signal), reason);
});

Deno.test("openTrace() judges a refusal by its body", async () => {
  await using node = startFlakyNode();
  node.script = ({ method }) =>
    method === "debug_traceTransaction"
      ? { kind: "status", status: 503, body: '{"jsonrpc":"2.0","error":{"code":-32017,"message":"LimitExceeded"}}' }
      : undefined;
  await assert.rejects(traceOf(node, {}, () => Promise.resolve()), (error) => {
    assert.deepEqual([(error as RpcFailure).failure.action, (error as RpcFailure).failure.code], ["overload", -32017]);
    return true;
  });
});

Deno.test("a trace that was not read leaves no connection", async () => {
  await using node = startFlakyNode();
  node.script = ({ method }) => method === "debug_traceTransaction" ? { kind: "stall", bytes: 20 } : undefined;
  await traceOf(node, {}, async (reply) => {
    const reader = reply.body.getReader();
    const { value } = await reader.read();
    assert.equal(value!.length, 20);
    reader.releaseLock();
  });
});
