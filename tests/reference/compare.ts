/**
 * Compares rows and records with what a vector expects, by the rules of `tests/fixtures/README.md`. Returns what
 * differs, as text: empty means equal.
 */
import { createHash } from "node:crypto";
import type { Expected, ExpectedTable, Vector } from "../fixtures/vectors.ts";

/** A row by column name; 64-bit integers may be numbers, bigints, or decimal text. */
export type ComparedRow = Readonly<Record<string, unknown>>;

/** Columns of decimal integers: those that may come as text. */
const TEXT_COLUMNS = new Set([
  "transaction_hash",
  "transaction_return_value",
  "operation",
  "return_data",
  "error",
  "call_to_address",
  "meta_network_name",
  "block_hash",
  "target_address",
  "call_type",
]);

/** Differences of the rows of one table, in any order, from the expected ones. */
export function compareTable(
  table: "structlog" | "agg",
  expected: ExpectedTable,
  rows: readonly ComparedRow[],
): string[] {
  if (rows.length !== expected.count) return [`${table}: ${rows.length} rows, expected ${expected.count}`];
  if (expected.count === 0) return [];
  const columns = expected.columns!;
  const sorted = rows.toSorted(table === "structlog" ? byIndex : byFrame);
  const differences: string[] = [];
  for (const [column, value] of Object.entries(expected.common ?? {})) {
    const wrong = sorted.findIndex((row) => cellText(column, row[column]) !== cellText(column, value));
    if (wrong >= 0) {
      differences.push(`${table} row ${wrong}, ${column}: ${show(sorted[wrong]![column])}, expected ${show(value)}`);
    }
  }
  const sha256 = createHash("sha256");
  const lines = sorted.map((row) => `[${columns.map((column) => cellText(column, row[column])).join(",")}]\n`);
  for (const line of lines) sha256.update(line);
  if (sha256.digest("hex") !== expected.sha256) {
    differences.push(`${table}: other sha256`);
    const samples = expected.rows !== undefined ? expected.rows.map((row, at) => [at, row] as const) : [
      ...expected.first!.map((row, at) => [at, row] as const),
      ...expected.last!.map((row, at) => [expected.count - expected.last!.length + at, row] as const),
    ];
    for (const [at, cells] of samples) {
      const wrong = columns.findIndex((column, cell) =>
        cellText(column, cells[cell]) !== cellText(column, sorted[at]![column])
      );
      if (wrong < 0) continue;
      const column = columns[wrong]!;
      differences.push(`${table} row ${at}, ${column}: ${show(sorted[at]![column])}, expected ${show(cells[wrong])}`);
      if (differences.length > 4) break;
    }
  }
  for (const [name, sum] of Object.entries(expected)) {
    if (!name.startsWith("sum_")) continue;
    const actual = sorted.reduce((total, row) => total + BigInt(row[name.slice(4)] as bigint), 0n);
    if (actual !== BigInt(sum as number)) differences.push(`${table}: ${name} is ${actual}, expected ${sum}`);
  }
  return differences;
}

/** Differences of the rows of one table, in any order, from those of the reference decoder: every cell that it has. */
export function compareRows(
  table: "structlog" | "agg",
  expected: readonly ComparedRow[],
  rows: readonly ComparedRow[],
): string[] {
  if (rows.length !== expected.length) return [`${table}: ${rows.length} rows, expected ${expected.length}`];
  const order = table === "structlog" ? byIndex : byFrame;
  const [ours, theirs] = [rows.toSorted(order), expected.toSorted(order)];
  for (const [at, row] of theirs.entries()) {
    for (const column of Object.keys(row)) {
      if (cellText(column, row[column]) === cellText(column, ours[at]![column])) continue;
      return [`${table} row ${at}, ${column}: ${show(ours[at]![column])}, expected ${show(row[column])}`];
    }
  }
  return [];
}

/**
 * Whether the expected rows say of the transaction what its receipt says. Two damaged replies claim the contrary, and
 * their expected rows repeat the claim; such a reply is violated, and its rows are nowhere written.
 */
export function rowsFollowReceipt({ expected, receipt }: Vector): boolean {
  const claimed = expected.structlog.common?.transaction_failed;
  return claimed === undefined || receipt.status === undefined || claimed === (receipt.status === "0x0");
}

/** What the comparison reads of a proof record, under the names of the command's output. */
export interface ComparedProof {
  readonly verdict: string;
  readonly outcome: string;
  readonly intrinsic_gas: unknown;
  readonly gas_used: unknown;
  readonly refund_applied: unknown;
  readonly root_gas: unknown;
  readonly rows: unknown;
  readonly frames: unknown;
  /** Violated identities that were found. */
  readonly identities: readonly string[];
}

export function compareProof(expected: Expected["proof"], proof: ComparedProof): string[] {
  if (expected.verdict === "violated") {
    if (proof.verdict !== "violated") return [`verdict: ${proof.verdict}, expected violated by ${expected.identity}`];
    if (proof.identities.includes(expected.identity!)) return [];
    return [`violated by ${proof.identities}, expected ${expected.identity}`];
  }
  const differences: string[] = [];
  for (
    const name of [
      "verdict",
      "outcome",
      "intrinsic_gas",
      "gas_used",
      "refund_applied",
      "root_gas",
      "rows",
      "frames",
    ] as const
  ) {
    if (String(proof[name]) !== String(expected[name])) {
      differences.push(
        `${name}: ${proof[name]}, expected ${expected[name]}${
          proof.identities.length > 0 ? ` (${proof.identities})` : ""
        }`,
      );
    }
  }
  return differences;
}

function cellText(column: string, value: unknown): string {
  if (Array.isArray(value)) return `[${value.join(",")}]`;
  if (typeof value === "bigint" || typeof value === "string" && !TEXT_COLUMNS.has(column)) return String(value);
  return JSON.stringify(value) ?? "absent";
}

function show(value: unknown): string {
  return typeof value === "bigint" ? String(value) : JSON.stringify(value) ?? "absent";
}

function byIndex(a: ComparedRow, b: ComparedRow): number {
  return Number(a.index) - Number(b.index);
}

function byFrame(a: ComparedRow, b: ComparedRow): number {
  const frames = Number(a.call_frame_id) - Number(b.call_frame_id);
  if (frames !== 0) return frames;
  return a.operation === b.operation ? 0 : String(a.operation) < String(b.operation) ? -1 : 1;
}
