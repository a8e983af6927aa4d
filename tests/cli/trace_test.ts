import assert from "node:assert/strict";
import { invoke } from "../../src/cli/command.ts";
import { command } from "../../src/cli/trace.ts";
import { openChain } from "../embedded/open_chain.ts";
import { vector } from "../fixtures/vectors.ts";
import { type CommandOutcome, outcomeOf } from "./world.ts";

/** Stores 1, then deploys two bytes of memory: PUSH1 1, PUSH1 0, SSTORE, PUSH1 2, PUSH1 0, RETURN. */
const INIT_CODE = "0x600160005560026000f3";
const HASH = `0x${"ab".repeat(32)}`;

Deno.test("trace writes the proved rows of a transaction of a real node", async () => {
  await using chain = await openChain();
  const [from] = await ask(chain.httpUrl, "eth_accounts", []) as string[];
  const hash = await ask(chain.httpUrl, "eth_sendTransaction", [{ from, data: INIT_CODE, gas: "0x30d40" }]) as string;
  await ask(chain.httpUrl, "evm_mine", []);
  const receipt = await ask(chain.httpUrl, "eth_getTransactionReceipt", [hash]) as Record<string, string>;

  const verdict = await trace([hash, "--rpc", chain.httpUrl, "--table", "verdict"]);
  assert.equal(verdict.code, 0);
  const [record] = rowsOf(verdict);
  assert.deepEqual([record!.verdict, record!.outcome, record!.gas_used], [
    "proved",
    "success",
    Number(receipt.gasUsed),
  ]);

  const rows = rowsOf(await trace([hash, "--rpc", chain.httpUrl, "--network", "dev"]));
  assert.deepEqual(rows.map(({ operation }) => operation), ["PUSH1", "PUSH1", "SSTORE", "PUSH1", "PUSH1", "RETURN"]);
  for (const row of rows) {
    assert.equal(row.transaction_hash, hash);
    assert.equal(row.block_hash, receipt.blockHash);
    assert.equal(row.meta_network_name, "dev");
  }
  const frames = rowsOf(await trace([hash, "--rpc", chain.httpUrl, "--table", "frames"]));
  assert.equal(frames.find(({ operation }) => operation === "")!.opcode_count, rows.length);
});

Deno.test("trace ends with 1 and one line when the node does not know the transaction", async () => {
  await using chain = await openChain();
  const { code, bytes, stderr } = await trace([HASH, "--rpc", chain.httpUrl]);
  assert.deepEqual({ code, written: bytes.length, lines: stderr.length }, { code: 1, written: 0, lines: 1 });
  assert.match(stderr[0]!, /eth_getTransactionByHash/);
});

Deno.test("trace refuses what the proof refuses, asked from a node, and says how far the reply went", async () => {
  const sample = await vector("bad", "001-erigon-timeout-tail-missing");
  await using node = fakeNode({
    web3_clientVersion: sample.meta.client,
    eth_chainId: "0x7a69",
    eth_getTransactionByHash: sample.transaction,
    eth_getTransactionReceipt: sample.receipt,
    eth_getBlockByHash: sample.block,
    debug_traceTransaction: JSON.parse(new TextDecoder().decode(sample.trace)),
  });
  const hash = String(sample.receipt.transactionHash);
  const { code, bytes, stderr } = await trace([hash, "--rpc", node.url, "--fork", "prague"]);
  assert.deepEqual({ code, written: bytes.length, lines: stderr.length }, { code: 3, written: 0, lines: 2 });
  assert.match(stderr[0]!, /bytes {2}700 structlogs/);
  assert.match(stderr[1]!, /^violated: /);
});

Deno.test("trace ends with 1 and the node's words when it refuses to trace", async () => {
  const sample = await vector("traces", "001-transfer-eoa");
  await using node = fakeNode({
    web3_clientVersion: "Geth/v1.17.10",
    eth_chainId: "0x7a69",
    eth_getTransactionByHash: sample.transaction,
    eth_getTransactionReceipt: sample.receipt,
    eth_getBlockByHash: sample.block,
  });
  const { code, bytes, stderr } = await trace([String(sample.receipt.transactionHash), "--rpc", node.url]);
  assert.deepEqual({ code, written: bytes.length }, { code: 1, written: 0 });
  assert.match(stderr.at(-1)!, /the method does not exist/);
});

Deno.test("trace ends with 1 when nobody answers at the URL", async () => {
  const { url } = await (async () => {
    await using node = fakeNode({});
    return { url: node.url };
  })();
  const { code, stderr } = await trace([HASH, "--rpc", url]);
  assert.deepEqual({ code, lines: stderr.length }, { code: 1, lines: 1 });
  assert.match(stderr[0]!, /web3_clientVersion from node 127\.0\.0\.1:\d+/);
});

for (
  const [args, message] of [
    [[], /Cannot trace without the HASH/],
    [["0x12", "--rpc", "http://127.0.0.1:1"], /Cannot read HASH as 0x and 64 hex digits: current value is "0x12"/],
    [[HASH], /--rpc URL is missing/],
    [[HASH, "--rpc", "ws://127.0.0.1:1"], /Cannot read --rpc/],
    [[HASH, "--rpc", "http://127.0.0.1:1", "--timeout", "soon"], /Cannot read --timeout/],
    [[HASH, "--rpc", "http://127.0.0.1:1", "--header", "nothing"], /Cannot read --header as NAME:VALUE/],
    [[HASH, "--rpc", "http://127.0.0.1:1", "--tabel", "frames"], /did you mean --table\?/],
  ] as const
) {
  Deno.test(`trace ends with 2 on ${args.map((arg) => arg === HASH ? "HASH" : arg).join(" ") || "no argument"}`, async () => {
    const { code, bytes, stderr } = await trace(args);
    assert.deepEqual({ code, written: bytes.length, lines: stderr.length }, { code: 2, written: 0, lines: 1 });
    assert.match(stderr[0]!, message);
  });
}

function trace(args: readonly string[]): Promise<CommandOutcome> {
  return outcomeOf((io) => invoke(command, args, io));
}

function rowsOf({ stdout }: CommandOutcome): Record<string, unknown>[] {
  return stdout.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
}

async function ask(url: string, method: string, params: readonly unknown[]): Promise<unknown> {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
  });
  const { result, error } = await response.json();
  assert.equal(error, undefined);
  return result;
}

/** A node that gives these answers and has no other method. */
function fakeNode(answers: Readonly<Record<string, unknown>>): AsyncDisposable & { readonly url: string } {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
    const { id, method } = await request.json();
    const known = Object.hasOwn(answers, method);
    const error = { code: -32601, message: "the method does not exist" };
    return Response.json({ jsonrpc: "2.0", id, ...known ? { result: answers[method] } : { error } });
  });
  return { url: `http://127.0.0.1:${server.addr.port}`, [Symbol.asyncDispose]: () => server.shutdown() };
}
