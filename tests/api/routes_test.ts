import assert from "node:assert/strict";
import { MAX_LIST, MAX_RANGE } from "../../src/api/queue_routes.ts";
import { readRequest } from "../../src/pipeline/requests.ts";
import { TASK_CLASSES } from "../../src/stages/queue/port.ts";
import { hash } from "../stages/encode/columns.ts";
import { apiWorld, bury, HEAD, ledgerRow, TRANSACTION, UNAVAILABLE, type WorldNetwork } from "./api_world.ts";

const BOTH = ["transaction_structlog", "transaction_structlog_agg"];

/** What the leader finds. */
async function requests({ queue, office }: WorldNetwork) {
  return (await queue.requests(office, 100)).map(({ body }) => readRequest(body));
}

Deno.test("POST queue/block asks the leader for a block", async () => {
  await using world = await apiWorld(["alpha"]);
  const { status, json } = await world.ask("POST", "/api/v1/queue/block/transaction_structlog/100");
  assert.equal(status, 200);
  const { key, ...rest } = json;
  assert.match(key, /^[0-9a-f-]{36}$/);
  assert.deepEqual(rest, {
    network: "alpha",
    processors: ["transaction_structlog"],
    repeated: false,
    block_number: 100,
    status: "queued",
    block_hash: hash(100),
    transactions: 2,
  });
  assert.deepEqual(await requests(world.networks[0]!), [
    { blocks: [100], processors: ["transaction_structlog"], class: "reprocess" },
  ]);
});

Deno.test("POST queue/block takes several processors, all of them, and a priority", async () => {
  await using world = await apiWorld(["alpha"]);
  await world.ask("POST", `/api/v1/queue/block/${BOTH.join(",")}/1?priority=process`);
  await world.ask("POST", "/api/v1/queue/block/all/2?network=alpha");
  assert.deepEqual(await requests(world.networks[0]!), [
    { blocks: [1], processors: BOTH, class: "process" },
    { blocks: [2], processors: BOTH, class: "reprocess" },
  ]);
});

Deno.test("POST queue/block: what does not exist is 404, what cannot be asked is 502, and nothing is requested", async () => {
  await using world = await apiWorld(["alpha"]);
  for (
    const [path, status] of [
      ["transaction_structlog/999999999", 404],
      [`transaction_structlog/${UNAVAILABLE}`, 502],
      ["no_such_processor/1", 404],
      ["transaction_structlog,no_such_processor/1", 404],
      ["transaction_structlog/1?network=elsewhere", 404],
    ] as const
  ) {
    const answered = await world.ask("POST", `/api/v1/queue/block/${path}`);
    assert.equal(answered.status, status, path);
    assert.match(answered.json.error, /^Cannot /);
  }
  assert.deepEqual(await requests(world.networks[0]!), []);
});

Deno.test("POST queue/blocks queues those that exist and says which do not", async () => {
  await using world = await apiWorld(["alpha"]);
  const body = JSON.stringify({ blocks: [5, HEAD + 1, 6, UNAVAILABLE, 5] });
  const { status, json } = await world.ask("POST", "/api/v1/queue/blocks/transaction_structlog", { body });
  assert.equal(status, 207);
  assert.deepEqual([json.total, json.queued, json.failed], [4, 2, 2]);
  assert.deepEqual(
    json.results.map((result: { block_number: number; status: string }) => [result.block_number, result.status]),
    [[5, "queued"], [HEAD + 1, "not_found"], [6, "queued"], [UNAVAILABLE, "unavailable"]],
  );
  assert.deepEqual(await requests(world.networks[0]!), [
    { blocks: [5, 6], processors: ["transaction_structlog"], class: "reprocess" },
  ]);
});

Deno.test("POST queue/blocks of which none can be queued is 404, or 502 where nodes are away", async () => {
  await using world = await apiWorld(["alpha"]);
  const ask = (blocks: readonly number[]) =>
    world.ask("POST", "/api/v1/queue/blocks/all", { body: JSON.stringify({ blocks }) });
  assert.equal((await ask([HEAD + 1, HEAD + 2])).status, 404);
  const away = await ask([UNAVAILABLE, HEAD + 1]);
  assert.deepEqual([away.status, away.json.error], [502, "Cannot queue any of 2 blocks"]);
});

