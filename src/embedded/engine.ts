/**
 * Starts the embedded ClickHouse engine as a child process. The parent needs `--allow-run` for Deno alone; the child gets
 *
 * ```
 * deno run --no-config --no-lock --no-remote --no-npm --no-prompt --cached-only
 *   --allow-ffi                      the library; FFI lies outside Deno's sandbox
 *   --allow-net=127.0.0.1:PORT       0 lets the system choose
 *   --allow-read=DIRECTORY --allow-write=DIRECTORY
 *   engine_child.ts
 * ```
 *
 * with the working directory `/` and no environment but `DENO_DIR` and a `HOME` that does not exist: the engine would read
 * `./config.xml` and `~/.clickhouse-local`.
 */
import { emit } from "../telemetry/emit.ts";
import { EngineDirectoryError, EngineDirectoryLockedError, EngineStartError } from "./engine_errors.ts";
import { type EngineLibrary, engineLibrary } from "./engine_library.ts";
import type { EngineOrder, EngineReply } from "./engine_protocol.ts";
import type { Engine, EngineExit, EngineOptions } from "./port.ts";

export type { Engine, EngineExit, EngineOptions } from "./port.ts";

const USER = "default";
const DATABASE = "default";
/** From the end of its stdin to SIGKILL; the child ends itself within a second. */
const STOP_WITHIN_MS = 5_000;
/** A large store takes a while to open; a child that says nothing for longer will not. */
const READY_WITHIN_MS = 120_000;
/** Of what the engine says on stderr, the end is kept. */
const STDERR_BYTES = 16 * 1024;

/**
 * Starts an engine on a directory.
 *
 * @throws {EnginePlatformError} there is none for this machine.
 * @throws {PackageUnavailableError} the library cannot be fetched.
 * @throws {EngineDirectoryLockedError} another process has the directory open.
 * @throws {EngineDirectoryError} the directory cannot be made or written.
 * @throws {EngineStartError} the process ended early, or was not ready in time.
 */
export async function startEngine(options: EngineOptions): Promise<Engine> {
  if (!options.path.startsWith("/") || options.path.includes(",")) {
    throw new EngineDirectoryError(
      `Cannot open the engine's directory as "${options.path}": it must be an absolute path without a comma`,
    );
  }
  options.signal?.throwIfAborted();
  const library = await engineLibrary(options.onDownload ?? (() => {}), options.signal);
  const engine = new ChildEngine(options, library, crypto.randomUUID());
  await engine.start(options.port, options.signal);
  return engine;
}

class ChildEngine implements Engine {
  readonly user = USER;
  readonly database = DATABASE;
  readonly password: string;
  readonly #options: EngineOptions;
  readonly #library: EngineLibrary;
  #port = 0;
  #child: EngineChild | undefined;

