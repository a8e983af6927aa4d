import assert from "node:assert/strict";
import { serveApi } from "../../src/api/server.ts";
import { subscribe } from "../../src/telemetry/emit.ts";
import type { PipelineEvent } from "../../src/telemetry/events.ts";
import { logs } from "../../src/telemetry/events.ts";
import { apiWorld, TOKEN } from "./api_world.ts";

type Asked = Extract<PipelineEvent, { kind: "api_request" }>;

function listen(): Disposable & { readonly asked: Asked[] } {
  const asked: Asked[] = [];
  const subscription = subscribe((event) => {
    if (event.kind === "api_request") asked.push(event);
  });
  return { asked, [Symbol.dispose]: () => subscription[Symbol.dispose]() };
}

Deno.test("every request is told with its route, its sender and its id: the audit log", async () => {
  await using world = await apiWorld(["alpha"]);
  using listener = listen();
  await world.ask("POST", "/api/v1/pause?direction=forwards", { headers: { "x-request-id": "ticket-7" } });
  await world.ask("GET", "/api/v1/status/block/12");
  await world.ask("BREW", "/coffee/" + "x".repeat(500), { headers: { "x-request-id": "a\tb" } });
  await world.ask("POST", "/api/v1/resume", { headers: { authorization: "Bearer guess" } });
  await world.ask("POST", "/api/v1/queue/blocks/all", {
    headers: { "idempotency-key": "deploy-42" },
    body: `{"blocks":[${Array.from({ length: 500 }, (_, at) => at).join(",")}]}`,
  });
  await world.ask("POST", "/api/v1/dead/replay", {
    headers: { "idempotency-key": "replay-1" },
    body: '{"ids":["1-1"]}',
  });
  assert.deepEqual(
    listener.asked.map(({ route, method, status, client }) => [route, method, status, client]),
    [
      ["/api/v1/pause", "POST", 200, "127.0.0.1"],
      ["/api/v1/status/block/{block_number}", "GET", 404, "127.0.0.1"],
      ["unknown", "other", 404, "127.0.0.1"],
      ["/api/v1/resume", "POST", 401, "127.0.0.1"],
      ["/api/v1/queue/blocks/{processor}", "POST", 200, "127.0.0.1"],
      ["/api/v1/dead/replay", "POST", 404, "127.0.0.1"],
    ],
  );
  const [pause, status, coffee, , list, replay] = listener.asked;
  assert.equal(replay!.key, "replay-1");
  assert.deepEqual([list!.key, list!.body.slice(0, 17), list!.body.length], ["deploy-42", '{"blocks":[0,1,2,', 200]);
  assert.deepEqual([status!.key, status!.body], ["", ""]);
  assert.deepEqual([pause!.requestId, pause!.path], ["ticket-7", "/api/v1/pause?direction=forwards"]);
  assert.match(coffee!.requestId, /^[0-9a-f-]{36}$/);
  assert.equal(coffee!.path.length, 200);
  assert.equal(logs.api_request!(pause!)[0], "info");
  assert.equal(logs.api_request!({ ...pause!, method: "GET" })[0], "debug");
  assert.ok(!JSON.stringify(listener.asked).includes(TOKEN));
});

Deno.test("the answer names the request", async () => {
  await using world = await apiWorld(["alpha"]);
  const { headers, json } = await world.ask("GET", "/nowhere", { headers: { "x-request-id": "ticket-8" } });
  assert.deepEqual([headers.get("x-request-id"), json.request_id], ["ticket-8", "ticket-8"]);
});

Deno.test("requests beyond the rate are refused before their token is looked at", async () => {
  await using world = await apiWorld(["alpha"], { ratePerSecond: 5 });
  const statuses = async (count: number) => {
    const found: number[] = [];
    for (let i = 0; i < count; i++) {
      found.push((await world.ask("GET", "/nodes", { headers: { authorization: `Bearer guess${i}` } })).status);
    }
    return found;
  };
  assert.deepEqual(await statuses(12), [...Array(10).fill(401), 429, 429]);
  world.nowMs += 400;
  assert.deepEqual(await statuses(3), [401, 401, 429]);
  world.nowMs += 3_600_000;
  assert.deepEqual((await statuses(11)).filter((status) => status === 401).length, 10);
  const { headers, json } = await world.ask("GET", "/nodes");
  assert.deepEqual([headers.get("retry-after"), json.error], ["1", "Cannot answer now: too many requests"]);
});

Deno.test("a defect of ours is 500 without its text, which the log has", async () => {
  await using world = await apiWorld(["alpha"]);
  const events: PipelineEvent[] = [];
  using _ = subscribe((event) => void events.push(event));
  Object.assign(world.networks[0]!.queue, { stats: () => Promise.reject(new TypeError("secret inside")) });
  const { status, json } = await world.ask("GET", "/api/v1/status", { headers: { "x-request-id": "r1" } });
  assert.equal(status, 500);
  assert.ok(!JSON.stringify(json).includes("secret"));
  assert.deepEqual(
    events.filter(({ kind }) => kind === "api_failed"),
    [{ kind: "api_failed", requestId: "r1", message: "secret inside" }],
  );
});

Deno.test("serveApi() on a loopback address asks for no token, but refuses web pages", async () => {
  await using world = await apiWorld(["alpha"]);
  const options = { address: "127.0.0.1:0", ratePerSecond: 1_000, bodyBytes: 1_024, timeoutMs: 5_000 };
  await using server = serveApi(options, world.networks);
  const ask = async (path: string, init: RequestInit = {}) => {
    const response = await fetch(`${server.url}${path}`, init);
    return { status: response.status, json: await response.json() };
  };
  assert.equal((await ask("/api/v1/queue/block/all/5", { method: "POST" })).status, 200);
  assert.equal((await world.networks[0]!.queue.stats()).requests, 1);
  const page = await ask("/api/v1/pause", { method: "POST", headers: { origin: "https://example.org" } });
  assert.deepEqual([page.status, page.json.error], [403, "Cannot answer a web page without api.token"]);
  const large = await ask("/api/v1/queue/blocks/all", { method: "POST", body: "x".repeat(2_000) });
  assert.equal(large.status, 413);
  assert.equal((await ask("/api/v1/openapi.json")).json.openapi, "3.1.0");
});

Deno.test("serveApi() with a token takes it from the header alone", async () => {
  await using world = await apiWorld(["alpha"]);
  const options = { address: "127.0.0.1:0", token: TOKEN, ratePerSecond: 1_000, bodyBytes: 1_024, timeoutMs: 5_000 };
  await using server = serveApi(options, world.networks);
  const statusOf = async (path: string, headers: Record<string, string> = {}) => {
    const response = await fetch(`${server.url}${path}`, { headers });
    await response.body?.cancel();
    return response.status;
  };
  assert.equal(await statusOf(`/nodes?token=${TOKEN}`), 401);
  assert.equal(await statusOf("/nodes", { authorization: `bearer ${TOKEN}`, origin: "https://example.org" }), 200);
});
