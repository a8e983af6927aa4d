/**
 * The demo: a real chain, a real database and the processor between them, from nothing to a checked result in under a
 * minute. It is the first thing that a stranger meets and a system test at once: whatever is amiss, it says so and fails.
 */
import { pause } from "../flow/pause.ts";
import { grouped, progressBar, type ProgressFigures, progressLine } from "../telemetry/progress.ts";
import { applySchema } from "../stages/sink/schema.ts";
import { openClickHouse } from "../stages/sink/clickhouse.ts";
import type { SqlDatabase } from "../stages/sink/port.ts";
import { checkTransaction } from "./demo_check.ts";
import {
  type CheckedTransaction,
  heading,
  readRecords,
  type ReportSource,
  showAgreement,
  showFrames,
  showLedger,
  showOpcodes,
} from "./demo_report.ts";
import { DemoError } from "./errors.ts";
import { DEV_CHAIN_ID } from "./chain.ts";
import { nodeRequest } from "./node_request.ts";
import { processorArguments } from "./processor_command.ts";
import { type Screen, styled } from "./screen.ts";
import progressSql from "./sql/demo_progress.sql" with { type: "text" };
import { startSupervisor, type Supervisor } from "./supervisor.ts";
import { type MinedBlock, Workload, WORKLOAD_BLOCKS } from "./workload.ts";

/** How the demo runs. */
export interface DemoOptions {
  /** Absolute path of an empty directory for everything that it writes. */
  readonly directory: string;
  readonly seed: number;
  /** When all is shown, everything keeps running until {@linkcode signal} is aborted. */
  readonly keep: boolean;
  readonly screen: Screen;
  readonly signal: AbortSignal;
}

const NETWORK = "devnet";
const PROCESSORS = ["transaction_structlog", "transaction_structlog_agg", "transaction_simple"] as const;
const HALF = WORKLOAD_BLOCKS / 2;
/** Of the second half: the chain lives while the processor works. */
const BLOCK_PAUSE_MS = 100;
const POLL_MS = 200;
/** On no terminal, a line of progress this often. */
const LINE_MS = 1_000;
/** Node and database answer each other's gaps. */
const CHECKS_AT_ONCE = 3;
/** Without any progress for so long, something is wrong. */
const STALL_MS = 60_000;
/** Rates are over the last seconds. */
const RATE_WINDOW_MS = 3_000;
/** Of what the processor printed, that much is shown when it fails. */
const LOG_LINES = 20;
const LABEL_COLUMNS = 12;
/** The longest that a timer can wait: 24 days. */
const KEEP_MS = 2 ** 31 - 1;

/**
 * Runs the demo.
 *
 * @throws {DemoError} when anything is not as it should be; the errors of the parts when they do not start.
 */
export async function runDemo(options: DemoOptions): Promise<void> {
  const { screen, signal } = options;
  const startedAt = performance.now();
  screen.write(
    `${
      styled(screen, "bold", "execution-processor")
    }: execution traces of a real chain, decoded, proved and stored\n\n`,
  );
  await using supervisor = await startSupervisor({
    chain: {
      port: 0,
      hardfork: "osaka",
      mining: "manual",
      stepsTracing: true,
      genesisTime: 1_767_225_600, // 2026-01-01: later than Osaka's activation
      blockGasLimit: 60_000_000,
    },
    engine: { path: `${options.directory}/clickhouse`, port: 0, maxMemoryBytes: 1_500_000_000 },
    onDownload: (line) => step(screen, "npm", line),
    signal,
  });
  const failures = new Failures();
  failures.add(supervisor.lost.then((error) => Promise.reject(error)));
  const demo = new Demo(options, supervisor, failures);
  await failures.unless(demo.run(startedAt));
}

/** Promises that only ever fail, and what must not go on after one of them has. */
class Failures {
  readonly #failed = Promise.withResolvers<never>();

  constructor() {
    this.#failed.promise.catch(() => {}); // it may fail while nobody asks
  }

