import assert from "node:assert/strict";
import { longReply } from "./long_reply.ts";

const PEAK_BYTES = 500e6;

Deno.test("a reply ten times as fast as the store is read at the node's pace and stored whole", async () => {
  const { structlogs, spilledBytes, peakBytes } = await longReply(1_000_000, "own", 240_000);
  assert.ok(structlogs > 900_000 && spilledBytes > 10 * structlogs, `${structlogs} structlogs, ${spilledBytes} bytes`);
  assert.ok(peakBytes < PEAK_BYTES, `peak of the processor: ${Math.round(peakBytes / 1e6)} MB`);
});
