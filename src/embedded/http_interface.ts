/**
 * ClickHouse's HTTP interface over the library: what a server answers, so that any client of a server works unchanged.
 *
 * @see https://clickhouse.com/docs/interfaces/http
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { Admission } from "./admission.ts";
import { type Chdb, ChdbError, type Connection, type Counters, type ResultStream } from "./chdb.ts";
import { InterfaceError, toWire, type WireException } from "./exceptions.ts";
import { RequestBytes } from "./request_bytes.ts";
import { type Lease, type SessionChoice, Sessions } from "./sessions.ts";
import { clientFeature, isConcatenable, readHead, readShape } from "./statement.ts";

/** What the interface is told. */
export interface HttpInterfaceOptions {
  readonly user: string;
  readonly password: string;
  /** Arguments of every connection. */
  readonly connectArgs: readonly string[];
  readonly maxRunning: number;
  readonly maxWaiting: number;
  readonly maxSessions: number;
  /** Longest silence of a client that is sending its body. */
  readonly bodyStallMs: number;
}

const NO_PARAMS: ReadonlyMap<string, string> = new Map();

/** URL parameters that are not settings. */
const RESERVED = new Set([
  "query",
  "database",
  "default_format",
  "user",
  "password",
  "query_id",
  "session_id",
  "session_timeout",
  "session_check",
  "close_session",
  "wait_end_of_query",
  "buffer_size",
  "quota_key",
  "role",
  "stacktrace",
  "compress",
  "decompress",
]);

/** Bytes of a result that are held back before the status is sent, as a server's buffer does: errors come as errors. */
const RESULT_BUFFER_BYTES = 1024 * 1024;
/** Bound of a statement's text. */
const STATEMENT_BYTES = 16 * 1024 * 1024;
/** First look at a request for the head of an INSERT; doubled until it is found. */
const HEAD_BYTES = 64 * 1024;
const HEAD_LIMIT_BYTES = 1024 * 1024;
const DRAIN_BYTES = 1024 * 1024 * 1024;
const MAX_SESSION_TIMEOUT_S = 3600;
const DEFAULT_SESSION_TIMEOUT_S = 60;
/** Between two attempts to end a statement whose client has gone: it may not have begun yet. */
const KILL_EVERY_MS = 100;
/** What runs when the server ends may finish for as long, then it is ended. */
const FINISH_WITHIN_MS = 200;
/** Between two looks whether it has. */
const LOOK_EVERY_MS = 10;

/**
 * A setting without effect here that names a running statement, so that it can be found and ended: the engine chooses
 * its own query ids, and `log_comment` belongs to the client.
 */
const MARK = "send_logs_source_regexp";

const CONTENT_TYPES: readonly (readonly [prefix: RegExp, type: string])[] = [
  [
    /^(jsoneachrow|jsonlines|ndjson|jsoncompacteachrow|jsonstringseachrow|jsoncompactstringseachrow)/i,
    "application/x-ndjson; charset=UTF-8",
  ],
  [/^json/i, "application/json; charset=UTF-8"],
  [/^(tsv|tabseparated)/i, "text/tab-separated-values; charset=UTF-8"],
  [/^csv/i, "text/csv; charset=UTF-8; header=absent"],
  [/^(rowbinary|native|parquet|arrow|orc|avro|msgpack|protobuf|capnproto|rawblob|npy)/i, "application/octet-stream"],
  [/^xml/i, "application/xml; charset=UTF-8"],
];

/** Request parameters, read once. */
interface Query {
  readonly id: string;
  readonly startedAt: number;
  readonly mark: string;
  readonly params: URLSearchParams;
  readonly settings: ReadonlyMap<string, string>;
  readonly values: ReadonlyMap<string, string>;
  readonly database: string | undefined;
  readonly format: string;
  readonly readOnly: boolean;
  readonly whole: boolean;
  readonly gzip: boolean;
  readonly signal: AbortSignal;
}

