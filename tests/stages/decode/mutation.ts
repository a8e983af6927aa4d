/**
 * Damage to real traces, in equal parts per kind, from a seed. What is damaged is the reply or its receipt, never the
 * expectation: whether the proof notices is what the tests ask.
 */
import type { JsonObject } from "../../../src/stages/decode/port.ts";
import { type Vector, vectors } from "../../fixtures/vectors.ts";
import { pick, type Random } from "../../fixtures/random.ts";

export const MUTATION_KINDS = [
  "drop",
  "duplicate",
  "swap",
  "truncate",
  "gas",
  "depth",
  "operand",
  "refund",
  "receipt",
] as const;
export type MutationKind = typeof MUTATION_KINDS[number];

/** A damaged reply and the receipt that goes with it. */
export interface Mutant {
  readonly kind: MutationKind;
  readonly base: Base;
  readonly trace: Uint8Array;
  readonly receipt: JsonObject;
  /** What was done, to find it again. */
  readonly what: string;
}

/** A trace that is taken apart, so that a mutant costs only what it changes. */
export interface Base {
  readonly vector: Vector;
  readonly transaction: JsonObject;
  readonly receipt: JsonObject;
  readonly block: JsonObject;
  /** The text before the first row and behind the last. */
  readonly head: string;
  readonly tail: string;
  readonly rows: readonly Row[];
  readonly texts: readonly string[];
}

interface Row {
  readonly op: string;
  readonly gas: number;
  readonly depth: number;
  readonly stack: readonly string[];
  readonly refund?: number;
}

/** Position from the top of the operand that names an account or a slot. */
const ACCESS_OPERAND: Readonly<Record<string, number>> = {
  SLOAD: 0,
  SSTORE: 0,
  BALANCE: 0,
  EXTCODESIZE: 0,
  EXTCODEHASH: 0,
  EXTCODECOPY: 0,
  SELFDESTRUCT: 0,
  CALL: 1,
  CALLCODE: 1,
  DELEGATECALL: 1,
  STATICCALL: 1,
};

/** Longer replies say nothing that shorter ones do not, and take their time. */
const LONGEST_REPLY = 60_000;

/** Proved real traces with rows, whose numbers a double holds. */
export async function mutationBases(): Promise<readonly Base[]> {
  const usable = (await vectors("traces")).filter(({ trace, expected }) =>
    trace.length <= LONGEST_REPLY && expected.proof.verdict === "proved" && expected.proof.rows > 1
  );
  return usable.flatMap((vector) => {
    const text = new TextDecoder().decode(vector.trace);
    return /[:,[]-?\d{16,}/.test(text) ? [] : [takeApart(vector, text)];
  });
}

function takeApart(vector: Vector, text: string): Base {
  const { structLogs: rows, ...others } = JSON.parse(text) as { structLogs: Row[] };
  const head = `{"structLogs":[`;
  const tail = `],${JSON.stringify(others).slice(1)}`;
  const { transaction, receipt, block } = vector;
  return { vector, transaction, receipt, block, head, tail, rows, texts: rows.map((row) => JSON.stringify(row)) };
}

/** Mutants without end: the kinds take turns, the traces are drawn. */
export function* mutants(bases: readonly Base[], random: Random): Generator<Mutant> {
  while (true) {
    for (const kind of MUTATION_KINDS) {
      let mutant: Mutant | undefined;
      while (mutant === undefined) mutant = mutate(kind, pick(bases, random), random);
      yield mutant;
    }
  }
}

/** One mutant of `base`, `undefined` where the kind finds nothing to change. */
function mutate(kind: MutationKind, base: Base, random: Random): Mutant | undefined {
  const texts = [...base.texts];
  const at = random(texts.length);
  let { receipt } = base;
  let what = `row ${at}`;
  switch (kind) {
    case "drop": {
      const count = Math.min(1 + random(3), texts.length - at);
      texts.splice(at, count);
      what = `rows ${at} to ${at + count - 1}`;
      break;
    }
    case "duplicate":
      texts.splice(at, 0, texts[at]!);
      break;
    case "swap": {
      const other = random(texts.length);
      if (texts[at] === texts[other]) return undefined;
      [texts[at], texts[other]] = [texts[other]!, texts[at]!];
      what = `rows ${at} and ${other}`;
      break;
    }
    case "truncate":
      texts.length = at;
      what = `from row ${at} on`;
      break;
    case "gas":
      texts[at] = changed(base, at, { gas: differing(base.rows[at]!.gas, random) });
      break;
    case "depth":
      texts[at] = changed(base, at, { depth: differing(base.rows[at]!.depth, random, 3) });
      break;
    case "operand": {
      const touching = base.rows.flatMap(({ op, stack }, row) =>
        stack.length > (ACCESS_OPERAND[op] ?? Infinity) ? [row] : []
      );
      if (touching.length === 0) return undefined;
      const row = pick(touching, random);
      const { op, stack } = base.rows[row]!;
      const position = stack.length - 1 - ACCESS_OPERAND[op]!;
      texts[row] = changed(base, row, { stack: stack.with(position, otherWord(stack[position]!, random)) });
      what = `row ${row}, ${op}`;
      break;
    }
    case "refund":
      texts[at] = changed(base, at, { refund: differing(base.rows[at]!.refund ?? 0, random, 20_000) });
      break;
    case "receipt": {
      const status = receipt.status !== undefined && random(4) === 0;
      receipt = status
        ? { ...receipt, status: receipt.status === "0x1" ? "0x0" : "0x1" }
        : { ...receipt, gasUsed: `0x${differing(Number(receipt.gasUsed), random).toString(16)}` };
      what = status ? "status" : "gasUsed";
      break;
    }
  }
  return { kind, base, receipt, what, trace: new TextEncoder().encode(base.head + texts.join(",") + base.tail) };
}

function changed(base: Base, row: number, members: JsonObject): string {
  return JSON.stringify({ ...base.rows[row], ...members });
}

/** Another number at or above 0: one next to it, or one within `spread`. */
function differing(value: number, random: Random, spread = 5_000): number {
  const by = random(2) === 0 ? 1 : 1 + random(spread);
  return random(2) === 0 && value >= by ? value - by : value + by;
}

/** The word with another digit. */
function otherWord(word: string, random: Random): string {
  const digits = word.replace(/^0x/, "");
  const at = random(digits.length);
  const digit = ((parseInt(digits[at]!, 16) + 1 + random(15)) % 16).toString(16);
  return word.slice(0, word.length - digits.length) + digits.slice(0, at) + digit + digits.slice(at + 1);
}
