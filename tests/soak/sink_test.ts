/** The faults of the sink at their full measure. What was seen is printed. */
import assert from "node:assert/strict";
import { WORKLOAD_BLOCKS } from "../../src/embedded/workload.ts";
import { killedEngine } from "../contracts/storage_faults.ts";
import { absentStore } from "../system/absent_store.ts";
import { longReply } from "../system/long_reply.ts";

const WITHIN_MS = 600_000;
const PEAK_BYTES = 500e6;

async function print(what: string, seen: object): Promise<void> {
  await Deno.stdout.write(new TextEncoder().encode(`${what}: ${JSON.stringify(seen)}\n`));
}

Deno.test("soak: an engine killed 50 times mid-insert loses nothing that was acknowledged", async () => {
  const { rows } = await killedEngine(50);
  await print("50 kills", { transactions: rows.size });
  assert.ok(rows.size >= 50);
});

Deno.test("soak: ClickHouse is away for 60 s under the running pipeline", async () => {
  const seen = await absentStore(60_000, WORKLOAD_BLOCKS, WITHIN_MS);
  await print("60 s away", seen);
  assert.ok(seen.peakBytes < PEAK_BYTES);
});

Deno.test("soak: 10 M structlogs from a node that cuts after 30 s go through a sink of a tenth of its rate", async () => {
  const seen = await longReply(10_000_000, "tenth", WITHIN_MS);
  await print("long reply", seen);
  assert.ok(seen.storedMs > 2 * seen.readMs && seen.storedMs > 30_000);
  assert.ok(seen.peakBytes < PEAK_BYTES);
});
