/** Exceptions as a ClickHouse server says them over HTTP: text, code and status. */
import { ChdbError } from "./chdb.ts";

/** An exception of the interface itself, in the words and with the code of the server. */
export class InterfaceError extends Error {
  override readonly name = "InterfaceError";

  /** @param status HTTP status, where it is not that of the code. */
  constructor(readonly code: number, readonly errorName: string, text: string, readonly status?: number) {
    super(`Code: ${code}. DB::Exception: ${text} (${errorName})`);
  }
}

/** One exception on the wire. */
export interface WireException {
  readonly code: number;
  /** HTTP status that the server answers with, as long as nothing was sent. */
  readonly status: number;
  readonly text: string;
}

/** `UNKNOWN_EXCEPTION` of the server. */
const UNKNOWN = 1002;

/**
 * Exception codes whose HTTP status is not 500.
 *
 * @see ClickHouse `src/Server/HTTP/exceptionCodeToHTTPStatus.cpp`
 */
const STATUS: readonly (readonly [status: number, codes: readonly number[]])[] = [
  [401, [194]],
  [403, [192, 193, 516, 512, 497]],
  [400, [36, 427, 6, 25, 26, 38, 41, 72, 441, 675, 676, 27, 376, 15, 44, 37, 123, 8, 167, 168, 223, 62, 117, 53, 321]],
  [404, [60, 46, 47, 50, 56, 81, 115, 152, 63, 73, 336, 78, 511]],
  [413, [229]],
  [501, [48]],
  [503, [209, 76, 439]],
  [411, [381]],
  [408, [159]],
  [415, [779]],
];

const statusOfCode = new Map(STATUS.flatMap(([status, codes]) => codes.map((code) => [code, status] as const)));

/** What `error` looks like on the wire; whatever is not an exception of the engine becomes code 1002. */
export function toWire(error: unknown, version: string): WireException {
  const message = error instanceof Error ? error.message : String(error);
  const known = error instanceof ChdbError || error instanceof InterfaceError;
  const code = known ? Number(/^Code: (\d+)\./.exec(message)?.[1] ?? UNKNOWN) : UNKNOWN;
  const worded = code === UNKNOWN && !message.startsWith("Code:")
    ? `Code: ${UNKNOWN}. DB::Exception: ${message} (UNKNOWN_EXCEPTION)`
    : message;
  const text = worded.includes("(version ") ? worded : `${worded} (version ${version})`;
  const status = error instanceof InterfaceError ? error.status : undefined;
  return { code, status: status ?? statusOfCode.get(code) ?? 500, text: `${text.trimEnd()}\n` };
}
