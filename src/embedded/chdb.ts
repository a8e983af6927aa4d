/**
 * The engine as a library: the C interface of libchdb through Deno FFI, with its traps closed.
 *
 * - Rows of an INSERT go through the insert stream only. The query calls split inline rows at the first blank line and
 *   would run what follows as SQL.
 * - Unloading the library ends the process with a segmentation fault, so it is pinned with `RTLD_NODELETE` first.
 * - Calls that may wait run on Deno's blocking pool of 32 threads; whoever calls bounds how many are under way.
 *
 * @see https://github.com/chdb-io/chdb-core `programs/local/chdb.h`
 */

const symbols = {
  // Of libc, which the library depends on: found through its own handle, so that no other file has to be named.
  dlopen: { parameters: ["buffer", "i32"], result: "pointer" },
  _exit: { parameters: ["i32"], result: "void" },
  open: { parameters: ["buffer", "i32"], result: "i32" },
  dup: { parameters: ["i32"], result: "i32" },
  dup2: { parameters: ["i32", "i32"], result: "i32" },
  read: { parameters: ["i32", "buffer", "usize"], result: "isize", nonblocking: true },
  chdb_set_signal_handlers_enabled: { parameters: ["i32"], result: "void" },
  chdb_version: { parameters: [], result: "pointer" },
  chdb_connect: { parameters: ["i32", "buffer"], result: "pointer", nonblocking: true },
  chdb_close_conn: { parameters: ["pointer"], result: "void", nonblocking: true },
  chdb_classify_query_n: { parameters: ["pointer", "buffer", "usize", "buffer", "usize", "buffer"], result: "i32" },
  chdb_query_with_params_n: {
    parameters: ["pointer", "buffer", "usize", "buffer", "usize", "buffer", "buffer", "buffer", "buffer", "usize"],
    result: "pointer",
    nonblocking: true,
  },
  chdb_stream_query_with_params_n: {
    parameters: ["pointer", "buffer", "usize", "buffer", "usize", "buffer", "buffer", "buffer", "buffer", "usize"],
    result: "pointer",
    nonblocking: true,
  },
  chdb_stream_fetch_result: { parameters: ["pointer", "pointer"], result: "pointer", nonblocking: true },
  chdb_stream_cancel_query: { parameters: ["pointer", "pointer"], result: "void", nonblocking: true },
  chdb_stream_insert_with_params_n: {
    parameters: ["pointer", "buffer", "usize", "buffer", "usize", "buffer", "buffer", "buffer", "buffer", "usize"],
    result: "pointer",
    nonblocking: true,
  },
  chdb_stream_append: { parameters: ["pointer", "buffer", "usize"], result: "i32", nonblocking: true },
  chdb_stream_done: { parameters: ["pointer"], result: "pointer", nonblocking: true },
  chdb_stream_insert_error: { parameters: ["pointer"], result: "pointer" },
  chdb_destroy_insert_stream: { parameters: ["pointer"], result: "void", nonblocking: true },
  chdb_destroy_query_result: { parameters: ["pointer"], result: "void" },
  chdb_result_buffer: { parameters: ["pointer"], result: "pointer" },
  chdb_result_length: { parameters: ["pointer"], result: "usize" },
  chdb_result_error: { parameters: ["pointer"], result: "pointer" },
  chdb_result_rows_read: { parameters: ["pointer"], result: "u64" },
  chdb_result_bytes_read: { parameters: ["pointer"], result: "u64" },
  chdb_result_storage_rows_read: { parameters: ["pointer"], result: "u64" },
  chdb_result_storage_bytes_read: { parameters: ["pointer"], result: "u64" },
  chdb_result_rows_written: { parameters: ["pointer"], result: "u64" },
  chdb_result_bytes_written: { parameters: ["pointer"], result: "u64" },
} as const;

type Library = Deno.DynamicLibrary<typeof symbols>["symbols"];

const encoder = new TextEncoder();

/** `RTLD_NOW | RTLD_NODELETE` of glibc. */
const PIN = 0x2 | 0x1000;

