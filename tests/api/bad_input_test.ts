import assert from "node:assert/strict";
import fc from "fast-check";
import type { Route } from "../../src/api/route.ts";
import { routes } from "../../src/api/routes.ts";
import { openApiDocument } from "../../src/api/openapi.ts";
import { StorageUnavailableError } from "../../src/stages/sink/errors.ts";
import { hash } from "../stages/encode/columns.ts";
import { type Answered, type ApiWorld, apiWorld, type Ask, bury, ledgerRow, TOKEN, TRANSACTION } from "./api_world.ts";

/** A good call of every route: its path with query, and its body. */
const GOOD: Readonly<Record<string, { readonly path: string; readonly body?: string }>> = {
  "POST /api/v1/queue/block/{processor}/{block_number}": { path: "/api/v1/queue/block/all/5" },
  "POST /api/v1/queue/blocks/{processor}": { path: "/api/v1/queue/blocks/all", body: '{"blocks":[5]}' },
  "POST /api/v1/queue/range/{processor}": { path: "/api/v1/queue/range/all", body: '{"from":5,"to":6}' },
  "GET /api/v1/status": { path: "/api/v1/status" },
  "GET /api/v1/status/block/{block_number}": { path: "/api/v1/status/block/5" },
  "GET /api/v1/status/range": { path: "/api/v1/status/range?from=5&to=6" },
  "GET /api/v1/status/transaction/{hash}": { path: `/api/v1/status/transaction/${TRANSACTION}` },
  "GET /api/v1/dead": { path: "/api/v1/dead?limit=10" },
  "GET /api/v1/dead/{id}": { path: "/api/v1/dead/ID" },
  "POST /api/v1/dead/replay": { path: "/api/v1/dead/replay", body: '{"ids":["ID"]}' },
  "POST /api/v1/dead/drop": { path: "/api/v1/dead/drop", body: '{"ids":["ID"]}' },
  "POST /api/v1/pause": { path: "/api/v1/pause?direction=forwards" },
  "POST /api/v1/resume": { path: "/api/v1/resume" },
  "GET /nodes": { path: "/nodes" },
  "POST /nodes/{name}/{verb}": { path: "/nodes/alpha-a/drain" },
  "GET /api/v1/openapi.json": { path: "/api/v1/openapi.json" },
};

const document = openApiDocument(routes) as {
  readonly paths: Readonly<Record<string, Readonly<Record<string, { readonly responses: object }>>>>;
};

function nameOf({ method, path }: Route): string {
  return `${method} ${path}`;
}

/** The answer to a call of a route, which must be one that the document has, as JSON, with a request id. */
async function ask(world: ApiWorld, route: Route, path: string, more: Ask = {}): Promise<Answered> {
  const answered = await world.ask(route.method, path, more);
  const documented = Object.keys(document.paths[route.path]![route.method.toLowerCase()]!.responses).map(Number);
  const { status } = answered;
  assert.ok(documented.includes(status), `${nameOf(route)}: ${path}: ${status} is not documented`);
  assert.notEqual(status, 500, `${nameOf(route)}: ${path}`);
  assert.ok(answered.headers.get("x-request-id"));
  if (status >= 400) assert.match(answered.json.error, /^Cannot /, `${nameOf(route)}: ${path}`);
  return answered;
}

/** A network with something of everything. */
async function furnished(): Promise<{ readonly world: ApiWorld; readonly letter: string }> {
  const world = await apiWorld(["alpha"]);
  const [network] = world.networks;
  await network!.ledger.write([ledgerRow("alpha", 5), ledgerRow("alpha", 6)]);
  return { world, letter: (await bury(network!, [7]))[0]! };
}

function goodCall(route: Route, letter: string): { readonly path: string; readonly more: Ask } {
  const { path, body } = GOOD[nameOf(route)]!;
  return { path: path.replace("ID", letter), more: body === undefined ? {} : { body: body.replace("ID", letter) } };
}

function withQuery(path: string, query: string): string {
  return `${path}${path.includes("?") ? "&" : "?"}${query}`;
}

/** Texts that are no block number, no hash, no id, no name of a verb. */
const BAD_TEXTS = [
  "abc",
  "-1",
  "1.5",
  "1e3",
  "0x10",
  "1_000",
  "NaN",
  "Infinity",
  "null",
  "99999999999999999999",
  "%20",
  "%00",
  "%ff",
  "%2e%2e%2f",
  "5%3Bdrop",
  "'%20OR%20'1'='1",
  "٣",
  "a".repeat(5_000),
];

