/**
 * What the rest of the project sees of the embedded ClickHouse engine: a URL with credentials and a way to end it. The
 * pipeline speaks ClickHouse's HTTP interface to whichever server it is given; this port exists so that the demo, the
 * supervisor and the tests can have a real engine without installing a server.
 */

/** How to start an engine. Every value is required: defaults belong to whoever starts it. */
export interface EngineOptions {
  /** Absolute path of the directory that holds the data; made if it is missing, kept when the engine ends. */
  readonly path: string;
  /** TCP port on 127.0.0.1; 0 chooses a free one. */
  readonly port: number;
  /** Bound of the engine's own memory in bytes (`max_server_memory_usage`); the process goes about 250 MB beyond. */
  readonly maxMemoryBytes: number;
  /**
   * Clusters that the engine knows by name, each a list of shards `host:port`. None of them has to be there: statements for
   * a cluster can be checked with `EXPLAIN`.
   */
  readonly clusters?: Readonly<Record<string, readonly string[]>>;
  /** Called with one line of text when the library has to be downloaded first: what, from where, how large. */
  readonly onDownload?: (text: string) => void;
  /** Aborting it while the engine starts ends the attempt; later it has no effect. */
  readonly signal?: AbortSignal;
}

/** How an engine's process ended. */
export interface EngineExit {
  /** Exit code; undefined when a signal ended the process. */
  readonly code: number | undefined;
  /** The signal that ended the process, e.g. `SIGKILL`. */
  readonly signal: string | undefined;
  /** `true`: {@linkcode Engine.stop} had been called. */
  readonly expected: boolean;
}

/** A running engine: a child process that serves ClickHouse's HTTP interface on 127.0.0.1. */
export interface Engine extends AsyncDisposable {
  /** `http://127.0.0.1:PORT`, without credentials. The same after {@linkcode Engine.restart}. */
  readonly url: string;
  readonly user: string;
  /** Random per engine, the same after {@linkcode Engine.restart}. Never to be logged. */
  readonly password: string;
  /** The database that exists from the start. */
  readonly database: string;
  /** Process id of the current child. */
  readonly pid: number;
  /** Resolves when the current child has ended, for whatever reason; never rejects. */
  readonly exited: Promise<EngineExit>;
  /**
   * Starts the child again on the same directory with the same port and password, ending the current one first.
   *
   * @throws {EngineError} as starting does.
   */
  restart(): Promise<void>;
  /** Ends the child: running queries are cancelled, connections closed, the directory is free afterwards. Idempotent. */
  stop(): Promise<void>;
}
