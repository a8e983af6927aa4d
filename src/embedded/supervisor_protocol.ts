/** What a supervisor's owner and the supervisor say to each other: one JSON value a line, over its stdin and stdout. */
import type { ChainOptions } from "./chain.ts";
import type { EngineOptions } from "./port.ts";

/** What the owner says. The first order is `begin`; the end of stdin is the last. */
export type SupervisorOrder =
  | {
    readonly kind: "begin";
    readonly chain: Omit<ChainOptions, "signal">;
    readonly engine: Pick<EngineOptions, "path" | "port" | "maxMemoryBytes">;
  }
  /** Starts Deno as one more part. */
  | { readonly kind: "run"; readonly id: number; readonly program: Program }
  | { readonly kind: "signal"; readonly id: number; readonly signal: Deno.Signal };

/** A program that Deno runs. */
export interface Program {
  /** Arguments of Deno, e.g. `["run", "--allow-net", "main.ts"]`. */
  readonly args: readonly string[];
  /** Its working directory; the owner's when absent. */
  readonly cwd?: string;
}

/** Where the chain is. */
export interface ChainEndpoint {
  readonly httpUrl: string;
  readonly wsUrl: string;
  readonly pid: number;
}

/** Where the engine is, and who may ask it. */
export interface EngineEndpoint {
  readonly url: string;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  readonly pid: number;
}

/** How a program that was started by a `run` order ended; neither is known when the supervisor was killed. */
export interface ProgramExit {
  readonly code?: number;
  readonly signal?: string;
}

/** What the supervisor says. */
export type SupervisorReport =
  /** Something is fetched from npm first. */
  | { readonly kind: "download"; readonly line: string }
  | { readonly kind: "ready"; readonly chain: ChainEndpoint; readonly engine: EngineEndpoint }
  /** Nothing was started, or what was has been ended again. */
  | { readonly kind: "failed"; readonly reason: string }
  /** The chain or the engine ended on its own; the supervisor ends with it. */
  | { readonly kind: "lost"; readonly reason: string }
  | { readonly kind: "running"; readonly id: number; readonly pid: number }
  /** A line that a program wrote to its stdout or stderr. */
  | { readonly kind: "printed"; readonly id: number; readonly line: string }
  | { readonly kind: "exited"; readonly id: number; readonly exit: ProgramExit };
