import assert from "node:assert/strict";
import { disagreements } from "./agreement.ts";

Deno.test("TraceDecoder and the reference decoder agree on damaged replies, read by the scanner and without it", async () => {
  assert.deepEqual(await disagreements(900, 7), []);
});