/** Answers requests. */
export class HttpInterface {
  readonly #chdb: Chdb;
  readonly #control: Connection;
  readonly #options: HttpInterfaceOptions;
  readonly #credentials: Uint8Array;
  readonly #admission: Admission;
  readonly #sessions: Sessions;
  readonly #running = new Set<string>();
  readonly #version: string;
  readonly #timezone: string;
  #ending = false;

  private constructor(
    chdb: Chdb,
    control: Connection,
    options: HttpInterfaceOptions,
    version: string,
    timezone: string,
  ) {
    this.#chdb = chdb;
    this.#control = control;
    this.#options = options;
    this.#credentials = digest(options.user, options.password);
    this.#admission = new Admission(options.maxRunning, options.maxWaiting);
    this.#sessions = new Sessions(chdb, options.connectArgs, options.maxSessions);
    this.#version = version;
    this.#timezone = timezone;
  }

  /** @param control a connection that serves nothing but ending statements. */
  static async open(chdb: Chdb, control: Connection, options: HttpInterfaceOptions): Promise<HttpInterface> {
    const { body } = await control.run("SELECT version(), timezone()", "TSV", NO_PARAMS);
    const [version, timezone] = new TextDecoder().decode(body).trimEnd().split("\t");
    return new HttpInterface(chdb, control, options, version!, timezone!);
  }

  /** The engine's version, e.g. `26.7.2.1`. */
  get version(): string {
    return this.#version;
  }

  /** Begins nothing new, lets what runs finish for a moment, ends it then, and closes the connections. */
  async close(): Promise<void> {
    this.#ending = true;
    const killAt = performance.now() + FINISH_WITHIN_MS;
    while (this.#running.size > 0) {
      if (performance.now() > killAt) {
        // It may refuse, short of memory or threads: the process ends in any case.
        await this.#control.run("KILL QUERY WHERE 1 ASYNC", "Null", NO_PARAMS).catch(() => {});
      }
      await pause(LOOK_EVERY_MS);
    }
    await this.#sessions.close();
    await this.#control.close();
  }

