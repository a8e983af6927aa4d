/**
 * The hot way from the decoder's columns to a Native block. A *segment* is what one callback of the decoder handed
 * over: its columns copied once, side by side, out of WebAssembly memory. A block is the segments of many
 * transactions, concatenated column by column: no object per row, no look at a single cell.
 *
 * The types in a block are narrower than the table's where that saves bytes, and the server converts: what is constant
 * for a transaction is a dictionary with an entry per transaction, and all such columns share one index column. A
 * column in which every cell of the block is null is left out.
 */
import { ByteWriter } from "./bytes.ts";
import type { NullableStrings } from "../decode/port.ts";
import type { NativeBlock } from "./port.ts";
import {
  type IndexWidth,
  indexWidth,
  LowCardinality,
  type NativeType,
  Nullable,
  String as Text,
  writeDictionaryHead,
} from "./native.ts";
import type { Column } from "./table.ts";

type ColumnView = Uint8Array | Uint16Array | Uint32Array;

/** The columns of one callback, copied. */
export interface Segment {
  readonly rows: number;
  /** Memory that it takes. */
  readonly bytes: number;
  /** One per view that the sources named, in their order. */
  readonly pieces: readonly Uint8Array<ArrayBuffer>[];
  /** Where they are. */
  readonly memory: Uint8Array<ArrayBuffer>;
  /** What the cells of a {@linkcode names} column are positions of. */
  readonly names: readonly string[];
}

/** Segments of one transaction, with what is constant for it. */
export interface Part<K> {
  readonly constants: K;
  readonly segments: readonly Segment[];
}

/** What the sources of one block see of it. */
interface Assembly<K> {
  readonly rows: number;
  readonly parts: readonly Part<K>[];
  readonly segments: readonly Segment[];
  /** Per row the position of its part in `parts`, in as many bytes as that needs. */
  readonly partIndex: Uint8Array;
}

/** Where the cells of a column come from. `C`: the decoder's columns, `K`: the constants of a transaction. */
export interface Source<C, K> {
  /** How many {@linkcode views} there are. */
  readonly pieces: number;
  /** The decoder's views that a segment copies. */
  views(columns: C): readonly ColumnView[];
  /** `true`: every cell of the block has the column's default, so the column may stay out of it. */
  absent(block: Assembly<K>, piece: number): boolean;
  /** Type in the block. */
  readonly wire: NativeType<unknown>;
  /** Writes prefix and cells. `piece`: position of the source's first view among the pieces. */
  write(out: ByteWriter, block: Assembly<K>, piece: number): void;
}

/** A column of the table and its source. */
export interface SourcedColumn<C, K> extends Column {
  readonly source: Source<C, K>;
}

function never(): boolean {
  return false;
}

function concatenate<K>(out: ByteWriter, block: Assembly<K>, piece: number): void {
  for (const segment of block.segments) out.bytes(segment.pieces[piece]!);
}

/** Cells of fixed width, exactly as the decoder lays them out. */
export function plain<C>(wire: NativeType<unknown>, view: (columns: C) => ColumnView): Source<C, unknown> {
  return { wire, pieces: 1, views: (columns) => [view(columns)], absent: never, write: concatenate };
}

/** Cells of fixed width, some of which are null. */
export function nullable<C>(
  wire: NativeType<unknown>,
  nulls: (columns: C) => Uint8Array,
  view: (columns: C) => ColumnView,
): Source<C, unknown> {
  return {
    wire: Nullable(wire),
    pieces: 2,
    views: (columns) => [nulls(columns), view(columns)],
    absent: (block, piece) => block.segments.every((segment) => !segment.pieces[piece]!.includes(0)),
    write(out, block, piece) {
      concatenate(out, block, piece);
      concatenate(out, block, piece + 1);
    },
  };
}

/** Texts, most of which are null. */
export function texts<C>(cells: (columns: C) => NullableStrings): Source<C, unknown> {
  return {
    ...nullable<C>(Text, (columns) => cells(columns).nulls, (columns) => cells(columns).bytes),
    // A text takes more than its length byte unless it is null, and the decoder makes null of the empty one.
    absent: (block, piece) => block.segments.every((segment) => segment.pieces[piece + 1]!.length === segment.rows),
  };
}

