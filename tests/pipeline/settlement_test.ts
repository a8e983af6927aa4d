import assert from "node:assert/strict";
import { RELEASE_MS, runs, settlementOf } from "../../src/pipeline/settlement.ts";
import type { PlainError, TransactionResult } from "../../src/pipeline/trace_job.ts";
import type { Task } from "../../src/stages/queue/port.ts";
import type { Action } from "../../src/rpc/port.ts";

function task(first: number, last: number, facts: Partial<Task> = {}): Task {
  return {
    kind: "trace",
    network: "dev",
    class: "process_forwards",
    blockNumber: 7,
    blockHash: `0x${"ab".repeat(32)}`,
    first,
    last,
    attempts: 0,
    recoveries: 0,
    failedNodes: [],
    firstEnqueuedMs: 0,
    ...facts,
  };
}

function result(index: number, published = true): TransactionResult {
  return {
    index,
    transactionHash: `0x${index}`,
    verdict: published ? "proved" : "violated",
    identity: published ? "" : "R3",
    detail: published ? "" : "gas differs",
    structlogs: 1,
    bytes: 1,
    stored: {
      verdict: published ? "proved" : "violated",
      published,
      structlogRows: 1,
      aggregateRows: 1,
      bytes: 1,
      settled: "durable",
    },
  };
}

function rpcError(action: Action, facts: { connection?: boolean } = {}): PlainError {
  const failure = {
    class: "trace",
    method: "debug_traceTransaction",
    node: "a",
    action,
    reason: "r",
    text: "t",
    bytes: 0,
    ...facts,
  } as const;
  return {
    code: "rpc_failure",
    disposition: action === "dead" ? "dead" : "retry",
    release: false,
    message: "m",
    failure,
  };
}

Deno.test("settlementOf() is done when every transaction is published", () => {
  assert.deepEqual(settlementOf({ task: task(1, 2), results: [result(1), result(2)] }), { outcome: "done" });
  assert.deepEqual(settlementOf({ task: task(0, 9), results: [], complete: true }), { outcome: "done" });
});

Deno.test("settlementOf() splits off what is durable and tries refused ones alone, avoiding the node", () => {
  const settlement = settlementOf({
    task: task(0, 3),
    results: [result(0), result(1, false), result(2), result(3)],
    node: "a",
  });
  assert.deepEqual(settlement, {
    outcome: "split",
    done: [{ first: 0, last: 0 }, { first: 2, last: 3 }],
    rest: [{ first: 1, last: 1 }],
    failure: { code: "violated", message: "0x1: R3: gas differs", node: "a" },
  });
});

Deno.test("settlementOf() gives a violated transaction to another node, and buries it when two agree", () => {
  const end = { task: task(1, 1), results: [result(1, false)], node: "a" };
  assert.equal(settlementOf({ ...end, violations: 1 }).outcome, "fail");
  assert.equal(settlementOf({ ...end, violations: 2, node: "b" }).outcome, "dead");
});

Deno.test("settlementOf() keeps a transaction that one node failed and another one lied about", () => {
  const again = task(1, 1, { attempts: 1, failedNodes: ["a"] });
  const end = { task: again, results: [result(1, false)], node: "b", violations: 1 };
  assert.equal(settlementOf(end).outcome, "fail");
});

Deno.test("settlementOf() uses no attempt for what a node could not do now", () => {
  const released = { outcome: "release", delayMs: RELEASE_MS };
  for (const action of ["same", "limit", "overload", "missing", "depth"] as const) {
    assert.deepEqual(settlementOf({ task: task(0, 1), results: [], error: rpcError(action) }), released, action);
  }
  assert.deepEqual(
    settlementOf({ task: task(0, 1), results: [], error: rpcError("other", { connection: true }) }),
    released,
  );
  const outage: PlainError = { code: "nodes_unavailable", disposition: "retry", release: true, message: "m" };
  assert.deepEqual(settlementOf({ task: task(0, 1), results: [], error: outage }), released);
});

Deno.test("settlementOf() narrows what is too big and what one transaction of many cannot survive", () => {
  for (const action of ["split", "dead"] as const) {
    const settlement = settlementOf({ task: task(4, 6), results: [], error: rpcError(action), node: "a" });
    assert.equal(settlement.outcome, "split", action);
    assert.deepEqual(
      settlement.outcome === "split" ? settlement.rest : [],
      [4, 5, 6].map((index) => ({ first: index, last: index })),
    );
  }
  assert.equal(settlementOf({ task: task(4, 4), results: [], error: rpcError("dead") }).outcome, "dead");
  assert.equal(settlementOf({ task: task(4, 4), results: [], error: rpcError("split") }).outcome, "fail");
});

Deno.test("settlementOf() ends a task of an orphaned block as orphaned", () => {
  const error: PlainError = { code: "block_orphaned", disposition: "dead", release: false, message: "m" };
  assert.deepEqual(settlementOf({ task: task(0, 3), results: [], error }), { outcome: "orphaned" });
});

Deno.test("settlementOf() never takes missing transactions for done", () => {
  assert.throws(() => settlementOf({ task: task(0, 1), results: [] }), /transactions are missing without an error/);
});

Deno.test("runs() joins neighbours", () => {
  assert.deepEqual(runs([5, 1, 2, 3, 9]), [{ first: 1, last: 3 }, { first: 5, last: 5 }, { first: 9, last: 9 }]);
});
