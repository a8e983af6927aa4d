/** What the pool must be told: the network's part of the configuration, already in numbers (milliseconds, bytes). */
import type { NetworkConfig } from "../config/schema.ts";
import type { CallClass, Hash } from "./port.ts";

/** One node, `networks[].nodes[]`. */
export type NodeOptions = NetworkConfig["nodes"][number];

/** `networks[].rpc`. */
export type RpcOptions = NetworkConfig["rpc"];

/** One network's pool. */
export interface NodePoolOptions extends Pick<NetworkConfig, "name" | "chainId" | "blockTime" | "nodes" | "rpc"> {
  /** Hash of block 0; absent: that of the majority of the nodes. */
  readonly genesisHash?: Hash;
  /** Classes that the enabled processors use: each needs a ready node. */
  readonly classes: readonly CallClass[];
}
