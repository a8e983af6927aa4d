/**
 * Types of ClickHouse's Native format, one value each, able to write and read a column. The hot tables do not come
 * through here value by value (see `columnar.ts`); row tables, dictionaries, the memory adapter and tests do.
 *
 * @see {@link https://clickhouse.com/docs/interfaces/formats/Native}
 */
import { type ByteReader, ByteWriter } from "./bytes.ts";
import { EncodeError, NativeFormatError } from "./errors.ts";

/** One column type. `T` is what a value of it is in TypeScript; absent is `undefined`. */
export interface NativeType<T> {
  /** As ClickHouse spells it, e.g. `Nullable(UInt64)`. */
  readonly name: string;
  /** What comes before all the data of the column (`LowCardinality` has a version there). */
  writePrefix(out: ByteWriter): void;
  readPrefix(input: ByteReader): void;
  /** @throws {EncodeError} for a value that the type cannot hold. */
  write(out: ByteWriter, values: readonly T[]): void;
  /** @throws {NativeFormatError} for bytes that are not this type's. */
  read(input: ByteReader, rows: number): T[];
  /** What a null's place holds, and what an absent column is. */
  readonly empty: T;
}

/** A type whose columns have no prefix and whose values stand alone. */
function scalar<T>(
  name: string,
  empty: T,
  writeOne: (out: ByteWriter, value: T) => void,
  readOne: (input: ByteReader) => T,
): NativeType<T> {
  return {
    name,
    empty,
    writePrefix() {},
    readPrefix() {},
    write(out, values) {
      for (const value of values) writeOne(out, value);
    },
    read(input, rows) {
      return Array.from({ length: rows }, () => readOne(input));
    },
  };
}

function refused(type: string, value: unknown): EncodeError {
  const shown = typeof value === "string" ? JSON.stringify(value.slice(0, 80)) : String(value);
  return new EncodeError(`Cannot write a value as ${type}: current value is ${shown}`);
}

function integer(
  name: string,
  low: number,
  high: number,
  write: (out: ByteWriter, value: number) => void,
  read: (input: ByteReader) => number,
): NativeType<number> {
  return scalar(name, 0, (out, value) => {
    if (!Number.isInteger(value) || value < low || value > high) throw refused(name, value);
    write(out, value);
  }, read);
}

export const UInt8 = integer("UInt8", 0, 0xff, (out, v) => out.uint8(v), (input) => input.uint8());
export const UInt16 = integer("UInt16", 0, 0xffff, (out, v) => out.uint16(v), (input) => input.uint16());
export const UInt32 = integer("UInt32", 0, 0xffff_ffff, (out, v) => out.uint32(v), (input) => input.uint32());
export const Int8 = integer("Int8", -0x80, 0x7f, (out, v) => out.uint8(v & 0xff), (input) => input.uint8() << 24 >> 24);
export const Int16 = integer(
  "Int16",
  -0x8000,
  0x7fff,
  (out, v) => out.uint16(v & 0xffff),
  (input) => input.uint16() << 16 >> 16,
);
export const Int32 = integer(
  "Int32",
  -0x8000_0000,
  0x7fff_ffff,
  (out, v) => out.uint32(v >>> 0),
  (input) => input.uint32() | 0,
);

/** A 64-bit integer: a safe `number` or a `bigint` goes in, a `number` where it is safe and else a `bigint` comes out. */
export type Integer64 = number | bigint;

function integer64(name: string, low: bigint, high: bigint, signed: boolean): NativeType<Integer64> {
  return scalar<Integer64>(name, 0, (out, value) => {
    const fits = typeof value === "bigint"
      ? value >= low && value <= high
      : Number.isSafeInteger(value) && (signed || value >= 0);
    if (!fits) throw refused(name, value);
    out.uint64(value);
  }, (input) => {
    const raw = input.uint64();
    const exact = signed ? BigInt.asIntN(64, raw) : raw;
    const short = Number(exact);
    return Number.isSafeInteger(short) ? short : exact;
  });
}

