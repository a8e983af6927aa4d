/**
 * What leaves encode: one Native block of one table, and the tables that take row objects. The columns that go in are
 * those of `decode/port.ts`.
 */

/** Exactly one block of ClickHouse's Native format: what one INSERT sends. */
export interface NativeBlock {
  /** Name of the table. */
  readonly table: string;
  /** Names of the columns in the block, in its order: the column list of the INSERT. */
  readonly columns: readonly string[];
  readonly rows: number;
  /** The block. A retry sends the identical bytes. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** A table that is written row by row: its name and how rows of type `R` become a block. */
export interface RowTable<R> {
  readonly name: string;
  encode(rows: readonly R[]): NativeBlock;
}
