/** Counts how many damaged traces the proof refuses, by kind of damage and by whether they would change stored gas. */
import { openDecoder } from "../../../src/stages/decode/decoder.ts";
import { MalformedReplyError } from "../../../src/stages/decode/errors.ts";
import type { FrameColumns, ProofRecord, StructlogColumns, TraceSink } from "../../../src/stages/decode/port.ts";
import { seeded } from "../../fixtures/random.ts";
import { contextOf, decodeInto } from "./collect.ts";
import { type Base, type Mutant, mutants, MUTATION_KINDS, mutationBases, type MutationKind } from "./mutation.ts";

export interface RefusalReport {
  readonly gasChanged: number;
  readonly gasChangedRefused: number;
  /** A line per kind of damage, and the mutants that change stored gas and are not refused. */
  readonly text: string;
}

interface Tally {
  mutants: number;
  refused: number;
  gasChanged: number;
  gasChangedRefused: number;
}

export async function refusalReport(count: number, seed: number): Promise<RefusalReport> {
  const decoder = await openDecoder();
  const sound = new Map<Base, string>();
  const tallies = new Map<MutationKind, Tally>(
    MUTATION_KINDS.map((kind) => [kind, { mutants: 0, refused: 0, gasChanged: 0, gasChangedRefused: 0 }]),
  );
  const accepted: Mutant[] = [];
  const gasOf = (base: Base, trace: Uint8Array, receipt = base.receipt) => {
    const { transaction, block, vector: { meta } } = base;
    const sink = new GasSums();
    decodeInto(decoder, contextOf({ transaction, receipt, block, meta }), [trace], sink);
    return { sums: `${sink} ${receipt.gasUsed}`, refused: sink.record?.verdict === "violated" };
  };
  const bases = await mutationBases();
  for (const base of bases) {
    const { sums, refused } = gasOf(base, base.vector.trace);
    if (refused) throw new Error(`Cannot start from ${base.vector.name}: it is refused as it is`);
    sound.set(base, sums);
  }
  for (const mutant of mutants(bases, seeded(seed)).take(count)) {
    const tally = tallies.get(mutant.kind)!;
    tally.mutants++;
    let [refused, changed] = [true, true];
    try {
      const decoded = gasOf(mutant.base, mutant.trace, mutant.receipt);
      refused = decoded.refused;
      changed = decoded.sums !== sound.get(mutant.base);
    } catch (error) {
      if (!(error instanceof MalformedReplyError)) throw error;
    }
    if (refused) tally.refused++;
    if (changed) tally.gasChanged++;
    if (changed && refused) tally.gasChangedRefused++;
    if (changed && !refused) accepted.push(mutant);
  }
  const total = (name: keyof Tally) => [...tallies.values()].reduce((sum, tally) => sum + tally[name], 0);
  return {
    gasChanged: total("gasChanged"),
    gasChangedRefused: total("gasChangedRefused"),
    text: describe(tallies, accepted, count, seed),
  };
}

function describe(
  tallies: ReadonlyMap<MutationKind, Tally>,
  accepted: readonly Mutant[],
  count: number,
  seed: number,
): string {
  const share = (part: number, whole: number) => `${part}/${whole} (${(100 * part / Math.max(1, whole)).toFixed(2)} %)`;
  const lines = [`${count} mutants, seed ${seed}: refused, and refused of those that change stored gas`];
  for (const [kind, { mutants, refused, gasChanged, gasChangedRefused }] of tallies) {
    lines.push(`  ${kind.padEnd(10)} ${share(refused, mutants).padEnd(22)} ${share(gasChangedRefused, gasChanged)}`);
  }
  for (const { kind, base, what } of accepted) lines.push(`  not refused: ${kind}, ${what} of ${base.vector.name}`);
  return `${lines.join("\n")}\n`;
}

/** Sums over every stored gas column that change when a cell changes or moves to another row. */
class GasSums implements TraceSink {
  record: ProofRecord | undefined;
  #structlogs = 0;
  #frames = 0;
  #rows = 0;

  structlogs(_position: number, columns: StructlogColumns): void {
    this.#rows += columns.rows;
    const lanes = [columns.gas, columns.gasCost, columns.gasUsed, columns.gasSelf];
    for (let row = 0; row < columns.rows; row++) {
      this.#structlogs = (this.#structlogs + mix(columns.index[row]!, row, lanes)) | 0;
    }
  }

  frames(_position: number, columns: FrameColumns): void {
    this.#rows += columns.rows;
    const lanes = [
      columns.gas,
      columns.gasCumulative,
      columns.memoryExpansionGas,
      columns.gasRefund,
      columns.intrinsicGas,
    ];
    for (let row = 0; row < columns.rows; row++) {
      const key = Math.imul(columns.callFrameId[row]!, 0x9e3779b1) ^ columns.operation[row]!;
      this.#frames = (this.#frames + mix(key, row, lanes)) | 0;
    }
  }

  returnValue(): void {}

  finished(_position: number, record: ProofRecord): void {
    this.record = record;
  }

  toString(): string {
    return `${this.#rows} ${this.#structlogs} ${this.#frames}`;
  }
}

function mix(key: number, row: number, lanes: readonly Uint32Array[]): number {
  let hash = Math.imul(key ^ 0x85ebca6b, 0xcc9e2d51);
  for (const values of lanes) {
    hash = Math.imul(hash ^ values[2 * row]!, 0x9e3779b1) ^ values[2 * row + 1]!;
    hash ^= hash >>> 15;
  }
  return Math.imul(hash, 0x85ebca6b);
}