/** Positions in a list of names, of two bytes. */
export function names<C>(positions: (columns: C) => Uint16Array): Source<C, unknown> {
  const wire = LowCardinality(Text);
  return {
    wire: wire,
    pieces: 1,
    views: (columns) => [positions(columns)],
    absent: never,
    write(out, block, piece) {
      const dictionary = new NameDictionary();
      const moves = block.segments.map((segment) => dictionary.add(segment.names));
      wire.writePrefix(out);
      dictionary.write(out);
      out.uint64(block.rows);
      for (const [i, segment] of block.segments.entries()) {
        const cells = segment.pieces[piece]!;
        const move = moves[i];
        if (move === undefined) out.bytes(cells);
        else renumber(cells, move, out.take(cells.length));
      }
    },
  };
}

/** The names of one block: the first list as it is, and what later lists have besides. */
class NameDictionary {
  #names: string[] = [];
  #positions = new Map<string, number>();
  #known = new Map<readonly string[], Uint16Array | undefined>();

  /** @returns where each position of `list` has gone, `undefined` if all stayed. */
  add(list: readonly string[]): Uint16Array | undefined {
    if (this.#known.has(list)) return this.#known.get(list);
    const move = this.#names.length === 0 ? this.#adopt(list) : this.#merge(list);
    this.#known.set(list, move);
    return move;
  }

  /** Always with indexes of two bytes, which is how the decoder's columns are. */
  write(out: ByteWriter): void {
    const keys = this.#names.length;
    writeDictionaryHead(out, keys, 2);
    for (const name of this.#names) out.string(name);
  }

  #adopt(list: readonly string[]): undefined {
    this.#names = [...list];
    for (const [position, name] of list.entries()) this.#positions.set(name, position);
  }

  #merge(list: readonly string[]): Uint16Array | undefined {
    const move = new Uint16Array(list.length);
    let moved = false;
    for (const [position, name] of list.entries()) {
      const there = this.#names[position] === name ? position : this.#place(name);
      move[position] = there;
      moved ||= there !== position;
    }
    return moved ? move : undefined;
  }

  #place(name: string): number {
    const known = this.#positions.get(name);
    if (known !== undefined) return known;
    this.#positions.set(name, this.#names.length);
    return this.#names.push(name) - 1;
  }
}

function renumber(cells: Uint8Array<ArrayBuffer>, move: Uint16Array, into: Uint8Array<ArrayBuffer>): void {
  for (let at = 0; at < cells.length; at += 2) {
    const there = move[cells[at]! | (cells[at + 1]! << 8)]!;
    into[at] = there & 0xff;
    into[at + 1] = there >> 8;
  }
}

/** `Array(UInt32)` cells: their ends within the columns of the callback, two lanes each, and the values. */
export function paths<C>(
  wire: NativeType<unknown>,
  ends: (columns: C) => Uint32Array,
  values: (columns: C) => Uint32Array,
): Source<C, unknown> {
  return {
    wire,
    pieces: 2,
    views: (columns) => [ends(columns), values(columns)],
    absent: never,
    write(out, block, piece) {
      let before = 0;
      for (const segment of block.segments) {
        writeEnds(out, segment.pieces[piece]!, before);
        before += segment.pieces[piece + 1]!.length / 4;
      }
      concatenate(out, block, piece + 1);
    },
  };
}

/** A block has far fewer than 2^32 path values, so the upper lane stays 0. */
function writeEnds(out: ByteWriter, cells: Uint8Array<ArrayBuffer>, before: number): void {
  const ends = out.take(cells.length);
  ends.set(cells);
  if (before === 0) return;
  const lanes = new DataView(ends.buffer, ends.byteOffset, ends.length);
  for (let at = 0; at < ends.length; at += 8) lanes.setUint32(at, lanes.getUint32(at, true) + before, true);
}

/** What is the same for all rows of a transaction: a dictionary entry each, and the index that all such columns share. */
export function constant<K, T>(type: NativeType<T>, value: (constants: K) => T): Source<unknown, K> {
  const wire = LowCardinality(type);
  return {
    wire: wire,
    pieces: 0,
    views: () => [],
    absent: never,
    write(out, block) {
      wire.writePrefix(out);
      writeDictionaryHead(out, block.parts.length, indexWidth(block.parts.length));
      type.write(out, block.parts.map((part) => value(part.constants)));
      out.uint64(block.rows);
      out.bytes(block.partIndex);
    },
  };
}

