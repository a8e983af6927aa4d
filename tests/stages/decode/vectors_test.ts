import assert from "node:assert/strict";
import { openDecoder } from "../../../src/stages/decode/decoder.ts";
import { seeded } from "../../fixtures/random.ts";
import { GROUPS, type Vector, vectors } from "../../fixtures/vectors.ts";
import { compareProof, compareTable, rowsFollowReceipt } from "../../reference/compare.ts";
import { Collected, constantsOf, contextOf, decodeInto } from "./collect.ts";

/** Re-chunked runs of one vector; long replies are covered by few. */
const RECHUNKINGS = 3;
const LONGEST_RECHUNKED = 400_000;

for (const group of GROUPS) {
  Deno.test(`TraceDecoder gives the rows and the verdict of every vector of ${group}`, async () => {
    const decoder = await openDecoder();
    const wrong: string[] = [];
    for (const vector of await vectors(group)) {
      const collected = new Collected();
      decodeInto(decoder, contextOf(vector), [vector.trace], collected);
      const differences = differencesOf(vector, collected);
      if (differences.length > 0) wrong.push(`${vector.name}: ${differences.join("; ")}`);
    }
    assert.deepEqual(wrong, []);
  });

  Deno.test(`TraceDecoder gives the same rows of ${group} in any chunks`, async () => {
    const decoder = await openDecoder();
    const random = seeded(GROUPS.indexOf(group) + 1);
    const wrong: string[] = [];
    for (const vector of await vectors(group)) {
      if (vector.trace.length > LONGEST_RECHUNKED) continue;
      const whole = new Collected();
      decodeInto(decoder, contextOf(vector), [vector.trace], whole);
      for (let run = 0; run < RECHUNKINGS; run++) {
        const longest = 1 + random(2 ** (1 + random(16)));
        const pieces = cut(vector.trace, () => 1 + random(longest));
        const chunked = new Collected();
        decodeInto(decoder, contextOf(vector), pieces, chunked);
        if (chunked.lines !== whole.lines) wrong.push(`${vector.name} in chunks of up to ${longest} bytes: other rows`);
        assert.deepEqual(chunked.record, whole.record, vector.name);
      }
    }
    assert.deepEqual(wrong, []);
  });
}

function differencesOf(vector: Vector, collected: Collected): string[] {
  const { expected } = vector;
  const differences = compareProof(expected.proof, collected.proof);
  if (!rowsFollowReceipt(vector)) return differences;
  const constants = constantsOf(vector, collected.record!);
  for (const table of ["structlog", "agg"] as const) {
    const rows = collected.rows(table).map((row) => ({ ...constants, ...row }));
    differences.push(...compareTable(table, expected[table], rows));
  }
  return differences;
}

function* cut(bytes: Uint8Array, length: () => number): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length;) {
    const end = at + length();
    yield bytes.subarray(at, end);
    at = end;
  }
}
