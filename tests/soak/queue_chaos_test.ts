/** The chaos of the queue at length, and whether it notices what it is there to notice. */
import assert from "node:assert/strict";
import { chaos, type ChaosOptions, type ChaosReport } from "../system/queue_chaos.ts";

const SHORT: ChaosOptions = { processes: 3, acts: 40, seed: 99, patienceMs: 30_000 };

async function print(report: ChaosReport): Promise<void> {
  await Deno.stdout.write(new TextEncoder().encode(`${JSON.stringify(report)}\n`));
}

Deno.test("soak: chaos of the queue at length, from a new seed", async () => {
  const seed = 1 + crypto.getRandomValues(new Uint32Array(1))[0]! % 2147483645;
  await Deno.stdout.write(new TextEncoder().encode(`seed ${seed}\n`));
  const report = await chaos({ processes: 4, acts: 400, seed, patienceMs: 120_000 });
  await print(report);
  assert.deepEqual(Object.values(report.wrong), Object.values(report.wrong).map(() => 0));
});

Deno.test("soak: with a counter in place of the bitmap, blocks complete early and are noticed", async () => {
  const report = await chaos({ ...SHORT, sabotage: "counter" });
  await print(report);
  assert.ok(report.wrong.early > 0);
});

Deno.test("soak: without reconciliation, a loss of power loses tasks and is noticed", async () => {
  const report = await chaos({ ...SHORT, sabotage: "no_reconciliation" });
  await print(report);
  assert.ok(report.wrong.incomplete > 0);
});

Deno.test("soak: settlements of stale owners that are taken are noticed", async () => {
  const report = await chaos({ ...SHORT, acts: 80, sabotage: "stale_settlement" });
  await print(report);
  assert.ok(report.wrong.staleTaken > 0);
});
