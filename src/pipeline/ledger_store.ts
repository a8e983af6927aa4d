/** The ledger's rows as the table has them. */
import { type ExecutionBlockRow, executionBlockTable } from "../stages/encode/execution_block.ts";
import type { LedgerRow } from "../stages/gate/ledger.ts";
import { ClickHouseLedger } from "../stages/gate/ledger_clickhouse.ts";
import type { Sink, SqlReader } from "../stages/sink/port.ts";

/** The ledger of a network in ClickHouse: reads by SQL, writes through the sink and its retry. */
export function openLedger(network: string, reader: SqlReader, sink: Sink): ClickHouseLedger {
  return new ClickHouseLedger(
    network,
    (sql, params) => reader.query(sql, params),
    (rows) => sink.insertRows(executionBlockTable, rows.map(blockRow)),
  );
}

function blockRow(row: LedgerRow): ExecutionBlockRow {
  return {
    updated_date_time: new Date(),
    meta_network_name: row.network,
    processor: row.processor,
    block_number: BigInt(row.blockNumber),
    block_hash: row.blockHash,
    parent_hash: row.parentHash,
    state: row.state,
    complete: row.state === "complete" ? 1 : 0,
    direction: row.direction,
    task_count: row.taskCount,
    transactions: row.transactions,
    expected_rows: BigInt(row.expectedRows),
    stored_rows: BigInt(row.storedRows),
    attempts: row.attempts,
    dead: row.dead,
    violated: row.violated,
    verified_at: row.verifiedMs === undefined ? undefined : new Date(row.verifiedMs),
    accepted_at: new Date(row.acceptedMs),
    completed_at: row.completedMs === undefined ? undefined : new Date(row.completedMs),
    version: BigInt(row.version),
  };
}
