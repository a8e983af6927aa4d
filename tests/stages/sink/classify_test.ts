import assert from "node:assert/strict";
import { UnclassifiedError } from "../../../src/errors.ts";
import { serverError, transportError } from "../../../src/stages/sink/classify.ts";
import {
  SinkClosedError,
  StorageRejectedError,
  StorageSetupError,
  StorageUnavailableError,
} from "../../../src/stages/sink/errors.ts";

const RETRIED = [159, 202, 203, 209, 210, 236, 241, 242, 252, 373, 425, 999];
/** A full disk that nobody reserved, a mutation cut short, an overload, what is no exception of ClickHouse's own. */
const RETRIED_TOO = [75, 243, 341, 394, 745, 1000, 1001, 1002];
const REFUSED = [6, 26, 27, 33, 36, 38, 41, 53, 62, 117, 469];
const WRONGLY_SET_UP = [16, 47, 60, 81, 115, 516];

function of(code: number) {
  return serverError("insert", { code, type: "NAME", message: "first line\nINSERT … row after row" });
}

Deno.test("serverError() repeats an outage, gives up on data, and ends on a wrong set-up", () => {
  for (const code of [...RETRIED, ...RETRIED_TOO]) assert.ok(of(code) instanceof StorageUnavailableError, `${code}`);
  for (const code of REFUSED) assert.ok(of(code) instanceof StorageRejectedError, `${code}`);
  for (const code of WRONGLY_SET_UP) assert.ok(of(code) instanceof StorageSetupError, `${code}`);
  assert.deepEqual([of(159), of(53), of(516)].map(({ disposition }) => disposition), ["retry", "dead", "fatal"]);
  assert.equal(of(159).release, true);
});

Deno.test("serverError() repeats no code that it does not know", () => {
  const unknown = of(49);
  assert.ok(unknown instanceof UnclassifiedError);
  assert.equal(unknown.disposition, "dead");
});

Deno.test("serverError() says what the server said, without the rows that it quotes", () => {
  assert.equal(of(53).message, "Cannot insert: ClickHouse answered code 53 (NAME): first line");
});

Deno.test("transportError() is an outage, and names no URL", () => {
  const error = transportError(
    "insert",
    new TypeError("error sending request for url (http://u:secret@h:1/?a=b): cut"),
  );
  assert.ok(error instanceof StorageUnavailableError);
  assert.equal(error.message, "Cannot insert: error sending request for url (the server): cut");
  const failed = new TypeError("fetch failed", { cause: new Error("tcp connect error: Connection refused") });
  assert.equal(transportError("query", failed).message, "Cannot query: tcp connect error: Connection refused");
  assert.ok(transportError("insert", "cut") instanceof StorageUnavailableError);
  const closed = new SinkClosedError("Cannot wait");
  assert.equal(transportError("insert", closed), closed);
});
