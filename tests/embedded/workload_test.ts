import assert from "node:assert/strict";
import contracts from "../../src/embedded/contracts/workload.json" with { type: "json" };
import { WorkloadError } from "../../src/embedded/errors.ts";
import { nodeRequest } from "../../src/embedded/node_request.ts";
import { FAILING_SCENARIOS, type Scenario } from "../../src/embedded/scenarios.ts";
import { type MinedBlock, Workload, WORKLOAD_BLOCKS } from "../../src/embedded/workload.ts";
import { compileContracts } from "../../tools/build_contracts.ts";
import { openChain } from "./open_chain.ts";

/** What a step of a trace tells this test. */
interface Step {
  readonly op: string;
  readonly depth: number;
  readonly refund?: number;
}

async function mined(workload: Workload, first: number, last: number): Promise<MinedBlock[]> {
  return await Array.fromAsync(workload.mine(first, last));
}

Deno.test("contracts/workload.json is what its source compiles to", async () => {
  const source = await Deno.readTextFile(new URL("../../src/embedded/contracts/workload.sol", import.meta.url));
  assert.deepEqual(contracts, compileContracts(source));
});

Deno.test("compileContracts() takes a warning for an error", () => {
  const unnamed = "contract C { function f() public {} }"; // no license, no pragma
  assert.throws(() => compileContracts(unnamed), /Cannot compile workload\.sol:[^]*Warning/);
});

Deno.test("a workload mined in two halves shows every scenario in each, and ends as it should", async () => {
  await using chain = await openChain();
  const workload = new Workload({ url: chain.httpUrl, seed: 7 });
  const halves = [
    await mined(workload, 1, WORKLOAD_BLOCKS / 2),
    await mined(workload, WORKLOAD_BLOCKS / 2 + 1, WORKLOAD_BLOCKS),
  ];
  const blocks = halves.flat();
  assert.deepEqual(blocks.map(({ number }) => number), Array.from({ length: WORKLOAD_BLOCKS }, (_, i) => i + 1));
  assert.ok(blocks.length >= 30);
  for (const { number, transactions } of blocks) {
    assert.ok(transactions.length >= 3, `block ${number} has ${transactions.length} transactions`);
  }
  const seen = halves.map((half) => new Set(half.flatMap(({ transactions }) => transactions.map((tx) => tx.scenario))));
  assert.equal(seen[0]!.size, 19);
  assert.deepEqual([...seen[0]!].sort(), [...seen[1]!].sort());
  assert.equal(await nodeRequest(chain.httpUrl, "eth_blockNumber", []), `0x${WORKLOAD_BLOCKS.toString(16)}`);
});

