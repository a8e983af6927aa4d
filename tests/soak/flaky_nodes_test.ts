/** Ten minutes of random faults, and an outage that lasts. The seed is printed. */
import assert from "node:assert/strict";
import { runFlaky, runOutage } from "../system/flaky_run.ts";

const MOODY_MS = 600_000;
const MIB = 1_048_576;

Deno.test("soak: ten minutes of random faults leave every row and flat memory", async () => {
  const seed = Date.now() % 2 ** 20;
  const { structlogs, reasons, residentBytes } = await runFlaky(seed, MOODY_MS);
  assert.ok(structlogs > 100_000);
  const mean = (values: readonly number[]) => values.reduce((total, value) => total + value, 0) / values.length / MIB;
  const third = Math.floor(residentBytes.length / 3);
  const [middle, last] = [mean(residentBytes.slice(third, 2 * third)), mean(residentBytes.slice(2 * third))];
  await Deno.stdout.write(
    new TextEncoder().encode(
      `seed ${seed}: ${reasons.join(" ")}; resident ${middle.toFixed(0)} MiB in the second third, ${
        last.toFixed(0)
      } MiB in the last\n`,
    ),
  );
  assert.ok(last < 1.15 * middle + 32, `resident memory grew from ${middle} to ${last} MiB`);
});

Deno.test("soak: an outage of two minutes is told at once and then each minute", async () => {
  const { lines, due } = await runOutage(125_000);
  assert.ok(lines.length >= 3 && lines.length <= due, lines.join("\n"));
});
