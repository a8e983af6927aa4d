/**
 * Evidence of refused traces: a file each, compressed, in a directory of bounded size whose oldest file leaves first.
 * A file holds transaction, receipt, record and the first and last bytes of the result, as the node sent them.
 */
import { PipelineError } from "../errors.ts";
import type { Evidence } from "./trace_job.ts";

/** One file of the directory. */
export interface EvidenceFile {
  readonly name: string;
  readonly bytes: number;
  readonly writtenMs: number;
}

/** What a file holds. */
export interface StoredEvidence extends Omit<Evidence, "head" | "tail"> {
  /** First bytes of the result as text. */
  readonly head: string;
  /** Last bytes; empty where `head` is all. */
  readonly tail: string;
  readonly writtenAt: string;
}

/** Evidence that does not fit its directory, even if that were empty. */
export class EvidenceTooLargeError extends PipelineError {
  readonly code = "evidence_too_large";
  readonly disposition = "dead";

  constructor(readonly bytes: number, readonly maxBytes: number) {
    super(
      `Cannot keep evidence of ${bytes} bytes: proof.evidenceMaxBytes is ${maxBytes}; raise it, or lower proof.evidenceBytes`,
    );
  }
}

const SUFFIX = ".json.gz";
/** What is being written; the next write replaces what an earlier process left. */
const UNFINISHED = "unfinished";

/** Writes evidence; one writer per directory. */
export class EvidenceStore {
  #writing: Promise<unknown> = Promise.resolve();

  constructor(readonly directory: string, readonly maxBytes: number) {}

  /**
   * Keeps it; writes are one after the other. Returns the file's name and size.
   *
   * @throws {EvidenceTooLargeError}
   */
  async keep(evidence: Evidence): Promise<{ readonly name: string; readonly bytes: number }> {
    const written = this.#writing.then(() => this.#write(evidence));
    this.#writing = written.catch(() => {});
    return await written;
  }

  async #write(evidence: Evidence): Promise<{ readonly name: string; readonly bytes: number }> {
    const { head, tail, ...facts } = evidence;
    const text = new TextDecoder();
    const stored: StoredEvidence = {
      ...facts,
      head: text.decode(head),
      tail: text.decode(tail),
      writtenAt: new Date().toISOString(),
    };
    const json = new Blob([
      JSON.stringify(stored, (_key, value) => typeof value === "bigint" ? value.toString() : value),
    ]);
    const bytes = new Uint8Array(
      await new Response(json.stream().pipeThrough(new CompressionStream("gzip"))).arrayBuffer(),
    );
    const name = `${evidence.network}-${evidence.blockNumber}-${
      evidence.transactionHash.slice(2, 18)
    }-${Date.now()}${SUFFIX}`;
    if (bytes.length > this.maxBytes) throw new EvidenceTooLargeError(bytes.length, this.maxBytes);
    await Deno.mkdir(this.directory, { recursive: true });
    await this.#makeRoom(bytes.length);
    // Under its name it is whole, whenever the process ends.
    const unfinished = `${this.directory}/${UNFINISHED}`;
    await Deno.writeFile(unfinished, bytes);
    await Deno.rename(unfinished, `${this.directory}/${name}`);
    return { name, bytes: bytes.length };
  }

  async #makeRoom(bytes: number): Promise<void> {
    const files = await evidenceFiles(this.directory);
    let total = files.reduce((sum, file) => sum + file.bytes, 0);
    for (const file of files) {
      if (total + bytes <= this.maxBytes) return;
      await Deno.remove(`${this.directory}/${file.name}`);
      total -= file.bytes;
    }
  }
}

/** Files of the directory, oldest first; none where it does not exist. */
export async function evidenceFiles(directory: string): Promise<readonly EvidenceFile[]> {
  const files: EvidenceFile[] = [];
  try {
    for await (const entry of Deno.readDir(directory)) {
      if (!entry.isFile || !entry.name.endsWith(SUFFIX)) continue;
      const { size, mtime } = await Deno.stat(`${directory}/${entry.name}`);
      files.push({ name: entry.name, bytes: size, writtenMs: mtime?.getTime() ?? 0 });
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return files.sort((a, b) => a.writtenMs - b.writtenMs || a.name.localeCompare(b.name));
}

/** What a file of the directory holds. */
export async function readEvidence(directory: string, name: string): Promise<StoredEvidence> {
  const file = await Deno.open(`${directory}/${name}`);
  return await new Response(file.readable.pipeThrough(new DecompressionStream("gzip"))).json() as StoredEvidence;
}
