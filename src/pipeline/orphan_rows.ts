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
  readonly hash: string;
  readonly found: string;
  /** Newest delivery that wrote one of them. */
  readonly newest: string;
}

/** Rows of blocks, as they were when they were looked for. */
export interface OrphanRows {
  /** Removes those of these blocks, and none that is written later: a block may come back. @returns rows by hash. */
  remove(blocks: readonly LeftBlock[]): Promise<ReadonlyMap<string, number>>;
}

/**
 * Looks for the rows of blocks in every table. A delete is a mutation: one for all blocks, and only where there are rows.
 *
 * @param cluster Deletes go to `X_local ON CLUSTER`: a Distributed table takes none.
 */
export async function findOrphanRows(
  database: SqlDatabase,
  network: string,
  blocks: readonly LeftBlock[],
  cluster: string | undefined,
): Promise<OrphanRows> {
  const found = new Map<string, FoundRows[]>();
  for (const { name } of TABLES) {
    found.set(name, await database.query<FoundRows>(countSql.replaceAll(":target", name), paramsOf(network, blocks)));
  }
  return {
    async remove(gone) {
      const hashes = new Set(gone.map((block) => block.blockHash));
      const removed = new Map<string, number>();
      for (const [table, all] of found) {
        const rows = all.filter(({ hash }) => hashes.has(hash));
        if (rows.length === 0) continue;
        const newest = rows.map((row) => BigInt(row.newest)).reduce((a, b) => a > b ? a : b).toString();
        const target = cluster === undefined ? table : `${table}_local ON CLUSTER \`${cluster}\``;
        await database.execute(deleteSql.replaceAll(":target", target), { ...paramsOf(network, gone), newest });
        for (const { hash, found: count } of rows) removed.set(hash, (removed.get(hash) ?? 0) + Number(count));
      }
      return removed;
    },
  };
}

function paramsOf(network: string, blocks: readonly LeftBlock[]) {
  return {
    network,
    numbers: blocks.map((block) => block.blockNumber),
    hashes: blocks.map((block) => block.blockHash),
  };
}
