import assert from "node:assert/strict";
import fc from "fast-check";
import { EvidenceTap } from "../../../src/stages/trace/evidence_tap.ts";

Deno.test("EvidenceTap keeps the first and last bytes for any chunking", () => {
  const property = fc.property(
    fc.uint8Array({ maxLength: 300 }),
    fc.array(fc.integer({ min: 1, max: 80 }), { minLength: 1, maxLength: 40 }),
    fc.integer({ min: 1, max: 64 }),
    (bytes, sizes, keep) => {
      const tap = new EvidenceTap(keep);
      tap.push(new TextEncoder().encode("of an earlier transaction"));
      tap.reset();
      for (let at = 0, step = 0; at < bytes.length; step++) {
        const size = sizes[step % sizes.length]!;
        tap.push(bytes.subarray(at, at + size));
        at += size;
      }
      const { head, tail, omittedBytes } = tap.take();
      assert.deepEqual(head, bytes.slice(0, keep));
      assert.equal(head.length + tail.length + omittedBytes, bytes.length);
      assert.deepEqual(tail, bytes.slice(bytes.length - tail.length));
      assert.equal(tail.length, Math.min(keep, Math.max(0, bytes.length - keep)));
    },
  );
  fc.assert(property, { numRuns: 500 });
});

Deno.test("EvidenceTap of size 0 keeps nothing", () => {
  const tap = new EvidenceTap(0);
  tap.push(Uint8Array.of(1, 2, 3));
  assert.deepEqual(tap.take(), { head: new Uint8Array(0), tail: new Uint8Array(0), omittedBytes: 0 });
});
