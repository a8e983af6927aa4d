import assert from "node:assert/strict";
import { Sweep } from "../../src/rpc/clock.ts";
import { VirtualClock } from "./virtual_clock.ts";

Deno.test("Sweep runs each task once, up to one interval after it is due, and needs no timer without tasks", async () => {
  const clock = new VirtualClock();
  using sweep = new Sweep(clock, 50);
  const ran: string[] = [];
  sweep.at(120, () => ran.push(`a ${clock.now()}`));
  sweep.at(60, () => ran.push(`b ${clock.now()}`));
  const never = sweep.at(60, () => ran.push("never"));
  never[Symbol.dispose]();
  never[Symbol.dispose]();
  await clock.advance(1_000);
  assert.deepEqual(ran, ["b 100", "a 150"]);
  assert.equal(clock.pending, 0);
});

Deno.test("Sweep runs no task that one before it disposed of, and those that one adds later", async () => {
  const clock = new VirtualClock();
  using sweep = new Sweep(clock, 50);
  const ran: string[] = [];
  sweep.at(10, () => {
    ran.push("first");
    second[Symbol.dispose]();
    sweep.at(10, () => ran.push("third"));
  });
  const second = sweep.at(10, () => ran.push("second"));
  await clock.advance(200);
  assert.deepEqual(ran, ["first", "third"]);
});

Deno.test("Sweep that has ended runs nothing, also when a task of its ended it", async () => {
  const clock = new VirtualClock();
  const sweep = new Sweep(clock, 50);
  const ran: string[] = [];
  sweep.at(10, () => sweep[Symbol.dispose]());
  sweep.at(10, () => ran.push("late"));
  sweep.at(500, () => ran.push("later"));
  await clock.advance(100);
  sweep.at(10, () => ran.push("after the end"));
  await clock.advance(1_000);
  assert.deepEqual(ran, []);
  assert.equal(clock.pending, 0);
});
