/** A node that knows one block with one transaction, as a client once answered for it. */
import { type FlakyNode, type Reaction, startFlakyNode } from "../rpc/flaky_node.ts";
import type { Vector } from "../fixtures/vectors.ts";

/** Serves a recorded reply, its block, transaction and receipt. */
export function startReplayingNode(vector: Vector): FlakyNode {
  const { transaction, receipt, meta } = vector;
  const { transactions: _hashes, ...header } = vector.block;
  const number = Number(header["number"]);
  const trace = new TextDecoder().decode(vector.trace);
  const hash = String(transaction["hash"]);
  const result = (value: unknown): Reaction => ({ kind: "result", result: value });
  return startFlakyNode({ chainId: meta.chain_id, head: number, clientVersion: meta.client }, (call) => {
    const [first, second] = call.params;
    switch (call.method) {
      case "eth_getBlockByNumber":
        if (first !== "latest" && Number(first) !== number) return undefined;
        return result({ ...header, transactions: second === true ? [transaction] : [hash] });
      case "eth_getBlockReceipts":
        return result([receipt]);
      case "eth_getTransactionReceipt":
        return result(receipt);
      case "eth_getBalance":
        return result("0x0");
      case "debug_traceTransaction":
        return { kind: "body", body: `{"jsonrpc":"2.0","id":${call.id},"result":${trace}}` };
      case "debug_traceBlockByHash":
        return {
          kind: "body",
          body: `{"jsonrpc":"2.0","id":${call.id},"result":[{"txHash":"${hash}","result":${trace}}]}`,
        };
    }
    return undefined;
  });
}