export const UInt64 = integer64("UInt64", 0n, 0xffff_ffff_ffff_ffffn, false);
export const Int64 = integer64("Int64", -0x8000_0000_0000_0000n, 0x7fff_ffff_ffff_ffffn, true);

export const UInt128: NativeType<bigint> = scalar("UInt128", 0n, (out, value) => {
  if (value < 0n || value >= 1n << 128n) throw refused("UInt128", value);
  out.uint64(value);
  out.uint64(value >> 64n);
}, (input) => input.uint64() | (input.uint64() << 64n));

export const Bool: NativeType<boolean> = scalar(
  "Bool",
  false,
  (out, value) => out.uint8(value ? 1 : 0),
  (input) => input.uint8() !== 0,
);

/** Seconds since 1970 UTC; fractions are cut off. */
export const DateTime: NativeType<Date> = scalar("DateTime", new Date(0), (out, value) => {
  const seconds = Math.floor(value.getTime() / 1000);
  if (!(seconds >= 0 && seconds <= 0xffff_ffff)) throw refused("DateTime", value);
  out.uint32(seconds);
}, (input) => new Date(input.uint32() * 1000));

/** Milliseconds since 1970 UTC. */
export const DateTime64: NativeType<Date> = scalar("DateTime64(3, 'UTC')", new Date(0), (out, value) => {
  if (Number.isNaN(value.getTime())) throw refused("DateTime64(3, 'UTC')", value);
  out.uint64(value.getTime());
}, (input) => new Date(Number(BigInt.asIntN(64, input.uint64()))));

const stringType: NativeType<string> = scalar(
  "String",
  "",
  (out, value) => out.string(value),
  (input) => input.string(),
);

const latin1 = new TextDecoder("latin1");

/** Exactly `length` bytes of ASCII; shorter ones are filled with zero bytes, as ClickHouse does. */
export function FixedString(length: number): NativeType<string> {
  const name = `FixedString(${length})`;
  return scalar(name, "", (out, value) => {
    if (value.length > length) throw refused(name, value);
    const cell = out.take(length);
    for (let i = 0; i < length; i++) {
      const unit = i < value.length ? value.charCodeAt(i) : 0;
      if (unit > 127) throw refused(name, value);
      cell[i] = unit;
    }
  }, (input) => latin1.decode(input.bytes(length)).replace(/\0+$/, ""));
}

export function Nullable<T>(inner: NativeType<T>): NativeType<T | undefined> {
  return {
    name: `Nullable(${inner.name})`,
    empty: undefined,
    writePrefix: (out) => inner.writePrefix(out),
    readPrefix: (input) => inner.readPrefix(input),
    write(out, values) {
      for (const value of values) out.uint8(value === undefined ? 1 : 0);
      inner.write(out, values.map((value) => value === undefined ? inner.empty : value));
    },
    read(input, rows) {
      const nulls = input.bytes(rows);
      return inner.read(input, rows).map((value, row) => nulls[row] === 0 ? value : undefined);
    },
  };
}

/** Elements of all rows, and the cumulative ends that tell them apart. */
function arrayOf<T>(inner: NativeType<T>): NativeType<readonly T[]> {
  return {
    name: `Array(${inner.name})`,
    empty: [],
    writePrefix: (out) => inner.writePrefix(out),
    readPrefix: (input) => inner.readPrefix(input),
    write(out, values) {
      let end = 0;
      for (const elements of values) out.uint64(end += elements.length);
      inner.write(out, values.flat() as T[]);
    },
    read(input, rows) {
      const ends = Array.from({ length: rows }, () => input.count());
      const elements = inner.read(input, ends.at(-1) ?? 0);
      return ends.map((end, row) => elements.slice(row === 0 ? 0 : ends[row - 1], end));
    },
  };
}

