/** What a reply may look like around its structlogs, and how one that is none fails. */
import assert from "node:assert/strict";
import { MalformedReplyError, ReplyError } from "../../../src/stages/decode/errors.ts";
import { Probe, said, type Told } from "./probe.ts";

const LOG = '{"pc":0,"op":"STOP","gas":5,"gasCost":0,"depth":1,"stack":[]}';
const TRACE = `{"gas":21000,"failed":false,"returnValue":"0x","structLogs":[${LOG}]}`;
const encoder = new TextEncoder();

let opened: Promise<[Probe, Probe]> | undefined;

/** One probe of each reader, opened inside the first test: the runner counts what is open. */
function probes(): Promise<[Probe, Probe]> {
  opened ??= Promise.all([
    Probe.open({ scan: true, sliceBytes: 64 * 1024 }),
    Probe.open({ scan: false, sliceBytes: 1 }),
  ]);
  return opened;
}

/** What both readers say, which must be the same. */
async function told(reply: string, shape: "transaction" | "block" = "transaction", transactions = 0): Promise<Told> {
  const [fast, general] = await probes();
  const bytes = encoder.encode(reply);
  const result = fast.read([bytes], shape, transactions);
  assert.equal(said(general.read([bytes], shape, transactions)), said(result));
  return result;
}

async function malformed(reply: string, shape?: "transaction" | "block", transactions?: number) {
  const { error } = await told(reply, shape, transactions);
  assert.ok(error instanceof MalformedReplyError, `${reply} is taken`);
  return error;
}

async function refused(reply: string, shape?: "transaction" | "block") {
  const { error } = await told(reply, shape);
  assert.ok(error instanceof ReplyError, `${reply}: ${error?.message}`);
  return error;
}

Deno.test("a bare result, an envelope, and an envelope with its members in any order are the same trace", async () => {
  const replies = [
    TRACE,
    ` \r\n\t${TRACE}\n`,
    `{"jsonrpc":"2.0","id":1,"result":${TRACE}}`,
    `{"result":${TRACE},"id":"a","jsonrpc":"2.0"}\n`,
    `{"x":[{"result":{"structLogs":[]}}],"result":${TRACE},"error":null}`,
    `{"result":null,"result":${TRACE}}`,
  ];
  const [first] = (await told(TRACE)).transactions;
  for (const reply of replies) {
    const { transactions, error } = await told(reply);
    assert.equal(error, undefined, reply);
    const facts = { ...first!.facts, offset: reply.lastIndexOf(TRACE) };
    assert.deepEqual(transactions, [{ ...first, facts }], reply);
  }
  assert.equal(first!.structlogs.length, 1);
  assert.deepEqual(first!.facts, { structLogs: true, offset: 0, bytes: TRACE.length, gas: 21000n, failed: false });
});

Deno.test("facts of a result come from any order, and the last of a doubled member wins", async () => {
  const { transactions } = await told(
    `{"structLogs":[],"gas":"0x5208","failed":false,"returnValue":"0xAB","gas":"7","failed":true,"returnValue":"cd",` +
      `"regularGasUsed":5,"stateGasUsed":"-0x6","gasRefund":"7","error":"tracing failed: boom","errorCode":-32000}`,
  );
  const { bytes: _bytes, offset: _offset, ...facts } = transactions[0]!.facts;
  assert.deepEqual(facts, {
    structLogs: true,
    gas: 7n,
    failed: true,
    returnValue: "cd",
    executionGasUsed: 5n,
    stateGasUsed: -6n,
    finalRefund: 7n,
    error: "tracing failed: boom",
    errorCode: "-32000",
  });
});

Deno.test("null takes a fact back", async () => {
  const { transactions } = await told(
    '{"structLogs":null,"gas":7,"gas":null,"failed":true,"failed":null,"returnValue":"0x1","returnValue":null}',
  );
  assert.deepEqual(transactions[0]!.facts, { structLogs: false, offset: 0, bytes: 105 });
});

Deno.test("an error inside the result is a fact, in an envelope too", async () => {
  for (const error of ['"boom"', '{"a":"boom"}', "5", "true"]) {
    const inside = `{"error":${error},"gas":1,"failed":true}`;
    for (const reply of [inside, `{"id":1,"result":${inside}}`]) {
      const { transactions } = await told(reply);
      const expected = error === '{"a":"boom"}' ? error : error.replaceAll('"', "");
      assert.equal(transactions[0]!.facts.error, expected, reply);
    }
  }
});

