/**
 * Whether what is stored is what happened: each transaction is traced a second time, the reply read with plain
 * `JSON.parse`, and compared row by row with what ClickHouse returns, and both with the receipt. Nothing of the
 * pipeline's decoding takes part.
 */
import type { SqlReader } from "../stages/sink/port.ts";
import { nodeRequest } from "./node_request.ts";
import rowsSql from "./sql/demo_rows.sql" with { type: "text" };

/** A transaction as its record in ClickHouse describes it. */
export interface StoredTransaction {
  readonly block: number;
  readonly position: number;
  readonly hash: string;
  readonly verdict: string;
  readonly gasUsed: number;
  readonly success: boolean;
  readonly gasBeforeRefund: number;
}

/** What the comparison of one transaction found. */
export interface Agreement {
  readonly storedRows: number;
  readonly tracedRows: number;
  readonly receiptGas: number;
  /** What does not agree; empty when everything does. */
  readonly differences: readonly string[];
}

/** One row, as far as a trace prints it without arithmetic. */
interface StoredRow {
  readonly program_counter: number;
  readonly operation: string;
  readonly gas: string;
  readonly depth: string;
  readonly transaction_gas: string;
  readonly transaction_failed: boolean;
}

interface Trace {
  readonly gas: number;
  readonly failed: boolean;
  readonly structLogs: readonly {
    readonly pc: number;
    readonly op: string;
    readonly gas: number;
    readonly depth: number;
  }[];
}

interface Receipt {
  readonly gasUsed: string;
  readonly cumulativeGasUsed: string;
  readonly status: string;
}

/** Where both sides of the comparison are. */
export interface CheckSides {
  readonly chainUrl: string;
  readonly network: string;
  readonly database: SqlReader;
  readonly signal: AbortSignal;
}

/** Stack, memory and storage are not compared, so they are not asked for. */
const TRACE_OPTIONS = { disableStack: true, disableStorage: true, enableMemory: false };

/** Compares one transaction. */
export async function checkTransaction(transaction: StoredTransaction, sides: CheckSides): Promise<Agreement> {
  const { chainUrl, network, database, signal } = sides;
  const { hash, block } = transaction;
  const [rows, trace, receipt] = await Promise.all([
    database.query<StoredRow>(rowsSql, { network, block, hash }, signal),
    nodeRequest<Trace>(chainUrl, "debug_traceTransaction", [hash, TRACE_OPTIONS], signal),
    nodeRequest<Receipt>(chainUrl, "eth_getTransactionReceipt", [hash], signal),
  ]);
  return {
    storedRows: rows.length,
    tracedRows: trace.structLogs.length,
    receiptGas: Number(receipt.gasUsed),
    differences: differences(transaction, rows, trace, receipt),
  };
}

function differences(
  stored: StoredTransaction,
  rows: readonly StoredRow[],
  trace: Trace,
  receipt: Receipt,
): readonly string[] {
  const found: string[] = [];
  const compare = (what: string, left: unknown, right: unknown) => {
    if (left !== right) found.push(`${what}: ${left} stored, ${right} expected`);
  };
  const receiptGas = Number(receipt.gasUsed);
  const succeeded = receipt.status === "0x1";
  compare("rows", rows.length, trace.structLogs.length);
  compare("gas used", stored.gasUsed, receiptGas);
  compare("gas of the second trace", trace.gas, Number(receipt.cumulativeGasUsed)); // what anvil prints there
  compare("success", stored.success, succeeded);
  compare("failure in the second trace", trace.failed, !succeeded);
  if (stored.verdict !== "proved" && stored.verdict !== "bounded") found.push(`verdict: ${stored.verdict}`);
  if (stored.gasBeforeRefund < receiptGas && rows.length > 0) {
    found.push(`gas before refund: ${stored.gasBeforeRefund} stored, at least ${receiptGas} expected`);
  }
  for (const [index, step] of trace.structLogs.entries()) {
    const row = rows[index];
    if (row === undefined) break;
    const left = `${row.program_counter} ${row.operation} ${row.gas} ${row.depth}`;
    const right = `${step.pc} ${step.op} ${step.gas} ${step.depth}`;
    if (left === right) continue;
    compare(`row ${index} (pc, opcode, gas, depth)`, left, right);
    break;
  }
  const strange = rows.findIndex((row) =>
    Number(row.transaction_gas) !== receiptGas || row.transaction_failed === succeeded
  );
  if (strange !== -1) found.push(`row ${strange}: gas or failure of the transaction differ from the receipt`);
  return found;
}
