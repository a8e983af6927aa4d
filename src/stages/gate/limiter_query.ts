/** The limiter's question to ClickHouse: one row with the column `block`. */

/** Reads the highest allowed block from the rows of the configured query; `undefined` while its table is empty. */
export function highestAllowed(rows: readonly Readonly<Record<string, unknown>>[]): number | undefined {
  const [row] = rows;
  if (row === undefined) return undefined;
  if (!("block" in row)) {
    throw new TypeError(
      `Cannot read limiter.query as one column "block": current columns are ${Object.keys(row).join(", ")}`,
    );
  }
  const block = Number(row["block"] ?? 0);
  return Number.isSafeInteger(block) && block > 0 ? block : undefined;
}
