import assert from "node:assert/strict";
import fc from "fast-check";
import { ByteReader, ByteWriter } from "../../../src/stages/encode/bytes.ts";
import { EncodeError, NativeFormatError } from "../../../src/stages/encode/errors.ts";
import * as ch from "../../../src/stages/encode/native.ts";
import { freshDatabase } from "../../embedded/shared_engine.ts";

const MAX64 = 2n ** 64n - 1n;
const MEGABYTE = "0123456789abcdef".repeat(65_536);
const TEXTS = [
  "",
  "a",
  "\n\n;",
  "DROP TABLE x;\n\n",
  "é 漢 🙂",
  "\0\u0001",
  "'\\`",
  "x".repeat(127),
  "y".repeat(128),
  MEGABYTE,
];

/** Every type with values at its ends. */
const EXTREMES: readonly { readonly type: ch.NativeType<unknown>; readonly values: readonly unknown[] }[] = [
  { type: ch.UInt8, values: [0, 1, 255] },
  { type: ch.UInt16, values: [0, 1, 65_535] },
  { type: ch.UInt32, values: [0, 1, 2 ** 32 - 1] },
  { type: ch.UInt64, values: [0, 1, 2 ** 53 - 1, 2n ** 53n, 2n ** 63n, MAX64] },
  { type: ch.Int8, values: [-128, -1, 0, 127] },
  { type: ch.Int16, values: [-32_768, -1, 0, 32_767] },
  { type: ch.Int32, values: [-(2 ** 31), -1, 0, 2 ** 31 - 1] },
  { type: ch.Int64, values: [-(2n ** 63n), -(2 ** 53 - 1), -1, 0, 2n ** 63n - 1n] },
  { type: ch.UInt128, values: [0n, 1n, MAX64, MAX64 + 1n, 2n ** 128n - 1n] },
  { type: ch.Bool, values: [false, true] },
  { type: ch.DateTime, values: [new Date(0), new Date(1_700_000_000_000), new Date((2 ** 32 - 1) * 1000)] },
  { type: ch.DateTime64, values: [new Date(0), new Date(1_700_000_000_123), new Date("2299-12-31T23:59:59.999Z")] },
  { type: ch.String, values: TEXTS },
  { type: ch.FixedString(66), values: ["", `0x${"ab".repeat(32)}`] },
  { type: ch.Nullable(ch.UInt64), values: [undefined, 0, MAX64] },
  { type: ch.Nullable(ch.String), values: [undefined, ...TEXTS] },
  { type: ch.Nullable(ch.FixedString(42)), values: [undefined, `0x${"cd".repeat(20)}`] },
  { type: ch.Nullable(ch.UInt128), values: [undefined, 0n, 2n ** 128n - 1n] },
  { type: ch.LowCardinality(ch.String), values: [...TEXTS, "", "a"] },
  { type: ch.LowCardinality(ch.Nullable(ch.String)), values: [undefined, "", "a", undefined, "b"] },
  { type: ch.LowCardinality(ch.String), values: Array.from({ length: 300 }, (_, i) => `v${i}`) },
  { type: ch.LowCardinality(ch.String), values: Array.from({ length: 70_000 }, (_, i) => `v${i}`) },
  { type: ch.Array(ch.UInt32), values: [[], [0], [1, 2 ** 32 - 1], []] },
  { type: ch.Array(ch.String), values: [[], TEXTS, [""]] },
  { type: ch.Array(ch.LowCardinality(ch.String)), values: [[], ["a", "b", "a"], []] },
  { type: ch.Array(ch.LowCardinality(ch.String)), values: [[], []] },
  { type: ch.Map(ch.LowCardinality(ch.String), ch.UInt32), values: [{}, { a: 1, b: 2 ** 32 - 1 }, { "": 0 }] },
  { type: ch.Map(ch.LowCardinality(ch.String), ch.UInt32), values: [{}, {}] },
];

function block(type: ch.NativeType<unknown>, values: readonly unknown[]): Uint8Array<ArrayBuffer> {
  const row = { name: "row", type: ch.UInt32, values: values.map((_, i) => i) };
  return ch.encodeValues([row, { name: "cell", type, values }], values.length);
}

function cells(bytes: Uint8Array): readonly unknown[] {
  const [decoded, ...more] = ch.decodeBlocks(new ByteReader(bytes));
  assert.deepEqual(more, []);
  return decoded!.columns.get("cell")!;
}

Deno.test("Native types read back what they write, at every extreme", () => {
  for (const { type, values } of EXTREMES) assert.deepEqual(cells(block(type, values)), values, type.name);
});

Deno.test("Native types go through the engine and back unchanged, at every extreme", async () => {
  await using database = await freshDatabase();
  for (const [i, { type, values }] of EXTREMES.entries()) {
    await database.query(`CREATE TABLE t${i} (row UInt32, cell ${type.name}) ENGINE = MergeTree ORDER BY row`);
    await database.insert(`INSERT INTO t${i} (row, cell) FORMAT Native`, block(type, values));
    const response = await fetch(`${database.url}/?database=${database.database}`, {
      method: "POST",
      headers: { "X-ClickHouse-User": database.user, "X-ClickHouse-Key": database.password },
      body: `SELECT row, cell FROM t${i} ORDER BY row FORMAT Native`,
    });
    const read = ch.decodeBlocks(new ByteReader(new Uint8Array(await response.arrayBuffer())));
    assert.deepEqual(read.flatMap((part) => part.columns.get("cell") ?? []), values, type.name);
  }
});

