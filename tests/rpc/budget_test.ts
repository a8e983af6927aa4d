import assert from "node:assert/strict";
import { HedgeBudget, RetryBudget } from "../../src/rpc/budget.ts";

Deno.test("RetryBudget allows its fixed part and a share of the calls of the last ten seconds", () => {
  const budget = new RetryBudget({ ratio: 0.2, perSecond: 1 });
  for (let call = 0; call < 50; call++) budget.called(0);
  let retries = 0;
  while (budget.take(0)) retries++;
  assert.equal(retries, 10 + 10);
  assert.equal(budget.left(9_999), 0);
  assert.equal(budget.left(10_000), 10);
});

Deno.test("RetryBudget of nothing allows nothing", () => {
  const budget = new RetryBudget({ ratio: 0, perSecond: 0 });
  budget.called(0);
  assert.equal(budget.take(0), false);
});

Deno.test("HedgeBudget earns its share of each call, up to ten", () => {
  const budget = new HedgeBudget(0.05);
  let taken = 0;
  while (budget.take()) taken++;
  assert.equal(taken, 10);
  for (let call = 0; call < 19; call++) budget.called();
  assert.equal(budget.take(), false);
  budget.called();
  budget.called();
  assert.equal(budget.take(), true);
  for (let call = 0; call < 1_000; call++) budget.called();
  assert.equal(budget.left, 10);
});

Deno.test("HedgeBudget with ratio 0 never allows a second call", () => {
  const budget = new HedgeBudget(0);
  for (let call = 0; call < 1_000; call++) budget.called();
  assert.equal(budget.take(), false);
});
