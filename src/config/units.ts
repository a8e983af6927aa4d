/** Durations and sizes as a person writes them (`5s`, `64MiB`) and as code wants them (milliseconds, bytes). */

const DURATION_UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const SIZE_UNITS: Readonly<Record<string, number>> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};

function parseWithUnit(text: string, units: Readonly<Record<string, number>>): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([A-Za-z]+)$/.exec(text.trim());
  const factor = match === null ? undefined : units[match[2]!];
  return factor === undefined ? undefined : Math.round(Number(match![1]) * factor);
}

/** Milliseconds of `250ms`, `5s`, `10m`, `1h`, `2d`; `undefined` when the text is none of these. */
export function parseDuration(text: string): number | undefined {
  return parseWithUnit(text, DURATION_UNITS);
}

/** Bytes of `512B`, `64MiB`, `1GB`; `undefined` when the text is none of these. */
export function parseSize(text: string): number | undefined {
  return parseWithUnit(text, SIZE_UNITS);
}

function formatWithUnit(value: number, units: readonly (readonly [string, number])[]): string {
  for (const [unit, factor] of units) {
    if (value % factor === 0 && value >= factor) return `${value / factor}${unit}`;
  }
  return `0${units.at(-1)![0]}`;
}

/** The shortest exact form: 90000 is `90s`, 600000 is `10m`. */
export function formatDuration(milliseconds: number): string {
  return formatWithUnit(milliseconds, [["d", 86_400_000], ["h", 3_600_000], ["m", 60_000], ["s", 1_000], ["ms", 1]]);
}

/** The shortest exact form in powers of 1024. */
export function formatSize(bytes: number): string {
  return formatWithUnit(bytes, [["TiB", 2 ** 40], ["GiB", 2 ** 30], ["MiB", 2 ** 20], ["KiB", 2 ** 10], ["B", 1]]);
}
