/**
 * Random contracts on a real node, in every fork that it executes rightly: what the pipeline makes of their traces is
 * proved against their receipts, and its rows add up. RANDOM_SEED and RANDOM_BLOCKS choose others and more.
 */
import assert from "node:assert/strict";
import { openDecoder } from "../../src/stages/decode/decoder.ts";
import { brokenInvariants } from "../embedded/trace_invariants.ts";
import { randomCases } from "../embedded/random_chain.ts";
import { RANDOM_FORKS } from "../embedded/random_contracts.ts";
import { openChain } from "../embedded/open_chain.ts";
import { Collected, contextOf, decodeInto } from "../stages/decode/collect.ts";
import { nodeRequest } from "../../src/embedded/node_request.ts";
import { Workload, WORKLOAD_BLOCKS } from "../../src/embedded/workload.ts";

const SEED = Number(Deno.env.get("RANDOM_SEED") ?? 20_240_611);
const BLOCKS = Number(Deno.env.get("RANDOM_BLOCKS") ?? 6);
const META = { client: "anvil/v1.7.1", chain_id: 31337, network: "devnet" };

for (const [nth, fork] of RANDOM_FORKS.entries()) {
  Deno.test(`random contracts under the rules of ${fork} are proved and their rows add up`, async () => {
    const decoder = await openDecoder();
    const seed = SEED + nth;
    const verdicts = { proved: 0, bounded: 0 };
    const seen = new Set<string>();
    for await (const found of randomCases({ fork, seed, blocks: BLOCKS, transactionsPerBlock: 12 })) {
      const collected = new Collected();
      decodeInto(decoder, contextOf({ ...found, meta: { ...META, fork } }), [found.reply], collected);
      const { verdict, violations, detail, outcome, gasUsed, rows, refundSource } = collected.record!;
      const name = `${fork}, seed ${seed}, transaction ${found.receipt.transactionHash}`;
      const text = `${verdict} ${detail} ${
        violations.map((violation) => `${violation.identity} ${violation.detail}`).join("; ")
      }`;
      assert.ok(verdict === "proved" || verdict === "bounded", `${name}: ${text}`);
      if (verdict === "bounded") assert.ok(rows === 0 || refundSource === "interval", `${name}: ${text}`);
      verdicts[verdict]++;
      assert.equal(Number(gasUsed), Number(found.receipt.gasUsed), name);
      assert.deepEqual(brokenInvariants(collected.rows("structlog"), collected.rows("agg")), [], name);
      seen.add(outcome);
      for (const { call_type } of collected.rows("agg")) seen.add(String(call_type));
    }
    assert.equal(verdicts.proved + verdicts.bounded, BLOCKS * 12);
    assert.ok(verdicts.proved > verdicts.bounded, `seed ${seed}: ${JSON.stringify(verdicts)}`);
    for (
      const kind of ["success", "revert", "halt", "empty", "CALL", "STATICCALL", "DELEGATECALL", "CALLCODE", "CREATE2"]
    ) {
      assert.ok(seen.has(kind), `seed ${seed}: no ${kind} among ${[...seen].join(" ")}`);
    }
  });
}

Deno.test("every trace of the demo's workload is proved, or bounded by the floor, and its rows add up", async () => {
  await using chain = await openChain();
  const decoder = await openDecoder();
  const ask = <Result>(method: string, ...params: unknown[]) => nodeRequest<Result>(chain.httpUrl, method, params);
  let transactions = 0;
  for await (const mined of new Workload({ url: chain.httpUrl, seed: SEED }).mine(1, WORKLOAD_BLOCKS)) {
    const block = await ask<Record<string, unknown>>("eth_getBlockByHash", mined.hash, false);
    for (const { hash, scenario } of mined.transactions) {
      const result = await ask<{ structLogs: unknown[] }>("debug_traceTransaction", hash, {});
      const transaction = await ask<Record<string, unknown>>("eth_getTransactionByHash", hash);
      const receipt = await ask<Record<string, unknown>>("eth_getTransactionReceipt", hash);
      const collected = new Collected();
      const context = contextOf({ transaction, receipt, block, meta: { ...META, fork: "osaka" } });
      decodeInto(decoder, context, [new TextEncoder().encode(JSON.stringify(result))], collected);
      const { verdict, detail } = collected.record!;
      const bounded = scenario === "transfer with calldata" || scenario === "call of a precompile";
      assert.ok(verdict === "proved" || (verdict === "bounded" && bounded), `${scenario}: ${verdict} ${detail}`);
      const structlogs = collected.rows("structlog");
      assert.equal(structlogs.length, result.structLogs.length, scenario);
      assert.deepEqual(brokenInvariants(structlogs, collected.rows("agg")), [], scenario);
      transactions++;
    }
  }
  assert.equal(transactions, 196);
});
