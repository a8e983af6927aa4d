/** Looking at a spill directory without replaying it, also while a process writes to it. */
import type { SpillOperation } from "./port.ts";
import { isSegment, readSegment, segmentNames } from "./spill_segment.ts";

/** What one segment holds. */
export interface SegmentReport {
  readonly name: string;
  readonly bytes: number;
  readonly modified: Date | undefined;
  /** Operations by kind, whole ones only. */
  readonly operations: Readonly<Record<SpillOperation["kind"], number>>;
  /** Rows in the blocks of its operations. */
  readonly rows: number;
  /** Attempts that its operations name. */
  readonly attempts: number;
  /** Bytes at the end that a crash cut short. */
  readonly tornBytes: number;
  /** What does not have its checksum. */
  readonly damaged: readonly { readonly offset: number; readonly error: string }[];
}

/** Reads every segment of `directory`, oldest first, and checks each record. */
export async function* inspectSpill(directory: string): AsyncGenerator<SegmentReport> {
  for (const name of await segmentNames(directory)) {
    try {
      yield await inspectSegment(`${directory}/${name}`, name);
    } catch (error) {
      // A process that replays may have removed it in between.
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}

async function inspectSegment(path: string, name: string): Promise<SegmentReport> {
  using file = await Deno.open(path, { read: true });
  const { size, mtime } = await file.stat();
  const operations = { insert: 0, record: 0, delete: 0, surplus: 0 };
  const damaged: { offset: number; error: string }[] = [];
  const attempts = new Set<string>();
  let rows = 0;
  let tornBytes = 0;
  if (await isSegment(file)) {
    for await (const entry of readSegment(file, 0, size)) {
      if (entry.kind === "torn") tornBytes += entry.end - entry.offset;
      else if (entry.kind === "damaged") damaged.push({ offset: entry.offset, error: entry.error });
      else {
        const { operation } = entry;
        operations[operation.kind]++;
        if ("block" in operation) rows += operation.block.rows;
        for (const { transactionHash, rowVersion } of operation.attempts) {
          attempts.add(`${transactionHash}:${rowVersion}`);
        }
      }
    }
  } else {
    damaged.push({ offset: 0, error: "it does not begin with EPSPILL1" });
  }
  return {
    name,
    bytes: size,
    modified: mtime ?? undefined,
    operations,
    rows,
    attempts: attempts.size,
    tornBytes,
    damaged,
  };
}
