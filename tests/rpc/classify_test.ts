import assert from "node:assert/strict";
import { classify, type Evidence, judge, type Row, TABLE, type TransportFault } from "../../src/rpc/classify.ts";
import { readAnswer } from "../../src/rpc/envelope.ts";
import type { CallClass } from "../../src/rpc/port.ts";
import bodies from "../fixtures/rpc/bodies.json" with { type: "json" };

interface Body {
  readonly reason: string;
  readonly action: string;
  readonly source: string;
  readonly family: string;
  readonly class: string;
  readonly method: string;
  readonly status?: number;
  readonly body?: string;
  readonly transport?: string;
  readonly batch?: boolean;
  readonly inside?: boolean;
  readonly error?: unknown;
  readonly retryAfter?: string;
  readonly retryAfterMs?: number;
  readonly capability?: string;
}

function evidenceOf(body: Body): Evidence {
  const base = {
    family: body.family,
    class: body.class as CallClass,
    method: body.method,
    ...(body.batch ? { batch: true } : {}),
  };
  if (body.transport !== undefined) return { ...base, transport: body.transport as TransportFault };
  if (body.inside) return { ...base, httpStatus: 200, inside: true, error: body.error };
  const text = body.body ?? "";
  const answer = readAnswer(
    { status: body.status ?? 200, text, bytes: text.length, retryAfter: body.retryAfter, firstByteMs: 1 },
    1,
  );
  return answer.ok ? { ...base, absent: answer.result === null } : { ...base, ...answer.evidence };
}

for (const body of bodies as readonly Body[]) {
  const what = body.transport ?? `${body.status} ${body.body ?? body.error}`;
  Deno.test(`classify() judges ${body.family || "any"} ${what.slice(0, 90)} as ${body.action}`, () => {
    const failure = classify(evidenceOf(body), "a");
    assert.deepEqual([failure.reason, failure.action], [body.reason, body.action]);
    if (body.retryAfterMs !== undefined) assert.equal(failure.retryAfterMs, body.retryAfterMs);
    if (body.capability !== undefined) assert.equal(failure.capability, body.capability);
  });
}

Deno.test("every row of the table has a body that it judges", () => {
  const judged = new Set((bodies as readonly Body[]).map((body) => judge(evidenceOf(body))));
  const idle = TABLE.filter((row: Row) => !judged.has(row)).map(({ reason, families }) =>
    `${families ?? "any"} ${reason}`
  );
  assert.deepEqual(idle, []);
});

Deno.test("classify() keeps no address and no more than 1 KiB of a node's words", () => {
  const message = `cannot reach https://user:secret@node.example/key: ${"x".repeat(5_000)}`;
  const { text } = classify(
    { family: "geth", class: "read", method: "eth_getCode", httpStatus: 200, error: { code: -1, message } },
    "a",
  );
  assert.doesNotMatch(text, /secret|node\.example/);
  assert.equal(text.length, 1_024);
});

Deno.test("classify() learns the cap that a node names and reads dates of Retry-After", () => {
  const error = { code: -32008, message: "Response is too big", data: "Exceeded max limit of 160000000" };
  const base = { family: "revm", class: "trace", method: "debug_traceTransaction", httpStatus: 200 } as const;
  assert.equal(classify({ ...base, error }, "a").capBytes, 160_000_000);
  const retryAfter = new Date(Date.now() + 90_000).toUTCString();
  const { retryAfterMs } = classify({ ...base, httpStatus: 429, retryAfter }, "a");
  assert.ok(retryAfterMs! > 80_000 && retryAfterMs! <= 90_000, String(retryAfterMs));
});
