/** What the ledger of a test's store says. */
import { NETWORK, type openStore } from "./stack.ts";

type Store = Pick<Awaited<ReturnType<typeof openStore>>, "query">;

/** State of a block by its hash, of every processor; empty when the ledger does not know it. */
export async function statesOf(store: Store, hash: string): Promise<string[]> {
  const rows = await store.query<{ state: string }>(
    "SELECT state FROM execution_block FINAL WHERE meta_network_name = {network:String} AND block_hash = {hash:String} ORDER BY processor",
    { network: NETWORK, hash },
  );
  return rows.map((row) => row.state);
}

/** Numbers `from` to `to` of which every processor's block is complete, and none is open. */
export async function completeBlocks(store: Store, from: number, to: number): Promise<number> {
  const [row] = await store.query<{ blocks: string }>(
    `SELECT count() AS blocks FROM (
       SELECT block_number FROM execution_block FINAL
       WHERE meta_network_name = {network:String} AND state != 'orphaned' AND block_number BETWEEN {from:UInt64} AND {to:UInt64}
       GROUP BY block_number HAVING min(state = 'complete') = 1
     )`,
    { network: NETWORK, from, to },
  );
  return Number(row!.blocks);
}

/** Numbers `from` to `to` of which a processor's rows were not read back since they were stored. */
export async function unverifiedBlocks(store: Store, from: number, to: number): Promise<number> {
  const [row] = await store.query<{ blocks: string }>(
    `SELECT uniqExact(block_number) AS blocks FROM execution_block FINAL
     WHERE meta_network_name = {network:String} AND state != 'orphaned' AND verified_at IS NULL
       AND block_number BETWEEN {from:UInt64} AND {to:UInt64}`,
    { network: NETWORK, from, to },
  );
  return Number(row!.blocks);
}

/** Fingerprint of every published row and of every record, without what a second run writes otherwise. */
export async function fingerprint(store: Store): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const table of ["canonical_execution_transaction_structlog", "canonical_execution_transaction_structlog_agg"]) {
    const [row] = await store.query<{ print: string }>(
      `SELECT concat(toString(count()), ' ', toString(sum(cityHash64(* EXCEPT (updated_date_time, row_version))))) AS print
       FROM ${table} FINAL WHERE meta_network_name = {network:String}`,
      { network: NETWORK },
    );
    found[table] = row!.print;
  }
  const [records] = await store.query<{ print: string }>(
    `SELECT concat(toString(count()), ' ', toString(sum(cityHash64(block_hash, transaction_hash, structlog_rows, agg_rows, verdict, published)))) AS print
     FROM execution_transaction_trace FINAL WHERE meta_network_name = {network:String}`,
    { network: NETWORK },
  );
  return { ...found, records: records!.print };
}

/** Rows in the tables of one processor or another, and of the ledger but for orphans, of blocks that are not on the chain. */
export async function strayRows(store: Store, canonical: readonly string[]): Promise<number> {
  let rows = 0;
  for (
    const table of [
      "canonical_execution_transaction_structlog",
      "canonical_execution_transaction_structlog_agg",
      "execution_transaction",
      "execution_transaction_trace",
      "(SELECT * FROM execution_block FINAL WHERE state != 'orphaned')",
    ]
  ) {
    const [row] = await store.query<{ rows: string }>(
      `SELECT count() AS rows FROM ${table} WHERE meta_network_name = {network:String} AND NOT has({canonical:Array(String)}, toString(block_hash))`,
      { network: NETWORK, canonical: [...canonical] },
    );
    rows += Number(row!.rows);
  }
  return rows;
}
