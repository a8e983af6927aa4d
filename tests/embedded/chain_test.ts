import assert from "node:assert/strict";
import { chainProgram, DEV_CHAIN_ID, startChain } from "../../src/embedded/chain.ts";
import { ChainError } from "../../src/embedded/errors.ts";
import { nodeRequest } from "../../src/embedded/node_request.ts";
import { openChain } from "./open_chain.ts";

Deno.test("startChain() answers on the port that it names, with its chain id and without mining", async () => {
  await using chain = await openChain();
  assert.equal(await nodeRequest(chain.httpUrl, "eth_chainId", []), `0x${DEV_CHAIN_ID.toString(16)}`);
  assert.equal(await nodeRequest(chain.httpUrl, "eth_blockNumber", []), "0x0");
  const version = await nodeRequest<string>(chain.httpUrl, "web3_clientVersion", []);
  assert.match(version, /^anvil\/v1\.7\.1/);
});

Deno.test("startChain() records steps, so that a trace is not an empty success", async () => {
  await using chain = await openChain(); // mining by hand: a trace asked for before the block is there is empty too
  const [from] = await nodeRequest<string[]>(chain.httpUrl, "eth_accounts", []);
  // PUSH1 1 PUSH1 2 ADD STOP as init code
  const hash = await nodeRequest(chain.httpUrl, "eth_sendTransaction", [{ from, input: "0x60016002010000" }]);
  await nodeRequest(chain.httpUrl, "evm_mine", []);
  const trace = await nodeRequest<{ structLogs: { op: string }[] }>(chain.httpUrl, "debug_traceTransaction", [hash]);
  assert.deepEqual(trace.structLogs.map(({ op }) => op), ["PUSH1", "PUSH1", "ADD", "STOP"]);
});

Deno.test("startChain() announces new heads over its WebSocket", async () => {
  await using chain = await openChain();
  const socket = new WebSocket(chain.wsUrl);
  const closed = Promise.withResolvers<void>();
  socket.onclose = () => closed.resolve();
  const head = Promise.withResolvers<{ number: string }>();
  const subscribed = Promise.withResolvers<void>();
  socket.onopen = () =>
    socket.send(JSON.stringify({ jsonrpc: "2.0", id: 1, method: "eth_subscribe", params: ["newHeads"] }));
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    if (message.id === 1) subscribed.resolve();
    else head.resolve(message.params.result);
  };
  await subscribed.promise;
  await nodeRequest(chain.httpUrl, "evm_mine", []);
  assert.equal((await head.promise).number, "0x1");
  socket.close();
  await closed.promise;
});

Deno.test("stop() ends the process and may be called twice", async () => {
  const chain = await openChain();
  await chain.stop();
  await chain.stop();
  await chain.exited;
  await assert.rejects(nodeRequest(chain.httpUrl, "eth_chainId", []), TypeError);
});

Deno.test("startChain() says what anvil said when it does not start", async () => {
  await using taken = await openChain();
  const port = Number(new URL(taken.httpUrl).port);
  await assert.rejects(openChain({ port }), (error) => {
    assert.ok(error instanceof ChainError);
    assert.match(error.message, /^Cannot start anvil: it ended before it listened on a port and said ".*in use/);
    return true;
  });
});

Deno.test("startChain() started with an aborted signal starts nothing", async () => {
  const signal = AbortSignal.abort(new Error("no chain wanted"));
  const program = await chainProgram(() => {});
  await assert.rejects(
    startChain({
      program,
      port: 0,
      hardfork: "osaka",
      mining: "manual",
      stepsTracing: true,
      genesisTime: 1,
      blockGasLimit: 30_000_000,
      signal,
    }),
    /no chain wanted/,
  );
});

Deno.test("nodeRequest() throws what the chain answered", async () => {
  await using chain = await openChain();
  await assert.rejects(nodeRequest(chain.httpUrl, "eth_noSuchMethod", []), (error) => {
    assert.ok(error instanceof ChainError);
    assert.match(error.message, /^Cannot eth_noSuchMethod on the dev chain: it answered "/);
    return true;
  });
});
