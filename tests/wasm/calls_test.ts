/** Section 6: calls, creates and precompiles, and section 3.5: frames without a structlog. */
import assert from "node:assert/strict";
import { callContext, CALLEE, type Fed, Feeder, Kept } from "./feeder.ts";

const feeder = await Feeder.open();
const STRANGER = 0xabcden;

/** Stack of a CALL without arguments. */
function callStack(to: bigint, gas: bigint, value = 0n, inSize = 0n): bigint[] {
  return [0n, 0n, inSize, 0n, value, to, gas];
}

/** One opcode that leaves one item, and the STOP behind it. */
function run(opcode: Fed, result: bigint, changes: Parameters<typeof callContext>[0] = {}): Kept {
  const kept = new Kept();
  feeder.begin(callContext({ gasUsed: 21_000n + opcode.cost!, ...changes }), kept)
    .feed(opcode, { op: "STOP", stack: [result] }).end();
  return kept;
}

/** Gas and errors of the frame that has no structlog. */
function codeless(kept: Kept): unknown[] {
  const row = kept.rows("frames").find(({ call_frame_id }) => call_frame_id === 1);
  return [row?.call_type, row?.gas, row?.error_count, row?.target_address];
}

Deno.test("a call of an account without code costs access, value and a new account; its frame nothing", () => {
  const address = "0x00000000000000000000000000000000000abcde";
  const cases = [
    { value: 0n, cost: 2_600n },
    { value: 1n, cost: 2_600n + 6_700n },
    { value: 1n, cost: 2_600n + 6_700n + 25_000n },
  ];
  for (const { value, cost } of cases) {
    const kept = run({ op: "CALL", stack: callStack(STRANGER, 5_000n, value), cost }, 1n);
    assert.equal(kept.record!.verdict, "proved", `${kept.record!.detail}`);
    const [call] = kept.rows("structlogs");
    assert.deepEqual([call!.gas_used, call!.gas_self], [Number(cost), Number(cost)]);
    assert.equal(call!.gas_cost, Number(cost) + (value > 0n ? 2_300 : 0) + 5_000);
    assert.deepEqual(codeless(kept), ["CALL", 0, 0, address]);
  }
  const warm = run({ op: "STATICCALL", stack: [0n, 0n, 0n, 0n, BigInt(CALLEE), 5_000n], cost: 100n }, 1n);
  assert.equal(warm.record!.verdict, "proved");
  const wrong = run({ op: "CALL", stack: callStack(STRANGER, 5_000n), cost: 2_700n + 1n }, 1n);
  assert.ok(wrong.record!.violations.some(({ identity }) => identity === "F2"));
});

Deno.test("a call that was not entered is an error of its frame, and its stipend comes back", () => {
  const kept = run({ op: "CALL", stack: callStack(STRANGER, 5_000n, 1n), cost: 2_600n + 6_700n }, 0n);
  assert.equal(kept.record!.verdict, "proved");
  assert.deepEqual(codeless(kept).slice(0, 3), ["CALL", 0, 1]);
});

Deno.test("a precompile's share is its price, or everything it was given where it fails", () => {
  const sha256 = { op: "STATICCALL", stack: [0n, 0n, 64n, 0n, 2n, 5_000n] };
  // Two words of arguments: 6 gas of memory, and 60 + 2 * 12 of the precompile.
  const kept = run({ ...sha256, cost: 100n + 6n + 84n }, 1n);
  assert.equal(kept.record!.verdict, "proved");
  assert.deepEqual(codeless(kept).slice(0, 3), ["STATICCALL", 84, 0]);
  const opcode = kept.rows("frames").find(({ operation }) => operation === "STATICCALL")!;
  assert.deepEqual([opcode.gas, opcode.gas_cumulative], [106, 190]);
  assert.equal(kept.rows("structlogs")[0]!.gas_self, 190);

  const failed = run({ op: "STATICCALL", stack: [0n, 0n, 0n, 0n, 1n, 50n], cost: 150n }, 0n);
  assert.equal(failed.record!.verdict, "proved");
  assert.deepEqual(codeless(failed).slice(0, 3), ["STATICCALL", 50, 1]);

  const wrong = run({ ...sha256, cost: 100n + 6n + 85n }, 1n);
  assert.equal(wrong.record!.violations[0]?.identity, "P1");
});

