import assert from "node:assert/strict";
import { unlessAborted } from "../../src/flow/unless_aborted.ts";

const REASON = new Error("enough");

Deno.test("unlessAborted() is the work's own result, or its error", async () => {
  const { signal } = new AbortController();
  assert.equal(await unlessAborted(Promise.resolve(7), signal), 7);
  await assert.rejects(unlessAborted(Promise.reject(REASON), signal), REASON);
});

Deno.test("unlessAborted() is the signal's reason, whether it comes before or while the work goes on", async () => {
  const abort = new AbortController();
  const endless = new Promise<never>(() => {});
  const waiting = unlessAborted(endless, abort.signal);
  abort.abort(REASON);
  await assert.rejects(waiting, REASON);
  await assert.rejects(unlessAborted(endless, abort.signal), REASON);
});

Deno.test("unlessAborted() leaves no listener behind", async () => {
  const { signal } = new AbortController();
  let listeners = 0;
  const [add, remove] = [signal.addEventListener.bind(signal), signal.removeEventListener.bind(signal)];
  signal.addEventListener = (...args: Parameters<typeof add>) => {
    listeners++;
    add(...args);
  };
  signal.removeEventListener = (...args: Parameters<typeof remove>) => {
    listeners--;
    remove(...args);
  };
  await unlessAborted(Promise.resolve(), signal);
  assert.equal(listeners, 0);
});
