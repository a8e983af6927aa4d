import assert from "node:assert/strict";
import type { NodeState, RequestAsk } from "../../../src/rpc/port.ts";
import { Chain } from "../../../src/stages/source/chain.ts";

const HASH = `0x${"ab".repeat(32)}`;

function block(number: number, hash: string): unknown {
  const parentHash = `0x${"00".repeat(32)}`;
  return { number: `0x${number.toString(16)}`, hash, parentHash, timestamp: "0x1", gasUsed: "0x0", transactions: [] };
}

Deno.test("hashesByNumber() asks each node that keeps up, alone, and leaves out who has no answer", async () => {
  const nodes = [
    { name: "honest", condition: "ready", headNumber: 9, says: block(8, HASH) },
    { name: "shouting", condition: "ready", headNumber: 8, says: block(8, HASH.toUpperCase().replace("0X", "0x")) },
    { name: "behind", condition: "ready", headNumber: 7, says: block(8, HASH) },
    { name: "late", condition: "lagging", headNumber: 9, says: block(8, HASH) },
    { name: "elsewhere", condition: "forked", headNumber: 9, says: block(8, HASH) },
    { name: "new", condition: "probing", says: block(8, HASH) },
    { name: "empty", condition: "ready", headNumber: 9, says: null },
    { name: "confused", condition: "ready", headNumber: 9, says: block(7, HASH) },
    { name: "away", condition: "ready", headNumber: 9, says: undefined },
  ];
  const asked: string[] = [];
  const chain = new Chain({
    nodes: () => nodes as unknown as readonly NodeState[],
    batch: () => Promise.reject(new RangeError("no batch")),
    request: <T>(_method: string, _params: readonly unknown[], ask: RequestAsk<T>): Promise<T> => {
      const [node, ...others] = nodes.filter(({ name }) => !ask.not!.includes(name));
      assert.deepEqual(others, [], "one node alone");
      asked.push(node!.name);
      if (node!.says === undefined) return Promise.reject(new Error("refused"));
      return Promise.resolve().then(() => node!.says === null ? ask.absent!(node!.name) : ask.decode(node!.says));
    },
  });
  assert.deepEqual(await chain.hashesByNumber(8, { priority: "head", withinMs: 1_000 }), [HASH, HASH]);
  assert.deepEqual(asked, ["honest", "shouting", "empty", "confused", "away"]);
  const ended = AbortSignal.abort(new Error("ended"));
  await assert.rejects(chain.hashesByNumber(8, { priority: "head", withinMs: 1_000, signal: ended }), /ended/);
});
