/**
 * The dev chain: anvil, a real EVM node that starts in a tenth of a second and mines when it is told to. It survives
 * the process that started it, so only something that watches its parent may own one: the supervisor, or a test.
 */
import { ChainError } from "./errors.ts";
import { readLines } from "./lines.ts";
import { packageDirectory } from "./npm_package.ts";

/** Deno's target triples that anvil is fetched for and this program is tested on. */
const PLATFORMS: readonly string[] = ["x86_64-unknown-linux-gnu"];

/** How to start a chain. Every value is required: defaults belong to whoever starts it. */
export interface ChainOptions {
  /** The program, as {@linkcode chainProgram} found it: starting it needs permission to run this path. */
  readonly program: string;
  /** TCP port on 127.0.0.1; 0 chooses a free one. */
  readonly port: number;
  /** Name of the hard fork as anvil calls it, e.g. `osaka`, `london`. */
  readonly hardfork: string;
  /** `manual`: a block is mined when `evm_mine` asks for it; `automatic`: one for each transaction. */
  readonly mining: "manual" | "automatic";
  /** Without it every trace is an empty success. */
  readonly stepsTracing: boolean;
  /** Seconds since 1970 of block 0. Two chains with the same one and the same requests have the same hashes. */
  readonly genesisTime: number;
  /** Gas limit of each block. */
  readonly blockGasLimit: number;
  /** Aborting it while the chain starts ends the attempt; later it has no effect. */
  readonly signal?: AbortSignal;
}

/** A running dev chain. Its chain id is 31337; it has ten unlocked accounts with 10,000 ether each. */
export interface DevChain extends AsyncDisposable {
  /** `http://127.0.0.1:PORT` */
  readonly httpUrl: string;
  /** `ws://127.0.0.1:PORT` */
  readonly wsUrl: string;
  readonly pid: number;
  /** Resolves when the process has ended, for whatever reason, with the end of what it printed; never rejects. */
  readonly exited: Promise<string>;
  /** Ends the process. Idempotent. */
  stop(): Promise<void>;
}

/** The chain id of every dev chain. */
export const DEV_CHAIN_ID = 31337;

/**
 * Path of anvil's program in Deno's cache, fetched from npm at first use.
 *
 * @throws {ChainError} on a platform that anvil is not published for.
 * @throws {PackageUnavailableError} when it cannot be fetched.
 */
export async function chainProgram(onDownload: (line: string) => void, signal?: AbortSignal): Promise<string> {
  if (!PLATFORMS.includes(Deno.build.target)) {
    throw new ChainError(
      `Cannot run anvil as the dev chain on ${Deno.build.target}: supported is ${PLATFORMS.join(", ")}`,
    );
  }
  const wanted = {
    name: "@foundry-rs/anvil-linux-amd64",
    version: "1.7.1",
    title: "the EVM node anvil",
    downloadBytes: 18.9e6,
    diskBytes: 44.3e6,
  };
  return `${await packageDirectory(wanted, { onDownload, ...(signal && { signal }) })}bin/anvil`;
}

/**
 * Starts a chain and resolves when it answers.
 *
 * @throws {ChainError} when it ends before, with what it printed.
 */
export async function startChain(options: ChainOptions): Promise<DevChain> {
  options.signal?.throwIfAborted();
  const process = new Deno.Command(options.program, {
    args: chainArguments(options),
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const printed = new Tail();
  const listening = Promise.withResolvers<string | undefined>();
  const outputs = Promise.all([
    printed.follow(process.stdout, (line) => {
      const address = /^Listening on (127\.0\.0\.1:\d+)/.exec(line)?.[1];
      if (address !== undefined) listening.resolve(address);
    }),
    printed.follow(process.stderr, () => {}),
  ]);
  const exited = (async () => {
    await Promise.all([process.status, outputs]);
    listening.resolve(undefined);
    return printed.text;
  })();
  const stop = async () => {
    try {
      process.kill("SIGKILL"); // it holds nothing worth saving, and SIGTERM makes it wait for open connections
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // ended already
    }
    await exited;
  };
  const abort = () => void stop();
  options.signal?.addEventListener("abort", abort, { once: true });
  try {
    const address = await listening.promise;
    options.signal?.throwIfAborted();
    if (address === undefined) {
      throw new ChainError(`Cannot start anvil: it ended before it listened on a port and said "${await exited}"`);
    }
    return {
      httpUrl: `http://${address}`,
      wsUrl: `ws://${address}`,
      pid: process.pid,
      exited,
      stop,
      [Symbol.asyncDispose]: stop,
    };
  } finally {
    options.signal?.removeEventListener("abort", abort);
  }
}

function chainArguments(options: ChainOptions): string[] {
  return [
    "--host=127.0.0.1",
    `--port=${options.port}`,
    ...(options.stepsTracing ? ["--steps-tracing"] : []),
    ...(options.mining === "manual" ? ["--no-mining"] : []),
    "--order=fifo",
    `--hardfork=${options.hardfork}`,
    `--chain-id=${DEV_CHAIN_ID}`,
    `--timestamp=${options.genesisTime}`,
    `--gas-limit=${options.blockGasLimit}`,
    "--disable-console-log",
    "--color=never",
  ];
}

/** The last lines of what a process prints, read for as long as it runs so that its pipe is never full. */
class Tail {
  static readonly #MAX_LINES = 12;
  readonly #lines: string[] = [];

  /** What was printed last, on one line. */
  get text(): string {
    return this.#lines.join(" | ");
  }

  async follow(stream: ReadableStream<Uint8Array>, read: (line: string) => void): Promise<void> {
    for await (const line of readLines(stream)) {
      read(line);
      if (line.trim() === "") continue;
      this.#lines.push(line.trim());
      if (this.#lines.length > Tail.#MAX_LINES) this.#lines.shift();
    }
  }
}
