import assert from "node:assert/strict";
import fc from "fast-check";
import { formatDuration, formatSize, parseDuration, parseSize } from "../../src/config/units.ts";

Deno.test("parseDuration() reads every unit and nothing without one", () => {
  assert.equal(parseDuration("250ms"), 250);
  assert.equal(parseDuration("2.5s"), 2_500);
  assert.equal(parseDuration("10 m"), 600_000);
  assert.equal(parseDuration("1h"), 3_600_000);
  assert.equal(parseDuration("2d"), 172_800_000);
  for (const wrong of ["5", "s", "-5s", "5 parsecs", "", "1s2"]) assert.equal(parseDuration(wrong), undefined, wrong);
});

Deno.test("parseSize() tells decimal units from binary ones", () => {
  assert.equal(parseSize("1KB"), 1_000);
  assert.equal(parseSize("1KiB"), 1_024);
  assert.equal(parseSize("1.5MiB"), 1_572_864);
  assert.equal(parseSize("64"), undefined);
  assert.equal(parseSize("64mib"), undefined);
});

Deno.test("what format makes, parse reads back", () => {
  fc.assert(fc.property(fc.nat(1e9), (value) => {
    assert.equal(parseDuration(formatDuration(value)), value);
    assert.equal(parseSize(formatSize(value)), value);
  }));
});
