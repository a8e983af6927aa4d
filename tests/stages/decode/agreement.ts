/**
 * Where the real decoder and the reference decoder differ, each reply read in both of the real one's ways: damaged
 * replies, and sound ones that are taken for those of another fork or client.
 */
import { openDecoder } from "../../../src/stages/decode/decoder.ts";
import type { TraceDecoder } from "../../../src/stages/decode/port.ts";
import { READING } from "../../../src/stages/decode/reply_decoder.ts";
import { pick, seeded } from "../../fixtures/random.ts";
import { vectors } from "../../fixtures/vectors.ts";
import { compareRows } from "../../reference/compare.ts";
import { decodeReference } from "../../reference/decoder.ts";
import { type Case, Collected, constantsOf, contextOf, decodeInto } from "./collect.ts";
import { mutants, mutationBases } from "./mutation.ts";

const FORKS = [
  "spuriousdragon",
  "byzantium",
  "petersburg",
  "istanbul",
  "berlin",
  "london",
  "shanghai",
  "cancun",
  "prague",
  "osaka",
  "amsterdam",
];
const CLIENTS = [
  "Geth/v1.16.7",
  "erigon/3.5.0",
  "Nethermind/v1.25.4",
  "Nethermind/v1.38.0",
  "besu/v25.1.0",
  "besu/v26.8.0",
  "reth/v1.9.0",
  "anvil/v1.7.1",
  "HardhatNetwork/2.29.1/@nomicfoundation/edr/0.3.8",
  "ethereumjs/vm 10.1.3",
];
/** Longer replies say nothing that shorter ones do not, and take their time. */
const LONGEST_REPLY = 60_000;

/** What differs, as text, of `count` damaged replies drawn with `seed`. */
export async function disagreementsOnDamage(count: number, seed: number): Promise<string[]> {
  const readers = await openReaders();
  const found: string[] = [];
  for (const { kind, what, base, trace, receipt } of mutants(await mutationBases(), seeded(seed)).take(count)) {
    const { transaction, block, vector: { meta, name } } = base;
    const reply = { transaction, receipt, block, meta };
    found.push(...await disagreements(readers, reply, trace, `${kind}, ${what} of ${name}`));
  }
  return found;
}

/** The same of replies that are read by the rules of a drawn fork, or as a drawn client's. */
export async function disagreementsOnDisguise(count: number, seed: number): Promise<string[]> {
  const readers = await openReaders();
  const random = seeded(seed);
  const short = (await vectors()).filter(({ trace }) => trace.length <= LONGEST_REPLY);
  const found: string[] = [];
  for (let drawn = 0; drawn < count; drawn++) {
    const { name, trace, transaction, receipt, block, meta } = pick(short, random);
    const disguise = random(2) === 0 ? { fork: pick(FORKS, random) } : { client: pick(CLIENTS, random) };
    const reply = { transaction, receipt, block, meta: { ...meta, ...disguise } };
    found.push(...await disagreements(readers, reply, trace, `${name} as ${Object.values(disguise)}`));
  }
  return found;
}

type Readers = readonly (readonly [name: string, decoder: TraceDecoder])[];

async function openReaders(): Promise<Readers> {
  return [["scanner", await openDecoder()], ["general reader", await openDecoder({ ...READING, scan: false })]];
}

/** Rows of violated traces are not compared: what damage means for them is open. Nor are those of Amsterdam, unpriced. */
async function disagreements(readers: Readers, reply: Case, trace: Uint8Array, label: string): Promise<string[]> {
  const reading = await decodeReference({ ...reply, ...reply.meta, trace });
  const { verdict } = reading.proof;
  const found: string[] = [];
  for (const [reader, decoder] of readers) {
    const collected = new Collected();
    decodeInto(decoder, contextOf(reply), [trace], collected);
    const record = collected.record!;
    if (record.verdict !== verdict) {
      const [ours, theirs] = [record, reading.proof].map(({ violations }) => violations.map((one) => one.identity));
      found.push(`${label}, ${reader}: ${record.verdict} ${ours}, reference ${verdict} ${theirs}`);
    } else if (verdict !== "violated" && reply.meta.fork !== "amsterdam") {
      const constants = constantsOf(reply, record);
      for (const table of ["structlog", "agg"] as const) {
        const rows = collected.rows(table).map((row) => ({ ...constants, ...row }));
        found.push(...compareRows(table, reading[table], rows).map((text) => `${label}, ${reader}: ${text}`));
      }
    }
  }
  return found;
}