Deno.test("a block is an array of items with hash and result in either order, or of bare results", async () => {
  const hash = `0x${"ab".repeat(32)}`;
  const items = [`{"txHash":"${hash}","result":${TRACE}}`, `{"result":${TRACE},"txHash":"${hash}"}`, TRACE];
  const block = `[${items.join(", ")}]`;
  for (const reply of [block, `{"jsonrpc":"2.0","id":1,"result":${block}}`]) {
    const { transactions, error } = await told(reply, "block", 3);
    assert.equal(error, undefined);
    assert.deepEqual(transactions.map(({ facts }) => facts.transactionHash), [hash, hash, undefined]);
    assert.deepEqual(transactions.map(({ structlogs }) => structlogs.length), [1, 1, 1]);
    for (const { facts } of transactions) assert.equal(facts.bytes, TRACE.length);
  }
  assert.deepEqual((await told("[]", "block")).transactions, []);
});

Deno.test("a block must hold as many transactions as it was asked for", async () => {
  const fewer = await malformed(`[${TRACE}]`, "block", 2);
  assert.equal(fewer.expected, "2 transactions");
  assert.equal(fewer.offset, TRACE.length + 1);
  const more = await malformed(`[${TRACE},${TRACE}]`, "block", 1);
  assert.equal(more.expected, "no more than 1 transactions");
  assert.equal(more.transaction, 1);
});

Deno.test("a JSON-RPC error becomes a ReplyError, also behind or before a result", async () => {
  const error = '{"code":-32000,"message":"transaction not found","data":"0x1"}';
  const replies = [
    `{"jsonrpc":"2.0","id":1,"error":${error}}`,
    `{"error":${error}}`,
    `{"result":null,"error":${error}}`,
    `{"error":${error},"result":${TRACE}}`,
    `{"result":${TRACE},"error":${error}}`,
  ];
  for (const reply of replies) {
    const { rpcCode, rpcMessage, rpcData, raw } = await refused(reply);
    assert.equal(rpcCode, -32000);
    assert.equal(rpcMessage, "transaction not found");
    assert.equal(rpcData, "0x1");
    assert.equal(new TextDecoder().decode(raw), error);
  }
});

Deno.test("errors of unusual form keep what they say", async () => {
  const text = await refused('{"id":1,"error":"busy"}');
  assert.equal(text.rpcCode, undefined);
  assert.equal(text.rpcMessage, "busy");
  const data = await refused('{"error":{"code":"x","message":"m","data":{"a":[1]}}}');
  assert.equal(data.rpcCode, undefined);
  assert.equal(data.rpcData, '{"a":[1]}');
  const huge = await refused(`{"error":{"code":-1,"message":"${"m".repeat(3_000_000)}"}}`);
  assert.equal(huge.raw.length, 1024);
  const item = await refused(`[${TRACE},{"txHash":"0x1","error":"execution timeout"}]`, "block");
  assert.equal(item.transaction, 1);
  assert.equal(item.rpcMessage, "execution timeout");
});

Deno.test("a null result without an error is refused as such", async () => {
  assert.equal((await refused('{"jsonrpc":"2.0","id":1,"result":null}')).rpcMessage, "result is null");
  assert.equal((await refused('[{"txHash":"0x1","result":null}]', "block")).transaction, 0);
});