/** `Map(key, value)` with text keys, in TypeScript an object. */
function mapOf<V>(key: NativeType<string>, value: NativeType<V>): NativeType<Readonly<Record<string, V>>> {
  const keys = arrayOf(key);
  return {
    name: `Map(${key.name}, ${value.name})`,
    empty: {},
    writePrefix(out) {
      key.writePrefix(out);
      value.writePrefix(out);
    },
    readPrefix(input) {
      key.readPrefix(input);
      value.readPrefix(input);
    },
    write(out, values) {
      keys.write(out, values.map((record) => Object.keys(record)));
      value.write(out, values.flatMap((record) => Object.values(record)));
    },
    read(input, rows) {
      const names = keys.read(input, rows);
      const numbers = value.read(input, names.reduce((sum, list) => sum + list.length, 0));
      let next = 0;
      return names.map((list) => Object.fromEntries(list.map((name) => [name, numbers[next++]!])));
    },
  };
}

const LOW_CARDINALITY_VERSION = 1;
const HAS_ADDITIONAL_KEYS = 0x200;
const INDEX_TYPES = 0xff;

/** Bytes of one index of a dictionary. */
export type IndexWidth = 1 | 2 | 4;

/** The narrowest index that tells `keys` keys apart. */
export function indexWidth(keys: number): IndexWidth {
  return keys <= 0x100 ? 1 : keys <= 0x1_0000 ? 2 : 4;
}

/** What stands before the keys of a dictionary: width of an index, that the keys follow, and how many. */
export function writeDictionaryHead(out: ByteWriter, keys: number, width: IndexWidth): void {
  out.uint64(HAS_ADDITIONAL_KEYS | (width >> 1));
  out.uint64(keys);
}

/** A dictionary of the distinct values and an index a row. Index 0 of a nullable dictionary is null. */
export function LowCardinality<T>(inner: NativeType<T>): NativeType<T> {
  const nullable = inner.name.startsWith("Nullable(");
  const keyType = (nullable ? typeOf(inner.name.slice("Nullable(".length, -1)) : inner) as NativeType<T>;
  return {
    name: `LowCardinality(${inner.name})`,
    empty: inner.empty,
    writePrefix: (out) => out.uint64(LOW_CARDINALITY_VERSION),
    readPrefix(input) {
      const version = input.uint64();
      if (version !== BigInt(LOW_CARDINALITY_VERSION)) {
        throw new NativeFormatError(`Cannot read a dictionary of version ${version}: expected 1`);
      }
    },
    write(out, values) {
      if (values.length === 0) return;
      const keys = new Map<T, number>(nullable ? [[keyType.empty, 0]] : []);
      const positions = values.map((value) => {
        if (value === undefined) return 0;
        // The key at 0 of a nullable dictionary stands for null, so an empty value gets a place of its own.
        const key = nullable && value === keyType.empty ? (EMPTY as T) : value;
        const known = keys.get(key);
        if (known !== undefined) return known;
        keys.set(key, keys.size);
        return keys.size - 1;
      });
      const width = indexWidth(keys.size);
      writeDictionaryHead(out, keys.size, width);
      keyType.write(out, Array.from(keys.keys(), (key) => key === EMPTY ? keyType.empty : key));
      out.uint64(values.length);
      for (const position of positions) {
        if (width === 1) out.uint8(position);
        else if (width === 2) out.uint16(position);
        else out.uint32(position);
      }
    },
    read(input, rows) {
      if (rows === 0) return [];
      const kind = Number(input.uint64()) & INDEX_TYPES;
      const keys = keyType.read(input, input.count());
      const indexes = input.count();
      if (indexes !== rows) {
        throw new NativeFormatError(`Cannot read a dictionary column of ${rows} rows: current value is ${indexes}`);
      }
      return Array.from({ length: rows }, () => {
        const position = kind === 0 ? input.uint8() : kind === 1 ? input.uint16() : input.uint32();
        if (nullable && position === 0) return undefined as T;
        if (position >= keys.length) {
          throw new NativeFormatError(`Cannot read key ${position} of a dictionary of ${keys.length}`);
        }
        return keys[position]!;
      });
    },
  };
}

