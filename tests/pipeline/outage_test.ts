import assert from "node:assert/strict";
import { Outage, watchedDatabase } from "../../src/pipeline/outage.ts";
import { StorageRejectedError, StorageUnavailableError } from "../../src/stages/sink/errors.ts";
import { subscribe } from "../../src/telemetry/emit.ts";
import type { PipelineEvent } from "../../src/telemetry/events.ts";
import { logReader } from "../../src/telemetry/logs.ts";

/** A database that is away or not, the time, and what is written at level info. */
function openWorld() {
  const world = { away: undefined as Error | undefined, now: 1_000 };
  const events: PipelineEvent[] = [];
  const lines: string[] = [];
  const log = logReader({ level: "info", format: "json", secrets: new Set(), write: (line) => lines.push(line) });
  const reading = subscribe((event) => {
    events.push(event);
    log(event);
  });
  const answer = <T>(value: T) => world.away === undefined ? Promise.resolve(value) : Promise.reject(world.away);
  const database = watchedDatabase({
    query: <T>() => answer<T[]>([]),
    execute: () => answer(undefined),
    deleteAttempts: () => answer(undefined),
  }, new Outage(() => world.now));
  const outages = () => events.filter((event) => event.kind === "store_outage");
  return { world, database, outages, lines, [Symbol.dispose]: () => reading[Symbol.dispose]() };
}

const AWAY = new StorageUnavailableError("Cannot run a query in ClickHouse at 127.0.0.1:8123: refused");

Deno.test("an outage is told once, then each minute, and once when it is over", async () => {
  using opened = openWorld();
  const { world, database, outages, lines } = opened;
  await database.query("SELECT 1", {});
  world.away = AWAY;
  for (let second = 0; second < 150; second++) {
    await assert.rejects(database.query("SELECT 1", {}), AWAY);
    await assert.rejects(database.execute("DELETE", {}), AWAY);
    world.now += 1_000;
  }
  world.away = undefined;
  for (let call = 0; call < 3; call++) await database.deleteAttempts("structlog", [], AbortSignal.abort());
  assert.deepEqual(outages().map((event) => [event.over, event.seconds]), [[false, 0], [false, 60], [false, 120], [
    true,
    150,
  ]]);
  assert.deepEqual(lines.map((line) => (JSON.parse(line) as { level: string }).level), [
    "warn",
    "warn",
    "warn",
    "info",
  ]);
});

Deno.test("a store that flaps is told of once a minute at most, and what it refuses is no outage", async () => {
  using opened = openWorld();
  const { world, database, outages } = opened;
  for (let second = 0; second < 59; second++) {
    world.away = second % 2 === 0 ? AWAY : undefined;
    await database.query("SELECT 1", {}).catch(() => {});
    world.now += 1_000;
  }
  assert.deepEqual(outages().map(({ over }) => over), [false, true]);
  world.now += 60_000;
  world.away = new StorageRejectedError("Cannot run a query: refused for its text");
  await assert.rejects(database.query("SELEKT", {}), StorageRejectedError);
  assert.equal(outages().length, 2);
});

Deno.test("what fails for want of the store is told by the outage alone", () => {
  using opened = openWorld();
  const { lines } = opened;
  const facts = { network: "dev", direction: "forwards", message: "away" };
  const log = logReader({ level: "info", format: "json", secrets: new Set(), write: (line) => lines.push(line) });
  log({ kind: "discover_failed", ...facts, code: "storage_unavailable" });
  assert.deepEqual(lines, []);
  log({ kind: "discover_failed", ...facts, code: "header_missing" });
  assert.equal(lines.length, 1);
});
