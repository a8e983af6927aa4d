/** What all rows of one transaction share, in both tables of a trace. */
import type { NativeType } from "./native.ts";
import type { Column } from "./table.ts";
import type { Source, SourcedColumn } from "./columnar.ts";

/** Constants of one transaction under one delivery token. */
export interface TransactionConstants {
  readonly encodedAt: Date;
  readonly network: string;
  readonly blockNumber: number;
  readonly blockHash: string;
  readonly transactionHash: string;
  readonly transactionIndex: number;
  /** `receipt.gasUsed`. */
  readonly gasUsed: number | bigint;
  readonly failed: boolean;
  /** Lower-case hex without 0x; absent when empty or not known in time. */
  readonly returnValue: string | undefined;
  readonly rowVersion: number;
}

/** A column of the table together with where its cells come from. */
export function sourced<T, C, K>(
  definition: Column<T>,
  source: Source<C, K>,
): SourcedColumn<C, K> & { readonly type: NativeType<T> } {
  return { ...definition, source } as SourcedColumn<C, K> & { readonly type: NativeType<T> };
}
