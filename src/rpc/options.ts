/** What the pool must be told: plain numbers, all of them. Defaults live in `config/schema.ts`. */
import type { CallClass, Hash, NodeName, Priority } from "./port.ts";

/** A rule of the token buckets. */
export interface RateRule {
  /** Method name, or a prefix and `*`. */
  readonly methods: string;
  readonly perSecond: number;
  readonly burst: number;
}

/** Bounds of the concurrency that the pool finds by climbing. */
export interface ConcurrencyOptions {
  readonly min: number;
  readonly max: number;
  readonly start: number;
}

/** One node. */
export interface NodeOptions {
  readonly name: NodeName;
  /** http or https. */
  readonly url: string;
  /** ws or wss; absent: heads by polling. */
  readonly ws?: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly gzip: boolean;
  readonly tier: "primary" | "fallback";
  readonly weight: number;
  readonly enabled: boolean;
  /** Family of TRACE 1.8, or found from `web3_clientVersion`. */
  readonly family: string;
  /** Several nodes hide behind the URL. */
  readonly balanced: "auto" | boolean;
  /** How far back the node has state: found out, all, or this many blocks. */
  readonly depth: "auto" | "full" | number;
  readonly methods: { readonly allow: readonly string[]; readonly deny: readonly string[] };
  readonly limits: {
    readonly read: ConcurrencyOptions;
    readonly receipts: ConcurrencyOptions;
    readonly trace: ConcurrencyOptions;
    /** Predicted bytes of trace replies in flight. */
    readonly traceBytes: number;
    readonly replyBytes: "auto" | number;
    readonly batchItems: number;
    readonly rates: readonly RateRule[];
  };
  /** Time limits of this node that replace those of its class or family. */
  readonly timeouts: {
    readonly headMs?: number;
    readonly readMs?: number;
    readonly receiptsMs?: number;
    readonly traceMs?: number;
  };
  /** PEM certificates of further authorities, already read from `caFile`. */
  readonly caCerts: readonly string[];
}

/** `networks[].rpc`. */
export interface RpcOptions {
  readonly timeouts: {
    readonly headMs: number;
    readonly readMs: number;
    readonly receiptsMs: number;
    /** Methods that no class names. */
    readonly defaultMs: number;
    /** Longest silence after the first byte. */
    readonly stallMs: number;
  };
  readonly breaker: {
    /** Consecutive failures that open it. */
    readonly failures: number;
    /** Share of failures among the last `of` that opens it, … */
    readonly ratio: number;
    readonly of: number;
    /** … from this many on. */
    readonly atLeast: number;
    readonly resetMs: number;
    readonly resetMaxMs: number;
    /** Probes in a row that close it. */
    readonly successes: number;
  };
  readonly retry: {
    readonly attempts: number;
    readonly baseMs: number;
    readonly maxMs: number;
    /** Retries allowed per call of the last 10 s, … */
    readonly ratio: number;
    /** … and on top of that per second. */
    readonly perSecond: number;
  };
  readonly hedge: { readonly ratio: number; readonly minMs: number; readonly maxMs: number };
  readonly queue: { readonly max: number };
  /** Share of a node's concurrency that a priority may fill. */
  readonly shares: Readonly<Record<Priority, number>>;
  readonly lag: { readonly blocks: number; readonly ageMs: number };
  readonly batch: { readonly items: number; readonly bytes: number; readonly waitMs: number };
  readonly each: { readonly concurrency: number };
  readonly pending: { readonly enabled: boolean; readonly inFlight: number; readonly max: number };
  readonly probe: { readonly intervalMs: number };
}

/** One network's pool. */
export interface NodePoolOptions {
  /** Name of the network. */
  readonly network: string;
  readonly chainId: number;
  /** Hash of block 0; absent: that of the majority of the nodes. */
  readonly genesisHash?: Hash;
  /** Expected time between two blocks. */
  readonly blockTimeMs: number;
  /** Classes that the enabled processors use: each needs a ready node. */
  readonly classes: readonly CallClass[];
  readonly nodes: readonly NodeOptions[];
  readonly rpc: RpcOptions;
}
