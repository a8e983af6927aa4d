import assert from "node:assert/strict";
import { BlockCache, BlockMissingError, BlockOrphanedError } from "../../src/pipeline/block_cache.ts";
import { Chain } from "../../src/stages/source/chain.ts";
import { MadeUpChain, MadeUpPool } from "./made_up_chain.ts";

const ASK = { priority: "process", withinMs: 1_000 } as const;

function cacheOf(chain: MadeUpChain) {
  const asked: string[] = [];
  const { answer } = chain;
  chain.answer = (method, params) => {
    asked.push(method);
    return answer.call(chain, method, params);
  };
  return { blocks: new BlockCache(new Chain(new MadeUpPool(chain))), asked };
}

Deno.test("a block is read once for all tasks that run about the same time, until it is forgotten", async () => {
  const chain = new MadeUpChain(20);
  const { blocks, asked } = cacheOf(chain);
  const { hash } = chain.block(5);
  const [first, second] = await Promise.all([blocks.get(hash, 5, ASK), blocks.get(hash, 5, ASK)]);
  assert.equal(first, second);
  assert.deepEqual(asked, ["eth_getBlockByHash", "eth_getBlockReceipts"]);
  assert.deepEqual(first.receipts.map((receipt) => receipt["blockHash"]), [hash, hash]);
  blocks.forget(hash);
  await blocks.get(hash, 5, ASK);
  assert.equal(asked.length, 4);
});

Deno.test("the least recently used of many blocks leaves", async () => {
  const chain = new MadeUpChain(20);
  const { blocks, asked } = cacheOf(chain);
  for (let number = 0; number <= 16; number++) await blocks.get(chain.block(number).hash, number, ASK);
  asked.length = 0;
  await blocks.get(chain.block(16).hash, 16, ASK);
  assert.deepEqual(asked, []);
  await blocks.get(chain.block(0).hash, 0, ASK);
  assert.equal(asked.length, 2);
});

Deno.test("a block that left the chain is orphaned, one that no node has yet is missing, and neither is kept", async () => {
  const chain = new MadeUpChain(10);
  const { blocks } = cacheOf(chain);
  const { hash } = chain.block(10);
  chain.reorg(1, 0);
  await assert.rejects(blocks.get(hash, 10, ASK), BlockMissingError);
  chain.mine(1);
  await assert.rejects(blocks.get(hash, 10, ASK), BlockOrphanedError);
  const [newest] = chain.fork(1);
  chain.reorg(1, 0);
  await assert.rejects(blocks.get(newest!.hash, 10, ASK), BlockMissingError);
  chain.restore([newest!]);
  assert.equal((await blocks.get(newest!.hash, 10, ASK)).block.hash, newest!.hash);
});

Deno.test("a receipt of another block ends the task as orphaned", async () => {
  const chain = new MadeUpChain(10);
  const { answer } = chain;
  chain.answer = (method, params) => {
    const result = answer.call(chain, method, params);
    if (method !== "eth_getBlockReceipts") return result;
    return (result as { blockHash: string }[]).map((receipt) => ({ ...receipt, blockHash: chain.block(9).hash }));
  };
  const { blocks } = cacheOf(chain);
  await assert.rejects(blocks.get(chain.block(10).hash, 10, ASK), BlockOrphanedError);
});

Deno.test("canonical() is false only where a node has another block of the number", async () => {
  const chain = new MadeUpChain(10);
  const { blocks } = cacheOf(chain);
  const { hash } = chain.block(10);
  assert.equal(await blocks.canonical(hash, 10, ASK), true);
  chain.reorg(1, 0);
  assert.equal(await blocks.canonical(hash, 10, ASK), true);
  chain.mine(1);
  assert.equal(await blocks.canonical(hash, 10, ASK), false);
});