Deno.test("a reply that is no trace fails at the byte that does not fit", async () => {
  const cases: readonly [reply: string, offset: number, expected: string][] = [
    ["", 0, "a value"],
    ["[]", 0, "an object"],
    ["null", 3, "an object"],
    ["{}", 1, "member result"],
    ['{"id":1}', 7, "member result"],
    ["<html>", 0, "a value"],
    [`${TRACE}x`, TRACE.length, "nothing more"],
    [`${TRACE},`, TRACE.length, "nothing more"],
    ['{"result":nullnull,"error":{}}', 14, "a comma or }"],
    ['{"gas":1 "failed":true}', 9, "a comma or }"],
    ['{"gas":1,}', 9, "a member's name"],
    ['{"gas":01}', 8, "no digit after a leading zero"],
    ['{"gas":1.5}', 9, "an integer of at most 64 bits"],
    ['{"gas":1e3}', 9, "an integer of at most 64 bits"],
    ['{"gas":18446744073709551616}', 26, "an integer of at most 64 bits"],
    ['{"gas":true}', 10, "a number"],
    ['{"failed":"true"}', 10, "true or false"],
    ['{"returnValue":"xyz"}', 19, "hex text"],
    ['{"structLogs":{}}', 14, "an array"],
    ['{"structLogs":[1]}', 15, "an object"],
    ['{"structLogs":[],"structLogs":[]}', 30, "no second structLogs"],
    [`{"structLogs":[${LOG},]}`, 16 + LOG.length, "a value"],
    [`{"structLogs":[${LOG}${LOG}]}`, 15 + LOG.length, "a comma or ]"],
    ['{"structLogs":[{"op":"STOP","pc":0,"gas":1}]}', 42, "member depth in the structlog"],
    ['{"structLogs":[{"stack":["0x1","0xg"]}]}', 35, "a word of 1 to 64 hex digits"],
    ['{"structLogs":[{"stack":[1]}]}', 25, "a text"],
    ['{"structLogs":[{"returnData":"zz"}]}', 32, "hex text"],
    ['{"structLogs":[{"pc":4294967296}]}', 30, "a number of at most 4294967295"],
    ['{"structLogs":[{"pc":-1}]}', 22, "a number that is not negative"],
    ['{"structLogs":[{"memory":["a\u0001"]}]}', 28, "no control character in a string"],
    ['{"structLogs":[{"x":"\\u00g0"}]}', 25, "four hex digits"],
    ['{"structLogs":[{"structLogs":[],"gas":1}}', 40, "a comma or ]"],
    [`{"result":${TRACE},"result":${TRACE}}`, 21 + TRACE.length - 1, "no second result"],
    [`{"result":${TRACE},"gas":1}`, 17 + TRACE.length, "no member of a trace beside result"],
  ];
  for (const [reply, offset, expected] of cases) {
    const error = await malformed(reply);
    assert.equal(`${error.expected} at ${error.offset}`, `${expected} at ${offset}`, reply);
    assert.ok(error.message.includes(`byte ${offset}`), error.message);
  }
});

Deno.test("an error says how far rows had got", async () => {
  const error = await malformed(`[${TRACE},{"structLogs":[${LOG},${LOG},?`, "block", 2);
  assert.equal(error.structlogs, 3);
  assert.equal(error.transaction, 1);
  assert.equal(error.found, '"?"');
});

Deno.test("nesting is bounded and bounded only far away", async () => {
  const nested = (depth: number) => `{"gas":1,"x":${"[".repeat(depth)}${"]".repeat(depth)}}`;
  assert.equal((await told(nested(9_999))).error, undefined);
  const error = await malformed(nested(10_000));
  assert.equal(error.expected, "at most 10000 containers inside each other");
});

Deno.test("rows without an opcode are dropped", async () => {
  const logs = ['{"op":null,"pc":1}', "{}", '{"op":""}', LOG, '{"pc":1,"depth":7}'];
  const { transactions } = await told(`{"structLogs":[${logs.join(",")}]}`);
  assert.deepEqual(transactions[0]!.structlogs.map(({ pc }) => pc), [0]);
});

Deno.test("a structlog larger than the input region is read, and the next one by the scanner again", async () => {
  const huge = LOG.replace('"stack"', `"memory":[${`"${"0".repeat(64)}",`.repeat(60_000)}"1"],"stack"`);
  const text = `{"structLogs":[${LOG},${huge},${`${LOG},`.repeat(2000)}${LOG}]}`;
  const [fast] = await probes();
  const { transactions, fastBytes, error } = fast.read([encoder.encode(text)]);
  assert.equal(error, undefined);
  assert.equal(transactions[0]!.structlogs.length, 2003);
  assert.ok(huge.length > 3_000_000 && fastBytes < 2004 * (LOG.length + 1));
  assert.ok(fastBytes > 2000 * LOG.length, `${fastBytes}`);
});

Deno.test("a stack higher than the scanner's table and texts at their limits are read", async () => {
  const words = Array.from({ length: 5000 }, (_, index) => `"0x${index.toString(16)}"`);
  const tall = LOG.replace("[]", `[${words}]`).replace("{", `{"error":"${"e".repeat(0x100000)}",`);
  const { transactions } = await told(`{"structLogs":[${tall}]}`);
  const [structlog] = transactions[0]!.structlogs;
  assert.equal(structlog!.height, 5000);
  assert.deepEqual(structlog!.words, [4999, 4998, 4997, 4996, 4995, 4994, 4993].map((word) => word.toString(16)));
  assert.equal(structlog!.error!.length, 0x100000);
  const long = await malformed(`{"structLogs":[{"error":"\\n${"e".repeat(0x100000)}"}]}`);
  assert.equal(long.expected, "a text of at most 1048576 bytes");
});
