import assert from "node:assert/strict";
import { GROUPS, type Vector, vectors } from "../fixtures/vectors.ts";
import { compareProof, compareTable, rowsFollowReceipt } from "./compare.ts";
import { decodeReference } from "./decoder.ts";

for (const group of GROUPS) {
  Deno.test(`decodeReference() gives the rows and the verdict of every vector of ${group}`, async () => {
    const wrong: string[] = [];
    for (const vector of await vectors(group)) {
      const differences = await differencesOf(vector);
      if (differences.length > 0) wrong.push(`${vector.name}: ${differences.join("; ")}`);
    }
    assert.deepEqual(wrong, []);
  });
}

async function differencesOf(vector: Vector): Promise<string[]> {
  const { expected, meta, trace, transaction, receipt, block } = vector;
  const reading = await decodeReference({ ...meta, trace, transaction, receipt, block });
  const identities = reading.proof.violations.map(({ identity }) => identity);
  const differences = compareProof(expected.proof, { ...reading.proof, identities });
  if (!rowsFollowReceipt(vector)) return differences;
  return [
    ...differences,
    ...compareTable("structlog", expected.structlog, reading.structlog),
    ...compareTable("agg", expected.agg, reading.agg),
  ];
}
