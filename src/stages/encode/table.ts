/**
 * One definition per table: names, types, codecs, defaults, comments, keys. DDL, encoders and the reference of columns
 * are made of it, so that they cannot drift apart.
 */
import type { NativeBlock, RowTable } from "./port.ts";
import { encodeValues, type NativeType } from "./native.ts";

/** One column; its place in the definition's object is its place in the table. */
export interface Column<T = unknown> {
  readonly type: NativeType<T>;
  /** Meaning, unit and source in one line. */
  readonly comment: string;
  /** Argument of `CODEC(…)`. */
  readonly codec?: string;
  /** SQL of the default. */
  readonly default?: string;
  /** Not among the columns that existing users of the table have: `schema apply` adds it to their table. */
  readonly added?: true;
}

/** Columns by name, in order. */
export type Columns = Readonly<Record<string, Column>>;

/** A table in its single-server form. */
export interface TableDefinition<C extends Columns = Columns> {
  readonly name: string;
  readonly comment: string;
  readonly columns: C;
  /** Column whose largest value wins among rows of one key. */
  readonly version: Extract<keyof C, string>;
  readonly partitionBy?: string;
  /** The sorting key; rows equal in it replace each other. */
  readonly orderBy: readonly Extract<keyof C, string>[];
  /** Columns whose hash chooses the shard of a cluster: those of the key that name the thing, so that it never splits. */
  readonly shardBy: readonly Extract<keyof C, string>[];
  readonly settings: Readonly<Record<string, number>>;
}

/** Both fsyncs: without them the acknowledged inserts of the last seconds are lost with the power. */
export const DURABLE = { fsync_after_insert: 1, fsync_part_directory: 1 } as const;

/** {@linkcode DURABLE} for the tables with many parts: a crash may leave more broken ones than the default tolerates. */
export const DURABLE_MANY_PARTS = { ...DURABLE, max_suspicious_broken_parts: 1000 } as const;

/** A column of type `T`. */
export function column<T>(
  type: NativeType<T>,
  comment: string,
  options: { readonly codec?: string; readonly default?: string; readonly added?: true } = {},
): Column<T> {
  return { type, comment, ...options };
}

/** The TypeScript value of each column: what one row of the table is. */
export type RowOf<C> = { readonly [K in keyof C]: C[K] extends { type: NativeType<infer T> } ? T : never };

/** A table that is written row by row: its definition, able to encode rows of all its columns. */
export function rowTable<const C extends Columns>(
  definition: TableDefinition<C>,
): TableDefinition<C> & RowTable<RowOf<C>> {
  const columns = Object.entries(definition.columns) as [keyof C & string, Column][];
  const names = columns.map(([name]) => name);
  return {
    ...definition,
    encode(rows): NativeBlock {
      const values = columns.map(([name, { type }]) => ({ name, type, values: rows.map((row) => row[name]) }));
      return { table: definition.name, columns: names, rows: rows.length, bytes: encodeValues(values, rows.length) };
    },
  };
}
