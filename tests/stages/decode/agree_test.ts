import assert from "node:assert/strict";
import { disagreementsOnDamage, disagreementsOnDisguise } from "./agreement.ts";

Deno.test("TraceDecoder and the reference decoder agree on damaged replies, read by the scanner and without it", async () => {
  assert.deepEqual(await disagreementsOnDamage(900, 7), []);
});

Deno.test("TraceDecoder and the reference decoder agree on replies taken for another fork's or client's", async () => {
  assert.deepEqual(await disagreementsOnDisguise(900, 11), []);
});
