/**
 * The owner's side of the supervisor: starts the process that owns dev chain and engine, and everything else that must
 * not outlive whoever asked for it. Even a `kill -9` of the owner leaves none of them, since the supervisor ends what it
 * owns when its stdin closes.
 */
import { type ChainOptions, chainProgram } from "./chain.ts";
import { SupervisorError } from "./errors.ts";
import { jsonLine, readJsonLines } from "./lines.ts";
import type { EngineOptions } from "./port.ts";
import type {
  ChainEndpoint,
  EngineEndpoint,
  Program,
  ProgramExit,
  SupervisorOrder,
  SupervisorReport,
} from "./supervisor_protocol.ts";

export type { ChainEndpoint, EngineEndpoint, Program, ProgramExit } from "./supervisor_protocol.ts";

/** What to start. Every value is required: defaults belong to whoever starts it. */
export interface SupervisorOptions {
  readonly chain: Omit<ChainOptions, "program" | "signal">;
  readonly engine: Pick<EngineOptions, "path" | "port" | "maxMemoryBytes">;
  /** Told of each download from npm, before it begins. */
  readonly onDownload: (line: string) => void;
  /** Aborting it while the parts start ends the attempt; later it has no effect. */
  readonly signal?: AbortSignal;
}

/** A program that the supervisor runs and that ends with it. */
export interface SupervisedProgram {
  readonly pid: number;
  /** Resolves when it has ended; never rejects. Ending the supervisor ends it, and resolves this. */
  readonly exited: Promise<ProgramExit>;
  /** Sends it a signal; nothing happens when it has ended. */
  signal(signal: Deno.Signal): void;
}

/** A running dev chain and a running engine, owned by a process of their own. */
export interface Supervisor extends AsyncDisposable {
  readonly pid: number;
  readonly chain: ChainEndpoint;
  readonly engine: EngineEndpoint;
  /** Resolves when a part ended although {@linkcode Supervisor.stop} was not called; the others have ended then too. */
  readonly lost: Promise<SupervisorError>;
  /** Runs a program with Deno, and passes on each line that it prints. */
  run(program: Program, onLine: (line: string) => void): Promise<SupervisedProgram>;
  /** Ends all parts, programs first with SIGTERM, and resolves when they are gone. Idempotent. */
  stop(): Promise<void>;
}

/**
 * Starts chain and engine under a supervisor. Needs permission to run Deno, and no other.
 *
 * @throws {SupervisorError} when a part does not start, with its reason; nothing is left running then.
 * @throws {ChainError} on a platform without anvil. @throws {PackageUnavailableError} when npm has no answer.
 */
export async function startSupervisor(options: SupervisorOptions): Promise<Supervisor> {
  const program = await chainProgram(options.onDownload, options.signal);
  options.signal?.throwIfAborted();
  const supervisor = new SupervisorProcess(program, options);
  try {
    await supervisor.ready(options.signal);
  } catch (error) {
    await supervisor.stop();
    options.signal?.throwIfAborted();
    throw error;
  }
  return supervisor;
}

class SupervisorProcess implements Supervisor {
  readonly #process: Deno.ChildProcess;
  readonly #orders: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  readonly #onDownload: (line: string) => void;
  readonly #ready = Promise.withResolvers<Extract<SupervisorReport, { kind: "ready" }>>();
  readonly #lost = Promise.withResolvers<SupervisorError>();
  readonly #programs: ProgramRecord[] = [];
  readonly #ended: Promise<void>;
  #parts: Extract<SupervisorReport, { kind: "ready" }> | undefined;
  #stopping = false;

  constructor(program: string, { chain, engine, onDownload }: SupervisorOptions) {
    this.#onDownload = onDownload;
    this.#ready.promise.catch(() => {}); // it may fail while nobody waits, after an abort
    this.#process = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--no-prompt",
        "--no-lock", // it loads nothing from npm itself
        `--allow-run=${Deno.execPath()},${program}`,
        import.meta.resolve("./supervisor_main.ts"),
      ],
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
      detached: true, // a Ctrl-C of the terminal must not end the parts in an order of its own
    }).spawn();
    this.#orders = this.#process.stdin.getWriter();
    this.#orders.closed.catch(() => {});
    this.#ended = this.#listen();
    this.#order({ kind: "begin", chain: { ...chain, program }, engine });
  }

  get pid(): number {
    return this.#process.pid;
  }

  get chain(): ChainEndpoint {
    return this.#parts!.chain;
  }

  get engine(): EngineEndpoint {
    return this.#parts!.engine;
  }

  get lost(): Promise<SupervisorError> {
    return this.#lost.promise;
  }

  async ready(signal: AbortSignal | undefined): Promise<void> {
    const abort = () => this.#ready.reject(signal!.reason);
    signal?.addEventListener("abort", abort, { once: true });
    try {
      this.#parts = await this.#ready.promise;
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  async run(program: Program, onLine: (line: string) => void): Promise<SupervisedProgram> {
    const record: ProgramRecord = { started: Promise.withResolvers(), exited: Promise.withResolvers(), onLine };
    const id = this.#programs.push(record) - 1;
    this.#order({ kind: "run", id, program });
    return {
      pid: await record.started.promise,
      exited: record.exited.promise,
      signal: (signal) => this.#order({ kind: "signal", id, signal }),
    };
  }

  async stop(): Promise<void> {
    if (!this.#stopping) {
      this.#stopping = true;
      await this.#orders.close().catch(() => {}); // it may have ended by itself
    }
    await this.#ended;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #order(order: SupervisorOrder): void {
    this.#orders.write(jsonLine(order)).catch(() => {}); // the end of its stdout says that it is gone
  }

  async #listen(): Promise<void> {
    for await (const report of readJsonLines<SupervisorReport>(this.#process.stdout)) this.#read(report);
    await this.#process.status;
    const gone = new SupervisorError("Cannot go on: the supervisor of dev chain and engine has ended");
    this.#ready.reject(gone);
    for (const { started, exited } of this.#programs) {
      started.promise.catch(() => {});
      started.reject(gone);
      exited.resolve({});
    }
    if (!this.#stopping) {
      this.#lost.resolve(gone);
      await this.#orders.abort().catch(() => {});
    }
  }

  #read(report: SupervisorReport): void {
    if (report.kind === "download") this.#onDownload(report.line);
    if (report.kind === "ready") this.#ready.resolve(report);
    if (report.kind === "failed") this.#ready.reject(new SupervisorError(report.reason));
    if (report.kind === "lost") this.#lost.resolve(new SupervisorError(`Cannot go on: ${report.reason}`));
    if (report.kind === "running") this.#programs[report.id]!.started.resolve(report.pid);
    if (report.kind === "printed") this.#programs[report.id]!.onLine(report.line);
    if (report.kind === "exited") this.#programs[report.id]!.exited.resolve(report.exit);
  }
}

/** What is known of one program. */
interface ProgramRecord {
  readonly started: PromiseWithResolvers<number>;
  readonly exited: PromiseWithResolvers<ProgramExit>;
  readonly onLine: (line: string) => void;
}
