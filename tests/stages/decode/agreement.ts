/** Where the real decoder and the reference decoder differ on damaged replies, each read in both of the ways. */
import { openDecoder } from "../../../src/stages/decode/decoder.ts";
import { READING } from "../../../src/stages/decode/reply_decoder.ts";
import { compareRows } from "../../reference/compare.ts";
import { decodeReference } from "../../reference/decoder.ts";
import { seeded } from "../../fixtures/random.ts";
import { Collected, constantsOf, contextOf, decodeInto } from "./collect.ts";
import { mutants, mutationBases } from "./mutation.ts";

/** What differs, as text, of `count` replies drawn with `seed`. Rows of violated traces are not compared. */
export async function disagreements(count: number, seed: number): Promise<string[]> {
  const readers = {
    scanner: await openDecoder(),
    "general reader": await openDecoder({ ...READING, scan: false }),
  };
  const found: string[] = [];
  for (const { kind, what, base, trace, receipt } of mutants(await mutationBases(), seeded(seed)).take(count)) {
    const { transaction, block, vector: { meta, name } } = base;
    const reply = { transaction, receipt, block, meta };
    const reading = await decodeReference({ ...reply, ...meta, trace });
    const { verdict } = reading.proof;
    for (const [reader, decoder] of Object.entries(readers)) {
      const collected = new Collected();
      decodeInto(decoder, contextOf(reply), [trace], collected);
      const label = `${kind}, ${what} of ${name}, ${reader}`;
      const record = collected.record!;
      if (record.verdict !== verdict) {
        const [ours, theirs] = [record.violations, reading.proof.violations].map((list) =>
          list.map((one) => one.identity)
        );
        found.push(`${label}: ${record.verdict} ${ours}, reference ${verdict} ${theirs}`);
      } else if (verdict !== "violated") {
        const constants = constantsOf(reply, record);
        for (const table of ["structlog", "agg"] as const) {
          const rows = collected.rows(table).map((row) => ({ ...constants, ...row }));
          found.push(...compareRows(table, reading[table], rows).map((difference) => `${label}: ${difference}`));
        }
      }
    }
  }
  return found;
}