  /** The answer to one request; never rejects. */
  async handle(request: Request): Promise<Response> {
    const url = new URL(request.url);
    if (url.pathname === "/ping" || url.pathname === "/replicas_status") return new Response("Ok.\n");
    if (url.pathname !== "/") return new Response(`There is no handle ${url.pathname}\n`, { status: 404 });
    if (request.method !== "GET" && request.method !== "POST") {
      return new Response(`There is no handle for ${request.method} ${url.pathname}\n`, { status: 404 });
    }
    const params = url.searchParams;
    if (request.method === "GET" && !params.has("query")) return new Response("Ok.\n");
    const id = params.get("query_id") || crypto.randomUUID();
    let bytes: RequestBytes | undefined;
    try {
      this.#authenticate(request.headers, params);
      const query = readQuery(request, params, id);
      const prefix = params.get("query");
      bytes = new RequestBytes(prefix ? `${prefix}\n` : "", plainBody(request), this.#options.bodyStallMs);
      return await this.#execute(query, bytes);
    } catch (error) {
      // Whatever it failed with while the server ends says nothing of the request.
      const exception = toWire(this.#ending ? shuttingDown() : error, this.#version);
      await bytes?.drain(DRAIN_BYTES);
      return this.#failed(id, exception);
    }
  }

  #authenticate(headers: Headers, params: URLSearchParams): void {
    const [user, password] = credentials(headers, params);
    if (timingSafeEqual(digest(user, password), this.#credentials)) return;
    throw new InterfaceError(
      516,
      "AUTHENTICATION_FAILED",
      `${user}: Authentication failed: password is incorrect, or there is no user with such name.`,
    );
  }

  async #execute(query: Query, bytes: RequestBytes): Promise<Response> {
    if (this.#running.has(query.id)) {
      throw new InterfaceError(
        216,
        "QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING",
        `Query with id = ${query.id} is already running.`,
      );
    }
    this.#running.add(query.id);
    const ends: Array<(failed: boolean) => unknown> = [() => this.#running.delete(query.id)];
    // Runs once: when the answer is complete, when it fails, or when the client has gone.
    const finish = async (failed: boolean) => {
      for (const end of ends.splice(0).reverse()) await end(failed);
    };
    try {
      const place = await this.#admission.enter(query.signal);
      ends.push(() => place[Symbol.dispose]());
      if (this.#ending) throw shuttingDown();
      const lease = await this.#sessions.lease(sessionChoice(query.params));
      let broken = false;
      ends.push(() => lease.end(broken));
      const restore = await applySettings(lease, query);
      ends.push(async () => {
        broken = !await restore();
      });
      return await this.#run(lease.connection, query, bytes, ends, finish);
    } catch (error) {
      await finish(true);
      throw error;
    }
  }

  async #run(
    connection: Connection,
    query: Query,
    bytes: RequestBytes,
    ends: Array<(failed: boolean) => unknown>,
    finish: (failed: boolean) => Promise<void>,
  ): Promise<Response> {
    const insert = await insertOf(bytes);
    if (insert !== undefined) {
      if (query.readOnly) throw readOnlyError();
      const format = insert.format ?? query.params.get("default_format") ?? "Values";
      const counters = await insertRows(connection, insert.statement, format, query, bytes.parts(insert.rowsAt));
      await finish(false);
      return this.#answer(query, format, null, {
        ...counters,
        readRows: counters.writtenRows,
        readBytes: counters.writtenBytes,
        resultRows: counters.writtenRows,
        resultBytes: counters.writtenBytes,
      });
    }
    const sql = await statementText(bytes);
    assertForServer(sql);
    const { single, readOnly } = await classify(connection, sql);
    if (query.readOnly && !readOnly) throw readOnlyError();
    const shape = readShape(sql);
    const format = shape.format ?? query.format;
    ends.push(this.#killOnAbort(query));
    const streamed = single && readOnly && shape.select && !shape.totals && isConcatenable(format) &&
      !query.whole && query.params.get("extremes") !== "1";
    if (!streamed) {
      // One statement by the engine's own parser, and without rows in its text: safe for the whole-result call.
      const { body, counters } = await connection.run(engineText(sql), query.format, query.values);
      await finish(false);
      return this.#answer(query, format, body, counters);
    }
    const result = await connection.stream(sql, query.format, query.values);
    ends.push(() => result.cancel());
    const { parts, ended } = await gather(result, RESULT_BUFFER_BYTES);
    if (ended) {
      await finish(false);
      return this.#answer(query, format, concat(parts), result.counters);
    }
    const tag = crypto.randomUUID().replaceAll("-", "").slice(0, 16);
    const body = new ReadableStream(resultSource(result, parts, tag, (error) => toWire(error, this.#version), finish), {
      highWaterMark: 0,
    });
    return this.#answer(query, format, body, result.counters, { "X-ClickHouse-Exception-Tag": tag });
  }

  /** Ends the statement in the engine when the client goes; the result stops the watch. */
  #killOnAbort(query: Query): () => void {
    let over = false;
    const kill = async () => {
      while (!over) {
        await this.#control.run(`KILL QUERY WHERE Settings['${MARK}'] = '${query.mark}' ASYNC`, "Null", NO_PARAMS);
        await pause(KILL_EVERY_MS);
      }
    };
    const start = () => void kill().catch(() => {});
    if (query.signal.aborted) start();
    else query.signal.addEventListener("abort", start, { once: true });
    return () => {
      over = true;
      query.signal.removeEventListener("abort", start);
    };
  }

  #headers(id: string): Headers {
    return new Headers({
      "X-ClickHouse-Query-Id": id,
      "X-ClickHouse-Server-Display-Name": "embedded",
      "X-ClickHouse-Timezone": this.#timezone,
    });
  }

  #answer(
    query: Query,
    format: string,
    body: Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array<ArrayBuffer>> | null,
    counters: Counters,
    more: Readonly<Record<string, string>> = {},
  ): Response {
    const headers = this.#headers(query.id);
    headers.set(
      "Content-Type",
      CONTENT_TYPES.find(([prefix]) => prefix.test(format))?.[1] ?? "text/plain; charset=UTF-8",
    );
    headers.set("X-ClickHouse-Format", format);
    headers.set("X-ClickHouse-Summary", summary(counters, performance.now() - query.startedAt));
    for (const [name, value] of Object.entries(more)) headers.set(name, value);
    if (!query.gzip || body === null || (body instanceof Uint8Array && body.length === 0)) {
      return new Response(body, { headers });
    }
    headers.set("Content-Encoding", "gzip");
    const plain = body instanceof Uint8Array ? new Blob([body]).stream() : body;
    return new Response(gzipped(plain), { headers });
  }

