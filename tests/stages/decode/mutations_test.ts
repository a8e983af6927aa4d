import assert from "node:assert/strict";
import { refusalReport } from "./refusals.ts";

const SEED = 20_240_607;
const MUTANTS = 10_080;

Deno.test("TraceDecoder refuses damaged traces whose stored gas would be wrong", async () => {
  const report = await refusalReport(MUTANTS, SEED);
  await Deno.stdout.write(new TextEncoder().encode(report.text));
  assert.ok(report.gasChanged > MUTANTS / 2, `only ${report.gasChanged} mutants change stored gas`);
  const rate = report.gasChangedRefused / report.gasChanged;
  assert.ok(rate >= 0.99, `refused ${(100 * rate).toFixed(2)} % of the mutants that change stored gas\n${report.text}`);
});