/** An exception of the engine: its text, `Code: N. DB::Exception: … (NAME)`. */
export class ChdbError extends Error {
  override readonly name = "ChdbError";
}

/** What a statement is, by the engine's own parser. */
export interface StatementClass {
  /** Executable statements in the text; 0: it does not parse. */
  readonly statements: number;
  /** It changes nothing that outlives the connection, nor the connection itself. */
  readonly readOnly: boolean;
}

/** Rows and bytes that a call has read and written. */
export interface Counters {
  /** Rows of the result, and its bytes in memory. */
  resultRows: bigint;
  resultBytes: bigint;
  /** Rows and bytes read from tables. */
  readRows: bigint;
  readBytes: bigint;
  writtenRows: bigint;
  writtenBytes: bigint;
}

/** The loaded library. One per process: the engine opens one directory per process. */
export class Chdb {
  readonly #library: Library;

  private constructor(library: Library) {
    this.#library = library;
  }

  /** Loads `libchdb.so` at `path`, pinned in memory, its signal handlers off. */
  static load(path: string): Chdb {
    const library = Deno.dlopen(path, symbols).symbols;
    if (library.dlopen(cString(path), PIN) === null) throw new Error(`Cannot pin ${path} in memory`);
    library.chdb_set_signal_handlers_enabled(0);
    return new Chdb(library);
  }

