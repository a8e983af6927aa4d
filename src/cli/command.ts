/**
 * What a command is, and how its arguments are read: one file per command exports `command`, `main.ts` lists them and
 * runs one with {@linkcode invoke}.
 */
import { parseArgs } from "node:util";
import { nearest } from "../config/nearest.ts";

/** The world as a command sees it, so that a test can be the world. */
export interface CommandIo {
  readonly stdin: ReadableStream<Uint8Array>;
  /** Stays open: a command releases its writer and does not close it. */
  readonly stdout: WritableStream<Uint8Array>;
  /** Writes one line to stderr; the newline is added. */
  stderr(line: string): void;
  /** Aborted when the user wants the command to end. */
  readonly signal: AbortSignal;
}

/** One word after `main.ts`. */
export interface Command {
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** The whole of `--help`. */
  readonly help: string;
  /**
   * @returns the exit code: 0 done, 1 failed, others as {@linkcode help} says.
   * @throws {UsageError} for arguments that it does not take ({@linkcode invoke} makes exit code 2 of it).
   */
  run(args: readonly string[], io: CommandIo): Promise<number>;
}

/** The arguments are not what the command takes. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Flags of a command: `text` takes a value, `switch` takes none. */
export type FlagKinds = Readonly<Record<string, "text" | "switch">>;

/** What was given for each flag of `F`; absent when it was not. */
export type Flags<F extends FlagKinds> = { readonly [K in keyof F]?: F[K] extends "text" ? string : boolean };

/**
 * Reads `--flag value`, `--flag=value` and, as far as `positionals` names them, words without a flag.
 *
 * @throws {UsageError} for an unknown flag (with the nearest known one), a missing or surplus value, a flag given
 * twice, or a surplus word.
 */
export function readFlags<const F extends FlagKinds>(
  args: readonly string[],
  kinds: F,
  positionals: readonly string[] = [],
): { readonly flags: Flags<F>; readonly words: readonly string[] } {
  const options = Object.fromEntries(
    Object.entries(kinds).map(([name, kind]) => [name, { type: kind === "text" ? "string" : "boolean" } as const]),
  );
  const { tokens } = parseArgs({ args: [...args], options, strict: false, allowPositionals: true, tokens: true });
  const flags: Record<string, string | boolean> = {};
  const words: string[] = [];
  for (const token of tokens) {
    if (token.kind === "positional") {
      if (words.length === positionals.length) throw new UsageError(`Cannot take "${token.value}" as an argument`);
      words.push(token.value);
    } else if (token.kind === "option") {
      const kind = Object.hasOwn(kinds, token.name) ? kinds[token.name] : undefined;
      if (kind === undefined) throw unknownFlag(token.rawName, Object.keys(kinds));
      if (token.name in flags) throw new UsageError(`Cannot take ${token.rawName} twice`);
      if (kind === "text" && token.value === undefined) {
        throw new UsageError(`Cannot take ${token.rawName} without a value`);
      }
      if (kind === "switch" && token.value !== undefined) {
        throw new UsageError(`Cannot take a value for ${token.rawName}: current value is "${token.value}"`);
      }
      flags[token.name] = token.value ?? true;
    }
  }
  return { flags: flags as Flags<F>, words };
}

function unknownFlag(given: string, known: readonly string[]): UsageError {
  const guess = nearest(given.replace(/^-+/, ""), known);
  const hint = guess === undefined ? "" : `: did you mean --${guess}?`;
  return new UsageError(`Cannot take ${given}, there is no such flag${hint}`);
}

/** `value` as one of `choices`, the first where it is absent. @throws {UsageError} with the choices. */
export function choice<const C extends readonly [string, ...string[]]>(
  flag: string,
  value: string | undefined,
  choices: C,
): C[number] {
  if (value === undefined) return choices[0];
  const found = choices.find((candidate) => candidate === value);
  if (found !== undefined) return found;
  throw new UsageError(`Cannot read ${flag} as one of ${choices.join(", ")}: current value is "${value}"`);
}

/** Runs a command: `--help` prints its help, wrong arguments end with exit code 2 and one line on stderr. */
export async function invoke(command: Command, args: readonly string[], io: CommandIo): Promise<number> {
  if (args.includes("--help") || args.includes("-h")) {
    await printText(io, command.help);
    return 0;
  }
  try {
    return await command.run(args, io);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    io.stderr(`${error.message}. See "${command.name} --help".`);
    return 2;
  }
}

/** Writes `text` and a newline, where it lacks one, to stdout. */
export async function printText(io: CommandIo, text: string): Promise<void> {
  const writer = io.stdout.getWriter();
  try {
    await writer.write(new TextEncoder().encode(text.endsWith("\n") ? text : `${text}\n`));
  } finally {
    writer.releaseLock();
  }
}
