/** Removes the rows of a block that left the chain from every table that holds a block's hash. */
import countSql from "../stages/gate/sql/orphan_rows_count.sql" with { type: "text" };
import deleteSql from "../stages/gate/sql/orphan_rows_delete.sql" with { type: "text" };
import { executionTransactionTable } from "../stages/encode/execution_transaction.ts";
import { executionTransactionTraceTable } from "../stages/encode/execution_transaction_trace.ts";
import { structlogTable } from "../stages/encode/structlog.ts";
import { structlogAggTable } from "../stages/encode/structlog_agg.ts";
import type { SqlDatabase } from "../stages/sink/port.ts";
import type { LeftBlock } from "../stages/source/reorg.ts";

/** Rows first, the record last: what is read is published by its record. */
const TABLES = [executionTransactionTraceTable, structlogTable, structlogAggTable, executionTransactionTable];

/**
 * A delete is a mutation, so a table is only touched where it has such rows.
 *
 * @param cluster Deletes go to `X_local ON CLUSTER`: a Distributed table takes none.
 * @returns rows found.
 */
export async function removeBlock(
  database: SqlDatabase,
  network: string,
  block: LeftBlock,
  cluster: string | undefined,
): Promise<number> {
  const params = { network, number: block.blockNumber, hash: block.blockHash };
  let removed = 0;
  for (const { name } of TABLES) {
    const [row] = await database.query<{ found: string }>(countSql.replace(":target", name), params);
    const found = Number(row?.found ?? 0);
    if (found === 0) continue;
    const target = cluster === undefined ? name : `${name}_local ON CLUSTER \`${cluster}\``;
    await database.execute(deleteSql.replace(":target", target), params);
    removed += found;
  }
  return removed;
}
