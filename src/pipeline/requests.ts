/**
 * What others ask of a leader, as text in the queue: only a leader may enqueue, so an operator's wish and a failed
 * verification travel as requests. Written by {@linkcode processRequest}, read by {@linkcode readRequest}.
 */
import { PipelineError } from "../errors.ts";
import type { LeaderRequest, Mode } from "../stages/queue/port.ts";

/** Process these blocks (again) for these processors; both ends of a range included. */
export interface ProcessRequest {
  readonly blocks: readonly number[] | { readonly from: number; readonly to: number };
  readonly processors: readonly string[];
  /** `process` waits its turn behind repair; `reprocess` does a block again that is complete. */
  readonly class: "process" | "reprocess";
}

/** A request of another version of the program, or damaged. */
export class RequestUnreadableError extends PipelineError {
  readonly code = "request_unreadable";
  readonly disposition = "dead";
}

/**
 * The request for the queue.
 *
 * @param key Repeats of it within a day are one request.
 * @param mode Whose leader is asked; absent: the one forwards, else backwards.
 */
export function processRequest(key: string, request: ProcessRequest, mode?: Mode): LeaderRequest {
  return { key, body: JSON.stringify(request), ...(mode === undefined ? {} : { mode }) };
}

/** The text of a request. @throws {RequestUnreadableError} naming what is wrong with it. */
export function readRequest(body: string): ProcessRequest {
  let found: unknown;
  try {
    found = JSON.parse(body);
  } catch {
    throw unreadable("it is not JSON");
  }
  if (typeof found !== "object" || found === null) throw unreadable("it is no object");
  const { blocks, processors, class: purpose } = found as Record<string, unknown>;
  if (purpose !== "process" && purpose !== "reprocess") throw unreadable(`its class is ${JSON.stringify(purpose)}`);
  if (!Array.isArray(processors) || !processors.every((name) => typeof name === "string")) {
    throw unreadable("its processors are no names");
  }
  return { blocks: readBlocks(blocks), processors, class: purpose };
}

function readBlocks(blocks: unknown): ProcessRequest["blocks"] {
  if (Array.isArray(blocks)) {
    if (!blocks.every(isNumber)) throw unreadable("its blocks are no numbers");
    return blocks;
  }
  if (typeof blocks !== "object" || blocks === null) throw unreadable("it names no blocks");
  const { from, to } = blocks as Record<string, unknown>;
  if (!isNumber(from) || !isNumber(to) || from > to) throw unreadable("its range of blocks is none");
  return { from, to };
}

function isNumber(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function unreadable(reason: string): RequestUnreadableError {
  return new RequestUnreadableError(`Cannot read a request to the leader: ${reason}`);
}
