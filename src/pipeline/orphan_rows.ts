/** The rows of a block that left the chain, in every table that holds a block's hash. */
import countSql from "../stages/gate/sql/orphan_rows_count.sql" with { type: "text" };
import deleteSql from "../stages/gate/sql/orphan_rows_delete.sql" with { type: "text" };
import { executionTransactionTable } from "../stages/encode/execution_transaction.ts";
import { executionTransactionTraceTable } from "../stages/encode/execution_transaction_trace.ts";
import { structlogTable } from "../stages/encode/structlog.ts";
import { structlogAggTable } from "../stages/encode/structlog_agg.ts";
import type { SqlDatabase } from "../stages/sink/port.ts";
import type { LeftBlock } from "../stages/source/reorg.ts";

/** The record first: what is read is published by its record. */
const TABLES = [executionTransactionTraceTable, structlogTable, structlogAggTable, executionTransactionTable];

/** What a table holds of a block. */
interface FoundRows {
  readonly table: string;
  readonly rows: number;
  /** Newest delivery that wrote one of them. */
  readonly newest: string;
}

/** Rows of one block, as they were when they were looked for. */
export interface OrphanRows {
  /** Removes them, and none that is written later: the block may be of the chain again. @returns how many. */
  remove(): Promise<number>;
}

/**
 * Looks for the rows of a block in every table; only tables that have some are touched, since a delete is a mutation.
 *
 * @param cluster Deletes go to `X_local ON CLUSTER`: a Distributed table takes none.
 */
export async function findOrphanRows(
  database: SqlDatabase,
  network: string,
  block: LeftBlock,
  cluster: string | undefined,
): Promise<OrphanRows> {
  const params = { network, number: block.blockNumber, hash: block.blockHash };
  const found: FoundRows[] = [];
  for (const { name } of TABLES) {
    const [row] = await database.query<{ found: string; newest: string }>(countSql.replace(":target", name), params);
    if (row === undefined || Number(row.found) === 0) continue;
    found.push({ table: name, rows: Number(row.found), newest: row.newest });
  }
  return {
    async remove() {
      let rows = 0;
      for (const { table, newest, rows: count } of found) {
        const target = cluster === undefined ? table : `${table}_local ON CLUSTER \`${cluster}\``;
        await database.execute(deleteSql.replace(":target", target), { ...params, newest });
        rows += count;
      }
      return rows;
    },
  };
}
