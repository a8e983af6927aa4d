import assert from "node:assert/strict";
import fc from "fast-check";
import { jsonLine, readJsonLines, readLines } from "../../src/embedded/lines.ts";

/** `bytes` in chunks that end at `cuts`. */
function chunked(bytes: Uint8Array<ArrayBuffer>, cuts: readonly number[]): ReadableStream<Uint8Array> {
  const ends = [...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].sort((a, b) => a - b);
  return ReadableStream.from(ends.map((end, nth) => bytes.slice(ends[nth - 1] ?? 0, end)));
}

Deno.test("readJsonLines() reads what jsonLine() wrote, however it is cut", async () => {
  const values = fc.array(fc.dictionary(fc.string({ unit: "grapheme" }), fc.integer()));
  await fc.assert(fc.asyncProperty(values, fc.array(fc.nat()), async (written, cuts) => {
    const bytes = await new Blob(written.map(jsonLine)).bytes();
    assert.deepEqual(
      await Array.fromAsync(readJsonLines(chunked(bytes, cuts))),
      written.map((value) => ({ ...value })),
    );
  }));
});

Deno.test("readJsonLines() leaves a line out that was cut", async () => {
  const bytes = await new Blob([jsonLine({ whole: 1 }), '{"cut":']).bytes();
  assert.deepEqual(await Array.fromAsync(readJsonLines(chunked(bytes, []))), [{ whole: 1 }]);
});

Deno.test("readLines() yields a last line without newline, and no empty one for the last newline", async () => {
  const lines = async (text: string) => await Array.fromAsync(readLines(chunked(new TextEncoder().encode(text), [2])));
  assert.deepEqual(await lines("a\nbc"), ["a", "bc"]);
  assert.deepEqual(await lines("a\n\nbc\n"), ["a", "", "bc"]);
  assert.deepEqual(await lines(""), []);
});

Deno.test("readLines() keeps the beginning of a line that never ends", async () => {
  const endless = ReadableStream.from(Array.from({ length: 40 }, () => new Uint8Array(65_536).fill(120)));
  const [line] = await Array.fromAsync(readLines(endless));
  assert.equal(line!.length, 1024 * 1024);
});
