import assert from "node:assert/strict";
import { readAnswers } from "../../src/rpc/envelope.ts";

Deno.test("readAnswers() finds answers by id in any order, the first of two, and leaves out what is foreign", () => {
  const document = [
    { jsonrpc: "2.0", id: 3, result: "c" },
    { jsonrpc: "2.0", id: 9, result: "foreign" },
    { jsonrpc: "2.0", id: 1, result: "a" },
    { jsonrpc: "2.0", id: 1, result: "a again" },
    { jsonrpc: "2.0", id: "2", result: "not the id that was sent" },
    null,
  ];
  const text = JSON.stringify(document);
  const exchange = { status: 200, text, bytes: text.length, retryAfter: undefined, firstByteMs: 1 };
  assert.deepEqual(
    readAnswers(exchange, [1, 2, 3]),
    new Map([[3, { ok: true, result: "c" }], [1, { ok: true, result: "a" }]]),
  );
});
