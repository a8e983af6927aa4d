/** A dev chain for one test: fresh, on a free port, ended by `await using`. */
import { chainProgram, type DevChain, startChain } from "../../src/embedded/chain.ts";

/** What a test may want otherwise than usual. */
export interface OpenChainOptions {
  readonly hardfork?: string;
  readonly mining?: "manual" | "automatic";
  readonly port?: number;
  readonly stepsTracing?: boolean;
}

/** Starts a chain that mines by hand under Osaka's rules unless told otherwise. */
export async function openChain(options: OpenChainOptions = {}): Promise<DevChain> {
  return await startChain({
    program: await chainProgram((line) => void Deno.stderr.writeSync(new TextEncoder().encode(`${line}\n`))),
    port: options.port ?? 0,
    hardfork: options.hardfork ?? "osaka",
    mining: options.mining ?? "manual",
    stepsTracing: options.stepsTracing ?? true,
    genesisTime: 1_700_000_000,
    blockGasLimit: 60_000_000,
  });
}
