/**
 * What a failed answer means: the one place that reads texts of nodes. The table is data, first match wins, rows of the
 * client's family stand before rows of any; each row has a recorded body in `tests/fixtures/rpc`.
 */
import type { Action, CallClass, Failure } from "./port.ts";

/** What the transport saw, in its own words. */
export type TransportFault =
  | "refused"
  | "dns"
  | "tls"
  | "reset"
  | "first_byte_timeout"
  | "stalled"
  | "timeout"
  | "cut"
  | "not_http"
  | "redirect"
  | "too_large"
  | "request_cut"
  | "bad_port";

/** What is wrong with a document that arrived. */
export type DocumentFault = "not_json" | "trailing_bytes" | "no_id" | "foreign_id" | "neither" | "undecodable";

/** All that is known of a failed call. */
export interface Evidence {
  /** Family of the client, empty while unknown. */
  readonly family: string;
  readonly class: CallClass;
  readonly method: string;
  /** The call was one item of a batch. */
  readonly batch?: boolean;
  readonly transport?: TransportFault;
  readonly document?: DocumentFault;
  readonly httpStatus?: number;
  /** `retry-after` header. */
  readonly retryAfter?: string;
  /** The `error` member, or an error inside `result`. */
  readonly error?: unknown;
  /** `error` came with an error inside `result`, or the document is one of a known broken form. */
  readonly inside?: boolean;
  /** The result was `null` for something asked by hash or number. */
  readonly absent?: boolean;
  /** First characters of a body that is no JSON-RPC answer. */
  readonly body?: string;
  readonly bytes?: number;
  /** What was sent: told where the node says that we made a mistake. */
  readonly request?: string;
}

interface Facts {
  readonly evidence: Evidence;
  readonly code: number | undefined;
  /** Lower-case text of the error, or of the body. */
  readonly text: string;
}

/** One line of the table; what it names must all fit. */
export interface Row {
  /** Name, a metric label; the recorded body of the row carries it. */
  readonly reason: string;
  readonly action: Action;
  /** Absent: any. */
  readonly families?: readonly string[];
  readonly codes?: readonly number[];
  readonly text?: RegExp;
  readonly http?: readonly number[];
  readonly transport?: readonly TransportFault[];
  readonly document?: readonly DocumentFault[];
  readonly when?: (facts: Facts) => boolean;
  readonly capability?: "method" | "state";
  readonly connection?: true;
}

const isTrace = (facts: Facts) => facts.evidence.class === "trace";
const isError = (facts: Facts) => facts.evidence.error !== undefined;

