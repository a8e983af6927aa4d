import assert from "node:assert/strict";
import { invoke } from "../../src/cli/command.ts";
import { command } from "../../src/cli/schema.ts";
import { type StoreWorld, storeWorld } from "./store_world.ts";
import { outcomeOf } from "./world.ts";

function schema(world: StoreWorld, ...args: string[]) {
  return outcomeOf((io) => invoke(command, [...args, "--config", world.config], io));
}

Deno.test("schema plans, applies, and is then up to date", async () => {
  await using world = await storeWorld();
  const plan = await schema(world, "plan");
  assert.deepEqual([plan.code, plan.stdout], [
    0,
    "to apply: 001 tables\nto apply: 002 added_columns\nto apply: 003 views\n",
  ]);
  const apply = await schema(world, "apply");
  assert.deepEqual([apply.code, apply.stdout], [
    0,
    "applied: 001 tables\napplied: 002 added_columns\napplied: 003 views\n",
  ]);
  for (const verb of ["plan", "apply"]) {
    const { code, stdout } = await schema(world, verb);
    assert.deepEqual([code, stdout], [0, "up to date\n"]);
  }
  const diff = await schema(world, "diff");
  assert.deepEqual([diff.code, diff.stdout], [0, "no difference\n"]);
});

Deno.test("schema plan --sql prints statements that a person can run", async () => {
  await using world = await storeWorld();
  const { stdout } = await schema(world, "plan", "--sql");
  for (const statement of stdout.split(/;\n/).filter((text) => text.trim() !== "")) {
    await world.database.query(statement);
  }
  assert.equal((await schema(world, "diff")).stdout, "no difference\n");
});

Deno.test("schema diff names what is wrong and exits 1", async () => {
  await using world = await storeWorld();
  await schema(world, "apply");
  await world.database.query("ALTER TABLE execution_block DROP COLUMN dead");
  const { code, stdout } = await schema(world, "diff");
  assert.deepEqual([code, stdout], [1, "error: execution_block.dead: the column is missing; expected UInt32\n"]);
});

Deno.test("schema says in one line why it failed, and names its verbs", async () => {
  await using world = await storeWorld();
  await world.database.query("CREATE TABLE schema_version (version UInt32) ENGINE = Memory");
  const failed = await schema(world, "plan");
  assert.equal(failed.code, 1);
  assert.equal(failed.stderr.length, 1);
  const wrong = await schema(world, "drop");
  assert.deepEqual([wrong.code, wrong.stderr], [
    2,
    ['Cannot run "schema drop": expected plan, apply or diff. See "schema --help".'],
  ]);
});
