/** Section 8.2, H1: what may halt a frame. */
import assert from "node:assert/strict";
import { callContext, type Fed, Feeder, GAS_LIMIT, Kept } from "./feeder.ts";

const feeder = await Feeder.open();

/** The root frame halts with the last of these. */
function halted(structlogs: readonly Fed[], changes: Parameters<typeof callContext>[0] = {}): string[] {
  const kept = new Kept(false);
  feeder.begin(callContext({ status: "0x0", gasUsed: GAS_LIMIT, ...changes }), kept).feed(...structlogs)
    .end({ failed: true });
  assert.equal(kept.record!.outcome, "halt");
  return kept.record!.violations.map(({ identity }) => identity);
}

/** A child frame inside a STATICCALL halts with the last of these, and burns its gas. */
function haltedInStatic(structlogs: readonly Fed[], gas: bigint): string[] {
  const kept = new Kept(false);
  feeder.begin(callContext({ gasUsed: 21_000n + 2_600n + gas }), kept)
    .feed({ op: "STATICCALL", stack: [0n, 0n, 0n, 0n, 0xabcden, gas], cost: 2_600n + gas })
    .enter(gas).feed(...structlogs).leave(0n).feed({ op: "STOP", stack: [0n] }).end();
  return kept.record!.violations.map(({ identity }) => identity);
}

Deno.test("a frame halts for a reason that its last structlog shows", () => {
  const reasons: readonly (readonly Fed[])[] = [
    [{ op: "ADD", stack: [1n, 2n], cost: 3n, error: "out of gas" }],
    [{ op: "ADD", stack: [1n, 2n], cost: GAS_LIMIT }],
    [{ op: "INVALID" }],
    [{ op: "opcode 0xc not defined" }],
    [{ op: "ADD", stack: [1n], cost: 3n }],
    [{ op: "PUSH1", stack: Array(1024).fill(0n), cost: 3n }],
    [{ op: "JUMP", stack: [7n], cost: 8n }],
    [{ op: "JUMPI", stack: [1n, 7n], cost: 10n }],
    [{ op: "RETURNDATACOPY", stack: [1n, 0n, 0n], cost: 9n }],
    [{ op: "MSTORE", stack: [0n, 2n ** 60n], cost: 3n }],
    [{ op: "CREATE", stack: [49_153n, 0n, 0n], cost: 32_000n }],
  ];
  for (const structlogs of reasons) assert.deepEqual(halted(structlogs), [], JSON.stringify(structlogs[0]!.op));
});

Deno.test("a frame that stops where nothing can halt it is cut: H1", () => {
  const cuts: readonly (readonly Fed[])[] = [
    [{ op: "ADD", stack: [1n, 2n], cost: 3n }],
    [{ op: "JUMPI", stack: [0n, 7n], cost: 10n }],
    [{ op: "MSTORE", stack: [0n, 0n], cost: 6n }],
    [{ op: "CREATE", stack: [49_152n, 0n, 0n], cost: 32_000n }],
    // A jump to where a JUMPDEST of this frame was seen is a good one.
    [{ op: "JUMPDEST", cost: 1n }, { op: "PUSH1", cost: 3n }, { op: "JUMP", stack: [0n], cost: 8n }],
  ];
  for (const structlogs of cuts) assert.ok(halted(structlogs).includes("H1"), structlogs.at(-1)!.op);
});

Deno.test("init code has no limit before Shanghai", () => {
  const create = [{ op: "CREATE", stack: [49_153n, 0n, 0n], cost: 32_000n }];
  assert.ok(halted(create, { fork: "london" }).includes("H1"));
});

Deno.test("a static frame is halted by what writes, and by nothing that does not", () => {
  const writes: readonly Fed[] = [
    { op: "SSTORE", stack: [1n, 2n] },
    { op: "TSTORE", stack: [1n, 2n] },
    { op: "LOG0", stack: [0n, 0n] },
    { op: "CREATE", stack: [0n, 0n, 0n] },
    { op: "SELFDESTRUCT", stack: [5n] },
    { op: "CALL", stack: [0n, 0n, 0n, 0n, 1n, 5n, 0n] },
  ];
  for (const write of writes) assert.deepEqual(haltedInStatic([write], 100_000n), [], write.op);
  for (const harmless of [{ op: "SLOAD", stack: [1n] }, { op: "CALL", stack: [0n, 0n, 0n, 0n, 0n, 5n, 0n] }]) {
    assert.ok(haltedInStatic([harmless], 100_000n).includes("H1"), harmless.op);
  }
  // Less than the dearest price is left.
  assert.deepEqual(haltedInStatic([{ op: "SLOAD", stack: [1n] }], 2_099n), []);
});
