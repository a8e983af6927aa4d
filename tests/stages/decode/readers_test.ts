/** The scanner and the general reader say the same about every vector, however its bytes arrive. */
import assert from "node:assert/strict";
import { vectors } from "../../fixtures/vectors.ts";
import { cut, parseExactly, parseStructlogs, Probe, said } from "./probe.ts";
import { random } from "./serialise.ts";

const SMALL_BYTES = 2_500;
const SLICE_BYTES = 128 * 1024;

function randomCuts(length: number, next: () => number): number[] {
  const cuts: number[] = [];
  for (let at = 0; at < length;) {
    at += 1 + Math.floor(next() ** 3 * 40_000);
    if (at < length) cuts.push(at);
  }
  return cuts;
}

Deno.test("both readers say what JSON.parse says, of every vector", async () => {
  const fast = await Probe.open({ scan: true, sliceBytes: SLICE_BYTES });
  const general = await Probe.open({ scan: false, sliceBytes: SLICE_BYTES });
  for (const vector of await vectors()) {
    const result = parseExactly(vector.trace);
    const told = fast.read([vector.trace]);
    assert.equal(told.error, undefined, vector.name);
    assert.equal(told.transactions.length, 1, vector.name);
    const { structlogs, facts } = told.transactions[0]!;
    assert.equal(JSON.stringify(structlogs), JSON.stringify(parseStructlogs(result)), vector.name);
    assert.equal(facts.failed, result.failed, vector.name);
    assert.equal(facts.gas, result.gas === undefined ? undefined : BigInt(result.gas as string), vector.name);
    assert.equal(facts.error, result.error, vector.name);
    assert.equal(facts.bytes, new TextDecoder().decode(vector.trace).trim().length, vector.name);
    assert.equal(said(general.read([vector.trace])), said(told), vector.name);
  }
});

Deno.test("the scanner takes at least 95 % of the structlogs of every large vector", async () => {
  const fast = await Probe.open({ scan: true, sliceBytes: SLICE_BYTES });
  for (const vector of await vectors()) {
    const text = new TextDecoder().decode(vector.trace);
    const structlogBytes = text.lastIndexOf("]") - text.indexOf('"structLogs"');
    if (structlogBytes < 20_000) continue;
    const { fastBytes } = fast.read([vector.trace]);
    assert.ok(fastBytes >= 0.95 * structlogBytes, `${vector.name}: ${fastBytes} of ${structlogBytes}`);
  }
});

Deno.test("a small reply says the same when it is cut in two at any byte", async () => {
  const ways = [{ scan: true, sliceBytes: 1 }, { scan: false, sliceBytes: 1 }];
  const probes = await Promise.all(ways.map((way) => Probe.open(way)));
  for (const vector of smallest(await vectors())) {
    const expected = said(probes[0]!.read([vector.trace]));
    for (const probe of probes) {
      for (let at = 0; at <= vector.trace.length; at++) {
        assert.equal(said(probe.read(cut(vector.trace, [at]))), expected, `${vector.name} cut at ${at}`);
      }
    }
  }
});

Deno.test("a reply says the same when it arrives byte by byte", async () => {
  const ways = [{ scan: true, sliceBytes: 1 }, { scan: false, sliceBytes: 1 }];
  const probes = await Promise.all(ways.map((way) => Probe.open(way)));
  for (const vector of await vectors("variants")) {
    if (vector.trace.length > 40_000) continue;
    const expected = said(probes[0]!.read([vector.trace]));
    const bytes = Array.from(vector.trace.keys(), (at) => vector.trace.subarray(at, at + 1));
    for (const probe of probes) assert.equal(said(probe.read(bytes)), expected, vector.name);
  }
});

Deno.test("a large reply says the same in random pieces and slices", async () => {
  const next = random(20_260_101);
  for (const sliceBytes of [1, 700, 9_000]) {
    const fast = await Probe.open({ scan: true, sliceBytes });
    for (const vector of await vectors()) {
      if (vector.trace.length < 100_000 || vector.trace.length > 2_000_000) continue;
      const expected = said(fast.read([vector.trace]));
      const pieces = cut(vector.trace, randomCuts(vector.trace.length, next));
      assert.equal(said(fast.read(pieces)), expected, `${vector.name} in ${pieces.length} pieces`);
    }
  }
});

Deno.test("every proper prefix of a small reply fails with its length as the offset", async () => {
  const ways = [{ scan: true, sliceBytes: 64 }, { scan: false, sliceBytes: 64 }];
  for (const way of ways) {
    const probe = await Probe.open(way);
    for (const vector of smallest(await vectors())) {
      const text = new TextDecoder().decode(vector.trace).trimEnd();
      for (let length = 0; length < text.length; length++) {
        const { error } = probe.read([vector.trace.subarray(0, length)]);
        assert.equal(error?.code, "malformed_reply", `${vector.name} cut to ${length}`);
        assert.equal((error as { offset?: number }).offset, length, `${vector.name} cut to ${length}`);
      }
    }
  }
});

/** The first small vector of each client's shape. */
function smallest<T extends { readonly name: string; readonly trace: Uint8Array }>(all: readonly T[]): T[] {
  const found = new Map<string, T>();
  for (const vector of all) {
    const shape = vector.name.replace(/^.*[@-]/, "");
    const fits = vector.trace.length > 400 && vector.trace.length < SMALL_BYTES;
    if (fits && !found.has(shape)) found.set(shape, vector);
  }
  return [...found.values()].slice(0, 12);
}
