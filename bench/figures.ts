/** What every bench prints: figures for machines on stdout, progress for people on stderr. */

const encoder = new TextEncoder();

/** A line of progress. */
export function say(line: string): void {
  Deno.stderr.writeSync(encoder.encode(`${line}\n`));
}

/** A figure, `name<TAB>value<TAB>unit`, with so many digits behind the point. */
export function figure(name: string, value: number | string, unit: string, digits?: number): void {
  const text = typeof value === "number" && digits !== undefined ? value.toFixed(digits) : value;
  Deno.stdout.writeSync(encoder.encode(`${name}\t${text}\t${unit}\n`));
}

/** The value in the middle; of an even number the higher of two. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}
