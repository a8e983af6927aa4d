import assert from "node:assert/strict";
import fc from "fast-check";
import { EvidenceTap } from "../../../src/stages/trace/evidence_tap.ts";

const AHEAD_BYTES = 200;

/** A reply of several results, and how it is read. */
const replies = fc.record({
  /** Lengths of what lies before each result, and of the result. */
  results: fc.array(fc.tuple(fc.nat(30), fc.nat(400)), { minLength: 1, maxLength: 5 }),
  sizes: fc.array(fc.integer({ min: 1, max: 150 }), { minLength: 1, maxLength: 20 }),
  keep: fc.integer({ min: 1, max: 64 }),
  seed: fc.nat(255),
});

Deno.test("EvidenceTap keeps both ends of each result, wherever the reply is cut and however late they are asked for", () => {
  const tap = new EvidenceTap(AHEAD_BYTES);
  const property = fc.property(replies, ({ results, sizes, keep, seed }) => {
    let end = 0;
    const ranges = results.map(([before, length]) => {
      const from = end + before;
      end = from + length;
      return { from, to: end };
    });
    const reply = Uint8Array.from({ length: end }, (_, index) => (index * 31 + seed) & 255);
    tap.begin(keep);
    let read = 0;
    const readTo = (offset: number) => {
      for (let step = 0; read < Math.min(offset, reply.length); step++) {
        const piece = reply.subarray(read, read + sizes[step % sizes.length]!);
        tap.push(piece);
        read += piece.length;
      }
    };
    for (const { from, to } of ranges) {
      // Read on by as much as a piece may be short of the bound.
      readTo(to + AHEAD_BYTES - 150);
      const bytes = reply.subarray(from, to);
      const { head, tail, omittedBytes } = tap.take(from, to);
      assert.deepEqual(head, bytes.slice(0, keep));
      assert.equal(tail.length, Math.min(keep, Math.max(0, bytes.length - keep)));
      assert.deepEqual(tail, bytes.slice(bytes.length - tail.length));
      assert.equal(omittedBytes, bytes.length - head.length - tail.length);
      tap.release(to);
    }
  });
  fc.assert(property, { numRuns: 500, seed: 4 });
});

Deno.test("EvidenceTap of size 0 keeps nothing", () => {
  const tap = new EvidenceTap(AHEAD_BYTES);
  tap.begin(0);
  tap.push(Uint8Array.of(1, 2, 3));
  tap.release(1);
  assert.deepEqual(tap.take(1, 3), { head: new Uint8Array(0), tail: new Uint8Array(0), omittedBytes: 2 });
});
