/** The operator API of a process that does not lead, over Redis: what it is asked reaches the process that does. */
import assert from "node:assert/strict";
import { readRequest } from "../../src/pipeline/requests.ts";
import { TASK_CLASSES } from "../../src/stages/queue/port.ts";
import { apiWorld, bury, type WorldNetwork } from "../api/api_world.ts";
import { NETWORK, withRedisBackend } from "./work_queue_backends.ts";

Deno.test("the operator API of a process that does not lead asks the leader, once per key", () =>
  withRedisBackend(async (backend) => {
    const leader = await backend.open();
    const office = (await leader.lead("forwards", "another process"))!;
    const queue = await backend.open();
    await using world = await apiWorld([NETWORK], {}, () => Promise.resolve({ queue, office }));
    const headers = { "idempotency-key": "deploy-42" };
    const ask = () => world.ask("POST", "/api/v1/queue/blocks/all", { headers, body: '{"blocks":[5,6]}' });
    assert.deepEqual([(await ask()).json.repeated, (await ask()).json.repeated], [false, true]);
    const found = await leader.requests(office, 10);
    assert.deepEqual(found.map(({ body }) => readRequest(body).blocks), [[5, 6]]);

    await world.ask("POST", "/api/v1/pause?direction=backwards");
    const { classes } = await leader.stats();
    assert.deepEqual(
      TASK_CLASSES.filter((name) => classes[name].paused),
      TASK_CLASSES.filter((name) => name.endsWith("_backwards")),
    );
  }));

Deno.test("dead letters of Redis are paged, replayed and dropped by any process, and no id is a defect", () =>
  withRedisBackend(async (backend) => {
    const leader = await backend.open();
    const office = (await leader.lead("forwards", "another process"))!;
    const queue = await backend.open();
    await using world = await apiWorld([NETWORK], {}, () => Promise.resolve({ queue, office }));
    const letters = await bury({ ...world.networks[0]!, queue: leader } satisfies WorldNetwork, [1, 2, 3]);
    assert.equal(letters.length, 3);
    const first = await world.ask("GET", "/api/v1/dead?limit=2");
    assert.deepEqual(first.json.dead_letters.map(({ block_number }: { block_number: number }) => block_number), [1, 2]);
    const rest = await world.ask("GET", `/api/v1/dead?limit=2&after=${first.json.next}`);
    assert.deepEqual(rest.json.dead_letters.map(({ block_number }: { block_number: number }) => block_number), [3]);
    for (const id of ["0-0", "0-1", "1-1", "9999999999999999-9999999999999999", "0000-0000"]) {
      assert.equal((await world.ask("GET", `/api/v1/dead/${id}`)).status, 404, id);
      assert.equal((await world.ask("GET", `/api/v1/dead?after=${id}`)).status, 200, id);
      assert.equal((await world.ask("POST", "/api/v1/dead/drop", { body: `{"ids":["${id}"]}` })).status, 404, id);
    }
    const replayed = await world.ask("POST", "/api/v1/dead/replay", {
      body: JSON.stringify({ ids: letters.slice(0, 2) }),
    });
    assert.deepEqual([replayed.status, replayed.json.replayed], [200, 2]);
    const dropped = await world.ask("POST", "/api/v1/dead/drop", { body: JSON.stringify({ ids: letters }) });
    assert.deepEqual([dropped.status, dropped.json.dropped], [207, 1]);
    const stats = await leader.stats();
    assert.deepEqual([stats.dead, stats.classes.process_forwards.waiting], [0, 2]);
  }));
