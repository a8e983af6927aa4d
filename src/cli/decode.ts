/**
 * `decode`: a trace on stdin, rows of one table on stdout. The decode stage as a filter, without node or database.
 */
import { clientFlags } from "../ethereum/clients.ts";
import { forkOfBlock, FORKS } from "../ethereum/forks.ts";
import type { JsonObject } from "../stages/decode/port.ts";
import { readReply } from "../stages/trace/read.ts";
import { type Command, type CommandIo, type Flags, readFlags } from "./command.ts";
import {
  EXIT_NO_TRACE,
  HOLD_BYTES,
  ROW_FLAGS,
  ROW_FLAGS_HELP,
  rowOptions,
  safeInteger,
  VERDICT_EXIT_HELP,
  writeTrace,
} from "./trace_rows.ts";

const FLAGS = { tx: "text", receipt: "text", block: "text", client: "text", ...ROW_FLAGS } as const;

const HELP =
  `Usage: main.ts decode [--tx FILE] [--receipt FILE] [--block FILE] [--client NAME] [--fork NAME] [--network NAME]
         [--table structlog|frames|verdict] [--format ndjson|native|none] [--proof enforce|record|off] < trace.json

Reads one trace from stdin and writes its rows to stdout. Stdin: the reply to debug_traceTransaction, the whole JSON-RPC
envelope or its result alone.

  --tx FILE        the transaction, as eth_getTransactionByHash answers it
  --receipt FILE   its receipt, as eth_getTransactionReceipt answers it
  --block FILE     the header of its block, as eth_getBlockByHash answers it
                   (each may be the whole envelope; without one of them its columns are left out, and the trace is
                   unproved)
  --client NAME    web3_clientVersion of the node, e.g. Geth/v1.17.10 or anvil/v1.7.1; default: geth's conventions
  --fork NAME      rules of the block: ${FORKS.slice(1).join(", ")};
                   default: by chain id and block, where both files are given and the network is known
${ROW_FLAGS_HELP}

Exit code: 0 proved, bounded or unproved; 1 stdin is no trace (cut, malformed, an error reply), or a file cannot be read;
2 wrong arguments; ${VERDICT_EXIT_HELP}.`;

/** The command with another hold than {@linkcode HOLD_BYTES}. */
export function decodeCommand({ holdBytes }: { readonly holdBytes: number }): Command {
  return {
    name: "decode",
    summary: "turn a trace on stdin into rows on stdout",
    help: HELP,
    run: (args, io) => run(args, io, holdBytes),
  };
}

export const command: Command = decodeCommand({ holdBytes: HOLD_BYTES });

async function run(args: readonly string[], io: CommandIo, holdBytes: number): Promise<number> {
  const { flags } = readFlags(args, FLAGS);
  const options = rowOptions(flags);
  let files: Files;
  try {
    files = await readFiles(flags);
  } catch (error) {
    io.stderr((error as Error).message);
    return EXIT_NO_TRACE;
  }
  const { transaction, block } = files;
  const chainId = safeInteger(transaction?.chainId);
  const [number, timestamp] = [safeInteger(block?.number), safeInteger(block?.timestamp)];
  const fork = options.fork ??
    (number === undefined || timestamp === undefined || chainId === undefined
      ? undefined
      : forkOfBlock({ number, timestamp }, { chainId }));
  const facts = { ...files, flags: clientFlags(flags.client ?? "geth"), fork, chainId };
  return await writeTrace(options, facts, holdBytes, io, {
    read: async (take) => void await readReply(io.stdin, io.signal, take),
  });
}

interface Files {
  readonly transaction: JsonObject | undefined;
  readonly receipt: JsonObject | undefined;
  readonly block: JsonObject | undefined;
}

async function readFiles(flags: Flags<typeof FLAGS>): Promise<Files> {
  const [transaction, receipt, block] = await Promise.all([
    readObject("--tx", flags.tx),
    readObject("--receipt", flags.receipt),
    readObject("--block", flags.block),
  ]);
  const [ours, theirs] = [transaction?.hash, receipt?.transactionHash];
  if (typeof ours === "string" && typeof theirs === "string" && ours.toLowerCase() !== theirs.toLowerCase()) {
    throw new Error(`Cannot take --tx and --receipt together: they are of ${ours} and of ${theirs}`);
  }
  return { transaction, receipt, block };
}

/** A JSON object in a file, or the `result` of the envelope in it. */
async function readObject(flag: string, path: string | undefined): Promise<JsonObject | undefined> {
  if (path === undefined) return undefined;
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    throw new Error(`Cannot read ${flag} ${path}: ${(error as Error).message}`);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`Cannot read ${flag} ${path} as JSON: ${(error as Error).message}`);
  }
  const object = isObject(value) && "jsonrpc" in value ? value.result : value;
  if (isObject(object)) return object;
  throw new Error(`Cannot read ${flag} ${path} as an object: current value is ${JSON.stringify(object)?.slice(0, 40)}`);
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