Deno.test("0x0b is a precompile from Prague, an ordinary account before", () => {
  const call = { op: "STATICCALL", stack: [0n, 0n, 0n, 0n, 0x0bn, 5_000n] };
  const prague = run({ ...call, cost: 100n + 375n }, 1n);
  assert.deepEqual([prague.record!.verdict, codeless(prague)[1]], ["proved", 375]);
  const cancun = run({ ...call, cost: 2_600n }, 1n, { fork: "cancun" });
  assert.deepEqual([cancun.record!.verdict, codeless(cancun)[1]], ["proved", 0]);
});

Deno.test("a frame enters with what its call gave, at most all but a 64th", () => {
  for (const [requested, entry, identity] of [[1_000n, 1_000n, undefined], [1_000n, 1_001n, "F1"]] as const) {
    const kept = new Kept(false);
    feeder.begin(callContext({ gasUsed: 21_000n + 2_600n }), kept)
      .feed({ op: "CALL", stack: callStack(STRANGER, requested), cost: 2_600n + requested })
      .enter(entry).feed({ op: "STOP" }).leave(requested)
      .feed({ op: "STOP", stack: [1n] }).end();
    assert.equal(kept.record!.violations[0]?.identity, identity);
  }
  const everything = new Kept(false);
  feeder.begin(callContext({ gasUsed: 21_000n + 2_600n }), everything);
  const available = feeder.gas - 2_600n;
  const given = available - available / 64n;
  feeder.feed({ op: "CALL", stack: callStack(STRANGER, 2n ** 256n - 1n), cost: 2_600n + given })
    .enter(given).feed({ op: "STOP" }).leave(given).feed({ op: "STOP", stack: [1n] }).end();
  assert.equal(everything.record!.verdict, "proved", everything.record!.detail);
});

/** CREATE of one word of init code: 32000, a word of memory, a word of init code. */
const CREATE_BASE = 32_000n + 3n + 2n;

/** A CREATE whose init code ends with `last`. */
function create(last: Fed, used: bigint, self: bigint, address: bigint): Kept {
  const kept = new Kept();
  feeder.begin(callContext({ gasUsed: 21_000n + used }), kept);
  const available = feeder.gas - CREATE_BASE;
  const given = available - available / 64n;
  feeder.feed({ op: "CREATE", stack: [32n, 0n, 0n], cost: CREATE_BASE + given })
    .enter(given).feed(last).leave(given - (self - CREATE_BASE)).feed({ op: "STOP", stack: [address] }).end();
  return kept;
}

Deno.test("a create pays its base, the deposit of its code, or what a refused deposit burned", () => {
  const deposited = create({ op: "RETURN", stack: [10n, 0n], cost: 3n }, 34_008n, 0n, 0n);
  assert.equal(deposited.record!.verdict, "violated");
  const address = 0x1234n;
  const self = CREATE_BASE + 200n * 10n;
  // The frame itself expands its memory for what it returns.
  const made = create({ op: "RETURN", stack: [10n, 0n], cost: 3n }, self + 3n, self + 3n, address);
  assert.equal(made.record!.verdict, "proved", made.record!.detail);
  const [inner, outer] = made.rows("structlogs");
  assert.deepEqual([inner!.operation, outer!.operation, outer!.gas_self], ["RETURN", "CREATE", Number(self)]);
  assert.equal(outer!.gas_cost, Number(CREATE_BASE));
  assert.equal(outer!.call_to_address, "0x0000000000000000000000000000000000001234");
  const frame = made.rows("frames").find(({ call_frame_id, operation }) => call_frame_id === 1 && operation === "")!;
  assert.deepEqual([frame.call_type, frame.target_address], ["CREATE", "0x0000000000000000000000000000000000001234"]);
  const stopped = create({ op: "STOP" }, CREATE_BASE, CREATE_BASE, address);
  assert.equal(stopped.record!.verdict, "proved", stopped.record!.detail);
});

Deno.test("a create without init code, and a refused one, open no frame", () => {
  for (const [stack, cost, result] of [[[0n, 0n, 0n], 32_000n, 0x77n], [[32n, 0n, 0n], CREATE_BASE, 0n]] as const) {
    const kept = run({ op: "CREATE", stack, cost }, result);
    assert.equal(kept.record!.verdict, "proved", kept.record!.detail);
    assert.equal(kept.record!.frames, 1);
  }
  const impossible = run({ op: "CREATE", stack: [32n, 0n, 0n], cost: CREATE_BASE }, 0x77n);
  assert.equal(impossible.record!.violations[0]?.identity, "F2");
});