  add(failure: Promise<never>): void {
    failure.catch((error: unknown) => this.#failed.reject(error));
  }

  unless<Result>(result: Promise<Result>): Promise<Result> {
    return Promise.race([result, this.#failed.promise]);
  }
}

class Demo {
  readonly #options: DemoOptions;
  readonly #supervisor: Supervisor;
  readonly #failures: Failures;
  readonly #database: SqlDatabase;
  readonly #workload: Workload;
  readonly #blocks: MinedBlock[] = [];
  readonly #log: string[] = [];

  constructor(options: DemoOptions, supervisor: Supervisor, failures: Failures) {
    this.#options = options;
    this.#supervisor = supervisor;
    this.#failures = failures;
    const { url, user, password, database } = supervisor.engine;
    this.#database = openClickHouse({ url, user, password, database, settings: {}, requestTimeoutMs: 60_000 });
    this.#workload = new Workload({ url: supervisor.chain.httpUrl, seed: options.seed, signal: options.signal });
  }

  async run(startedAt: number): Promise<void> {
    const { screen } = this.#options;
    await this.#introduce(startedAt);
    await this.#mine(1, HALF, 0);
    await this.#applySchema();
    await this.#startProcessor();
    await Promise.all([this.#mine(HALF + 1, WORKLOAD_BLOCKS, BLOCK_PAUSE_MS), this.#follow()]);
    const source = { screen, database: this.#database, network: NETWORK, signal: this.#options.signal };
    await this.#report(source);
    heading(screen, "Result");
    step(screen, "agreed", styled(screen, "good", `every row, every receipt, in ${secondsSince(startedAt)}`));
    if (this.#options.keep) await this.#keep();
  }

  async #introduce(startedAt: number): Promise<void> {
    const { screen, signal } = this.#options;
    const { chain, engine } = this.#supervisor;
    const client = await nodeRequest<string>(chain.httpUrl, "web3_clientVersion", [], signal);
    const [row] = await this.#database.query<{ version: string }>("SELECT version() AS version", {}, signal);
    step(screen, "chain", `${client.replace("/", " ")} at ${chain.httpUrl}`);
    step(screen, "database", `ClickHouse ${row?.version} at ${engine.url}, both up in ${secondsSince(startedAt)}`);
  }

  async #mine(first: number, last: number, pauseMs: number): Promise<void> {
    const { screen, signal } = this.#options;
    const startedAt = performance.now();
    for await (const block of this.#workload.mine(first, last)) {
      this.#blocks.push(block);
      await pause(pauseMs, signal);
    }
    if (pauseMs > 0) return; // the bar is on the screen
    const transactions = this.#blocks.reduce((sum, block) => sum + block.transactions.length, 0);
    step(screen, "mined", `blocks ${first} to ${last}, ${transactions} transactions, in ${secondsSince(startedAt)}`);
  }

  async #applySchema(): Promise<void> {
    const applied = await applySchema(this.#database, { appliedBy: "demo" });
    step(this.#options.screen, "schema", applied.map(({ name }) => name).join(", "));
  }

  async #startProcessor(): Promise<void> {
    const { directory, screen } = this.#options;
    const config = `${directory}/config.yaml`;
    await Deno.writeTextFile(config, `${JSON.stringify(this.#config(), undefined, 2)}\n`, { mode: 0o600 });
    const processor = await this.#supervisor.run({ args: processorArguments(config), cwd: directory }, (line) => {
      this.#log.push(line);
      if (this.#log.length > LOG_LINES) this.#log.shift();
    });
    const kill = () => processor.signal("SIGKILL"); // it has nothing to save that would outlive the demo
    this.#options.signal.addEventListener("abort", kill, { once: true });
    this.#failures.add(processor.exited.then(({ code, signal }) => {
      throw new DemoError(`Cannot go on: the processor ended with ${signal ?? `code ${code}`}${this.#said()}`);
    }));
    step(screen, "processor", `deno task start --config ${config.split("/").slice(-3).join("/")}`);
    step(screen, "mining", `blocks ${HALF + 1} to ${WORKLOAD_BLOCKS}, while it runs`);
  }

  /** What the processor is told: the keys that differ from their defaults. JSON is YAML. */
  #config(): unknown {
    const { chain, engine } = this.#supervisor;
    const { url, user, password, database } = engine;
    return {
      networks: [{
        name: NETWORK,
        chainId: DEV_CHAIN_ID,
        blockTime: "1s",
        startBlock: 1,
        processors: PROCESSORS,
        nodes: [{ name: "anvil", url: chain.httpUrl, ws: chain.wsUrl }],
      }],
      queue: { url: "memory:" },
      clickhouse: { url, user, password, database },
      telemetry: { log: { level: "info", format: "pretty" }, progress: "off" },
      roles: ["discover", "work"],
    };
  }

