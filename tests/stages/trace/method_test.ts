import assert from "node:assert/strict";
import { traceReads } from "../../../src/stages/trace/method.ts";

const auto = { method: "auto", blockStructlogs: 1_000 } as const;

Deno.test("traceReads() asks once for a whole block of small transactions", () => {
  assert.deepEqual(traceReads({ first: 0, last: 9 }, 10, 1_000, 0, auto), {
    shape: "block",
    parts: [{ first: 0, last: 9 }],
  });
});

Deno.test("traceReads() asks per transaction for a part, a large block, a single one, and after a failure", () => {
  const singles = [{ first: 0, last: 0 }, { first: 1, last: 1 }];
  assert.deepEqual(traceReads({ first: 0, last: 1 }, 3, 10, 0, auto), { shape: "transaction", parts: singles });
  assert.deepEqual(traceReads({ first: 0, last: 1 }, 2, 1_001, 0, auto), { shape: "transaction", parts: singles });
  assert.deepEqual(traceReads({ first: 0, last: 0 }, 1, 10, 0, auto), { shape: "transaction", parts: [singles[0]] });
  assert.deepEqual(traceReads({ first: 0, last: 1 }, 2, 10, 1, auto), { shape: "transaction", parts: singles });
});

Deno.test("traceReads() does what the configuration says", () => {
  assert.equal(traceReads({ first: 0, last: 1 }, 2, 1e9, 3, { ...auto, method: "block" }).shape, "block");
  assert.equal(traceReads({ first: 0, last: 1 }, 2, 1, 0, { ...auto, method: "transaction" }).shape, "transaction");
});
