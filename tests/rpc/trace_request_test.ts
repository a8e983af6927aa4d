import assert from "node:assert/strict";
import { clientFlags } from "../../src/ethereum/clients.ts";
import type { NodeView } from "../../src/rpc/port.ts";
import { traceBody, traceOptions, type TraceRequest } from "../../src/rpc/trace_request.ts";

const CLIENTS = [
  "Geth/v1.14.12-stable",
  "Geth/v1.17.10-stable",
  "erigon/3.3.10",
  "erigon/3.5.0",
  "Nethermind/v1.25.4",
  "Nethermind/v1.38.0",
  "besu/v25.1.0",
  "reth/v1.9.0",
  "anvil/v1.7.1",
];

function view(clientVersion: string, executionMs?: number): NodeView {
  return {
    network: "n",
    name: "a",
    url: "http://127.0.0.1:8545",
    headers: {},
    gzip: false,
    clientVersion,
    flags: clientFlags(clientVersion),
    caCerts: [],
    connections: 1,
    limits: { wholeMs: 1, firstByteMs: 1, stallMs: 1, ...(executionMs === undefined ? {} : { executionMs }) },
  };
}

const REQUEST: TraceRequest = {
  target: { kind: "transaction", hash: `0x${"ab".repeat(32)}` },
  memory: false,
  stack: true,
  storage: false,
  returnData: false,
};

Deno.test("traceOptions() turns memory and storage off under every name, for every client, and never sends limit", () => {
  for (const client of CLIENTS) {
    const options = traceOptions(view(client, 30_000), REQUEST);
    assert.deepEqual(options, {
      enableMemory: false,
      disableMemory: true,
      disableStack: false,
      disableStorage: true,
      enableReturnData: false,
      disableReturnData: true,
      timeout: "30000ms",
    }, client);
    assert.equal("limit" in options, false);
  }
});

Deno.test("traceOptions() asks for return data under both names, and sends no timeout where none is known", () => {
  const options = traceOptions(view("erigon/3.5.0"), { ...REQUEST, returnData: true });
  assert.deepEqual([options.enableReturnData, options.disableReturnData], [true, false]);
  assert.equal("timeout" in options, false);
});

Deno.test("traceBody() asks for a transaction, or for all of a block by its hash", () => {
  const one = JSON.parse(traceBody(view("Geth/v1.17.10"), REQUEST));
  assert.deepEqual([one.method, one.params[0]], ["debug_traceTransaction", REQUEST.target.hash]);
  const hash = `0x${"cd".repeat(32)}`;
  const block = JSON.parse(traceBody(view("Geth/v1.17.10"), { ...REQUEST, target: { kind: "block", hash } }));
  assert.deepEqual([block.method, block.params[0]], ["debug_traceBlockByHash", hash]);
  assert.deepEqual(block.params[1], one.params[1]);
  assert.deepEqual([block.jsonrpc, block.id, block.params.length], ["2.0", 1, 2]);
});