  #said(): string {
    return this.#log.length === 0 ? " and printed nothing" : `; it printed last:\n  ${this.#log.join("\n  ")}`;
  }

  /** Shows progress until every block of the workload is complete. */
  async #follow(): Promise<void> {
    const { screen, signal } = this.#options;
    screen.write("\n");
    const startedAt = performance.now();
    const moments: { readonly atMs: number; readonly blocks: number; readonly rows: number }[] = [];
    let movedMs = performance.now();
    let lineMs = -LINE_MS;
    for (;;) {
      const counts = await this.#counts();
      const nowMs = performance.now();
      if (counts.rows !== moments.at(-1)?.rows || counts.blocks !== moments.at(-1)?.blocks) movedMs = nowMs;
      moments.push({ atMs: nowMs, blocks: counts.blocks, rows: counts.rows });
      while (moments.length > 2 && moments[0]!.atMs < nowMs - RATE_WINDOW_MS) moments.shift();
      const complete = counts.blocks >= WORKLOAD_BLOCKS;
      const figures = figuresOf(counts, moments);
      if (screen.terminal) screen.write(`\r\x1b[2K${progressBar(figures, screen.columns - 1)}`);
      else if (complete || nowMs - lineMs >= LINE_MS) {
        screen.write(`${progressLine(figures)}\n`);
        lineMs = nowMs;
      }
      if (complete) break;
      if (counts.stuck > 0) throw new DemoError(`Cannot go on: ${counts.stuck} ledger rows are stuck${this.#said()}`);
      if (nowMs - movedMs > STALL_MS) {
        throw new DemoError(
          `Cannot go on: ${counts.blocks} of ${WORKLOAD_BLOCKS} blocks are complete, and nothing has changed ` +
            `for ${STALL_MS / 1000} s${this.#said()}`,
        );
      }
      await pause(POLL_MS, signal);
      signal.throwIfAborted();
    }
    if (screen.terminal) screen.write("\n");
    screen.write("\n");
    step(screen, "processed", `all blocks, every trace proved against its receipt, in ${secondsSince(startedAt)}`);
  }

  async #counts(): Promise<Counts> {
    const params = { network: NETWORK, processors: PROCESSORS.length };
    const [row] = await this.#database.query<Record<keyof Counts, string>>(progressSql, params, this.#options.signal);
    const count = (name: keyof Counts) => Number(row?.[name] ?? 0);
    return {
      blocks: count("blocks"),
      stuck: count("stuck"),
      transactions: count("transactions"),
      structlogs: count("structlogs"),
      rows: count("rows"),
    };
  }

  async #report(source: ReportSource): Promise<void> {
    const ledger = await showLedger(source);
    const mined = this.#blocks.map(({ number, hash }) => `${number} ${hash.slice(0, 12)}`);
    const stored = ledger.filter(({ state }) => state === "complete").map(({ block, hash }) => `${block} ${hash}`);
    if (mined.join() !== stored.join()) {
      throw new DemoError(
        `Cannot accept the ledger: expected the ${mined.length} mined blocks as complete, current value is ${stored.length} of them`,
      );
    }
    await showOpcodes(source);
    const nested = this.#blocks.flatMap(({ transactions }) => transactions)
      .find(({ scenario }) => scenario === "nested calls");
    if (nested === undefined) {
      throw new DemoError("Cannot show a tree of calls: the workload has no nested transaction");
    }
    const frames = await showFrames(source, nested.hash, this.#workload.contracts);
    if (frames < 10) {
      throw new DemoError(
        `Cannot accept the tree of ${nested.hash}: expected at least 10 frames, current value is ${frames}`,
      );
    }
    await this.#check(source);
  }

  async #check(source: ReportSource): Promise<void> {
    const { screen } = source;
    const startedAt = performance.now();
    heading(screen, "Is it true? Every transaction traced a second time, read with JSON.parse, compared row by row");
    const records = await readRecords(source);
    const sides = { ...source, chainUrl: this.#supervisor.chain.httpUrl };
    const mined = this.#blocks.flatMap(({ transactions }) => transactions);
    if (records.map(({ hash }) => hash).join() !== mined.map(({ hash }) => hash).join()) {
      throw new DemoError(
        `Cannot accept the records: expected the ${mined.length} mined transactions, current value is ${records.length} others`,
      );
    }
    const checked: CheckedTransaction[] = [];
    const entries = records.entries(); // shared: each turn takes the next one
    await Promise.all(Array.from({ length: CHECKS_AT_ONCE }, async () => {
      for (const [nth, record] of entries) {
        checked[nth] = { ...record, ...await checkTransaction(record, sides), scenario: mined[nth]!.scenario };
      }
    }));
    showAgreement(source, checked);
    const wrong = checked.filter(({ differences }) => differences.length > 0);
    if (wrong.length > 0) {
      const lines = wrong.flatMap(({ hash, differences }) =>
        differences.map((difference) => `  ${hash}: ${difference}`)
      );
      throw new DemoError(`Cannot accept ${wrong.length} of ${checked.length} transactions:\n${lines.join("\n")}`);
    }
    const rows = checked.reduce((sum, { storedRows }) => sum + storedRows, 0);
    screen.write("\n");
    step(
      screen,
      "compared",
      `${grouped(rows)} rows of ${checked.length} transactions in ${this.#blocks.length} blocks, in ${
        secondsSince(startedAt)
      }`,
    );
  }

  /** Leaves everything running until the demo is told to end. */
  async #keep(): Promise<void> {
    const { screen, signal } = this.#options;
    const { chain, engine } = this.#supervisor;
    heading(screen, "Everything keeps running; Ctrl-C ends it");
    const { host } = new URL(engine.url);
    step(screen, "SQL", `http://${engine.user}:${engine.password}@${host}/?database=${engine.database}`);
    step(screen, "", `curl '${engine.url}' -u ${engine.user}:${engine.password} -d 'SHOW TABLES'`);
    step(screen, "chain", `${chain.httpUrl} and ${chain.wsUrl}`);
    await pause(KEEP_MS, signal);
  }
}

