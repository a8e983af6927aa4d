import assert from "node:assert/strict";
import { Admission } from "../../src/embedded/admission.ts";

const NEVER = new AbortController().signal;

Deno.test("Admission hands places over in order and refuses what would wait too long a queue", async () => {
  const admission = new Admission(2, 2);
  const first = await admission.enter(NEVER);
  const second = await admission.enter(NEVER);
  const order: string[] = [];
  const third = admission.enter(NEVER).then((place) => (order.push("third"), place));
  const fourth = admission.enter(NEVER).then((place) => (order.push("fourth"), place));
  await assert.rejects(admission.enter(NEVER), /^InterfaceError: Code: 202\. DB::Exception: Too many simultaneous/);
  assert.deepEqual([admission.running, order], [2, []]);
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  (await third)[Symbol.dispose]();
  (await fourth)[Symbol.dispose]();
  assert.deepEqual([admission.running, order], [1, ["third", "fourth"]]);
  second[Symbol.dispose]();
  assert.equal(admission.running, 0);
});

Deno.test("Admission forgets who gave up waiting", async () => {
  const admission = new Admission(1, 1);
  const place = await admission.enter(NEVER);
  const abort = new AbortController();
  const gone = admission.enter(abort.signal);
  abort.abort(new Error("gone"));
  await assert.rejects(gone, /gone/);
  await assert.rejects(admission.enter(abort.signal), /gone/);
  const next = admission.enter(NEVER);
  place[Symbol.dispose]();
  (await next)[Symbol.dispose]();
  assert.equal(admission.running, 0);
});
