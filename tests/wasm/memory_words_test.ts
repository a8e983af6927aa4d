/** Section 4: words of memory from stack operands. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { callContext, type Fed, Feeder, Kept } from "./feeder.ts";

const feeder = await Feeder.open();

function words(bytes: bigint): bigint {
  return (bytes + 31n) / 32n;
}

function cost(count: bigint): bigint {
  return 3n * count + count * count / 512n;
}

/** Opcodes that use memory: stack (top last), end of the used area, price without expansion. */
type Use = { op: string; stack: readonly bigint[]; end: bigint; price: bigint };

const offset = fc.bigInt({ min: 0n, max: 100_000n });
const size = fc.oneof(fc.constant(0n), fc.bigInt({ min: 1n, max: 5_000n }));

function end(at: bigint, length: bigint): bigint {
  return length === 0n ? 0n : at + length;
}

const use: fc.Arbitrary<Use> = fc.oneof(
  offset.map((at) => ({ op: "MLOAD", stack: [at], end: at + 32n, price: 3n })),
  offset.map((at) => ({ op: "MSTORE", stack: [7n, at], end: at + 32n, price: 3n })),
  offset.map((at) => ({ op: "MSTORE8", stack: [7n, at], end: at + 1n, price: 3n })),
  fc.tuple(offset, size).map(([at, length]) => ({
    op: "KECCAK256",
    stack: [length, at],
    end: end(at, length),
    price: 30n + 6n * words(length),
  })),
  fc.tuple(offset, offset, size).map(([to, from, length]) => ({
    op: "MCOPY",
    stack: [length, from, to],
    end: end(to > from ? to : from, length),
    price: 3n + 3n * words(length),
  })),
  fc.tuple(offset, size).map(([at, length]) => ({
    op: "LOG2",
    stack: [1n, 2n, length, at],
    end: end(at, length),
    price: 1_125n + 8n * length,
  })),
);

Deno.test("memory_words_* and memory_expansion_gas follow from the operands of any sequence", () => {
  fc.assert(
    fc.property(fc.array(use, { maxLength: 30 }), (uses) => {
      let current = 0n;
      const sums = { before: 0n, after: 0n, squaresBefore: 0n, squaresAfter: 0n, expansion: 0n };
      const structlogs: Fed[] = [];
      for (const { op, stack, end: last, price } of uses) {
        const after = words(last) > current ? words(last) : current;
        const expansion = cost(after) - cost(current);
        sums.before += current;
        sums.after += after;
        sums.squaresBefore += current * current;
        sums.squaresAfter += after * after;
        sums.expansion += expansion;
        structlogs.push(...stack.map((_, position) => ({ op: "PUSH32", stack: stack.slice(0, position), cost: 3n })));
        structlogs.push({ op, stack, cost: price + expansion });
        if (op === "MLOAD" || op === "KECCAK256") structlogs.push({ op: "POP", stack: [0n], cost: 2n });
        for (let push = 0; push < stack.length; push++) {
          sums.before += current;
          sums.after += current;
          sums.squaresBefore += current * current;
          sums.squaresAfter += current * current;
        }
        current = after;
        const pops = op === "MLOAD" || op === "KECCAK256" ? 2n : 1n;
        sums.before += current * (pops - 1n);
        sums.after += current * (pops - 1n);
        sums.squaresBefore += current * current * (pops - 1n);
        sums.squaresAfter += current * current * (pops - 1n);
      }
      const used = structlogs.reduce((sum, { cost = 0n }) => sum + cost, 21_000n);
      const kept = new Kept();
      feeder.begin(callContext({ gasUsed: used }), kept).feed(...structlogs, { op: "STOP" }).end({ gas: used });
      assert.deepEqual(kept.record!.violations, []);
      const summary = kept.rows("frames").find(({ operation }) => operation === "")!;
      // The STOP at the end sees the last words once more.
      assert.equal(BigInt(summary.memory_words_sum_before as number), sums.before + current);
      assert.equal(BigInt(summary.memory_words_sum_after as number), sums.after + current);
      assert.equal(BigInt(summary.memory_words_sq_sum_before as number), sums.squaresBefore + current * current);
      assert.equal(BigInt(summary.memory_words_sq_sum_after as number), sums.squaresAfter + current * current);
      assert.equal(BigInt(summary.memory_expansion_gas as number), sums.expansion);
    }),
    { numRuns: 200 },
  );
});

Deno.test("offsets beyond 2^53, up to 2^256 - 1, cannot be paid for, and do not count where the size is 0", () => {
  for (const huge of [2n ** 53n, 2n ** 64n - 31n, 2n ** 64n, 2n ** 128n, 2n ** 256n - 1n]) {
    const halted = new Kept();
    feeder.begin(callContext({ status: "0x0", gasUsed: 1_000_000_000_000n }), halted)
      .feed({ op: "PUSH32", cost: 3n }, { op: "MLOAD", stack: [huge], cost: 3n }).end({ failed: true });
    assert.equal(halted.record!.verdict, "proved");
    const load = halted.rows("frames").find(({ operation }) => operation === "MLOAD")!;
    assert.deepEqual([load.memory_words_sum_after, load.memory_expansion_gas, load.error_count], [0, 0, 1]);
    const survived = new Kept(false);
    feeder.begin(callContext({}), survived)
      .feed({ op: "PUSH32", cost: 3n }, { op: "MLOAD", stack: [huge], cost: 3n }, { op: "STOP", stack: [0n] }).end();
    assert.ok(survived.record!.violations.some(({ identity }) => identity === "S1"));
    const nothing = new Kept(false);
    feeder.begin(callContext({ gasUsed: 21_036n }), nothing).feed(
      { op: "PUSH0", cost: 2n },
      { op: "PUSH32", stack: [0n], cost: 3n },
      { op: "KECCAK256", stack: [0n, huge], cost: 30n },
      { op: "NOT", stack: [huge], cost: 3n, pc: 35 },
    );
    feeder.feed({ op: "STOP", stack: [0n] }).end();
    assert.deepEqual(nothing.record!.violations.filter(({ identity }) => identity === "S1"), []);
  }
});
