import assert from "node:assert/strict";
import { invoke } from "../../src/cli/command.ts";
import { command } from "../../src/cli/spill.ts";
import { structlogTable } from "../../src/stages/encode/structlog.ts";
import { MemoryStorage } from "../../src/stages/sink/memory.ts";
import { migrations } from "../../src/stages/sink/schema.ts";
import { openSpill } from "../../src/stages/sink/spill.ts";
import { attemptKey, structlogs } from "../contracts/storage_contract.ts";
import { type StoreWorld, storeWorld } from "./store_world.ts";
import { outcomeOf } from "./world.ts";

function spill(world: StoreWorld, ...args: string[]) {
  return outcomeOf((io) => invoke(command, [...args, "--config", world.config], io));
}

/** Leaves three blocks of 4 rows behind, as a process that was ended does. */
async function leave(world: StoreWorld): Promise<void> {
  await using left = await openSpill({
    isolate: "main",
    directory: world.spill,
    maxBytes: 1e9,
    segmentBytes: 1e9,
    recheckMs: 1,
    retry: { initialDelayMs: 1, maxDelayMs: 1 },
    breaker: { failures: 1, halfOpenAfterMs: 1 },
  }, new MemoryStorage({ rows: "counted" }));
  for (let i = 0; i < 3; i++) {
    const key = attemptKey(i, 7);
    await left.append({ kind: "insert", block: structlogs(key, 4), attempts: [key] }).spilled;
  }
}

Deno.test("spill ls shows what waits, replay stores it, and then nothing waits", async () => {
  await using world = await storeWorld();
  for (const { statements } of migrations) for (const text of statements) await world.database.query(text);
  assert.equal((await spill(world, "ls")).stdout, "nothing waits\n");
  await leave(world);
  assert.match(
    (await spill(world, "ls")).stdout,
    /^0000000001\.spill {2}3 insert {2}12 rows {2}3 attempts {2}\d+ bytes {2}/,
  );
  const json = JSON.parse((await spill(world, "ls", "--json")).stdout);
  assert.deepEqual([json.rows, json.operations.insert, json.damaged], [12, 3, []]);
  const replay = await spill(world, "replay");
  assert.deepEqual([replay.code, replay.stderr], [0, []]);
  assert.match(replay.stdout, /^replayed 3 operations, \d+ bytes\n$/);
  assert.equal((await world.database.query(`SELECT count() FROM ${structlogTable.name}`)).trim(), "12");
  assert.equal((await spill(world, "ls")).stdout, "nothing waits\n");
});

Deno.test("spill verify names what is damaged, and a torn tail is none", async () => {
  await using world = await storeWorld();
  await leave(world);
  assert.equal((await spill(world, "verify")).code, 0);
  const path = `${world.spill}/0000000001.spill`;
  const bytes = await Deno.readFile(path);
  await Deno.writeFile(path, bytes.subarray(0, bytes.length - 1));
  const torn = await spill(world, "verify");
  assert.equal(torn.code, 0);
  assert.match(torn.stdout, /2 insert .* bytes torn/);
  bytes[100]! ^= 1;
  await Deno.writeFile(path, bytes);
  const damaged = await spill(world, "verify");
  assert.equal(damaged.code, 1);
  assert.match(damaged.stdout, /damaged at byte 8: Cannot trust a spill record: its checksum differs/);
});

Deno.test("spill names its verbs", async () => {
  await using world = await storeWorld();
  const { code, stderr } = await spill(world, "eat");
  assert.deepEqual([code, stderr], [2, ['Cannot run "spill eat": expected ls, verify or replay. See "spill --help".']]);
});