  #failed(id: string, exception: WireException): Response {
    const headers = this.#headers(id);
    headers.set("Content-Type", "text/plain; charset=UTF-8");
    headers.set("X-ClickHouse-Exception-Code", String(exception.code));
    if (this.#ending) headers.set("Connection", "close");
    headers.set("X-ClickHouse-Summary", summary(EMPTY, 0));
    return new Response(exception.text, { status: exception.status, headers });
  }
}

const EMPTY: Counters = {
  resultRows: 0n,
  resultBytes: 0n,
  readRows: 0n,
  readBytes: 0n,
  writtenRows: 0n,
  writtenBytes: 0n,
};

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function digest(user: string, password: string): Uint8Array {
  return createHash("sha256").update(JSON.stringify([user, password])).digest();
}

/** Header pair, then Basic, then URL, as a server looks for them. */
function credentials(headers: Headers, params: URLSearchParams): readonly [user: string, password: string] {
  const user = headers.get("X-ClickHouse-User");
  const key = headers.get("X-ClickHouse-Key");
  if (user !== null || key !== null) return [user ?? "default", key ?? ""];
  const basic = /^Basic (.*)$/i.exec(headers.get("Authorization") ?? "")?.[1];
  if (basic !== undefined) {
    const [name, ...rest] = new TextDecoder().decode(Uint8Array.from(decodeBase64(basic), (char) => char.charCodeAt(0)))
      .split(":");
    return [name!, rest.join(":")];
  }
  return [params.get("user") ?? "default", params.get("password") ?? ""];
}

function decodeBase64(text: string): string {
  try {
    return atob(text);
  } catch {
    return "";
  }
}

function readQuery(request: Request, params: URLSearchParams, id: string): Query {
  if (params.get("compress") === "1" || params.get("decompress") === "1") {
    throw new InterfaceError(48, "NOT_IMPLEMENTED", "compress and decompress are not supported: use HTTP compression");
  }
  const role = params.get("role");
  if (role !== null) throw new InterfaceError(511, "UNKNOWN_ROLE", `There is no role \`${role}\` in user directories`);
  const settings = new Map<string, string>();
  const values = new Map<string, string>();
  for (const [name, value] of params) {
    if (name.startsWith("param_")) values.set(name.slice("param_".length), value);
    else if (!RESERVED.has(name)) settings.set(name, value);
  }
  const accepts = (request.headers.get("Accept-Encoding") ?? "").split(",").map((coding) =>
    coding.split(";")[0]!.trim()
  );
  return {
    id,
    startedAt: performance.now(),
    mark: crypto.randomUUID(),
    params,
    settings,
    values,
    database: params.get("database") || request.headers.get("X-ClickHouse-Database") || undefined,
    format: params.get("default_format") || request.headers.get("X-ClickHouse-Format") || "TabSeparated",
    readOnly: request.method === "GET",
    whole: params.get("wait_end_of_query") === "1",
    gzip: params.get("enable_http_compression") === "1" && accepts.includes("gzip"),
    signal: request.signal,
  };
}

