/** Section 2: gas_used and gas_self, one structlog after the other. */
import assert from "node:assert/strict";
import { callContext, CALLEE, Feeder, GAS_LIMIT, Kept } from "./feeder.ts";

const feeder = await Feeder.open();

Deno.test("a structlog uses the gas that the next one of its frame no longer has, above 2^53 too", () => {
  const kept = new Kept();
  const first = 18_158_513_697_557_845_033n;
  feeder.begin(callContext({}), kept).feed(
    { op: "PUSH1", gas: first, cost: 3n },
    { op: "POP", stack: [1n], cost: 2n },
    { op: "STOP" },
  ).end();
  const rows = kept.rows("structlogs");
  assert.deepEqual(rows.map(({ gas_used }) => gas_used), [3, 2, 0]);
  assert.deepEqual(rows[0]!.gas, String(first));
  assert.equal(rows[1]!.gas, String(first - 3n));
});

Deno.test("a structlog that halts its frame uses everything that is left", () => {
  const kept = new Kept();
  feeder.begin(callContext({ status: "0x0", gasUsed: GAS_LIMIT }), kept)
    .feed({ op: "PUSH1", cost: 3n }, { op: "INVALID", stack: [1n] })
    .end({ failed: true });
  const [, halting] = kept.rows("structlogs");
  const left = Number(GAS_LIMIT - 21_000n - 3n);
  assert.deepEqual([halting!.operation, halting!.gas_used, halting!.gas_self], ["INVALID", left, left]);
  assert.equal(kept.record!.verdict, "proved");
  assert.equal(kept.record!.outcome, "halt");
  const summary = kept.rows("frames").find(({ operation }) => operation === "")!;
  assert.deepEqual([summary.error_count, summary.gas, summary.gas_cumulative], [1, left + 3, left + 3]);
});

Deno.test("the gas of a frame is not its caller's own", () => {
  const kept = new Kept();
  const to = BigInt(CALLEE) + 1n;
  feeder.begin(callContext({}), kept).feed({
    op: "STATICCALL",
    stack: [0n, 0n, 0n, 0n, to, 100n],
    cost: 2_700n,
  }).enter(100n).feed({ op: "ADDRESS", cost: 2n }, { op: "STOP", stack: [1n] }).leave(98n)
    .feed({ op: "STOP", stack: [1n] }).end();
  const [inner, stop, call] = kept.rows("structlogs");
  assert.deepEqual([inner!.operation, stop!.operation, call!.operation], ["ADDRESS", "STOP", "STATICCALL"]);
  assert.deepEqual([call!.gas_cost, call!.gas_used, call!.gas_self], [2_700, 2_602, 2_600]);
  assert.equal(call!.call_to_address, "0x00000000000000000000000000000000000c0de2");
  assert.deepEqual([call!.call_frame_path, inner!.call_frame_path], [[0], [0, 1]]);
  assert.equal(kept.record!.rootGas, 2_602);
});

Deno.test("gas that rises is no difference: the printed cost counts, and F3 is violated", () => {
  const kept = new Kept();
  feeder.begin(callContext({}), kept).feed({ op: "PUSH1", cost: 3n });
  feeder.feed({ op: "POP", stack: [1n], gas: feeder.gas + 10n, cost: 2n }, { op: "STOP" }).end();
  assert.deepEqual(kept.rows("structlogs").map(({ gas_used }) => gas_used), [3, 2, 0]);
  assert.ok(kept.record!.violations.some(({ identity, index }) => identity === "F3" && index === 1));
});

