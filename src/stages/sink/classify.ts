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
  [74, "retry"], // CANNOT_READ_FROM_FILE_DESCRIPTOR
  [75, "retry"], // CANNOT_WRITE_TO_FILE_DESCRIPTOR: a full disk, where no space was reserved
  [76, "retry"], // CANNOT_OPEN_FILE
  [77, "retry"], // CANNOT_CLOSE_FILE
  [159, "retry"], // TIMEOUT_EXCEEDED
  [172, "retry"], // CANNOT_CREATE_DIRECTORY
  [173, "retry"], // CANNOT_ALLOCATE_MEMORY
  [198, "retry"], // DNS_ERROR
  [201, "retry"], // QUOTA_EXCEEDED
  [202, "retry"], // TOO_MANY_SIMULTANEOUS_QUERIES
  [203, "retry"], // NO_FREE_CONNECTION
  [204, "retry"], // CANNOT_FSYNC
  [209, "retry"], // SOCKET_TIMEOUT
  [210, "retry"], // NETWORK_ERROR
  [225, "retry"], // NO_ZOOKEEPER
  [236, "retry"], // ABORTED
  [241, "retry"], // MEMORY_LIMIT_EXCEEDED
  [242, "retry"], // TABLE_IS_READ_ONLY
  [243, "retry"], // NOT_ENOUGH_SPACE
  [244, "retry"], // UNEXPECTED_ZOOKEEPER_ERROR
  [252, "retry"], // TOO_MANY_PARTS
  [254, "retry"], // NO_ACTIVE_REPLICAS
  [279, "retry"], // ALL_CONNECTION_TRIES_FAILED
  [285, "retry"], // TOO_FEW_LIVE_REPLICAS
  [286, "retry"], // UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE
  [297, "retry"], // SHARD_HAS_NO_CONNECTIONS
  [319, "retry"], // UNKNOWN_STATUS_OF_INSERT
  [341, "retry"], // UNFINISHED: a delete that was interrupted
  [364, "retry"], // RECEIVED_ERROR_TOO_MANY_REQUESTS
  [373, "retry"], // SESSION_IS_LOCKED
  [394, "retry"], // QUERY_WAS_CANCELLED
  [416, "retry"], // REPLICA_STATUS_CHANGED
  [425, "retry"], // SYSTEM_ERROR
  [439, "retry"], // CANNOT_SCHEDULE_TASK
  [473, "retry"], // DEADLOCK_AVOIDED
  [499, "retry"], // S3_ERROR
  [519, "retry"], // NO_REMOTE_SHARD_AVAILABLE
  [574, "retry"], // DISTRIBUTED_TOO_MANY_PENDING_BYTES
  [692, "retry"], // TOO_MANY_MUTATIONS
  [696, "retry"], // ASYNC_LOAD_CANCELED: the server ends while it begins
  [700, "retry"], // USER_SESSION_LIMIT_EXCEEDED
  [722, "retry"], // ASYNC_LOAD_WAIT_FAILED
  [733, "retry"], // TABLE_IS_BEING_RESTARTED
  [735, "retry"], // QUERY_WAS_CANCELLED_BY_CLIENT
  [745, "retry"], // SERVER_OVERLOADED
  [749, "retry"], // TCP_CONNECTION_LIMIT_REACHED
  [762, "retry"], // HTTP_CONNECTION_LIMIT_REACHED
  [777, "retry"], // MEMORY_RESERVATION_KILLED
  [778, "retry"], // MEMORY_RESERVATION_FAILED
  [999, "retry"], // KEEPER_EXCEPTION
  // What is no exception of ClickHouse's own says nothing of the data: its network, its file system, its memory.
  [1000, "retry"], // POCO_EXCEPTION
  [1001, "retry"], // STD_EXCEPTION
  [1002, "retry"], // UNKNOWN_EXCEPTION
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
  [195, "setup"], // IP_ADDRESS_NOT_ALLOWED
  [291, "setup"], // DATABASE_ACCESS_DENIED
  [452, "setup"], // SETTING_CONSTRAINT_VIOLATION
  [471, "setup"], // INVALID_SETTING_VALUE
  [472, "setup"], // READONLY_SETTING
  [497, "setup"], // ACCESS_DENIED
  [516, "setup"], // AUTHENTICATION_FAILED
  [701, "setup"], // CLUSTER_DOESNT_EXIST
  [720, "setup"], // USER_EXPIRED
  [774, "setup"], // TABLE_IS_PERMANENTLY_READ_ONLY
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