function sessionChoice(params: URLSearchParams): SessionChoice | undefined {
  const id = params.get("session_id");
  if (id === null || id === "") return undefined;
  const timeout = params.get("session_timeout") ?? String(DEFAULT_SESSION_TIMEOUT_S);
  if (!/^\d+$/.test(timeout)) {
    throw new InterfaceError(374, "INVALID_SESSION_TIMEOUT", `Invalid session timeout: '${timeout}'`);
  }
  if (Number(timeout) > MAX_SESSION_TIMEOUT_S) {
    throw new InterfaceError(
      374,
      "INVALID_SESSION_TIMEOUT",
      `Session timeout '${timeout}' is larger than max_session_timeout: ${MAX_SESSION_TIMEOUT_S}.`,
    );
  }
  return { id, timeoutMs: Number(timeout) * 1000, mustExist: params.get("session_check") === "1" };
}

/** The body without its HTTP compression. */
function plainBody(request: Request): ReadableStream<Uint8Array<ArrayBuffer>> | null {
  const coding = (request.headers.get("Content-Encoding") ?? "").toLowerCase();
  if (request.body === null || coding === "" || coding === "identity") return request.body;
  if (coding !== "gzip" && coding !== "deflate") {
    throw new InterfaceError(
      89,
      "UNKNOWN_COMPRESSION_METHOD",
      `Unknown compression method ${coding}. Only gzip and deflate are supported here`,
    );
  }
  return request.body.pipeThrough(new DecompressionStream(coding));
}

/**
 * Gives the connection the settings and the database of the request.
 *
 * @returns sets back what a session had before; `false` when that failed.
 */
async function applySettings(lease: Lease, query: Query): Promise<() => Promise<boolean>> {
  const { connection } = lease;
  for (const name of query.settings.keys()) {
    if (!/^[A-Za-z_][A-Za-z0-9_.]*$/.test(name)) {
      throw new InterfaceError(115, "UNKNOWN_SETTING", `Unknown setting '${name}'.`);
    }
  }
  const before = lease.shared ? await sessionState(connection, query) : [];
  const restore = async () => {
    try {
      for (const statement of before) await connection.run(statement, "Null", NO_PARAMS);
      return true;
    } catch {
      return false;
    }
  };
  const wanted = new Map([[MARK, query.mark], ...query.settings]);
  const assignments = [...wanted].map(([name, value]) => `${name} = ${literal(value)}`);
  try {
    await connection.run(`SET ${assignments.join(", ")}`, "Null", NO_PARAMS);
    if (query.database !== undefined) await connection.run(`USE ${identifier(query.database)}`, "Null", NO_PARAMS);
  } catch (error) {
    await restore();
    throw error;
  }
  return restore;
}

/** Statements that set back what the request sets for itself. */
async function sessionState(connection: Connection, query: Query): Promise<readonly string[]> {
  const rows = async (sql: string) => {
    const { body } = await connection.run(sql, "JSONCompactEachRow", NO_PARAMS);
    const lines = new TextDecoder().decode(body).split("\n").filter((line) => line !== "");
    return lines.map((line) => JSON.parse(line) as string[]);
  };
  const statements: string[] = [];
  if (query.database !== undefined) {
    for (const [database] of await rows("SELECT currentDatabase()")) statements.push(`USE ${identifier(database!)}`);
  }
  if (query.settings.size === 0) return statements;
  const names = [...query.settings.keys()].map(literal).join(", ");
  const settings = await rows(
    `SELECT name, value, toString(changed) FROM system.settings WHERE name IN (${names})`,
  );
  for (const [name, value, changed] of settings) {
    statements.push(`SET ${name} = ${changed === "1" ? literal(value!) : "DEFAULT"}`);
  }
  return statements;
}