/** Stands for the empty value among the keys of a nullable dictionary. */
const EMPTY: unique symbol = Symbol("empty");

const SCALARS: readonly NativeType<unknown>[] = [
  UInt8,
  UInt16,
  UInt32,
  UInt64,
  UInt128,
  Int8,
  Int16,
  Int32,
  Int64,
  Bool,
  DateTime,
  DateTime64,
  stringType,
];

/** The type that a name spells. @throws {NativeFormatError} for one that this project does not use. */
export function typeOf(name: string): NativeType<unknown> {
  const known = SCALARS.find((type) => type.name === name);
  if (known !== undefined) return known;
  const open = name.indexOf("(");
  const [outer, inner] = open < 0 ? [name, ""] : [name.slice(0, open), name.slice(open + 1, -1)];
  switch (outer) {
    case "FixedString":
      return FixedString(Number(inner));
    case "DateTime":
      return DateTime;
    case "Nullable":
      return Nullable(typeOf(inner));
    case "LowCardinality":
      return LowCardinality(typeOf(inner));
    case "Array":
      return arrayOf(typeOf(inner));
    case "Map": {
      const comma = topLevelComma(inner);
      return mapOf(typeOf(inner.slice(0, comma)) as NativeType<string>, typeOf(inner.slice(comma + 1).trim()));
    }
  }
  throw new NativeFormatError(`Cannot read type ${name}: this project does not use it`);
}

function topLevelComma(text: string): number {
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    if (text[i] === "(") depth++;
    else if (text[i] === ")") depth--;
    else if (text[i] === "," && depth === 0) return i;
  }
  return text.length;
}

/** One column of a block that is written from values. */
export interface ValueColumn {
  readonly name: string;
  readonly type: NativeType<unknown>;
  readonly values: readonly unknown[];
}

/** One Native block from columns of values. @throws {EncodeError} naming the column. */
export function encodeValues(columns: readonly ValueColumn[], rows: number): Uint8Array<ArrayBuffer> {
  const out = new ByteWriter();
  out.leb128(columns.length);
  out.leb128(rows);
  for (const { name, type, values } of columns) {
    out.string(name);
    out.string(type.name);
    try {
      if (rows === 0) continue;
      type.writePrefix(out);
      type.write(out, values);
    } catch (error) {
      if (error instanceof EncodeError) throw new EncodeError(`Column ${name}: ${error.message}`, { cause: error });
      throw error;
    }
  }
  return out.written;
}

/** A block read back: values by column, in the order of the block. */
export interface DecodedBlock {
  readonly rows: number;
  readonly columns: ReadonlyMap<string, readonly unknown[]>;
  readonly types: ReadonlyMap<string, string>;
}

/** Reads every block of `bytes`. @throws {NativeFormatError} where they are not Native blocks. */
export function decodeBlocks(reader: ByteReader): DecodedBlock[] {
  const blocks: DecodedBlock[] = [];
  while (!reader.ended) {
    const width = reader.leb128();
    const rows = reader.leb128();
    const columns = new Map<string, readonly unknown[]>();
    const types = new Map<string, string>();
    for (let i = 0; i < width; i++) {
      const name = reader.string();
      const type = typeOf(reader.string());
      types.set(name, type.name);
      if (rows > 0) type.readPrefix(reader);
      columns.set(name, rows > 0 ? type.read(reader, rows) : []);
    }
    blocks.push({ rows, columns, types });
  }
  return blocks;
}

// Under ClickHouse's own names, for `import * as ch`: a table's definition then reads like its DDL.
export { arrayOf as Array, mapOf as Map, stringType as String };
