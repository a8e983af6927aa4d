/** Sections 7, 8.1, 8.3 and 8.5: what the transaction adds up to. */
import assert from "node:assert/strict";
import { callContext, CALLEE, type Fed, Feeder, GAS_LIMIT, Kept } from "./feeder.ts";

const feeder = await Feeder.open();

interface Changes {
  readonly context?: Parameters<typeof callContext>[0];
  readonly facts?: Parameters<Feeder["end"]>[0];
}

function record(structlogs: readonly Fed[], { context = {}, facts = {} }: Changes) {
  const kept = new Kept(false);
  feeder.begin(callContext(context), kept).feed(...structlogs).end(facts);
  return kept.record!;
}

function identities(structlogs: readonly Fed[], changes: Changes): string[] {
  return record(structlogs, changes).violations.map(({ identity }) => identity);
}

const STOP: readonly Fed[] = [{ op: "STOP" }];
const REVERT: readonly Fed[] = [{ op: "REVERT", stack: [0n, 0n] }];

Deno.test("a trace is proved when gas limit, receipt and reply agree, and each disagreement has its identity", () => {
  const sound = { context: { gasUsed: 21_000n }, facts: { gas: 21_000n } };
  assert.deepEqual(identities(STOP, sound), []);
  assert.deepEqual(identities([{ op: "STOP", gas: GAS_LIMIT - 21_001n }], sound), ["R1"]);
  assert.deepEqual(identities(STOP, { ...sound, facts: { gas: 21_000n, failed: true } }), ["R2"]);
  assert.deepEqual(identities(STOP, { context: { gasUsed: 21_001n }, facts: { gas: 21_001n } }), ["R3"]);
  assert.deepEqual(identities(STOP, { ...sound, facts: { gas: 20_999n } }), ["R4"]);
  assert.deepEqual(
    identities(STOP, { ...sound, context: { ...sound.context, client: "besu/v26.8.0" }, facts: {} }),
    [],
  );
  assert.deepEqual(identities([], { context: { gasUsed: 21_001n }, facts: { gas: 21_001n } }), ["R6"]);
});

Deno.test("an error inside the result, or no structLogs at all, is no trace", () => {
  for (const [facts, identity] of [[{ error: "tracing failed" }, "N1"], [{ structLogs: false }, "N2"]] as const) {
    assert.ok(identities(STOP, { context: { gasUsed: 21_000n }, facts }).includes(identity));
  }
});

Deno.test("intrinsic gas follows the transaction and the fork", () => {
  const zero = `0x${"00".repeat(3)}${"ff".repeat(2)}`;
  const accessList = [{ address: CALLEE, storageKeys: [`0x${"00".repeat(32)}`, `0x${"01".padStart(64, "0")}`] }];
  const cases = [
    ["cancun", { input: zero }, 21_000n + 3n * 4n + 2n * 16n],
    ["byzantium", { input: zero }, 21_000n + 3n * 4n + 2n * 68n],
    ["cancun", { accessList }, 21_000n + 2_400n + 2n * 1_900n],
    ["cancun", { to: null, input: "0x00" }, 21_000n + 4n + 32_000n + 2n],
    ["london", { to: null, input: "0x00" }, 21_000n + 4n + 32_000n],
  ] as const;
  for (const [fork, transaction, intrinsic] of cases) {
    const stop = [{ op: "STOP", gas: GAS_LIMIT - intrinsic }];
    const { verdict, intrinsicGas, detail } = record(stop, { context: { fork, transaction, gasUsed: intrinsic } });
    assert.deepEqual([verdict, intrinsicGas], ["proved", Number(intrinsic)], `${fork}: ${detail}`);
  }
});

Deno.test("the floor of EIP-7623 holds from Prague on, with a revert too", () => {
  const transaction = { input: `0x${"ff".repeat(100)}` };
  const [intrinsic, floor] = [21_000n + 1_600n, 21_000n + 4_000n];
  for (const rows of [STOP, REVERT]) {
    const status = rows === STOP ? "0x1" : "0x0";
    const facts = { failed: rows === REVERT };
    const first = [{ ...rows[0]!, gas: GAS_LIMIT - intrinsic }];
    const prague = record(first, { context: { transaction, gasUsed: floor, status }, facts });
    assert.deepEqual([prague.verdict, prague.floorGas], ["proved", Number(floor)], prague.detail);
    const cancun = record(first, { context: { transaction, gasUsed: intrinsic, status, fork: "cancun" }, facts });
    assert.deepEqual([cancun.verdict, cancun.floorGas], ["proved", 0], cancun.detail);
  }
  const empty = record([], { context: { transaction, gasUsed: floor } });
  assert.deepEqual([empty.verdict, empty.detail, empty.outcome], ["bounded", "floor", "empty"]);
});

Deno.test("a refund is capped at a share of the gas, and a root that failed has none", () => {
  const counted: Fed[] = [{ op: "PUSH1", cost: 3n, refund: 0n }, { op: "STOP", stack: [1n], refund: 12_500n }];
  const wrong = record(counted, { context: { fork: "cancun", gasUsed: 21_003n - 4_200n } });
  // The cap fits, but no opcode of this trace gives a refund.
  assert.deepEqual(wrong.violations.map(({ identity }) => identity), ["R5"]);
  assert.deepEqual([wrong.refundCounter, wrong.refundApplied], [12_500, 4_200]);
  const reverted = record([{ ...REVERT[0]!, refund: 0n }], {
    context: { gasUsed: 21_000n, status: "0x0" },
    facts: { failed: true },
  });
  assert.deepEqual([reverted.verdict, reverted.outcome, reverted.refundApplied], ["proved", "revert", 0]);
});

Deno.test("a transaction to a precompile has no structlog and a price", () => {
  const identity = `0x${"04".padStart(40, "0")}`;
  const transaction = { to: identity, input: "0x00" };
  const context = { fork: "cancun", transaction, gasUsed: 21_004n + 15n + 3n } as const;
  const proved = record([], { context });
  assert.deepEqual([proved.verdict, proved.frames], ["proved", 1], proved.detail);
  const failed = record([], { context: { ...context, status: "0x0", gasUsed: GAS_LIMIT }, facts: { failed: true } });
  assert.equal(failed.verdict, "proved", failed.detail);
  assert.deepEqual(identities([], { context: { ...context, gasUsed: 21_004n } }), ["R6"]);
});

Deno.test("a creation pays for the code that its last RETURN hands over", () => {
  const intrinsic = 21_000n + 32_000n + 4n + 2n;
  const rows: Fed[] = [{ op: "RETURN", stack: [10n, 0n], cost: 3n, gas: GAS_LIMIT - intrinsic }];
  const transaction = { to: null, input: "0x00" };
  const made = record(rows, { context: { fork: "cancun", transaction, gasUsed: intrinsic + 3n + 2_000n } });
  assert.deepEqual([made.verdict, made.codeDepositGas, made.rootGas], ["proved", 2_000, 3], made.detail);
  const refused = record(rows, {
    context: { fork: "cancun", transaction, gasUsed: GAS_LIMIT, status: "0x0" },
    facts: { failed: true },
  });
  assert.deepEqual([refused.verdict, refused.outcome, refused.codeDepositGas], ["proved", "deposit", 0]);
});