Deno.test("POST queue/blocks takes a thousand blocks and not one more", async () => {
  await using world = await apiWorld(["alpha"]);
  const ask = (count: number) =>
    world.ask("POST", "/api/v1/queue/blocks/all", {
      body: JSON.stringify({ blocks: Array.from({ length: count }, (_, at) => at + 1_000) }),
    });
  assert.equal((await ask(MAX_LIST)).status, 200);
  assert.equal((await ask(MAX_LIST + 1)).status, 413);
});

Deno.test("POST queue/range asks for a range that lies below the head", async () => {
  await using world = await apiWorld(["alpha"]);
  const ask = (from: number, to: number) =>
    world.ask("POST", "/api/v1/queue/range/all", { body: JSON.stringify({ from, to }) });
  assert.deepEqual((await ask(10, 10 + MAX_RANGE - 1)).status, 200);
  assert.equal((await ask(10, 10 + MAX_RANGE)).status, 413);
  assert.equal((await ask(HEAD, HEAD + 1)).status, 404);
  assert.equal((await ask(2, 1)).status, 400);
  assert.deepEqual(await requests(world.networks[0]!), [
    { blocks: { from: 10, to: 10 + MAX_RANGE - 1 }, processors: BOTH, class: "reprocess" },
  ]);
});

Deno.test("an idempotency key names one request, whichever route repeats it", async () => {
  await using world = await apiWorld(["alpha"]);
  const headers = { "idempotency-key": "deploy-42" };
  const single = () => world.ask("POST", "/api/v1/queue/block/all/7", { headers });
  assert.deepEqual([(await single()).json.repeated, (await single()).json.repeated], [false, true]);
  const list = await world.ask("POST", "/api/v1/queue/blocks/all", { headers, body: '{"blocks":[7]}' });
  assert.deepEqual([list.status, list.json.repeated], [200, true]);
  const range = await world.ask("POST", "/api/v1/queue/range/all", { headers, body: '{"from":7,"to":7}' });
  assert.deepEqual([range.status, range.json.repeated], [200, true]);
  assert.equal((await requests(world.networks[0]!)).length, 1);
  world.clock.advance(24 * 3_600_000 + 1);
  assert.equal((await single()).json.repeated, false);
});

Deno.test("a dry run says what is known of each block and asks for nothing", async () => {
  await using world = await apiWorld(["alpha"]);
  await world.networks[0]!.ledger.write([
    ledgerRow("alpha", 5),
    ledgerRow("alpha", 5, { processor: "transaction_structlog_agg", state: "stuck" }),
    ledgerRow("alpha", 5, { blockHash: hash(55), state: "orphaned" }),
  ]);
  const { status, json } = await world.ask("POST", "/api/v1/queue/blocks/all?dry_run=true", {
    body: '{"blocks":[5,6]}',
  });
  assert.equal(status, 200);
  assert.deepEqual(
    json.results.map((result: { status: string; states: object }) => [result.status, result.states]),
    [
      ["dry_run", { transaction_structlog: "complete", transaction_structlog_agg: "stuck" }],
      ["dry_run", {}],
    ],
  );
  const range = await world.ask("POST", "/api/v1/queue/range/all?dry_run=true", { body: '{"from":1,"to":9}' });
  assert.deepEqual([range.status, range.json.status, range.json.total], [200, "dry_run", 9]);
  assert.deepEqual(await requests(world.networks[0]!), []);
});

Deno.test("a network must be named where there are two", async () => {
  await using world = await apiWorld(["alpha", "beta"]);
  const { status, json } = await world.ask("POST", "/api/v1/queue/block/all/1");
  assert.deepEqual([status, json.error], [400, "Cannot choose a network: say ?network= with one of alpha, beta"]);
  assert.equal((await world.ask("POST", "/api/v1/queue/block/all/1?network=beta")).status, 200);
  assert.deepEqual([(await requests(world.networks[0]!)).length, (await requests(world.networks[1]!)).length], [0, 1]);
});

