/** Options of a pool for tests: the configuration's own defaults. */
import { configSchema } from "../../src/config/schema.ts";
import type { NodePoolOptions } from "../../src/rpc/options.ts";

/** Entries of `networks[].nodes` and `networks[].rpc` as they are written in a configuration. */
export interface PoolSketch {
  readonly nodes: readonly Record<string, unknown>[];
  readonly rpc?: Record<string, unknown>;
  readonly chainId?: number;
  readonly blockTime?: string;
  readonly classes?: NodePoolOptions["classes"];
}

/** A pool's options as the configuration would make them. */
export function poolOptions({ nodes, rpc, chainId, blockTime, classes }: PoolSketch): NodePoolOptions {
  const config = configSchema.parse({
    networks: [{ name: "dev", chainId: chainId ?? 1337, blockTime: blockTime ?? "12s", nodes, rpc: rpc ?? {} }],
  });
  return { ...config.networks[0]!, classes: classes ?? ["head", "read", "trace"] };
}
