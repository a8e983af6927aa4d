/**
 * `trace`: the rows of one transaction, asked from a node. The trace, decode and encode stages without queue or database.
 */
import { configSchema } from "../config/schema.ts";
import { PipelineError } from "../errors.ts";
import { clientFlags } from "../ethereum/clients.ts";
import { ACTIVATIONS, type Fork, forkByName, forkOfBlock, FORKS } from "../ethereum/forks.ts";
import { Connections } from "../rpc/connections.ts";
import { Sender } from "../rpc/direct.ts";
import { RpcFailure } from "../rpc/failure.ts";
import { HttpTransport, TimeLimit } from "../rpc/http_transport.ts";
import { callLimitMs, traceLimits } from "../rpc/methods.ts";
import { openTrace } from "../rpc/open_trace.ts";
import type { NodeOptions, RpcOptions } from "../rpc/options.ts";
import type { NodeView } from "../rpc/port.ts";
import type { JsonObject, TraceDecoder } from "../stages/decode/port.ts";
import { forkOfConfig, forkOfNodeInfo } from "../stages/source/node_fork.ts";
import { readReply } from "../stages/trace/read.ts";
import { type Command, type CommandIo, readFlags, UsageError } from "./command.ts";
import {
  EXIT_NO_TRACE,
  HOLD_BYTES,
  ROW_FLAGS,
  ROW_FLAGS_HELP,
  rowOptions,
  safeInteger,
  type TraceFacts,
  VERDICT_EXIT_HELP,
  writeTrace,
} from "./trace_rows.ts";

const FLAGS = {
  rpc: "text",
  header: "text",
  timeout: "text",
  client: "text",
  "return-data": "switch",
  ...ROW_FLAGS,
} as const;

const HELP =
  `Usage: main.ts trace HASH --rpc URL [--header NAME:VALUE] [--timeout DURATION] [--return-data] [--client NAME]
         [--fork NAME] [--network NAME] [--table structlog|frames|verdict] [--format ndjson|native|none]
         [--proof enforce|record|off]

Asks a node for a transaction, its receipt, the header of its block and its trace, and writes the rows to stdout as
decode does. Progress goes to stderr.

  --rpc URL        JSON-RPC endpoint of the node, http or https
  --header         HTTP header of every request, e.g. "authorization: Bearer TOKEN"
  --timeout        time limit of the whole trace, e.g. 5m; default: what the client's server allows
  --return-data    ask for return data, and fill the column return_data
  --client NAME    conventions of the trace; default: what the node answers to web3_clientVersion
  --fork NAME      rules of the block: ${FORKS.slice(1).join(", ")};
                   default: by chain id and block, or what the node says
${ROW_FLAGS_HELP}

Exit code: 0 proved, bounded or unproved; 1 the node gives no trace; 2 wrong arguments; ${VERDICT_EXIT_HELP}.`;

/** How often a line of progress is written while the reply comes. */
const PROGRESS_MS = 1_000;

export const command: Command = {
  name: "trace",
  summary: "ask a node for a transaction's trace and write its rows",
  help: HELP,
  run,
};

async function run(args: readonly string[], io: CommandIo): Promise<number> {
  const { flags, words } = readFlags(args, FLAGS, ["HASH"]);
  const options = rowOptions(flags);
  const hash = hashGiven(words[0]);
  const { node, rpc } = nodeGiven(flags.rpc, flags.header, flags.timeout);
  using connections = new Connections();
  const asked = new AskedNode(node, rpc, connections, io.signal);
  let facts: TraceFacts;
  try {
    facts = await asked.facts(hash, flags.client, options.fork);
  } catch (error) {
    if (!(error instanceof PipelineError)) throw error;
    io.stderr(error.message);
    return EXIT_NO_TRACE;
  }
  const request = {
    target: { kind: "transaction", hash },
    memory: false,
    stack: true,
    storage: false,
    returnData: flags["return-data"] === true,
  } as const;
  const line = progressLine(hash, io);
  return await writeTrace(options, facts, HOLD_BYTES, io, {
    async read(take, decoder) {
      await using reply = await openTrace(asked.view, request, io.signal, connections);
      await readReply(reply.body, io.signal, (piece) => {
        const pending = take(piece);
        line.move(decoder);
        return pending;
      });
    },
    ended: line.end,
  });
}

function hashGiven(word: string | undefined): string {
  if (word === undefined) throw new UsageError("Cannot trace without the HASH of a transaction");
  if (/^0x[0-9a-f]{64}$/i.test(word)) return word.toLowerCase();
  throw new UsageError(`Cannot read HASH as 0x and 64 hex digits: current value is "${word}"`);
}

/** The node as a configuration would hold it, every other key at its default. */
function nodeGiven(
  url: string | undefined,
  header: string | undefined,
  timeout: string | undefined,
): { readonly node: NodeOptions; readonly rpc: RpcOptions } {
  if (url === undefined) throw new UsageError("Cannot trace without a node: --rpc URL is missing");
  const [, name, value] = /^([^:\s]+)\s*:\s*(.+)$/.exec(header ?? "") ?? [];
  if (header !== undefined && name === undefined) throw new UsageError("Cannot read --header as NAME:VALUE");
  const parsed = configSchema.safeParse({
    networks: [{
      name: "network",
      chainId: 1, // not asked for
      nodes: [{
        name: "node",
        url,
        headers: name === undefined ? {} : { [name]: value },
        timeouts: timeout === undefined ? {} : { trace: timeout },
      }],
    }],
  });
  if (parsed.success) {
    const [{ nodes, rpc }] = parsed.data.networks as [typeof parsed.data.networks[number]];
    return { node: nodes[0]!, rpc };
  }
  const [issue] = parsed.error.issues;
  const flag = issue!.path.includes("timeouts") ? "--timeout" : issue!.path.includes("headers") ? "--header" : "--rpc";
  throw new UsageError(`Cannot read ${flag}: ${issue!.message}`);
}

