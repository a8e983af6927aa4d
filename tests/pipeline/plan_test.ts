import assert from "node:assert/strict";
import fc from "fast-check";
import { equalGasRanges, Prediction, wholeBlock } from "../../src/pipeline/plan.ts";

Deno.test("wholeBlock() is one range, none for an empty block", () => {
  assert.deepEqual(wholeBlock(0), []);
  assert.deepEqual(wholeBlock(3), [{ first: 0, last: 2 }]);
});

Deno.test("equalGasRanges() covers every transaction once, in at most twice the wanted number of ranges, alike each time", () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat(1e7), { minLength: 1, maxLength: 60 }),
      fc.integer({ min: 1, max: 60 }),
      (gas, wanted) => {
        const count = Math.min(wanted, gas.length);
        const cut = equalGasRanges(gas, count);
        assert.deepEqual(cut, equalGasRanges(gas, count));
        assert.ok(cut.length >= 1 && cut.length <= 2 * count);
        const total = gas.reduce((sum, each) => sum + each, 0);
        for (const { first, last } of cut) {
          const sum = gas.slice(first, last + 1).reduce((all, each) => all + each, 0);
          assert.ok(first === last || sum <= 2 * total / count, "no range is much larger than a share");
        }
        let next = 0;
        for (const { first, last } of cut) {
          assert.equal(first, next);
          assert.ok(last >= first);
          next = last + 1;
        }
        assert.equal(next, gas.length);
      },
    ),
  );
});

Deno.test("equalGasRanges() cuts equal transactions evenly", () => {
  assert.deepEqual(equalGasRanges([5, 5, 5, 5], 2), [{ first: 0, last: 1 }, { first: 2, last: 3 }]);
  assert.deepEqual(equalGasRanges([0, 0, 0], 2), [{ first: 0, last: 2 }]);
});

Deno.test("equalGasRanges() leaves a transaction alone that is larger than a share", () => {
  const alone = [{ first: 0, last: 1 }, { first: 2, last: 2 }, { first: 3, last: 3 }];
  assert.deepEqual(equalGasRanges([1, 1, 100, 1], 2), alone);
  assert.deepEqual(equalGasRanges([100, 1, 1, 1], 2), [{ first: 0, last: 0 }, { first: 1, last: 3 }]);
});

Deno.test("Prediction learns what a gas is worth", () => {
  const prediction = new Prediction();
  for (let block = 0; block < 100; block++) prediction.learn(1_000, 500);
  assert.ok(Math.abs(prediction.structlogs(1_000) - 500) <= 1);
  assert.equal(prediction.structlogs(0), 1);
});

Deno.test("Prediction learns from blocks that others have worked on, once each, and remembers a bounded number", () => {
  const prediction = new Prediction();
  const before = prediction.structlogs(1e6);
  prediction.stored("0x1", 1e6);
  assert.equal(prediction.structlogs(1e6), before, "a block that was accepted elsewhere");
  prediction.accepted("0x1", 1e6);
  prediction.stored("0x1", 1e6);
  const after = prediction.structlogs(1e6);
  assert.ok(after > before);
  prediction.stored("0x1", 1e6);
  assert.equal(prediction.structlogs(1e6), after);
  for (let block = 0; block <= 1_024; block++) prediction.accepted(`0x${block}`, 1);
  prediction.stored("0x0", 1e6);
  assert.equal(prediction.structlogs(1e6), after);
});