Deno.test("each scenario of the workload has in its trace what it is named for", async () => {
  await using chain = await openChain();
  const transactions = (await mined(new Workload({ url: chain.httpUrl, seed: 11 }), 1, 12))
    .flatMap((block) => block.transactions);
  const example = (scenario: Scenario) => transactions.findLast((transaction) => transaction.scenario === scenario)!;
  const steps = async (scenario: Scenario): Promise<Step[]> => {
    const { hash } = example(scenario);
    const trace = await nodeRequest<{ structLogs: Step[] }>(chain.httpUrl, "debug_traceTransaction", [hash]);
    return trace.structLogs;
  };
  const count = (trace: readonly Step[], ...ops: string[]) => trace.filter(({ op }) => ops.includes(op)).length;
  const depth = (trace: readonly Step[]) => Math.max(...trace.map((step) => step.depth));

  assert.equal((await steps("plain transfer")).length, 0);
  assert.equal((await steps("transfer with calldata")).length, 0);
  assert.equal((await steps("call of a precompile")).length, 0);
  assert.ok((await steps("contract creation")).at(-1)!.op === "RETURN");
  assert.equal(count(await steps("factory CREATE"), "CREATE"), 1);
  assert.equal(count(await steps("factory CREATE2"), "CREATE2"), 1);
  const failedCreate = await steps("CREATE that reverts");
  assert.equal(count(failedCreate, "CREATE"), 1);
  assert.ok(failedCreate.some(({ op, depth }) => op === "REVERT" && depth === 2));
  assert.equal(count(await steps("delegatecall proxy"), "DELEGATECALL"), 1);
  const filled = await steps("storage filled");
  assert.ok(count(filled, "SSTORE") >= 4 && count(filled, "LOG3") === count(filled, "SSTORE"));
  assert.ok((await steps("storage cleared")).at(-1)!.refund! > 0);
  const survived = await steps("failures survived");
  assert.equal(count(survived, "CALL", "STATICCALL"), 3);
  assert.ok(survived.at(-1)!.depth === 1);
  assert.equal((await steps("revert at the root")).at(-1)!.op, "REVERT");
  assert.notEqual((await steps("out of gas at the root")).at(-1)!.op, "REVERT");
  assert.equal((await steps("invalid opcode at the root")).at(-1)!.depth, 1);
  assert.ok(count(await steps("precompiles"), "STATICCALL") >= 9);
  assert.equal(count(await steps("precompile refuses"), "STATICCALL"), 1);
  assert.ok((await steps("long loop")).length >= 100_000);
  const nested = await steps("nested calls");
  assert.ok(depth(nested) >= 5, `depth ${depth(nested)}`);
  for (const op of ["CALL", "STATICCALL", "DELEGATECALL", "CREATE2", "REVERT", "LOG3"]) {
    assert.ok(count(nested, op) > 0, `nested calls have no ${op}`);
  }
  const listed = await nodeRequest<{ type: string }>(chain.httpUrl, "eth_getTransactionByHash", [
    example("access list").hash,
  ]);
  assert.equal(listed.type, "0x1");
  for (const { hash, scenario } of transactions) {
    const receipt = await nodeRequest<{ status: string }>(chain.httpUrl, "eth_getTransactionReceipt", [hash]);
    assert.equal(receipt.status === "0x0", FAILING_SCENARIOS.has(scenario), scenario);
  }
});

Deno.test("the same seed gives the same blocks, another seed gives others", async () => {
  const run = async (seed: number) => {
    await using chain = await openChain();
    return await mined(new Workload({ url: chain.httpUrl, seed }), 1, 8);
  };
  const first = await run(3);
  assert.deepEqual(await run(3), first);
  assert.notEqual((await run(4)).at(-1)!.hash, first.at(-1)!.hash);
});

Deno.test("mine() refuses blocks out of order and beyond the end", async () => {
  await using chain = await openChain();
  const workload = new Workload({ url: chain.httpUrl, seed: 1 });
  await assert.rejects(mined(workload, 2, 3), WorkloadError);
  await mined(workload, 1, 1);
  await assert.rejects(mined(workload, 1, 1), /Cannot mine blocks 1 to 1: the next block is 2, the last 36/);
  await assert.rejects(mined(workload, 2, WORKLOAD_BLOCKS + 1), WorkloadError);
});

Deno.test("a chain that mines on its own is refused, not misread", async () => {
  await using chain = await openChain({ mining: "automatic" });
  await assert.rejects(mined(new Workload({ url: chain.httpUrl, seed: 1 }), 1, 1), (error) => {
    assert.ok(error instanceof WorkloadError);
    assert.match(error.message, /^Cannot use block 1: expected the \d+ transactions in the order/);
    return true;
  });
});

Deno.test("an aborted workload stops between two blocks", async () => {
  await using chain = await openChain();
  const abort = new AbortController();
  const workload = new Workload({ url: chain.httpUrl, seed: 1, signal: abort.signal });
  const numbers: number[] = [];
  await assert.rejects(async () => {
    for await (const { number } of workload.mine(1, WORKLOAD_BLOCKS)) {
      numbers.push(number);
      if (number === 3) abort.abort(new Error("enough"));
    }
  }, /enough/);
  assert.deepEqual(numbers, [1, 2, 3]);
});
