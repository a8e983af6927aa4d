/** Aligned text for terminals of 80 columns. */

/** Rows as text: columns as wide as their widest cell, numbers (`right`) to the right. */
export function textTable(rows: readonly (readonly string[])[], right: readonly number[] = []): string[] {
  const widths = rows.reduce<number[]>(
    (widest, row) => row.map((cell, at) => Math.max(widest[at] ?? 0, cell.length)),
    [],
  );
  return rows.map((row) =>
    row.map((cell, at) => right.includes(at) ? cell.padStart(widths[at]!) : cell.padEnd(widths[at]!)).join("  ")
      .trimEnd()
  );
}

const COLUMNS = 80;

/** A line of prose as lines of at most 80 columns, broken at blanks; what follows the first is indented further. */
export function wrapped(line: string): string[] {
  const indent = `${/^ */.exec(line)![0]}  `;
  const lines: string[] = [];
  let rest = line;
  while (rest.length > COLUMNS) {
    const blank = rest.lastIndexOf(" ", COLUMNS);
    // A word that is longer than a line stays whole.
    const end = blank > indent.length ? blank : rest.indexOf(" ", COLUMNS);
    if (end < 0) break;
    lines.push(rest.slice(0, end).trimEnd());
    rest = indent + rest.slice(end + 1);
  }
  return [...lines, rest];
}

/** A number with thousands separators. */
export function grouped(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

/** Milliseconds as the largest unit that leaves two digits or less, e.g. `250 ms`, `12 s`, `3 min`. */
export function duration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 120_000) return `${Math.round(ms / 1_000)} s`;
  if (ms < 7_200_000) return `${Math.round(ms / 60_000)} min`;
  return `${Math.round(ms / 3_600_000)} h`;
}