function literal(value: string): string {
  return `'${value.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}

function identifier(name: string): string {
  return `\`${name.replaceAll("\\", "\\\\").replaceAll("`", "\\`")}\``;
}

/** The INSERT that carries rows, if the request is one. */
async function insertOf(
  bytes: RequestBytes,
): Promise<{ statement: string; format: string | undefined; rowsAt: number } | undefined> {
  for (let size = HEAD_BYTES;; size *= 2) {
    const first = await bytes.peek(size);
    const head = readHead(oneCharacterAByte(first.subarray(0, HEAD_LIMIT_BYTES)), bytes.ended);
    if (head.kind === "insert") {
      const { statementEnd, format, rowsAt } = head.head;
      return { statement: new TextDecoder().decode(first.subarray(0, statementEnd)), format, rowsAt };
    }
    if (head.kind === "statement") return undefined;
    if (size >= HEAD_LIMIT_BYTES) {
      throw new InterfaceError(62, "SYNTAX_ERROR", `Syntax error: no end of the statement in its first ${size} bytes`);
    }
  }
}

function oneCharacterAByte(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return text;
}

async function statementText(bytes: RequestBytes): Promise<string> {
  const all = await bytes.peek(STATEMENT_BYTES + 1);
  if (all.length > STATEMENT_BYTES) {
    throw new InterfaceError(229, "QUERY_IS_TOO_LARGE", `Query is too large: more than ${STATEMENT_BYTES} bytes`);
  }
  const sql = new TextDecoder().decode(all);
  if (sql.trim() === "") {
    throw new InterfaceError(
      62,
      "SYNTAX_ERROR",
      "Syntax error: failed at position 1 (end of query): . Expected a query",
    );
  }
  return sql;
}

/**
 * What `sql` is; refuses what a server's parser refuses. The library would run several statements of
 * one text, the first ones even when a later one does not parse; the insert stream's parser takes exactly one, and says
 * what a server says.
 *
 * @throws {ChdbError} 62.
 */
async function classify(connection: Connection, sql: string): Promise<{ single: boolean; readOnly: boolean }> {
  const { statements, readOnly } = connection.classify(sql);
  if (statements === 1) return { single: true, readOnly };
  try {
    const stream = await connection.insert(sql, "", NO_PARAMS);
    await stream.cancel();
  } catch (error) {
    if (error instanceof ChdbError && error.message.startsWith("Code:")) throw error;
  }
  // One statement that holds several (`PARALLEL WITH`).
  return { single: false, readOnly };
}

/** Refuses what the library would do as a client: read and write files of this machine, and read this process's stdin. */
function assertForServer(sql: string): void {
  switch (clientFeature(sql)) {
    case "outfile":
      throw new InterfaceError(358, "INTO_OUTFILE_NOT_ALLOWED", "INTO OUTFILE is not allowed");
    case "infile":
      throw new InterfaceError(78, "UNKNOWN_TYPE_OF_QUERY", "Query has infile and was send directly to server");
    case "input":
      throw new InterfaceError(
        48,
        "NOT_IMPLEMENTED",
        "The table function input is not supported by the embedded engine",
      );
  }
}

/** A lone word would be a command of the library's command line (`exit`); after a comment it is SQL. */
function engineText(sql: string): string {
  return /^\s*[^\s(]+\s*$/.test(sql) ? `/**/${sql}` : sql;
}

async function insertRows(
  connection: Connection,
  statement: string,
  format: string,
  query: Query,
  parts: AsyncIterable<Uint8Array<ArrayBuffer>>,
): Promise<Counters> {
  const stream = await connection.insert(statement, format, query.values);
  try {
    for await (const part of parts) await stream.append(part);
    query.signal.throwIfAborted();
    return await stream.done();
  } finally {
    await stream.cancel();
  }
}

function shuttingDown(): InterfaceError {
  return new InterfaceError(236, "ABORTED", "The server is shutting down", 503);
}

function readOnlyError(): InterfaceError {
  return new InterfaceError(
    164,
    "READONLY",
    "Cannot execute query in readonly mode. For queries over HTTP, method GET implies readonly. " +
      "You should use method POST for modifying queries.",
  );
}

/** Reads parts until there are `bytes` of them. */
async function gather(
  result: ResultStream,
  bytes: number,
): Promise<{ parts: Uint8Array<ArrayBuffer>[]; ended: boolean }> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  for (let held = 0; held < bytes;) {
    const part = await result.next();
    if (part === undefined) return { parts, ended: true };
    parts.push(part);
    held += part.length;
  }
  return { parts, ended: false };
}

