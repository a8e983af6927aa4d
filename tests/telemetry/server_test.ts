import assert from "node:assert/strict";
import { subscribe } from "../../src/telemetry/emit.ts";
import type { PipelineEvent } from "../../src/telemetry/events.ts";
import { parseAddress, serveTelemetry } from "../../src/telemetry/server.ts";

async function get(url: string, method = "GET"): Promise<[status: number, body: string]> {
  const response = await fetch(url, { method });
  return [response.status, await response.text()];
}

Deno.test("the server answers metrics, health and readiness with its reasons", async () => {
  let reasons: readonly string[] = ["dev: no node can serve"];
  const told: PipelineEvent[] = [];
  using _ = subscribe((event) => void told.push(event));
  await using server = serveTelemetry("127.0.0.1:0", () => "a 1\n", () => reasons);
  assert.deepEqual(told, [{ kind: "telemetry_listening", url: server.url }]);
  assert.deepEqual(await get(`${server.url}/metrics`), [200, "a 1\n"]);
  assert.deepEqual(await get(`${server.url}/healthz`), [200, "ok\n"]);
  assert.deepEqual(await get(`${server.url}/readyz`), [503, "dev: no node can serve\n"]);
  reasons = [];
  assert.deepEqual(await get(`${server.url}/readyz`), [200, "ok\n"]);
  assert.equal((await get(`${server.url}/nothing`))[0], 404);
  assert.equal((await get(`${server.url}/metrics`, "POST"))[0], 405);
});

Deno.test("parseAddress() wants HOST:PORT", () => {
  assert.deepEqual(parseAddress("127.0.0.1:9090"), { hostname: "127.0.0.1", port: 9090 });
  assert.deepEqual(parseAddress("[::1]:80"), { hostname: "::1", port: 80 });
  assert.throws(() => parseAddress("9090"), /expected HOST:PORT, current value is "9090"/);
});
