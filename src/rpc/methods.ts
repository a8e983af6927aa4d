/** Classes of methods and the time limits of traces, as data. */
import type { ClientFamily } from "../ethereum/clients.ts";
import type { NodeOptions, RpcOptions } from "./options.ts";
import type { CallClass } from "./port.ts";

const CLASS_OF: Readonly<Record<string, CallClass>> = {
  eth_blockNumber: "head",
  eth_chainId: "head",
  eth_syncing: "head",
  web3_clientVersion: "head",
  eth_getBlockReceipts: "receipts",
  debug_traceTransaction: "trace",
  debug_traceBlockByHash: "trace",
};

/** Methods of class `read` that have its time limit; others have the general one. */
const READS = new Set([
  "eth_getBlockByHash",
  "eth_getBlockByNumber",
  "eth_getTransactionByHash",
  "eth_getTransactionReceipt",
  "eth_getCode",
]);

/** Methods whose `null` means "not known here". */
const LOOKUPS = new Set([
  "eth_getBlockByHash",
  "eth_getBlockByNumber",
  "eth_getTransactionByHash",
  "eth_getTransactionReceipt",
  "eth_getBlockReceipts",
]);

/** The class of a method that is not asked for a tag. */
export function classOf(method: string): CallClass {
  return CLASS_OF[method] ?? "read";
}

/** Whether `null` is how the method says that it knows nothing of the kind. */
export function isLookup(method: string): boolean {
  return LOOKUPS.has(method);
}

/** Time limits of a trace by client family. */
interface TraceLimits {
  readonly wholeMs: number;
  readonly firstByteMs: number;
  /** Sent as `timeout`; absent where it has no effect. */
  readonly executionMs?: number;
}

const TRACE_LIMITS: Readonly<Record<ClientFamily, TraceLimits>> = {
  // The server cuts at 30 s from the request, reading included.
  geth: { wholeMs: 28_000, firstByteMs: 26_000, executionMs: 25_000 },
  erigon: { wholeMs: 300_000, firstByteMs: 300_000 },
  nethermind: { wholeMs: 18_000, firstByteMs: 18_000 },
  besu: { wholeMs: 28_000, firstByteMs: 28_000 },
  revm: { wholeMs: 120_000, firstByteMs: 120_000 },
  ethereumjs: { wholeMs: 28_000, firstByteMs: 26_000 },
};

/** Time limits of a trace on this node. */
export function traceLimits(family: ClientFamily, node: NodeOptions): TraceLimits {
  const table = TRACE_LIMITS[family];
  const wholeMs = node.timeouts.trace;
  if (wholeMs === undefined) return table;
  return {
    wholeMs,
    firstByteMs: wholeMs,
    ...(table.executionMs === undefined ? {} : { executionMs: Math.max(1_000, wholeMs - 3_000) }),
  };
}

/** Time limit of a whole call of the other classes. */
export function callLimitMs(callClass: CallClass, method: string, node: NodeOptions, rpc: RpcOptions): number {
  switch (callClass) {
    case "head":
      return node.timeouts.head ?? rpc.timeouts.head;
    case "receipts":
      return node.timeouts.receipts ?? rpc.timeouts.receipts;
    default:
      return READS.has(method) ? node.timeouts.read ?? rpc.timeouts.read : rpc.timeouts.default;
  }
}

/** Reply cap of a family that is known without asking, with a margin below 160 MB. */
export function familyReplyBytes(family: ClientFamily): number | undefined {
  return family === "revm" ? 150_000_000 : undefined;
}