function concat(parts: readonly Uint8Array<ArrayBuffer>[]): Uint8Array<ArrayBuffer> {
  if (parts.length === 1) return parts[0]!;
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/**
 * The rest of a result, at the client's pace. An exception on the way is written behind the rows in the server's form,
 * then the stream breaks, so that no client takes the part for the whole.
 */
function resultSource(
  result: ResultStream,
  first: Uint8Array<ArrayBuffer>[],
  tag: string,
  wire: (error: unknown) => WireException,
  finish: (failed: boolean) => Promise<void>,
): UnderlyingDefaultSource<Uint8Array<ArrayBuffer>> {
  let failure: unknown;
  return {
    async pull(controller) {
      if (failure !== undefined) return controller.error(failure);
      const held = first.shift();
      if (held !== undefined) return controller.enqueue(held);
      try {
        const part = await result.next();
        if (part !== undefined) return controller.enqueue(part);
        await finish(false);
        controller.close();
      } catch (error) {
        failure = error;
        await finish(true);
        controller.enqueue(exceptionBlock(wire(error).text, tag));
      }
    },
    async cancel() {
      await finish(true);
    },
  };
}

/** How a server since 25.11 writes an exception behind rows. */
function exceptionBlock(text: string, tag: string): Uint8Array<ArrayBuffer> {
  const encoder = new TextEncoder();
  const length = encoder.encode(text).length;
  return encoder.encode(`\r\n__exception__\r\n${tag}\r\n${text}${length} ${tag}\r\n__exception__\r\n`);
}

/** Compresses; when the source breaks, what it gave before is complete in the compressed bytes before they break too. */
function gzipped(plain: ReadableStream<Uint8Array<ArrayBuffer>>): ReadableStream<Uint8Array<ArrayBuffer>> {
  const gzip = new CompressionStream("gzip");
  const writer = gzip.writable.getWriter();
  const source = plain.getReader();
  const compressed = gzip.readable.getReader();
  let failure: unknown;
  let gone = false;
  const feed = async () => {
    try {
      for (;;) {
        const step = await source.read();
        if (step.done) break;
        await writer.write(step.value);
      }
    } catch (error) {
      failure = error;
    }
    if (!gone) await writer.close();
  };
  const feeding = feed().catch((error: unknown) => {
    failure ??= error;
  });
  return new ReadableStream<Uint8Array<ArrayBuffer>>({
    async pull(controller) {
      const step = await compressed.read();
      if (!step.done) return controller.enqueue(step.value);
      await feeding;
      if (failure === undefined) controller.close();
      else controller.error(failure);
    },
    async cancel(reason) {
      gone = true;
      await source.cancel(reason);
      await compressed.cancel(reason);
    },
  }, { highWaterMark: 0 });
}

function summary(counters: Counters, elapsedMs: number): string {
  return JSON.stringify({
    read_rows: String(counters.readRows),
    read_bytes: String(counters.readBytes),
    written_rows: String(counters.writtenRows),
    written_bytes: String(counters.writtenBytes),
    total_rows_to_read: "0",
    result_rows: String(counters.resultRows),
    result_bytes: String(counters.resultBytes),
    elapsed_ns: String(Math.round(elapsedMs * 1e6)),
  });
}
