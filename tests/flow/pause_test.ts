import assert from "node:assert/strict";
import { pause } from "../../src/flow/pause.ts";

const LONG_MS = 3_600_000;

Deno.test("pause() passes", async () => {
  await assert.doesNotReject(pause(1, new AbortController().signal));
});

Deno.test("pause() ends at once with its signal, and leaves neither timer nor listener", async () => {
  const abort = new AbortController();
  const waiting = pause(LONG_MS, abort.signal);
  abort.abort();
  await waiting; // the sanitizers would see the timer
  await pause(LONG_MS, abort.signal);
  assert.equal(abort.signal.aborted, true);
});
