/** Whether a real trace gives the same rows and the same verdict however its JSON is written. */
import assert from "node:assert/strict";
import { openDecoder } from "../../../src/stages/decode/decoder.ts";
import { pick, seeded } from "../../fixtures/random.ts";
import { type Vector, vectors } from "../../fixtures/vectors.ts";
import { Collected, contextOf, decodeInto } from "./collect.ts";
import { errorOf, integer, parseExactly } from "./probe.ts";
import { random, Serialiser, type WrittenResult } from "./serialise.ts";

const LONGEST_TRACE = 30_000;
/** What a {@linkcode WrittenResult} holds; Amsterdam prints more. */
const MEMBERS = new Set(["gas", "failed", "returnValue", "structLogs"]);

/** `count` ways to write vectors that are drawn with `seed`. @throws {Error} on the first that is read differently */
export async function equalInAnySerialisation(count: number, seed: number): Promise<void> {
  const decoder = await openDecoder();
  const draw = seeded(seed);
  const short = (await vectors("traces", "variants")).filter(({ trace }) => trace.length <= LONGEST_TRACE)
    .map((vector) => ({ vector, parsed: parseExactly(vector.trace) }))
    .filter(({ parsed }) => Object.keys(parsed).every((member) => MEMBERS.has(member)));
  assert.ok(short.length > 500, `${short.length} vectors`);
  for (let drawn = 0; drawn < count; drawn++) {
    const { vector, parsed } = pick(short, draw);
    const wild = () => draw(1_000) / 4_000;
    const wildness = { blanks: wild(), escapes: wild() / 5, junk: wild(), textNumbers: 2 * wild(), order: draw(2) };
    const text = new Serialiser(random(draw(2 ** 30)), wildness).reply(writtenOf(parsed));
    const bytes = new TextEncoder().encode(text);
    const middle = draw(bytes.length + 1);
    const [first, again] = [[vector.trace], [bytes.subarray(0, middle), bytes.subarray(middle)]].map((pieces) =>
      decoded(decoder, vector, pieces)
    ) as [Decoded, Decoded];
    assert.equal(again.lines, first.lines, `${vector.name} as ${text.slice(0, 2_000)}`);
    assert.deepEqual(again.record, first.record, vector.name);
  }
}

type Decoded = ReturnType<typeof decoded>;

/** Rows, and the record but for where the result lay. */
function decoded(decoder: Awaited<ReturnType<typeof openDecoder>>, vector: Vector, pieces: readonly Uint8Array[]) {
  const collected = new Collected();
  decodeInto(decoder, contextOf(vector), pieces, collected);
  const { offset: _offset, bytes: _bytes, ...record } = collected.record!;
  return { lines: collected.lines, record };
}

function writtenOf(parsed: ReturnType<typeof parseExactly>): WrittenResult {
  const structLogs = parsed.structLogs as readonly Readonly<Record<string, unknown>>[];
  return {
    gas: integer(parsed.gas)!,
    failed: parsed.failed as boolean,
    returnValue: hexDigits(parsed.returnValue) ?? "",
    structLogs: structLogs.map((log) => ({
      pc: integer(log.pc)!,
      op: log.op as string | null ?? null,
      gas: integer(log.gas)!,
      gasCost: integer(log.gasCost) ?? null,
      depth: integer(log.depth)!,
      stack: (log.stack as readonly string[] | null | undefined)?.map((word) => hexDigits(word)!) ?? null,
      refund: integer(log.refund) ?? null,
      error: errorOf(log.error) ?? null,
      returnData: hexDigits(log.returnData),
    })),
  };
}

function hexDigits(value: unknown): string | null {
  return typeof value === "string" ? value.replace(/^0x/, "") : null;
}
