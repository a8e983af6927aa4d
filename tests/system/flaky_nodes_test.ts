/** Nodes that lag, cut, stall, hang, refuse, limit, break and lie cost time, but no row. FLAKY_SEED repeats a run. */
import assert from "node:assert/strict";
import { runFlaky, runOutage } from "./flaky_run.ts";

const SEED = Number(Deno.env.get("FLAKY_SEED") ?? 4_242);
const MOODY_MS = 120_000;

Deno.test(`three flaky nodes cost no row, no dead letter and no lease (seed ${SEED})`, async () => {
  const { structlogs } = await runFlaky(SEED, MOODY_MS);
  assert.ok(structlogs > 100_000);
});

Deno.test("an outage of all nodes uses no attempt, is told, and ends with the first node's return", async () => {
  const { lines, due } = await runOutage(5_000);
  // A machine that is slow enough makes it an outage of more than a minute.
  assert.ok(lines.length >= 1 && lines.length <= due, lines.join("\n"));
});