Deno.test("GET status shows every network", async () => {
  await using world = await apiWorld(["alpha", "beta"]);
  await world.networks[0]!.ledger.write([ledgerRow("alpha", 5), ledgerRow("alpha", 9)]);
  await bury(world.networks[1]!, [3]);
  const { status, json } = await world.ask("GET", "/api/v1/status");
  assert.equal(status, 200);
  assert.deepEqual(
    json.networks.map((network: Record<string, unknown>) => [
      network.name,
      network.lowest_block,
      network.highest_block,
      (network.queue as { dead: number; stuck_blocks: number }).dead,
      (network.queue as { dead: number; stuck_blocks: number }).stuck_blocks,
    ]),
    [["alpha", 5, 9, 0, 0], ["beta", null, null, 1, 1]],
  );
  const one = await world.ask("GET", "/api/v1/status?network=beta");
  assert.deepEqual(one.json.networks.length, 1);
});

Deno.test("GET status/block shows every entry of the ledger", async () => {
  await using world = await apiWorld(["alpha"]);
  await world.networks[0]!.ledger.write([
    ledgerRow("alpha", 5, { verifiedMs: 1_800_000_000_999 }),
    ledgerRow("alpha", 5, { blockHash: hash(55), state: "orphaned" }),
  ]);
  const { status, json } = await world.ask("GET", "/api/v1/status/block/5");
  assert.equal(status, 200);
  assert.deepEqual(
    json.entries.map((entry: Record<string, unknown>) => [entry.state, entry.block_hash, entry.verified_at]),
    [["complete", hash(5), "2027-01-15T08:00:00.999Z"], ["orphaned", hash(55), null]],
  );
  assert.equal((await world.ask("GET", "/api/v1/status/block/6")).status, 404);
});

Deno.test("GET status/range is the certificate", async () => {
  await using world = await apiWorld(["alpha"]);
  world.networks[0]!.rows = [{
    first: "2",
    last: "3",
    condition: "complete",
    transactions: "4",
    expected_rows: "20",
    stored_rows: "20",
    dead: "0",
    violated: "0",
  }];
  const { status, json } = await world.ask("GET", "/api/v1/status/range?from=1&to=3");
  assert.equal(status, 200);
  assert.equal(json.ok, false);
  assert.deepEqual(json.processors.map(({ processor }: { processor: string }) => processor), BOTH);
  assert.deepEqual(
    json.processors[0].ranges.map((range: Record<string, unknown>) => [range.from, range.to, range.condition]),
    [[1, 1, "missing"], [2, 3, "complete"]],
  );
  assert.equal((await world.ask("GET", "/api/v1/status/range?from=2&to=3")).json.ok, true);
  assert.equal((await world.ask("GET", "/api/v1/status/range?from=3&to=2")).status, 400);
});

Deno.test("GET status/transaction finds the block by itself, and says when nothing is stored", async () => {
  await using world = await apiWorld(["alpha"]);
  const absent = await world.ask("GET", `/api/v1/status/transaction/${TRANSACTION.toUpperCase().replace("0X", "0x")}`);
  assert.deepEqual([absent.status, absent.json.block_number, absent.json.stored, absent.json.record], [
    200,
    100,
    false,
    null,
  ]);
  world.networks[0]!.rows = [{ verdict: "proved" }];
  const found = await world.ask("GET", `/api/v1/status/transaction/${hash(8)}?block=3`);
  assert.deepEqual([found.json.block_number, found.json.stored, found.json.record], [3, true, { verdict: "proved" }]);
  assert.equal((await world.ask("GET", `/api/v1/status/transaction/${hash(8)}`)).status, 404);
});

