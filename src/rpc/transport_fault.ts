/**
 * Reads fetch's rejections. Deno tells the cause only in a text, so this is the one file that knows those texts; it is
 * tested against real faults.
 */
import type { TransportFault } from "./classify.ts";

const TEXTS: readonly (readonly [pattern: RegExp, fault: TransportFault])[] = [
  [/requests to port \d+ are blocked/i, "bad_port"],
  [/encountered redirect/i, "redirect"],
  [/dns error|failed to lookup address/i, "dns"],
  [/\(Connect\).*(tls|certificate|handshake|ssl)|invalid peer certificate/i, "tls"],
  [/\(Connect\)|connection refused|unreachable/i, "refused"],
  [/broken pipe|\(SendRequest\).*(error writing a body|body write aborted)/i, "request_cut"],
  [
    /connection closed before message completed|connection reset|connection error|\(SendRequest\).*(closed|canceled)/i,
    "reset",
  ],
  [/invalid http|\(SendRequest\)|parse/i, "not_http"],
];

/** Why fetch gave no response. `undefined`: the rejection is not a transport's (an abort of ours, a defect). */
export function faultOfFetch(error: unknown): TransportFault | undefined {
  if (!(error instanceof TypeError)) return undefined;
  const cause = error.cause instanceof Error ? error.cause.message : "";
  const text = `${error.message} ${cause}`;
  return TEXTS.find(([pattern]) => pattern.test(text))?.[1] ?? "reset";
}

/** Why a body ended early: whatever the reader's TypeError says, bytes are missing or cannot be inflated. */
export function faultOfBody(error: unknown): TransportFault | undefined {
  return error instanceof TypeError ? "cut" : undefined;
}