/** Bodies that no route takes. */
const BAD_BODIES = [
  "",
  "{",
  "nonsense",
  "null",
  "true",
  "5",
  '"text"',
  "[]",
  "{}",
  '{"blocks":null,"ids":null}',
  '{"blocks":[],"ids":[]}',
  '{"blocks":["5"],"ids":[5]}',
  '{"blocks":[-1],"ids":["-1"]}',
  '{"blocks":[1.5],"ids":["1"]}',
  '{"blocks":[1e300],"ids":["1-1-1"]}',
  '{"blocks":[9007199254740993],"ids":["9999999999999999999999-0"]}',
  '{"blocks":{"0":5},"ids":{"0":"1-1"}}',
  '{"blocks":[[5]],"ids":[["1-1"]]}',
  '{"blocks":[5],"ids":["1-1"],"surplus":1}',
  '{"from":"5","to":6}',
  '{"from":5}',
  '{"from":-5,"to":6}',
  '{"from":5,"to":6,"network":"alpha"}',
  '{"__proto__":{"blocks":[5]}}',
  "[".repeat(8_000),
];

Deno.test("every route has a good call, which is done twice with the same answer", async () => {
  assert.deepEqual(Object.keys(GOOD).sort(), routes.map(nameOf).sort());
  for (const route of routes) {
    const { world, letter } = await furnished();
    await using _ = world;
    const { path, more } = goodCall(route, letter);
    const headers = { "idempotency-key": "one" };
    const first = await ask(world, route, path, { ...more, headers });
    assert.equal(first.status, 200, nameOf(route));
    const second = await ask(world, route, path, { ...more, headers });
    // A dead letter that was replayed or dropped is none any more.
    const gone = nameOf(route).startsWith("POST /api/v1/dead/");
    assert.equal(second.status, gone ? 404 : 200, nameOf(route));
    if (first.json.repeated !== undefined) assert.deepEqual([first.json.repeated, second.json.repeated], [false, true]);
    assert.ok((await world.networks[0]!.queue.stats()).requests <= 1);
  }
});

Deno.test("no route answers who has not the token", async () => {
  const { world, letter } = await furnished();
  await using _ = world;
  const wrong = [
    "",
    "Bearer",
    "Bearer ",
    "Bearer wrong",
    `Bearer ${TOKEN}x`,
    `Bearer ${TOKEN.slice(1)}`,
    `Basic ${btoa(`operator:${TOKEN}`)}`,
    TOKEN,
  ];
  for (const route of routes) {
    const { path, more } = goodCall(route, letter);
    for (const authorization of wrong) {
      const { status, headers } = await ask(world, route, path, { ...more, headers: { authorization } });
      assert.deepEqual([status, headers.get("www-authenticate")], [401, "Bearer"], `${nameOf(route)} ${authorization}`);
    }
  }
  const stats = await world.networks[0]!.queue.stats();
  assert.deepEqual([stats.requests, stats.dead], [0, 1]);
});

Deno.test("every parameter of a path refuses what it is not", async () => {
  const { world, letter } = await furnished();
  await using _ = world;
  for (const route of routes) {
    const { path, more } = goodCall(route, letter);
    const places = route.path.split("/").flatMap((part, at) => part.startsWith("{") ? [at] : []);
    for (const place of places) {
      for (const text of BAD_TEXTS) {
        const [plain, query = ""] = path.split("?");
        const parts = plain!.split("/");
        parts[place] = text;
        const { status } = await ask(world, route, `${parts.join("/")}${query && `?${query}`}`, more);
        assert.ok(status === 400 || status === 404, `${nameOf(route)} ${text.slice(0, 30)}: ${status}`);
      }
    }
  }
  const stats = await world.networks[0]!.queue.stats();
  assert.deepEqual([stats.requests, stats.dead], [0, 1]);
});

Deno.test("every query refuses unknown, repeated and wrong parameters", async () => {
  const { world, letter } = await furnished();
  await using _ = world;
  for (const route of routes) {
    const { path, more } = goodCall(route, letter);
    const names = Object.keys(route.query.shape);
    const queries = [
      "surplus=1",
      "__proto__=1",
      "constructor=1",
      ...names.flatMap((name) => [`${name}=1&${name}=1`, ...BAD_TEXTS.map((text) => `${name}=${text}`)]),
    ];
    const plain = path.split("?")[0]!;
    for (const query of queries) {
      const { status } = await ask(world, route, withQuery(plain, query), more);
      assert.ok(status === 400 || status === 404, `${nameOf(route)} ${query.slice(0, 40)}: ${status}`);
    }
    const { status } = await ask(world, route, withQuery(path, "network=elsewhere"), more);
    assert.equal(status, names.includes("network") ? 404 : 400, nameOf(route));
  }
  const stats = await world.networks[0]!.queue.stats();
  assert.deepEqual([stats.requests, stats.dead], [0, 1]);
});

