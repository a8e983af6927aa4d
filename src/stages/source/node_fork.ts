/**
 * The fork that a node says it is on, for chains that neither the configuration nor the table of known networks has.
 * Sources: `anvil_nodeInfo` (names the fork), `eth_config` of EIP-7910 (lists the precompiles in force).
 */
import { NodesUnavailable, RpcFailure } from "../../rpc/failure.ts";
import type { NodePool } from "../../rpc/port.ts";
import type { ReadAsk } from "./chain.ts";

/** Newest precompile of a fork, newest fork first; the address decides. */
const FORK_OF_PRECOMPILE: readonly (readonly [address: number, fork: string])[] = [
  [0x100, "osaka"],
  [0x0b, "prague"],
  [0x0a, "cancun"],
];

/** Name of the node's current fork; `undefined` when no node says. */
export async function nodeFork(pool: NodePool, ask: ReadAsk): Promise<string | undefined> {
  const request = async (method: string, decode: (result: unknown) => string | undefined) => {
    try {
      return await pool.request(method, [], {
        class: "read",
        decode,
        priority: ask.priority,
        deadlineMs: performance.now() + ask.withinMs,
        ...(ask.signal === undefined ? {} : { signal: ask.signal }),
      });
    } catch (error) {
      // Few nodes have these methods: that none has is an answer, an outage is not.
      const known = error instanceof RpcFailure || error instanceof NodesUnavailable;
      if (known && pool.nodes().every((node) => node.methodsOff.includes(method))) return undefined;
      throw error;
    }
  };
  return await request("anvil_nodeInfo", forkOfNodeInfo) ?? await request("eth_config", forkOfConfig);
}

function member(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}

/** The fork in an answer of `anvil_nodeInfo`. */
export function forkOfNodeInfo(result: unknown): string | undefined {
  const name = member(result, "hardFork");
  return typeof name === "string" ? name : undefined;
}

/** The fork in an answer of `eth_config`: that of its newest precompile. */
export function forkOfConfig(result: unknown): string | undefined {
  const precompiles = member(member(result, "current"), "precompiles");
  if (typeof precompiles !== "object" || precompiles === null) return undefined;
  const addresses = new Set(
    [...Object.keys(precompiles), ...Object.values(precompiles)].filter((text) =>
      typeof text === "string" && text.startsWith("0x")
    ).map(Number),
  );
  return FORK_OF_PRECOMPILE.find(([address]) => addresses.has(address))?.[1];
}
