import assert from "node:assert/strict";
import { Limiter } from "../../../src/stages/gate/limiter.ts";
import { highestAllowed } from "../../../src/stages/gate/limiter_query.ts";

function limiter(answers: (number | undefined | Error)[]) {
  const clock = { now: 0 };
  let asked = 0;
  const ask = () => {
    asked++;
    const answer = answers.shift();
    return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
  };
  return {
    clock,
    asked: () => asked,
    limiter: new Limiter({ refreshMs: 6_000, maxAgeMs: 60_000 }, ask, () => clock.now),
  };
}

Deno.test("Limiter.highest() asks once per refresh", async () => {
  const { clock, asked, limiter: limit } = limiter([100, 105]);
  assert.equal(await limit.highest(), 100);
  clock.now = 5_999;
  assert.equal(await limit.highest(), 100);
  assert.equal(asked(), 1);
  clock.now = 6_000;
  assert.equal(await limit.highest(), 105);
  assert.equal(asked(), 2);
});

Deno.test("Limiter.highest() keeps the old answer through failures until it is too old, then closes", async () => {
  const { clock, limiter: limit } = limiter([100, new Error("away"), new Error("away"), 120]);
  assert.equal(await limit.highest(), 100);
  clock.now = 30_000;
  assert.equal(await limit.highest(), 100);
  clock.now = 60_001;
  assert.equal(await limit.highest(), -1);
  clock.now = 70_000;
  assert.equal(await limit.highest(), 120);
});

Deno.test("Limiter.highest() lets nothing in while the table is empty or was never read", async () => {
  assert.equal(await limiter([undefined]).limiter.highest(), -1);
  assert.equal(await limiter([new Error("away")]).limiter.highest(), -1);
});

Deno.test("highestAllowed() wants a column named block", () => {
  assert.equal(highestAllowed([{ block: "123" }]), 123);
  assert.equal(highestAllowed([{ block: "0" }]), undefined);
  assert.equal(highestAllowed([]), undefined);
  assert.throws(() => highestAllowed([{ number: 1 }]), /one column "block": current columns are number/);
});