  constructor(options: EngineOptions, library: EngineLibrary, password: string) {
    this.#options = options;
    this.#library = library;
    this.password = password;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  get pid(): number {
    return this.#running.pid;
  }

  get exited(): Promise<EngineExit> {
    return this.#running.exited;
  }

  get #running(): EngineChild {
    if (this.#child === undefined) throw new EngineStartError("Cannot use the embedded engine: it was never started");
    return this.#child;
  }

  async start(port: number, signal: AbortSignal | undefined): Promise<void> {
    const startedAt = performance.now();
    const { path, maxMemoryBytes, clusters = {} } = this.#options;
    const child = new EngineChild(this.#library, {
      libraryPath: this.#library.path,
      path,
      port,
      user: this.user,
      password: this.password,
      maxMemoryBytes,
      clusters,
    });
    const ready = await child.ready(signal);
    this.#child = child;
    this.#port = ready.port;
    emit({
      kind: "engine_started",
      pid: child.pid,
      version: ready.version,
      path,
      seconds: (performance.now() - startedAt) / 1000,
    });
    void child.exited.then((exit) =>
      emit({ kind: "engine_exited", pid: child.pid, path, ...exit, stderr: child.stderr })
    );
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start(this.#port, undefined);
  }

  async stop(): Promise<void> {
    await this.#running.stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/** One process. */
class EngineChild {
  readonly pid: number;
  readonly exited: Promise<EngineExit>;
  readonly #process: Deno.ChildProcess;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  readonly #order: EngineOrder;
  readonly #reply: Promise<EngineReply | undefined>;
  readonly #stderrEnd: Promise<void>;
  #stderr = "";
  #stopping = false;

  constructor(library: EngineLibrary, order: EngineOrder) {
    this.#order = order;
    this.#process = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--no-config",
        "--no-lock",
        "--no-remote",
        "--no-npm",
        "--no-prompt",
        "--cached-only",
        "--allow-ffi",
        `--allow-net=127.0.0.1:${order.port}`,
        `--allow-read=${order.path}`,
        `--allow-write=${order.path}`,
        import.meta.resolve("./engine_child.ts"),
      ],
      cwd: "/",
      clearEnv: true,
      env: { DENO_DIR: library.denoDir, HOME: "/nonexistent", NO_COLOR: "1" },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.pid = this.#process.pid;
    this.#stdin = this.#process.stdin.getWriter();
    this.#stdin.closed.catch(() => {});
    this.#reply = this.#readReply();
    this.#stderrEnd = this.#readStderr();
    this.exited = this.#wait();
  }

  /** The end of what the engine said on stderr. */
  get stderr(): string {
    return this.#stderr;
  }

  /** Hands the order over and waits until the engine serves. */
  async ready(signal: AbortSignal | undefined): Promise<{ port: number; version: string }> {
    const deadline = AbortSignal.timeout(READY_WITHIN_MS);
    const kill = () => this.#kill();
    for (const end of [signal, deadline]) end?.addEventListener("abort", kill, { once: true });
    try {
      await this.#stdin.write(new TextEncoder().encode(`${JSON.stringify(this.#order)}\n`)).catch(() => {});
      const reply = await this.#reply;
      if (reply?.kind === "ready" && !signal?.aborted && !deadline.aborted) return reply;
      await this.stop();
      signal?.throwIfAborted();
      throw this.#startError(reply, await this.exited, deadline.aborted);
    } finally {
      for (const end of [signal, deadline]) end?.removeEventListener("abort", kill);
    }
  }

  /** Ends its stdin, which ends it. */
  async stop(): Promise<void> {
    if (!this.#stopping) {
      this.#stopping = true;
      void this.#stdin.close().catch(() => {});
      const timer = setTimeout(() => this.#kill(), STOP_WITHIN_MS);
      await this.exited;
      clearTimeout(timer);
    }
    await this.exited;
  }

  #kill(): void {
    try {
      this.#process.kill("SIGKILL");
    } catch {
      // It has ended by itself.
    }
  }

  async #wait(): Promise<EngineExit> {
    const status = await this.#process.status;
    await Promise.all([this.#reply, this.#stderrEnd]);
    // A parent that lost its child keeps no pipe to it.
    if (!this.#stopping) void this.#stdin.abort().catch(() => {});
    return {
      code: status.signal === null ? status.code : undefined,
      signal: status.signal ?? undefined,
      expected: this.#stopping,
    };
  }

  /** Resolves with the first line; reads on to the end, so that the child never waits for a reader. */
  #readReply(): Promise<EngineReply | undefined> {
    const { promise, resolve } = Promise.withResolvers<EngineReply | undefined>();
    const read = async () => {
      let text = "";
      let answered = false;
      for await (const part of this.#process.stdout.pipeThrough(new TextDecoderStream())) {
        if (answered) continue;
        text += part;
        const end = text.indexOf("\n");
        if (end < 0) continue;
        answered = true;
        resolve(JSON.parse(text.slice(0, end)) as EngineReply);
      }
    };
    void read().catch(() => {}).finally(() => resolve(undefined));
    return promise;
  }

  async #readStderr(): Promise<void> {
    for await (const part of this.#process.stderr.pipeThrough(new TextDecoderStream())) {
      this.#stderr = (this.#stderr + part).slice(-STDERR_BYTES);
    }
  }

  #startError(reply: EngineReply | undefined, exit: EngineExit, late: boolean): Error {
    const { path } = this.#order;
    const said = this.#stderr.trim();
    if (reply?.kind === "directory_failed") {
      return new EngineDirectoryError(
        `Cannot open the engine's directory as ${path}: ${reply.reason}. It must be writable and have free space`,
      );
    }
    if (reply?.kind === "connect_failed" && /Cannot lock file|Code: 76/.test(said)) {
      return new EngineDirectoryLockedError(
        `Cannot open the engine's directory as ${path}: another process has it open (${
          reply.holder ?? "its status file cannot be read"
        }). End that process, or choose another directory`,
      );
    }
    const reason = late
      ? `it was not ready within ${READY_WITHIN_MS / 1000} s`
      : reply?.kind === "failed"
      ? reply.reason
      : `its process ended with ${exit.signal ?? `code ${exit.code}`}`;
    return new EngineStartError(
      `Cannot start the embedded engine on ${path}: ${reason}${said && `; it said: ${said}`}`,
    );
  }
}
