/**
 * Which answers of ClickHouse are worth repeating. One table, by the server's error number; whatever is not an answer
 * of ClickHouse (a cut connection, a proxy's page, a time-out) is an outage, since nobody knows whether it was done.
 */
import { PipelineError, UnclassifiedError } from "../../errors.ts";
import { StorageRejectedError, StorageSetupError, StorageUnavailableError } from "./errors.ts";

/** What the server said. */
export interface ServerError {
  readonly code: number;
  /** Name of the code, e.g. `TOO_MANY_PARTS`. */
  readonly type: string;
  readonly message: string;
}

type Verdict = "retry" | "data" | "setup";

const VERDICTS: ReadonlyMap<number, Verdict> = new Map<number, Verdict>([
  // An outage or overload of the server, of its disk, its network, or of its coordination.
  [159, "retry"], // TIMEOUT_EXCEEDED
  [173, "retry"], // CANNOT_ALLOCATE_MEMORY
  [198, "retry"], // DNS_ERROR
  [201, "retry"], // QUOTA_EXCEEDED
  [202, "retry"], // TOO_MANY_SIMULTANEOUS_QUERIES
  [203, "retry"], // NO_FREE_CONNECTION
  [209, "retry"], // SOCKET_TIMEOUT
  [210, "retry"], // NETWORK_ERROR
  [225, "retry"], // NO_ZOOKEEPER
  [236, "retry"], // ABORTED
  [241, "retry"], // MEMORY_LIMIT_EXCEEDED
  [242, "retry"], // TABLE_IS_READ_ONLY
  [243, "retry"], // NOT_ENOUGH_SPACE
  [252, "retry"], // TOO_MANY_PARTS
  [279, "retry"], // ALL_CONNECTION_TRIES_FAILED
  [285, "retry"], // TOO_FEW_LIVE_REPLICAS
  [286, "retry"], // UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE
  [319, "retry"], // UNKNOWN_STATUS_OF_INSERT
  [373, "retry"], // SESSION_IS_LOCKED
  [394, "retry"], // QUERY_WAS_CANCELLED
  [425, "retry"], // SYSTEM_ERROR
  [439, "retry"], // CANNOT_SCHEDULE_TASK
  [999, "retry"], // KEEPER_EXCEPTION
  [1000, "retry"], // POCO_EXCEPTION: what the server's network library threw
  // The data, or what we made of it.
  [3, "data"], // UNEXPECTED_END_OF_FILE
  [6, "data"], // CANNOT_PARSE_TEXT
  [26, "data"], // CANNOT_PARSE_QUOTED_STRING
  [27, "data"], // CANNOT_PARSE_INPUT_ASSERTION_FAILED
  [32, "data"], // ATTEMPT_TO_READ_AFTER_EOF
  [33, "data"], // CANNOT_READ_ALL_DATA
  [36, "data"], // BAD_ARGUMENTS
  [38, "data"], // CANNOT_PARSE_DATE
  [41, "data"], // CANNOT_PARSE_DATETIME
  [53, "data"], // TYPE_MISMATCH
  [62, "data"], // SYNTAX_ERROR
  [117, "data"], // INCORRECT_DATA
  [131, "data"], // TOO_LARGE_STRING_SIZE
  [190, "data"], // SIZES_OF_ARRAYS_DONT_MATCH
  [349, "data"], // CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN
  [469, "data"], // VIOLATED_CONSTRAINT
  // What was configured or never applied.
  [16, "setup"], // NO_SUCH_COLUMN_IN_TABLE
  [47, "setup"], // UNKNOWN_IDENTIFIER
  [60, "setup"], // UNKNOWN_TABLE
  [81, "setup"], // UNKNOWN_DATABASE
  [115, "setup"], // UNKNOWN_SETTING
  [164, "setup"], // READONLY
  [192, "setup"], // UNKNOWN_USER
  [193, "setup"], // WRONG_PASSWORD
  [194, "setup"], // REQUIRED_PASSWORD
  [497, "setup"], // ACCESS_DENIED
  [516, "setup"], // AUTHENTICATION_FAILED
]);

/** The first line of what a server said: its messages can quote whole rows. */
function brief(text: string): string {
  return text.split("\n", 1)[0]!.slice(0, 500);
}

/** The server's answer as an error with a disposition. `doing`: what was being done, for the text. */
export function serverError(doing: string, answer: ServerError, cause?: unknown): PipelineError {
  const name = answer.type === "" ? "" : ` (${answer.type})`;
  const message = `Cannot ${doing}: ClickHouse answered code ${answer.code}${name}: ${brief(answer.message)}`;
  const facts = { serverCode: answer.code, cause };
  switch (VERDICTS.get(answer.code)) {
    case "retry":
      return new StorageUnavailableError(message, facts);
    case "data":
      return new StorageRejectedError(message, facts);
    case "setup":
      return new StorageSetupError(message, facts);
    default:
      return new UnclassifiedError(message, { cause });
  }
}

/** Anything but an answer of ClickHouse as an error with a disposition. */
export function transportError(doing: string, error: unknown): PipelineError {
  if (error instanceof PipelineError) return error;
  // fetch says no more than that it failed; its cause says why.
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const text = cause instanceof Error ? cause.message : String(cause);
  return new StorageUnavailableError(`Cannot ${doing}: ${brief(withoutUrl(text))}`, { cause: error });
}

/** fetch names the whole URL in its errors, settings and all. */
function withoutUrl(text: string): string {
  return text.replace(/https?:\/\/[^\s)]*/g, "the server");
}
