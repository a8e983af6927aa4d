/** Rows of the small tables, unremarkable but for what a test says. */
import type { ExecutionBlockRow } from "../../../src/stages/encode/execution_block.ts";
import type { ExecutionTransactionTraceRow } from "../../../src/stages/encode/execution_transaction_trace.ts";
import type { ExecutionTransactionRow } from "../../../src/stages/encode/execution_transaction.ts";
import type { AttemptKey, TransactionKey } from "../../../src/stages/sink/port.ts";
import { hash } from "./columns.ts";

const AT = new Date(1_700_000_000_123);

/** A record. */
export function recordRow(
  key: AttemptKey,
  changes: Partial<ExecutionTransactionTraceRow> = {},
): ExecutionTransactionTraceRow {
  return {
    updated_date_time: AT,
    meta_network_name: key.network,
    block_number: key.blockNumber,
    block_hash: key.blockHash,
    transaction_hash: key.transactionHash,
    transaction_index: 0,
    row_version: key.rowVersion,
    published: 1,
    structlogs: 3,
    structlog_rows: 3,
    agg_rows: 2,
    structlog_checksum: 2n ** 64n - 1n,
    agg_checksum: 0,
    tables: ["structlog", "structlog_agg"],
    verdict: "proved",
    identity: "",
    detail: "",
    violations: [],
    access_mismatch: { account: 1 },
    outcome: "success",
    return_value: undefined,
    intrinsic_gas: 21_000,
    floor_gas: 0,
    root_gas: 9,
    code_deposit_gas: 0,
    refund_counter: 0,
    refund_source: "node",
    refund_applied: 0,
    gas_used: 21_009,
    frames: 1,
    execution_gas_used: undefined,
    state_gas_used: undefined,
    final_refund: undefined,
    fork: "prague",
    client: "test/1.0",
    node: "a",
    bytes: 1234,
    trace_ms: 5,
    notes: [],
    ...changes,
  };
}

/** An entry of the ledger. */
export function blockRow(key: TransactionKey, changes: Partial<ExecutionBlockRow> = {}): ExecutionBlockRow {
  return {
    updated_date_time: AT,
    meta_network_name: key.network,
    processor: "transaction_structlog",
    block_number: key.blockNumber,
    block_hash: key.blockHash,
    parent_hash: hash(key.blockNumber - 1),
    state: "accepted",
    complete: 0,
    direction: "forwards",
    task_count: 1,
    transactions: 1,
    expected_rows: 3,
    stored_rows: 0,
    attempts: 1,
    dead: 0,
    violated: 0,
    verified_at: undefined,
    accepted_at: AT,
    completed_at: undefined,
    version: 1,
    ...changes,
  };
}

/** A transaction. */
export function transactionRow(
  key: AttemptKey,
  changes: Partial<ExecutionTransactionRow> = {},
): ExecutionTransactionRow {
  return {
    updated_date_time: new Date(1_700_000_000_000),
    block_number: key.blockNumber,
    block_hash: key.blockHash,
    parent_hash: hash(key.blockNumber - 1),
    position: 0,
    hash: key.transactionHash,
    from: `0x${"11".repeat(20)}`,
    to: undefined,
    nonce: 0,
    gas_price: 1n,
    gas: 21_000,
    gas_tip_cap: undefined,
    gas_fee_cap: undefined,
    value: 2n ** 128n - 1n,
    type: 2,
    size: 100,
    call_data_size: 0,
    blob_gas: undefined,
    blob_gas_fee_cap: undefined,
    blob_hashes: [],
    success: true,
    n_input_bytes: 0,
    n_input_zero_bytes: 0,
    n_input_nonzero_bytes: 0,
    meta_network_name: key.network,
    gas_used: 21_000,
    row_version: key.rowVersion,
    ...changes,
  };
}