/** What ClickHouse says of the work done. */
interface Counts {
  readonly blocks: number;
  readonly stuck: number;
  readonly transactions: number;
  readonly structlogs: number;
  readonly rows: number;
}

function figuresOf(
  counts: Counts,
  moments: readonly { readonly atMs: number; readonly blocks: number; readonly rows: number }[],
): ProgressFigures {
  const [first, last] = [moments[0]!, moments.at(-1)!];
  const seconds = (last.atMs - first.atMs) / 1000;
  const blocksPerSecond = seconds === 0 ? 0 : (last.blocks - first.blocks) / seconds;
  const left = WORKLOAD_BLOCKS - counts.blocks;
  return {
    blocks: counts.blocks,
    blocksAccepted: WORKLOAD_BLOCKS,
    transactions: counts.transactions,
    structlogs: counts.structlogs,
    rows: counts.rows,
    rowsPerSecond: seconds === 0 ? 0 : (last.rows - first.rows) / seconds,
    etaSeconds: left === 0 ? 0 : blocksPerSecond === 0 ? undefined : left / blocksPerSecond,
  };
}

/** Writes one line: what it is about, and the fact. */
function step(screen: Screen, label: string, text: string): void {
  screen.write(`  ${styled(screen, "accent", label.padEnd(LABEL_COLUMNS))}${text}\n`);
}

function secondsSince(startedAt: number): string {
  return `${((performance.now() - startedAt) / 1000).toFixed(1)} s`;
}