/** One node, asked without a pool: a person waits for the answer, and there is no other node. */
class AskedNode {
  #clientVersion = "";
  readonly #node: NodeOptions;
  readonly #rpc: RpcOptions;
  readonly #sender: Sender;
  readonly #signal: AbortSignal;

  constructor(node: NodeOptions, rpc: RpcOptions, connections: Connections, signal: AbortSignal) {
    this.#node = node;
    this.#rpc = rpc;
    this.#sender = new Sender(new HttpTransport(connections));
    this.#signal = signal;
  }

  get view(): NodeView {
    const { url, headers, gzip } = this.#node;
    const flags = clientFlags(this.#clientVersion);
    return {
      network: "network",
      name: new URL(url).host,
      url,
      headers,
      gzip,
      clientVersion: this.#clientVersion,
      flags,
      caCerts: [],
      connections: 1,
      limits: { ...traceLimits(flags.family, this.#node), stallMs: this.#rpc.timeouts.stall },
    };
  }

  /** Everything about the transaction but its trace. @throws {RpcFailure} */
  async facts(hash: string, client: string | undefined, fork: Fork | undefined): Promise<TraceFacts> {
    this.#clientVersion = String(await this.#call("web3_clientVersion", []));
    const transaction = await this.#object("eth_getTransactionByHash", [hash]);
    const receipt = await this.#object("eth_getTransactionReceipt", [hash]);
    const block = await this.#object("eth_getBlockByHash", [receipt.blockHash, false]);
    const chainId = safeInteger(await this.#call("eth_chainId", []));
    return {
      transaction,
      receipt,
      block,
      chainId,
      flags: clientFlags(client ?? this.#clientVersion),
      fork: fork ?? await this.#forkOf(block, chainId),
    };
  }

  async #forkOf(block: JsonObject, chainId: number | undefined): Promise<Fork | undefined> {
    const [number, timestamp] = [safeInteger(block.number), safeInteger(block.timestamp)];
    if (number === undefined || timestamp === undefined) return undefined;
    if (chainId !== undefined && ACTIVATIONS.has(chainId)) return forkOfBlock({ number, timestamp }, { chainId });
    const name = await this.#said("anvil_nodeInfo", forkOfNodeInfo) ?? await this.#said("eth_config", forkOfConfig);
    return name === undefined ? undefined : forkByName(name);
  }

  /** What a method that few nodes have says. */
  async #said(method: string, read: (result: unknown) => string | undefined): Promise<string | undefined> {
    try {
      return read(await this.#call(method, []));
    } catch (error) {
      if (error instanceof RpcFailure) return undefined;
      throw error;
    }
  }

  async #object(method: string, params: readonly unknown[]): Promise<JsonObject> {
    const result = await this.#call(method, params);
    if (typeof result === "object" && result !== null && !Array.isArray(result)) return result as JsonObject;
    throw new NotTraceableError(method, JSON.stringify(result)?.slice(0, 40) ?? "nothing");
  }

  async #call(method: string, params: readonly unknown[]): Promise<unknown> {
    const limitMs = callLimitMs("read", method, this.#node, this.#rpc);
    const limit = new AbortController();
    const timer = setTimeout(() => limit.abort(new TimeLimit(`No answer within ${limitMs} ms`)), limitMs);
    try {
      const signal = AbortSignal.any([this.#signal, limit.signal]);
      const reply = await this.#sender.send(this.view, "read", { method, params }, signal);
      if (reply.ok) return reply.result;
      throw new RpcFailure(reply.failure, false);
    } finally {
      clearTimeout(timer);
    }
  }
}

/** The node does not say what belongs to the trace. */
class NotTraceableError extends PipelineError {
  readonly code = "not_traceable";
  readonly disposition = "dead";

  constructor(method: string, found: string) {
    super(`Cannot read the answer to ${method} as an object: current value is ${found}`);
  }
}

/** Writes where the reply stands, at most once in {@linkcode PROGRESS_MS} and at its end. */
function progressLine(hash: string, io: CommandIo): { move(of: TraceDecoder): void; end(): void } {
  const started = performance.now();
  let told = started;
  let decoder: TraceDecoder | undefined;
  const tell = () => {
    const { bytes, structlogs } = decoder!.progress;
    const seconds = ((told - started) / 1000).toFixed(1);
    const [size, count] = [bytes, structlogs].map((value) => value.toLocaleString("en"));
    io.stderr(`${hash.slice(0, 10)}…  ${size} bytes  ${count} structlogs  ${seconds} s`);
  };
  return {
    move(of) {
      decoder = of;
      const now = performance.now();
      if (now - told < PROGRESS_MS) return;
      told = now;
      tell();
    },
    end() {
      told = performance.now();
      if (decoder !== undefined) tell();
    },
  };
}
