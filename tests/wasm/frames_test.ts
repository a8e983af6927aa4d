/** Section 3: call frames, their ids, paths and addresses. */
import assert from "node:assert/strict";
import { callContext, CALLEE, Feeder, Kept } from "./feeder.ts";

const feeder = await Feeder.open();
const OTHER = 0xabcden;

function identities(kept: Kept): string[] {
  return kept.record!.violations.map(({ identity }) => identity);
}

Deno.test("frames are numbered as they open, codeless ones too, and know the path to the root", () => {
  const kept = new Kept();
  const operands = (to: bigint) => [0n, 0n, 0n, 0n, to, 1_000n];
  const call = (...targets: bigint[]) => ({ op: "STATICCALL", stack: targets.toReversed().flatMap(operands) });
  const pop = (...targets: bigint[]) => ({ op: "POP", stack: [...call(...targets).stack, 1n], cost: 2n });
  const next = OTHER + 1n;
  feeder.begin(callContext({ gasUsed: 21_000n + 2_600n + 100n + 2n + 100n + 2n + 2_600n }), kept)
    .feed({ ...call(OTHER, OTHER, next), cost: 3_600n })
    .enter(1_000n)
    .feed({ ...call(BigInt(CALLEE)), cost: 100n }, { op: "STOP", stack: [1n] })
    .leave(900n)
    .feed(pop(OTHER, next), { ...call(OTHER, next), cost: 1_100n })
    .enter(1_000n).feed({ op: "STOP" }).leave(1_000n)
    .feed(pop(next), { ...call(next), cost: 2_600n }, { op: "STOP", stack: [1n] }).end();
  assert.equal(kept.record!.verdict, "proved", kept.record!.detail);
  const summaries = kept.rows("frames").filter(({ operation }) => operation === "")
    .toSorted((a, b) => Number(a.call_frame_id) - Number(b.call_frame_id));
  assert.deepEqual(summaries.map(({ call_frame_path }) => call_frame_path), [[0], [0, 1], [0, 1, 2], [0, 3], [0, 4]]);
  assert.deepEqual(summaries.map(({ parent_call_frame_id }) => parent_call_frame_id), [null, 0, 1, 0, 0]);
  assert.deepEqual(summaries.map(({ depth }) => depth), [0, 1, 2, 1, 1]);
  assert.deepEqual(summaries.map(({ call_type }) => call_type), ["", ...Array(4).fill("STATICCALL")]);
  assert.equal(summaries[0]!.target_address, CALLEE);
  assert.equal(summaries[4]!.target_address, "0x00000000000000000000000000000000000abcdf");
  assert.equal(kept.record!.frames, 5);
});

Deno.test("a trace that begins at depth 0 is one that begins at depth 1", () => {
  const traces = [0, 1].map((first) => {
    const kept = new Kept();
    feeder.begin(callContext({ gasUsed: 21_000n + 2_600n }), kept)
      .feed({ op: "STATICCALL", stack: [0n, 0n, 0n, 0n, OTHER, 9n], cost: 2_609n, depth: first })
      .enter(9n).feed({ op: "STOP", depth: first + 1 }).leave(9n)
      .feed({ op: "STOP", stack: [1n], depth: first }).end();
    assert.equal(kept.record!.verdict, "proved", kept.record!.detail);
    return kept;
  });
  assert.deepEqual(traces[0]!.rows("structlogs"), traces[1]!.rows("structlogs"));
  assert.deepEqual(traces[0]!.rows("frames"), traces[1]!.rows("frames"));
});

Deno.test("a depth that no call explains violates F5, and an end below the root F6", () => {
  const deeper = new Kept(false);
  feeder.begin(callContext({}), deeper).feed({ op: "STOP", depth: 2 }).end();
  assert.ok(identities(deeper).includes("F5"));
  const jump = new Kept();
  feeder.begin(callContext({}), jump)
    .feed({ op: "STATICCALL", stack: [0n, 0n, 0n, 0n, OTHER, 9n], cost: 2_609n })
    .enter(9n).feed({ op: "STOP", depth: 3 }).leave(9n).feed({ op: "STOP", stack: [1n], depth: 1 }).end();
  assert.ok(identities(jump).includes("F5"));
  const unknown = new Kept();
  feeder.begin(callContext({}), unknown).feed({ op: "PUSH1", cost: 3n }).enter(9n)
    .feed({ op: "STOP", stack: [] }).leave().feed({ op: "STOP", stack: [1n] }).end();
  assert.ok(identities(unknown).includes("F5"));
  assert.ok(unknown.rows("frames").some(({ call_type }) => call_type === "UNKNOWN"));
  const cut = new Kept(false);
  feeder.begin(callContext({}), cut).feed({ op: "STATICCALL", stack: [0n, 0n, 0n, 0n, OTHER, 9n], cost: 2_609n })
    .enter(9n).feed({ op: "STOP" }).end();
  assert.ok(identities(cut).includes("F6"));
});

Deno.test("a frame that succeeded with an opcode that ends none violates R2, or F4 below the root", () => {
  const root = new Kept(false);
  feeder.begin(callContext({ gasUsed: 21_003n }), root).feed({ op: "PUSH1", cost: 3n }).end();
  assert.deepEqual(identities(root), ["R2"]);
  const child = new Kept(false);
  feeder.begin(callContext({ gasUsed: 21_000n + 2_602n }), child)
    .feed({ op: "STATICCALL", stack: [0n, 0n, 0n, 0n, OTHER, 9n], cost: 2_609n })
    .enter(9n).feed({ op: "CALLER", cost: 2n }).leave(7n).feed({ op: "STOP", stack: [1n] }).end();
  assert.deepEqual(identities(child).filter((identity) => identity !== "F2"), ["F4"]);
  // The same is an implicit STOP of a client that prints none.
  const silent = new Kept(false);
  feeder.begin(callContext({ client: "Nethermind/v1.38.0", gasUsed: 21_003n }), silent).feed({ op: "PUSH1", cost: 3n })
    .end();
  assert.equal(silent.record!.verdict, "proved", silent.record!.detail);
});