  /** Version of the engine, e.g. `26.7.2`. */
  get version(): string {
    return text(this.#library.chdb_version()) ?? "unknown";
  }

  /**
   * Takes stdin away from the library, which reads rows from it as its command line does, and gives it an empty one.
   *
   * @returns resolves when the stdin that was taken ends. It occupies one thread of the blocking pool.
   */
  async takeStdin(): Promise<void> {
    const taken = this.#library.dup(0);
    const empty = this.#library.open(cString("/dev/null"), 0);
    if (taken < 0 || empty < 0 || this.#library.dup2(empty, 0) < 0) {
      throw new Error("Cannot replace stdin by /dev/null");
    }
    const bytes = new Uint8Array(4096);
    while (await this.#library.read(taken, bytes, BigInt(bytes.length)) > 0n);
    keep(bytes);
  }

  /** Ends the process at once, without the destructors of the library, which do not expect threads at work. */
  exit(code: number): void {
    this.#library._exit(code);
  }

  /**
   * Opens a connection. The first one of the process opens the directory of the arguments.
   *
   * @returns `undefined` when the engine refused; it says why on stderr.
   */
  async connect(args: readonly string[]): Promise<Connection | undefined> {
    const strings = ["clickhouse", ...args].map(cString);
    const handle = await this.#library.chdb_connect(strings.length, pointers(strings));
    keep(strings);
    return handle === null ? undefined : new Connection(this.#library, handle);
  }
}

/** One connection: settings, current database and temporary tables of its own; one statement at a time. */
export class Connection {
  readonly #library: Library;
  readonly #box: Deno.PointerObject;
  readonly #connection: Deno.PointerValue;

  constructor(library: Library, box: Deno.PointerObject) {
    this.#library = library;
    this.#box = box;
    this.#connection = Deno.UnsafePointer.create(new Deno.UnsafePointerView(box).getBigUint64());
  }

  /** What `sql` is; it is not run. */
  classify(sql: string): StatementClass {
    const statement = encoder.encode(sql);
    const analysis = new Uint32Array(4);
    analysis[0] = analysis.byteLength;
    const failed = this.#library.chdb_classify_query_n(
      this.#connection,
      statement,
      BigInt(statement.length),
      null,
      0n,
      new Uint8Array(analysis.buffer),
    );
    if (failed !== 0) return { statements: 0, readOnly: false };
    return { statements: analysis[1]!, readOnly: analysis[3] === 0 };
  }

  /**
   * Runs one statement that carries no rows of its own, and gives the whole result.
   *
   * @throws {ChdbError} with the engine's text.
   */
  async run(
    sql: string,
    format: string,
    params: ReadonlyMap<string, string>,
  ): Promise<{ body: Uint8Array<ArrayBuffer>; counters: Counters }> {
    const call = new Call(sql, format, params);
    const result = await this.#library.chdb_query_with_params_n(this.#connection, ...call.arguments);
    keep(call);
    try {
      throwIfFailed(this.#library, result);
      return { body: copy(this.#library, result), counters: counters(this.#library, result) };
    } finally {
      this.#library.chdb_destroy_query_result(result);
    }
  }

  /**
   * Starts one statement that carries no rows of its own; its result comes in parts, each a complete document of the
   * format.
   *
   * @throws {ChdbError} with the engine's text.
   */
  async stream(sql: string, format: string, params: ReadonlyMap<string, string>): Promise<ResultStream> {
    const call = new Call(sql, format, params);
    const handle = await this.#library.chdb_stream_query_with_params_n(this.#connection, ...call.arguments);
    keep(call);
    try {
      throwIfFailed(this.#library, handle);
    } catch (error) {
      this.#library.chdb_destroy_query_result(handle);
      throw error;
    }
    return new ResultStream(this.#library, this.#connection, handle);
  }

  /**
   * Starts an INSERT whose rows follow.
   *
   * @param sql the statement up to and without `FORMAT`.
   * @throws {ChdbError} with the engine's text.
   */
  async insert(sql: string, format: string, params: ReadonlyMap<string, string>): Promise<InsertStream> {
    const call = new Call(sql, format, params);
    const handle = await this.#library.chdb_stream_insert_with_params_n(this.#connection, ...call.arguments);
    keep(call);
    const failure = text(this.#library.chdb_stream_insert_error(handle));
    if (failure !== undefined) {
      await this.#library.chdb_destroy_insert_stream(handle);
      throw new ChdbError(failure);
    }
    return new InsertStream(this.#library, handle);
  }

  async close(): Promise<void> {
    await this.#library.chdb_close_conn(this.#box);
  }
}

/** The result of one statement, part by part. To be read to the end or cancelled. */
export class ResultStream {
  readonly counters: Counters = {
    resultRows: 0n,
    resultBytes: 0n,
    readRows: 0n,
    readBytes: 0n,
    writtenRows: 0n,
    writtenBytes: 0n,
  };
  readonly #library: Library;
  readonly #connection: Deno.PointerValue;
  #handle: Deno.PointerValue;

  constructor(library: Library, connection: Deno.PointerValue, handle: Deno.PointerValue) {
    this.#library = library;
    this.#connection = connection;
    this.#handle = handle;
  }

  /**
   * The next part; `undefined` at the end.
   *
   * @throws {ChdbError} when the statement failed on the way.
   */
  async next(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    if (this.#handle === null) return undefined;
    const part = await this.#library.chdb_stream_fetch_result(this.#connection, this.#handle);
    try {
      throwIfFailed(this.#library, part);
      const body = copy(this.#library, part);
      if (body.length === 0) {
        this.#release();
        return undefined;
      }
      const added = counters(this.#library, part);
      for (const name of Object.keys(added) as (keyof Counters)[]) this.counters[name] += added[name];
      return body;
    } catch (error) {
      this.#release();
      throw error;
    } finally {
      this.#library.chdb_destroy_query_result(part);
    }
  }

  /** Gives up what was not read. */
  async cancel(): Promise<void> {
    if (this.#handle === null) return;
    await this.#library.chdb_stream_cancel_query(this.#connection, this.#handle);
    this.#release();
  }

  #release(): void {
    this.#library.chdb_destroy_query_result(this.#handle);
    this.#handle = null;
  }
}

/** An INSERT that takes bytes of its format. To be finished or cancelled. */
export class InsertStream {
  readonly #library: Library;
  #handle: Deno.PointerValue;

  constructor(library: Library, handle: Deno.PointerValue) {
    this.#library = library;
    this.#handle = handle;
  }

  /**
   * Hands bytes to the engine; waits while it is behind.
   *
   * @throws {ChdbError} when the engine refused the bytes so far.
   */
  async append(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    const state = await this.#library.chdb_stream_append(this.#handle, bytes, BigInt(bytes.length));
    keep(bytes);
    if (state === 0) return;
    throw new ChdbError(await this.#failure());
  }

  /**
   * Ends the rows and waits until they are stored.
   *
   * @throws {ChdbError} when they are not.
   */
  async done(): Promise<Counters> {
    const result = await this.#library.chdb_stream_done(this.#handle);
    try {
      throwIfFailed(this.#library, result);
      return counters(this.#library, result);
    } finally {
      this.#library.chdb_destroy_query_result(result);
      await this.cancel();
    }
  }

  /** Gives up: what the engine has not stored yet is dropped. */
  async cancel(): Promise<void> {
    if (this.#handle === null) return;
    const handle = this.#handle;
    this.#handle = null;
    await this.#library.chdb_destroy_insert_stream(handle);
  }

  /** The engine's text is complete only when its worker has ended, which `done` waits for. */
  async #failure(): Promise<string> {
    try {
      await this.done();
    } catch (error) {
      if (error instanceof ChdbError) return error.message;
      throw error;
    }
    return "Code: 1002. DB::Exception: The insert ended before its rows did. (UNKNOWN_EXCEPTION)";
  }
}

/** The arguments of a call with parameters, and the memory that they point into. */
class Call {
  readonly arguments: readonly [
    Uint8Array<ArrayBuffer>,
    bigint,
    Uint8Array<ArrayBuffer>,
    bigint,
    Uint8Array<ArrayBuffer>,
    Uint8Array<ArrayBuffer>,
    Uint8Array<ArrayBuffer>,
    Uint8Array<ArrayBuffer>,
    bigint,
  ];
  readonly strings: readonly Uint8Array<ArrayBuffer>[];

  constructor(sql: string, format: string, params: ReadonlyMap<string, string>) {
    const statement = encoder.encode(sql);
    const formatName = encoder.encode(format);
    const names = [...params.keys()].map(cString);
    const values = [...params.values()].map(cString);
    this.strings = [...names, ...values];
    this.arguments = [
      statement,
      BigInt(statement.length),
      formatName,
      BigInt(formatName.length),
      pointers(names),
      lengths(names),
      pointers(values),
      lengths(values),
      BigInt(names.length),
    ];
  }
}

function cString(value: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(`${value}\0`);
}

function pointers(strings: readonly Uint8Array<ArrayBuffer>[]): Uint8Array<ArrayBuffer> {
  const addresses = BigUint64Array.from(strings, (bytes) => Deno.UnsafePointer.value(Deno.UnsafePointer.of(bytes)));
  return new Uint8Array(addresses.buffer);
}

/** Lengths without the closing zero. */
function lengths(strings: readonly Uint8Array<ArrayBuffer>[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(BigUint64Array.from(strings, (bytes) => BigInt(bytes.length - 1)).buffer);
}

function text(pointer: Deno.PointerValue): string | undefined {
  return pointer === null ? undefined : new Deno.UnsafePointerView(pointer).getCString();
}

function throwIfFailed(library: Library, result: Deno.PointerValue): void {
  const failure = text(library.chdb_result_error(result));
  if (failure !== undefined) throw new ChdbError(failure);
}

function copy(library: Library, result: Deno.PointerValue): Uint8Array<ArrayBuffer> {
  const length = Number(library.chdb_result_length(result));
  const bytes = new Uint8Array(length);
  const buffer = library.chdb_result_buffer(result);
  if (buffer !== null && length > 0) new Deno.UnsafePointerView(buffer).copyInto(bytes);
  return bytes;
}

function counters(library: Library, result: Deno.PointerValue): Counters {
  return {
    resultRows: library.chdb_result_rows_read(result),
    resultBytes: library.chdb_result_bytes_read(result),
    readRows: library.chdb_result_storage_rows_read(result),
    readBytes: library.chdb_result_storage_bytes_read(result),
    writtenRows: library.chdb_result_rows_written(result),
    writtenBytes: library.chdb_result_bytes_written(result),
  };
}

/** Memory that a call in flight points into must stay reachable until the call is over; a use after it says so. */
function keep(..._memory: readonly unknown[]): void {}