/** A {@linkcode constant} that may be null for some transactions. */
export function nullableConstant<K, T>(
  type: NativeType<T>,
  value: (constants: K) => T | undefined,
): Source<unknown, K> {
  const wire = LowCardinality(Nullable(type));
  return {
    wire: wire,
    pieces: 0,
    views: () => [],
    absent: (block) => block.parts.every((part) => value(part.constants) === undefined),
    write(out, block) {
      const keys: T[] = [type.empty];
      const positions = block.parts.map((part) => {
        const cell = value(part.constants);
        return cell === undefined ? 0 : keys.push(cell) - 1;
      });
      wire.writePrefix(out);
      const width = indexWidth(keys.length);
      writeDictionaryHead(out, keys.length, width);
      type.write(out, keys);
      out.uint64(block.rows);
      fillIndex(out.take(block.rows * width), block.parts, width, (part) => positions[part]!);
    },
  };
}

function rowsOf(part: Part<unknown>): number {
  let rows = 0;
  for (const segment of part.segments) rows += segment.rows;
  return rows;
}

/** Writes the position of each row's part, `width` bytes a row. */
function fillIndex(
  into: Uint8Array,
  parts: readonly Part<unknown>[],
  width: IndexWidth,
  position: (part: number) => number,
): void {
  let row = 0;
  for (const [i, part] of parts.entries()) {
    const end = row + rowsOf(part);
    const key = position(i);
    if (width === 1) into.fill(key, row, end);
    else {for (; row < end; row++) {
        for (let byte = 0; byte < width; byte++) into[row * width + byte] = key >>> (8 * byte);
      }}
    row = end;
  }
}

/** What a columnar table can do. */
export interface ColumnarEncoder<C, K> {
  /**
   * Copies the columns of one callback.
   *
   * @param names kept as they are: the decoder never changes a list, it makes a longer one.
   * @param allocate where they are copied to: memory of at least that many bytes.
   */
  segment(
    columns: C & { readonly rows: number },
    names: readonly string[],
    allocate?: (bytes: number) => Uint8Array<ArrayBuffer>,
  ): Segment;
  /**
   * One block of these parts.
   *
   * @param omit columns to leave out.
   * @param allocate where the block is written: memory of at least that many bytes.
   */
  block(
    parts: readonly Part<K>[],
    options?: { readonly omit?: ReadonlySet<string>; readonly allocate?: (bytes: number) => Uint8Array<ArrayBuffer> },
  ): NativeBlock;
}

/** The encoder of a table whose every column has a {@linkcode Source}. */
export function columnarEncoder<C, K>(
  table: string,
  columns: Readonly<Record<string, SourcedColumn<C, K>>>,
): ColumnarEncoder<C, K> {
  const named = Object.entries(columns);
  return {
    segment(cells, list, allocate) {
      const views = named.flatMap(([, { source }]) => source.views(cells));
      let bytes = 0;
      for (const view of views) bytes += view.byteLength;
      const memory = allocate?.(bytes) ?? new Uint8Array(bytes);
      let at = 0;
      const pieces = views.map((view) => {
        const piece = memory.subarray(at, at + view.byteLength);
        piece.set(new Uint8Array(view.buffer, view.byteOffset, view.byteLength));
        at += view.byteLength;
        return piece;
      });
      return { rows: cells.rows, bytes, pieces, memory, names: list };
    },

    block(parts, { omit, allocate } = {}) {
      const segments = parts.flatMap((part) => part.segments);
      let rows = 0;
      let bytes = 0;
      for (const segment of segments) {
        rows += segment.rows;
        bytes += segment.bytes;
      }
      const width = indexWidth(parts.length);
      const partIndex = new Uint8Array(rows * width);
      fillIndex(partIndex, parts, width, (part) => part);
      const block = { rows, parts, segments, partIndex };

      const written: { name: string; source: Source<C, K>; piece: number }[] = [];
      let piece = 0;
      let constants = 0;
      for (const [name, { source }] of named) {
        const first = piece;
        piece += source.pieces;
        if (omit?.has(name) || rows > 0 && source.absent(block, first)) continue;
        written.push({ name, source, piece: first });
        if (source.pieces === 0) constants++;
      }
      // Names and types of columns, and dictionaries: what the segments do not hold.
      const room = bytes + constants * (rows * width + parts.length * CONSTANT_BYTES) + HEAD_BYTES;
      const out = new ByteWriter(allocate?.(room) ?? new Uint8Array(room));
      out.leb128(written.length);
      out.leb128(rows);
      for (const { name, source, piece } of written) {
        out.string(name);
        out.string(source.wire.name);
        if (rows > 0) source.write(out, block, piece);
      }
      return { table, columns: written.map(({ name }) => name), rows, bytes: out.written };
    },
  };
}

const CONSTANT_BYTES = 80;
const HEAD_BYTES = 16 * 1024;