Deno.test("the engine's hash of a text column equals the one of the bytes sent", async () => {
  const { xxHash64 } = await import("../../../src/stages/encode/hash64.ts");
  await using database = await freshDatabase();
  await database.query("CREATE TABLE t (row UInt32, cell String) ENGINE = MergeTree ORDER BY row");
  await database.insert("INSERT INTO t (row, cell) FORMAT Native", block(ch.String, TEXTS));
  const hashes = (await database.query("SELECT xxHash64(cell) FROM t ORDER BY row FORMAT TSV")).trim().split("\n");
  assert.deepEqual(hashes, TEXTS.map((text) => xxHash64(text).toString()));
});

Deno.test("types refuse what they cannot hold, naming the value", () => {
  const refused: readonly (readonly [ch.NativeType<unknown>, unknown])[] = [
    [ch.UInt8, 256],
    [ch.UInt8, -1],
    [ch.UInt16, 1.5],
    [ch.UInt32, 2 ** 32],
    [ch.UInt32, NaN],
    [ch.UInt64, -1],
    [ch.UInt64, 2 ** 53],
    [ch.UInt64, MAX64 + 1n],
    [ch.Int8, 128],
    [ch.Int64, 2n ** 63n],
    [ch.UInt128, -1n],
    [ch.UInt128, 2n ** 128n],
    [ch.DateTime, new Date(NaN)],
    [ch.DateTime, new Date(-1)],
    [ch.DateTime64, new Date(NaN)],
    [ch.FixedString(3), "abcd"],
    [ch.FixedString(3), "é"],
    [ch.Nullable(ch.UInt8), 256],
  ];
  for (const [type, value] of refused) {
    assert.throws(() => block(type, [value]), (error: unknown) => {
      assert.ok(error instanceof EncodeError, type.name);
      assert.match(error.message, /^Column cell: Cannot write a value as \w+.*: current value is /);
      return true;
    });
  }
});

Deno.test("typeOf() reads every type's own name, and refuses others", () => {
  for (const { type } of EXTREMES) assert.equal(ch.typeOf(type.name).name, type.name);
  assert.throws(() => ch.typeOf("Decimal(9, 2)"), NativeFormatError);
});

Deno.test("decodeBlocks() refuses every proper prefix of a block", () => {
  const bytes = block(ch.LowCardinality(ch.Nullable(ch.String)), ["a", undefined, "b"]);
  for (let length = 1; length < bytes.length; length++) {
    assert.throws(() => ch.decodeBlocks(new ByteReader(bytes.subarray(0, length))), NativeFormatError, `${length}`);
  }
});

Deno.test("a block without rows has its columns and nothing else", () => {
  const [decoded] = ch.decodeBlocks(new ByteReader(ch.encodeValues([{ name: "a", type: ch.UInt8, values: [] }], 0)));
  assert.equal(decoded!.rows, 0);
  assert.deepEqual([...decoded!.types], [["a", "UInt8"]]);
});

Deno.test("LEB128 lengths read back, whatever their size", () => {
  fc.assert(fc.property(fc.nat({ max: Number.MAX_SAFE_INTEGER }), (value) => {
    const out = new ByteWriter(new Uint8Array(1));
    out.leb128(value);
    assert.equal(new ByteReader(out.written).leb128(), value);
  }));
});

Deno.test("any values of any type read back", () => {
  const text = fc.string({ unit: "grapheme", maxLength: 200 });
  const u64 = fc.bigInt({ min: 0n, max: MAX64 }).map((value) => value <= 2n ** 53n - 1n ? Number(value) : value);
  const columns: readonly (readonly [ch.NativeType<unknown>, fc.Arbitrary<unknown>])[] = [
    [ch.UInt64, u64],
    [ch.Nullable(ch.UInt64), fc.option(u64, { nil: undefined })],
    [ch.String, text],
    [ch.Nullable(ch.String), fc.option(text, { nil: undefined })],
    [ch.LowCardinality(ch.String), text],
    [ch.LowCardinality(ch.Nullable(ch.String)), fc.option(text, { nil: undefined })],
    [ch.Array(ch.UInt32), fc.array(fc.nat({ max: 2 ** 32 - 1 }), { maxLength: 20 })],
    [ch.Array(ch.LowCardinality(ch.String)), fc.array(text, { maxLength: 5 })],
    [ch.UInt128, fc.bigInt({ min: 0n, max: 2n ** 128n - 1n })],
  ];
  for (const [type, values] of columns) {
    fc.assert(fc.property(fc.array(values, { maxLength: 30 }), (column) => {
      assert.deepEqual(cells(block(type, column)), column, type.name);
    }));
  }
});
