/** Longer runs of the decoder on damaged replies, each from a new seed, which is printed. */
import assert from "node:assert/strict";
import { agreeOnDamaged, agreeOnWritten } from "../stages/decode/agree_readers.ts";
import { disagreementsOnDamage, disagreementsOnDisguise } from "../stages/decode/agreement.ts";
import { equalInAnySerialisation } from "../stages/decode/serialisations.ts";
import { refusalReport } from "../stages/decode/refusals.ts";

const MUTANTS = 300_000;
const COMPARED = 30_000;
const WRITTEN = 100_000;
const WRITTEN_TRACES = 20_000;

Deno.test("soak: TraceDecoder refuses damaged traces whose stored gas would be wrong", async () => {
  const report = await refusalReport(MUTANTS, newSeed());
  await print(report.text);
  const rate = report.gasChangedRefused / report.gasChanged;
  assert.ok(rate >= 0.99, `refused ${(100 * rate).toFixed(2)} % of the mutants that change stored gas`);
});

for (
  const [what, disagreements] of [
    ["damaged replies", disagreementsOnDamage],
    ["replies taken for another fork's or client's", disagreementsOnDisguise],
  ] as const
) {
  Deno.test(`soak: TraceDecoder and the reference decoder agree on ${what}`, async () => {
    const seed = newSeed();
    await print(`${COMPARED} ${what}, seed ${seed}\n`);
    assert.deepEqual(await disagreements(COMPARED, seed), []);
  });
}

for (
  const [what, count, agree] of [
    ["ways to write a trace", WRITTEN, agreeOnWritten],
    ["damaged texts", WRITTEN, agreeOnDamaged],
    ["ways to write real traces", WRITTEN_TRACES, equalInAnySerialisation],
  ] as const
) {
  Deno.test(`soak: all readers agree on ${what}`, async () => {
    const seed = newSeed() & 0x7fffffff;
    await print(`${count} ${what}, seed ${seed}\n`);
    await agree(count, seed);
  });
}

function newSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0]!;
}

async function print(text: string): Promise<void> {
  await Deno.stdout.write(new TextEncoder().encode(text));
}
