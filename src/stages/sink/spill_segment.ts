/** Reading one segment of the spill: records in order, what is torn at its end, what is damaged within. */
import type { SpillOperation } from "./port.ts";
import { HEAD_BYTES, MAGIC, readBody, readHead } from "./spill_format.ts";

/** What stands at one place of a segment. */
export type SegmentEntry =
  /** `end`: offset behind it. */
  | { readonly kind: "operation"; readonly offset: number; readonly end: number; readonly operation: SpillOperation }
  /** A record that does not have its checksum; what follows it can be read. */
  | { readonly kind: "damaged"; readonly offset: number; readonly end: number; readonly error: string }
  /** A write that a crash cut short: it was never acknowledged. */
  | { readonly kind: "torn"; readonly offset: number; readonly end: number };

/** Names of the segments of a directory, oldest first. */
export async function segmentNames(directory: string): Promise<string[]> {
  const names: string[] = [];
  try {
    for await (const entry of Deno.readDir(directory)) {
      if (entry.isFile && /^\d{10}\.spill$/.test(entry.name)) names.push(entry.name);
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return names.sort();
}

/** File name of segment `number`. */
export function segmentName(number: number): string {
  return `${String(number).padStart(10, "0")}.spill`;
}

/** Number of a segment. */
export function segmentNumber(name: string): number {
  return Number(name.slice(0, 10));
}

/** The file begins as a segment does, as far as it goes. */
export async function isSegment(file: Deno.FsFile): Promise<boolean> {
  const magic = await readAt(file, 0, MAGIC.length);
  return magic.every((byte, i) => byte === MAGIC[i]);
}

/** The entries of a segment ({@linkcode isSegment}) from `from` on, up to `to`. */
export async function* readSegment(file: Deno.FsFile, from: number, to: number): AsyncGenerator<SegmentEntry> {
  if (to < MAGIC.length) {
    yield { kind: "torn", offset: 0, end: to };
    return;
  }
  let offset = Math.max(from, MAGIC.length);
  while (offset < to) {
    const entry = await readEntry(file, offset, to);
    yield entry;
    offset = entry.end;
  }
}

async function readEntry(file: Deno.FsFile, offset: number, to: number): Promise<SegmentEntry> {
  if (offset + HEAD_BYTES > to) return { kind: "torn", offset, end: to };
  const headBytes = await readAt(file, offset, HEAD_BYTES);
  const head = readHead(headBytes);
  if (head === undefined) {
    // Without a head the rest cannot be told apart. Nothing but zeros is a file that grew before its bytes came.
    const rest = await onlyZeros(file, offset, to);
    return rest
      ? { kind: "torn", offset, end: to }
      : { kind: "damaged", offset, end: to, error: "Cannot read the head of a spill record: its checksum differs" };
  }
  const end = offset + HEAD_BYTES + head.bodyBytes;
  if (end > to) return { kind: "torn", offset, end: to };
  try {
    const operation = readBody(head, await readAt(file, offset + HEAD_BYTES, head.bodyBytes));
    return { kind: "operation", offset, end, operation };
  } catch (error) {
    return { kind: "damaged", offset, end, error: error instanceof Error ? error.message : String(error) };
  }
}

/** Exactly `count` bytes at `offset`, fewer where the file ends. */
export async function readAt(file: Deno.FsFile, offset: number, count: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(count);
  await file.seek(offset, Deno.SeekMode.Start);
  let filled = 0;
  while (filled < count) {
    const read = await file.read(bytes.subarray(filled));
    if (read === null) break;
    filled += read;
  }
  return bytes.subarray(0, filled);
}

async function onlyZeros(file: Deno.FsFile, from: number, to: number): Promise<boolean> {
  for (let at = from; at < to; at += 65_536) {
    const bytes = await readAt(file, at, Math.min(65_536, to - at));
    if (bytes.some((byte) => byte !== 0)) return false;
  }
  return true;
}