/** Rows in order of judgement: a row needs all that it names. */
export const TABLE: readonly Row[] = [
  // Families.
  {
    reason: "indexing",
    action: "same",
    families: ["geth"],
    text: /transaction indexing is in progress/,
  },
  { reason: "genesis", action: "answer", families: ["geth"], text: /genesis is not traceable/ },
  {
    reason: "too_many_concurrent",
    action: "overload",
    families: ["nethermind"],
    text: /too many concurrent requests|limitexceeded|limit exceeded/,
  },
  { reason: "execution_timeout", action: "split", families: ["geth"], codes: [-32000], text: /execution timeout/ },
  { reason: "request_timed_out", action: "split", families: ["geth"], codes: [-32002], text: /request timed out/ },
  {
    reason: "execution_timeout",
    action: "split",
    families: ["erigon"],
    text: /execution aborted \(timeout|execution timeout/,
  },
  { reason: "execution_timeout", action: "split", families: ["nethermind"], codes: [-32017] },
  { reason: "response_too_large", action: "split", families: ["geth"], codes: [-32003], text: /response too large/ },
  { reason: "batch_too_large", action: "split", families: ["geth", "erigon"], text: /batch too large|batch limit/ },
  { reason: "response_too_large", action: "split", families: ["revm"], codes: [-32008] },
  {
    reason: "state_missing",
    action: "depth",
    families: ["geth", "nethermind", "besu"],
    capability: "state",
    text:
      /missing trie node|required historical state unavailable|historical state.*not available|pruned|no state available/,
  },
  {
    reason: "error_inside_result",
    action: "other",
    families: ["nethermind"],
    when: ({ evidence }) => !!evidence.inside,
  },
  {
    reason: "broken_envelope",
    action: "other",
    families: ["erigon"],
    document: ["not_json"],
    text: /"structlogs":\[\{"structlogs":|nullnull/,
  },
  // The same texts of unknown clients.
  { reason: "indexing", action: "same", text: /transaction indexing is in progress/ },
  {
    reason: "execution_timeout",
    action: "split",
    when: isTrace,
    text: /execution timeout|execution aborted \(timeout|request timed out/,
  },
  { reason: "response_too_large", action: "split", text: /response (is )?too (large|big)|exceeded max limit/ },
  {
    reason: "batch_too_large",
    action: "split",
    text: /batch (size )?(is )?too (large|big)|batch limit|too many batch/,
  },
  {
    reason: "state_missing",
    action: "depth",
    capability: "state",
    text:
      /missing trie node|required historical state unavailable|historical state.*not available|no state available|state.*pruned/,
  },
  { reason: "error_inside_result", action: "other", when: ({ evidence }) => !!evidence.inside },
  // Any.
  { reason: "refused", action: "other", transport: ["refused"], connection: true },
  { reason: "dns", action: "other", transport: ["dns"], connection: true },
  { reason: "tls", action: "other", transport: ["tls"], connection: true },
  { reason: "reset", action: "other", transport: ["reset", "not_http"], connection: true },
  { reason: "first_byte_timeout", action: "other", transport: ["first_byte_timeout"] },
  { reason: "request_cut", action: "split", transport: ["request_cut"] },
  { reason: "stalled", action: "other", transport: ["stalled"] },
  { reason: "timeout", action: "other", transport: ["timeout"] },
  { reason: "cut", action: "other", transport: ["cut"] },
  { reason: "reply_too_large", action: "split", transport: ["too_large"] },
  { reason: "redirect", action: "fatal", transport: ["redirect"] },
  { reason: "refused_port", action: "fatal", transport: ["bad_port"] },
  { reason: "rate_limit", action: "limit", codes: [-32005, -32016, -32012, -32007, -32055, 429] },
  { reason: "rate_limit", action: "limit", http: [429] },
  {
    reason: "rate_limit",
    action: "limit",
    when: isError,
    text: /too many requests|rate limit|rate exceeded|request limit/,
  },
  { reason: "not_permitted", action: "depth", capability: "method", http: [401, 402, 403] },
  {
    reason: "not_permitted",
    action: "depth",
    capability: "method",
    codes: [401, 402, 403],
  },
  {
    reason: "not_permitted",
    action: "depth",
    capability: "method",
    when: isError,
    text: /\bplan\b|\bbilling\b|\bapi key\b/,
  },
  { reason: "gateway", action: "overload", http: [502, 503, 504, 520, 521, 522, 523, 524] },
  { reason: "too_large_request", action: "split", http: [413], when: ({ evidence }) => !!evidence.batch },
  { reason: "too_large_request", action: "dead", http: [413] },
  { reason: "wrong_path", action: "fatal", http: [404, 405] },
  { reason: "method_off", action: "depth", capability: "method", codes: [-32601] },
  {
    reason: "method_off",
    action: "depth",
    capability: "method",
    when: isError,
    text: /method .*(not available|not enabled|does not exist|not supported|not found)/,
  },
  { reason: "bad_request", action: "dead", codes: [-32602, -32700] },
  { reason: "bad_request", action: "dead", codes: [-32600], when: ({ evidence }) => !evidence.batch },
  { reason: "absent", action: "missing", when: ({ evidence }) => !!evidence.absent },
  {
    reason: "not_found",
    action: "missing",
    when: isError,
    text: /header not found|unknown block|transaction .*not found|block #?\w* ?not found|block not found/,
  },
  { reason: "internal_server_error", action: "other", http: [500] },
  {
    reason: "malformed",
    action: "other",
    document: ["not_json", "trailing_bytes", "no_id", "foreign_id", "neither", "undecodable"],
    when: ({ evidence }) => evidence.httpStatus === undefined || evidence.httpStatus === 200,
  },
];

/** Longest text kept of a node's words. */
const TEXT_BYTES = 1_024;

/** Judges a failed call of one node. */
export function classify(evidence: Evidence, node: string): Failure {
  const { code, message } = readError(evidence.error);
  const words = message || evidence.body || evidence.transport || evidence.document || "";
  const facts = factsOf(evidence);
  const row = rowOf(facts) ?? UNCLASSIFIED;
  const text = row.reason === "bad_request" && evidence.request !== undefined
    ? `${words.slice(0, TEXT_BYTES / 2)} (asked: ${evidence.request})`
    : words;
  const retryAfterMs = readRetryAfter(evidence);
  const capBytes = /exceeded max limit of (\d+)/.exec(facts.text)?.[1];
  return {
    class: evidence.class,
    method: evidence.method,
    node,
    action: row.action,
    reason: row.reason,
    text: withoutUrls(text).slice(0, TEXT_BYTES),
    bytes: evidence.bytes ?? 0,
    ...(code === undefined ? {} : { code }),
    ...(evidence.httpStatus === undefined || evidence.httpStatus === 200 ? {} : { httpStatus: evidence.httpStatus }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    ...(capBytes === undefined ? {} : { capBytes: Number(capBytes) }),
    ...(row.capability === undefined ? {} : { capability: row.capability }),
    ...(row.connection || (row.reason === "first_byte_timeout" && evidence.class === "head")
      ? { connection: true }
      : {}),
  };
}

/** The row of {@linkcode TABLE} that judges this evidence; absent: none does. */
export function judge(evidence: Evidence): Row | undefined {
  return rowOf(factsOf(evidence));
}

function factsOf(evidence: Evidence): Facts {
  const { code, message, detail } = readError(evidence.error);
  return { evidence, code, text: `${message} ${detail} ${evidence.body ?? ""}`.toLowerCase() };
}

function rowOf(facts: Facts): Row | undefined {
  return TABLE.find((candidate) => matches(candidate, facts));
}

const UNCLASSIFIED: Row = { reason: "unclassified", action: "other" };

function matches(row: Row, facts: Facts): boolean {
  const { evidence, code, text } = facts;
  return (row.families === undefined || row.families.includes(evidence.family)) &&
    (row.codes === undefined || (code !== undefined && row.codes.includes(code))) &&
    (row.http === undefined || (evidence.httpStatus !== undefined && row.http.includes(evidence.httpStatus))) &&
    (row.transport === undefined || (evidence.transport !== undefined && row.transport.includes(evidence.transport))) &&
    (row.document === undefined || (evidence.document !== undefined && row.document.includes(evidence.document))) &&
    (row.text === undefined || row.text.test(text)) &&
    (row.when === undefined || row.when(facts));
}

/** `error` in all the forms in which nodes and gateways write it. */
function readError(error: unknown): { code: number | undefined; message: string; detail: string } {
  if (error === undefined) return { code: undefined, message: "", detail: "" };
  if (typeof error !== "object" || error === null) return { code: undefined, message: String(error), detail: "" };
  const { code, message, data } = error as { code?: unknown; message?: unknown; data?: unknown };
  const number = typeof code === "string" && /^-?\d+$/.test(code) ? Number(code) : code;
  return {
    code: typeof number === "number" ? number : undefined,
    message: typeof message === "string" ? message : JSON.stringify(error),
    detail: data === undefined ? "" : typeof data === "string" ? data : JSON.stringify(data),
  };
}

/** `Retry-After` (seconds or a date) or `data.rate.backoff_seconds`. */
function readRetryAfter({ retryAfter, error }: Evidence): number | undefined {
  const rate = (error as { data?: { rate?: { backoff_seconds?: unknown } } } | undefined)?.data?.rate;
  if (typeof rate?.backoff_seconds === "number") return Math.max(0, rate.backoff_seconds * 1000);
  if (retryAfter === undefined) return undefined;
  const seconds = Number(retryAfter);
  if (Number.isFinite(seconds)) return Math.max(0, seconds * 1000);
  const date = Date.parse(retryAfter);
  return Number.isNaN(date) ? undefined : Math.max(0, date - Date.now());
}

function withoutUrls(text: string): string {
  return text.replaceAll(/\b(?:https?|wss?):\/\/[^\s"'<>)]+/g, "<url>");
}
