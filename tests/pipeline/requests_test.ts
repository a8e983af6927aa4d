import assert from "node:assert/strict";
import fc from "fast-check";
import {
  type ProcessRequest,
  processRequest,
  readRequest,
  RequestUnreadableError,
} from "../../src/pipeline/requests.ts";

const number = fc.nat(1e9);
const request = fc.record({
  blocks: fc.oneof(
    fc.array(number, { maxLength: 20 }),
    fc.tuple(number, fc.nat(1e6)).map(([from, more]) => ({ from, to: from + more })),
  ),
  processors: fc.array(fc.constantFrom("transaction_structlog", "transaction_simple"), { maxLength: 3 }),
  class: fc.constantFrom("process" as const, "reprocess" as const),
}, { noNullPrototype: true });

Deno.test("readRequest() reads what processRequest() writes", () => {
  fc.assert(fc.property(request, (asked: ProcessRequest) => {
    const { key, body, mode } = processRequest("key", asked, "backwards");
    assert.deepEqual([key, mode, readRequest(body)], ["key", "backwards", asked]);
    assert.equal("mode" in processRequest("key", asked), false);
  }));
});

Deno.test("readRequest() names what is wrong", () => {
  for (
    const [body, reason] of [
      ["", "it is not JSON"],
      ["null", "it is no object"],
      ['{"class":"now"}', 'its class is "now"'],
      ['{"class":"process","processors":[1]}', "its processors are no names"],
      ['{"class":"process","processors":[]}', "it names no blocks"],
      ['{"class":"process","processors":[],"blocks":[-1]}', "its blocks are no numbers"],
      ['{"class":"process","processors":[],"blocks":{"from":3,"to":2}}', "its range of blocks is none"],
    ] as const
  ) {
    assert.throws(() => readRequest(body), (error: unknown) => {
      assert.ok(error instanceof RequestUnreadableError);
      assert.equal(error.message, `Cannot read a request to the leader: ${reason}`);
      return true;
    });
  }
});

Deno.test("readRequest() throws nothing else, whatever the text", () => {
  fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (body) => {
    try {
      readRequest(body);
    } catch (error) {
      assert.ok(error instanceof RequestUnreadableError);
    }
  }));
});