Deno.test("a wrong price, pc, stack height or destination is found at its structlog", () => {
  const cases = {
    S1: [{ op: "PUSH1", cost: 4n }, { op: "STOP", stack: [1n] }],
    P2: [{ op: "PUSH1", cost: 3n }, { op: "STOP", stack: [1n], pc: 1 }],
    K1: [{ op: "PUSH1", cost: 3n }, { op: "STOP", stack: [1n, 2n] }],
    F5: [{ op: "PUSH1", cost: 3n }, { op: "STOP", stack: [1n], depth: 2 }],
  };
  for (const [identity, structlogs] of Object.entries(cases)) {
    const kept = new Kept(false);
    feeder.begin(callContext({ gasUsed: 21_003n }), kept).feed(...structlogs).end();
    assert.equal(kept.record!.verdict, "violated", identity);
    assert.ok(kept.record!.violations.some((violation) => violation.identity === identity), identity);
    assert.ok(kept.record!.violations.every(({ detail }) => detail.length > 0));
  }
  const jump = new Kept(false);
  feeder.begin(callContext({}), jump)
    .feed({ op: "PUSH1", cost: 3n }, { op: "JUMP", stack: [9n], cost: 8n }, { op: "JUMPDEST", pc: 8, cost: 1n }, {
      op: "STOP",
    })
    .end();
  assert.equal(jump.record!.violations[0]?.identity, "P2");
});

Deno.test("an opcode that does not exist in the fork halts its frame, or the trace is wrong", () => {
  const undefinedOpcodes = [
    { op: "CLZ", stack: [1n], fork: "prague" },
    { op: "REVERT", stack: [0n, 0n], fork: "spuriousdragon", status: "0x0", failed: true },
    { op: "INVALID", fork: "prague" },
  ] as const;
  for (const { op, fork, ...rest } of undefinedOpcodes) {
    // A client that prints no structlog for the STOP behind the end of the code: the last opcode may be any that exists.
    const client = "Nethermind/v1.38.0";
    const ended = new Kept(false);
    feeder.begin(callContext({ client, gasUsed: 21_000n, fork, ...rest }), ended)
      .feed({ op, ...("stack" in rest && { stack: rest.stack }) }).end({ failed: "failed" in rest });
    assert.deepEqual(ended.record!.violations.map(({ identity }) => identity), ["S1"], op);
    assert.match(ended.record!.detail, /does not exist in this fork/);
    const halted = new Kept(false);
    feeder.begin(callContext({ client, gasUsed: GAS_LIMIT, fork, status: "0x0" }), halted)
      .feed({ op: op === "REVERT" ? "CLZ" : op, stack: [1n] }).end({ failed: true });
    assert.equal(halted.record!.verdict, "proved", op);
  }
});

Deno.test("without a fork, or before Spurious Dragon, nothing is proved and prices violate nothing", () => {
  for (const fork of [undefined, "frontier", "amsterdam"] as const) {
    const kept = new Kept(false);
    feeder.begin(callContext({ fork, gasUsed: 5n }), kept).feed({ op: "PUSH1", cost: 4n }, { op: "STOP", stack: [1n] })
      .end();
    assert.equal(kept.record!.verdict, "unproved");
    assert.match(kept.record!.detail, /fork/);
    const wrong = new Kept(false);
    feeder.begin(callContext({ fork }), wrong).feed({ op: "PUSH1", cost: 3n }, { op: "STOP", stack: [1n], pc: 1 })
      .end();
    assert.equal(wrong.record!.verdict, "violated");
  }
});

Deno.test("a transaction given up half-way leaves nothing behind", () => {
  const fresh = new Kept();
  const clean = (sink: Kept) =>
    feeder.begin(callContext({ gasUsed: 21_005n }), sink)
      .feed({ op: "PUSH1", cost: 3n }, { op: "POP", stack: [1n], cost: 2n }, { op: "STOP" }).end({ gas: 21_005n });
  clean(fresh);
  assert.equal(fresh.record!.verdict, "proved");
  feeder.begin(callContext({}), new Kept());
  for (let depth = 1; depth < 40; depth++) {
    feeder.feed({ op: "PUSH1", cost: 3n }, { op: "SLOAD", stack: [5n], cost: 100n }, { op: "Unknown" }, {
      op: "CALL",
      stack: [0n, 0n, 0n, 0n, 0n, BigInt(depth), 10_000n],
      returnData: "ff",
    }).enter(1_000n);
  }
  const again = new Kept();
  clean(again);
  assert.deepEqual(again.rows("structlogs"), fresh.rows("structlogs"));
  assert.deepEqual(again.rows("frames"), fresh.rows("frames"));
  assert.deepEqual(again.record, fresh.record);
});