Deno.test("dead letters are listed in pages and shown one by one", async () => {
  await using world = await apiWorld(["alpha"]);
  const ids = await bury(world.networks[0]!, [1, 2, 3]);
  const first = await world.ask("GET", "/api/v1/dead?limit=2");
  assert.deepEqual(
    [first.json.dead_letters.map(({ id }: { id: string }) => id), first.json.next],
    [ids.slice(0, 2), ids[1]],
  );
  const second = await world.ask("GET", `/api/v1/dead?limit=2&after=${first.json.next}`);
  assert.deepEqual(second.json.dead_letters.map(({ id }: { id: string }) => id), ids.slice(2));
  assert.equal(second.json.next, null);
  const { status, json } = await world.ask("GET", `/api/v1/dead/${ids[0]}`);
  assert.equal(status, 200);
  assert.deepEqual([json.block_number, json.code, json.message], [1, "violated", "R3: gas differs"]);
  assert.equal((await world.ask("GET", "/api/v1/dead/1-1")).status, 404);
});

Deno.test("dead letters are replayed and dropped, each once", async () => {
  await using world = await apiWorld(["alpha"]);
  const [network] = world.networks;
  const ids = await bury(network!, [1, 2, 3]);
  const post = (verb: string, wanted: readonly string[], query = "") =>
    world.ask("POST", `/api/v1/dead/${verb}${query}`, { body: JSON.stringify({ ids: wanted }) });
  assert.equal((await post("replay", ids, "?dry_run=true")).json.replayed, 0);
  assert.equal((await network!.queue.stats()).dead, 3);
  const replayed = await post("replay", [ids[0]!, ids[0]!]);
  assert.deepEqual([replayed.status, replayed.json.replayed], [200, 1]);
  const mixed = await post("drop", [ids[0]!, ids[1]!]);
  assert.deepEqual([mixed.status, mixed.json.dropped], [207, 1]);
  assert.deepEqual(mixed.json.results, [{ id: ids[0], status: "not_found" }, { id: ids[1], status: "dropped" }]);
  assert.equal((await post("replay", [ids[0]!, ids[1]!])).status, 404);
  assert.equal((await post("drop", Array.from({ length: 1001 }, (_, at) => `1-${at}`))).status, 413);
  const stats = await network!.queue.stats();
  assert.deepEqual([stats.dead, stats.classes.process_forwards.waiting], [1, 1]);
});

Deno.test("pause and resume take a network or one direction of it", async () => {
  await using world = await apiWorld(["alpha", "beta"]);
  const backwards = TASK_CLASSES.filter((name) => name.endsWith("_backwards"));
  const paused = await world.ask("POST", "/api/v1/pause?network=alpha&direction=backwards");
  assert.deepEqual([paused.status, paused.json.paused], [200, backwards]);
  const all = await world.ask("POST", "/api/v1/pause?network=alpha");
  assert.deepEqual(all.json.paused, TASK_CLASSES);
  assert.deepEqual((await world.ask("POST", "/api/v1/resume?network=alpha&direction=forwards")).json.paused, backwards);
  assert.deepEqual((await world.ask("POST", "/api/v1/resume?network=alpha")).json.paused, []);
  const other = await world.networks[1]!.queue.stats();
  assert.ok(TASK_CLASSES.every((name) => !other.classes[name].paused));
});

Deno.test("nodes are shown, drained, resumed and reset", async () => {
  await using world = await apiWorld(["alpha", "beta"]);
  const shown = await world.ask("GET", "/nodes");
  assert.deepEqual(
    shown.json.networks.map(({ name, nodes }: { name: string; nodes: { name: string }[] }) => [
      name,
      nodes.map((node) => node.name),
    ]),
    [["alpha", ["alpha-a", "shared"]], ["beta", ["beta-a", "shared"]]],
  );
  const drained = await world.ask("POST", "/nodes/alpha-a/drain");
  assert.equal(drained.json.networks[0].nodes[0].condition, "drained");
  await world.ask("POST", "/nodes/alpha-a/resume");
  await world.ask("POST", "/nodes/shared/reset?network=alpha");
  assert.deepEqual(world.networks[0]!.told, ["alpha-a drain", "alpha-a resume", "shared reset"]);
  assert.equal((await world.ask("POST", "/nodes/shared/drain")).status, 409);
  assert.equal((await world.ask("POST", "/nodes/nobody/drain")).status, 404);
  assert.equal((await world.ask("POST", "/nodes/alpha-a/explode")).status, 400);
});
