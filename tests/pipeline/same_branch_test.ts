import assert from "node:assert/strict";
import { checkBranch } from "../../src/pipeline/same_branch.ts";
import { RpcFailure } from "../../src/rpc/failure.ts";
import type { Lease } from "../../src/rpc/port.ts";
import { simulate, type Simulation } from "../rpc/simulated.ts";

const BLOCK = `0x${"b".repeat(64)}`;
const OTHER = `0x${"c".repeat(64)}`;
const TRANSACTION = `0x${"d".repeat(64)}`;
const RECEIPT = "eth_getTransactionReceipt";

/** A lease for the block on the node that took it over, and the names of both nodes. */
async function movedLease({ pool, clock }: Simulation, blockNumber: number) {
  const ask = {
    need: { class: "trace", method: "debug_traceTransaction" },
    blockHash: BLOCK,
    blockNumber,
    priority: "process",
    deadlineMs: clock.now() + 60_000,
  } as const;
  const first = await pool.lease(ask);
  first.report({ kind: "violated", identity: "R4" });
  const lease = await pool.lease(ask);
  assert.deepEqual([first.moved, lease.moved], [false, true]);
  return { lease, before: first.node.name, after: lease.node.name };
}

function check({ pool, clock }: Simulation, lease: Lease, blockNumber: number): Promise<void> {
  const placed = { transactionHash: TRANSACTION, blockHash: BLOCK, blockNumber };
  const signal = new AbortController().signal;
  return checkBranch(pool, lease, placed, { priority: "process", deadlineMs: clock.now() + 10_000, signal });
}

Deno.test("checkBranch() lets a node trace that has the transaction in the block, and asks no other", async () => {
  await using simulation = await simulate({ a: {}, b: {} });
  for (const node of Object.values(simulation.nodes)) {
    node.react = ({ method }) =>
      method === RECEIPT ? { result: { blockHash: BLOCK.toUpperCase().replace("X", "x") } } : {};
  }
  const { lease, before, after } = await movedLease(simulation, 90);
  await check(simulation, lease, 90);
  assert.equal(simulation.nodes[after]!.received.get(RECEIPT), 1);
  assert.equal(simulation.nodes[before]!.received.get(RECEIPT), undefined);
  lease.report({ kind: "cancelled" });
});

for (const [where, result] of [["another block", { blockHash: OTHER }], ["no block", null]] as const) {
  Deno.test(`checkBranch() refuses a node that has the transaction in ${where}, and the task is released`, async () => {
    await using simulation = await simulate({ a: {}, b: {} });
    const { pool, nodes } = simulation;
    for (const node of Object.values(nodes)) node.react = ({ method }) => method === RECEIPT ? { result } : {};
    const { lease, after } = await movedLease(simulation, 90);
    await assert.rejects(check(simulation, lease, 90), (error) => {
      assert.ok(error instanceof RpcFailure);
      assert.deepEqual([error.release, error.failure.node, error.failure.action], [true, after, "missing"]);
      return true;
    });
    const state = pool.nodes().find(({ name }) => name === after)!.classes.trace;
    assert.deepEqual([state.inFlight, state.breaker], [0, "closed"]);
  });
}

Deno.test("checkBranch() asks nothing about a block that stayed on its node, or lies deep", async () => {
  await using simulation = await simulate({ a: {}, b: {} });
  const { pool, nodes, clock } = simulation;
  const need = { class: "trace", method: "debug_traceTransaction" } as const;
  using stayed = await pool.lease({ need, blockHash: OTHER, priority: "process", deadlineMs: clock.now() + 60_000 });
  await check(simulation, stayed, 90);
  const { lease } = await movedLease(simulation, 30);
  await check(simulation, lease, 30);
  lease.report({ kind: "cancelled" });
  assert.deepEqual(Object.values(nodes).map(({ received }) => received.get(RECEIPT)), [undefined, undefined]);
});
