/** The world of a command in memory, for tests. */
import type { CommandIo } from "../../src/cli/command.ts";

/** What a command left behind. */
export interface CommandOutcome {
  readonly code: number;
  readonly stdout: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly stderr: readonly string[];
}

/** What a command finds. */
export interface CommandWorld {
  readonly stdin?: ReadableStream<Uint8Array>;
  readonly signal?: AbortSignal;
}

/** Runs a command on `stdin` and collects what it writes. */
export async function outcomeOf(
  run: (io: CommandIo) => Promise<number>,
  { stdin = new Blob([]).stream(), signal = new AbortController().signal }: CommandWorld = {},
): Promise<CommandOutcome> {
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  const stderr: string[] = [];
  const stdout = new WritableStream<Uint8Array>({ write: (chunk) => void chunks.push(chunk.slice()) });
  const code = await run({ stdin, stdout, stderr: (line) => void stderr.push(line), signal });
  const bytes = await new Blob(chunks).bytes();
  return { code, bytes, stdout: new TextDecoder().decode(bytes), stderr };
}