Deno.test("every body refuses what it is not, and a long one before it is read to its end", async () => {
  const { world, letter } = await furnished();
  await using _ = world;
  for (const route of routes) {
    if (route.body === undefined) continue;
    const { path } = goodCall(route, letter);
    for (const body of BAD_BODIES) {
      const { status } = await ask(world, route, path, { body });
      assert.equal(status, 400, `${nameOf(route)} ${body.slice(0, 40)}`);
    }
    assert.equal((await ask(world, route, path, { body: new Uint8Array([0xff, 0xfe, 0x00]) })).status, 400);
    assert.equal((await ask(world, route, path, { body: " ".repeat(20_000) })).status, 413);
    let pulled = 0;
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        pulled++;
        controller.enqueue(new Uint8Array(1_024).fill(0x20));
      },
    });
    assert.equal((await ask(world, route, path, { body: endless })).status, 413, nameOf(route));
    assert.ok(pulled < 100, `${pulled} KiB were read`);
  }
  const stats = await world.networks[0]!.queue.stats();
  assert.deepEqual([stats.requests, stats.dead], [0, 1]);
});

Deno.test("idempotency keys that are no names are refused", async () => {
  const { world } = await furnished();
  await using _ = world;
  for (const key of ["", "a b", "x".repeat(129), "{}", "ключ".normalize("NFKD").replace(/[^\x20-\x7e]/g, "?")]) {
    const answered = await world.ask("POST", "/api/v1/queue/block/all/5", { headers: { "idempotency-key": key } });
    assert.equal(answered.status, 400, key);
  }
});

Deno.test("other methods and other paths are refused by name", async () => {
  const { world, letter } = await furnished();
  await using _ = world;
  for (const route of routes) {
    const { path } = goodCall(route, letter);
    for (const method of ["PUT", "DELETE", "PATCH", "OPTIONS", route.method === "GET" ? "POST" : "GET"]) {
      const { status, json, headers } = await world.ask(method, path);
      // Two routes may share a form: GET dead/{id} takes what POST dead/replay is.
      const other = routes.some((one) =>
        one.method === method && new RegExp(`^${one.path.replaceAll(/\{\w+\}/g, "[^/]+")}$`).test(path.split("?")[0]!)
      );
      assert.equal(status, other ? 400 : 405, `${method} ${path}: ${json.error}`);
      if (!other) assert.match(headers.get("allow")!, new RegExp(`\\b${route.method}\\b`));
    }
    assert.equal((await world.ask(route.method, `/x${path}`)).status, 404);
    assert.equal((await world.ask(route.method, `${path.split("?")[0]}/`)).status, 404);
  }
});

Deno.test("whatever comes in, no route fails with a defect", async () => {
  const { world } = await furnished();
  await using _ = world;
  const text = fc.oneof(
    fc.string(),
    fc.string({ unit: "binary" }),
    fc.constantFrom("all", "5", "true", "alpha", hash(7)),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...routes),
      fc.array(text, { minLength: 2, maxLength: 2 }),
      fc.dictionary(fc.constantFrom("network", "dry_run", "from", "to", "limit", "after", "block", "x"), text, {
        maxKeys: 3,
      }),
      fc.oneof(fc.json(), text),
      async (route, params, query, body) => {
        let at = 0;
        const path = route.path.replaceAll(
          /\{\w+\}/g,
          () => encodeURIComponent(params[at++ % 2]!.toWellFormed()) || "x",
        );
        const search = new URLSearchParams(Object.entries(query).map(([name, value]) => [name, value.toWellFormed()]));
        const answered = await world.ask(route.method, `${path}?${search}`, route.body === undefined ? {} : { body });
        assert.notEqual(answered.status, 500, `${path}?${search} ${body}: ${JSON.stringify(answered.json)}`);
      },
    ),
    { numRuns: 1_000, seed: 7 },
  );
});

Deno.test("a neighbour that is away is 502 on every route that needs it, and one that is silent too", async () => {
  const { world, letter } = await furnished();
  await using _ = world;
  const away = () => Promise.reject(new StorageUnavailableError("Cannot reach the server"));
  const [network] = world.networks;
  Object.assign(network!.database, { query: away });
  Object.assign(network!.ledger, { between: away, bounds: away });
  for (const name of ["GET /api/v1/status", "GET /api/v1/status/range", "GET /api/v1/status/block/{block_number}"]) {
    const route = routes.find((one) => nameOf(one) === name)!;
    const { status, json } = await ask(world, route, goodCall(route, letter).path);
    assert.deepEqual([status, json.error], [502, "Cannot reach the server"], name);
  }
  await using silent = await apiWorld(["alpha"], { timeoutMs: 5 });
  Object.assign(silent.networks[0]!.queue, {
    request: () => new Promise(() => {}),
    stats: () => new Promise(() => {}),
  });
  for (
    const [method, path] of [["POST", "/api/v1/queue/block/all/5"], ["GET", "/api/v1/status"], [
      "POST",
      "/api/v1/resume",
    ]]
  ) {
    if (path!.endsWith("resume")) Object.assign(silent.networks[0]!.queue, { resume: () => new Promise(() => {}) });
    const { status, json } = await silent.ask(method!, path!);
    assert.equal(status, 502, path);
    assert.match(json.error, /^Cannot answer within 5 ms/);
  }
});
