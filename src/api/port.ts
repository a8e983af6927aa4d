/** What the operator API needs of a network of this process. */
import type { NodePool } from "../rpc/port.ts";
import type { OperatedPool } from "../rpc/operator_routes.ts";
import type { Ledger } from "../stages/gate/ledger.ts";
import type { WorkQueue } from "../stages/queue/port.ts";
import type { SqlReader } from "../stages/sink/port.ts";
import type { Chain } from "../stages/source/chain.ts";

/** One network, as operators see it. Nothing here needs this process to lead: wishes travel as requests to the leader. */
export interface OperatedNetwork {
  readonly name: string;
  /** Names of `networks[].processors`. */
  readonly processors: readonly string[];
  /** `networks[].verify.enabled`. */
  readonly verified: boolean;
  readonly queue: Pick<
    WorkQueue,
    "request" | "stats" | "deadLetters" | "deadLetter" | "replay" | "drop" | "pause" | "resume"
  >;
  readonly ledger: Pick<Ledger, "between" | "bounds">;
  readonly pool: OperatedPool & Pick<NodePool, "each">;
  readonly chain: Pick<Chain, "headNumber" | "headerByNumber" | "blockOfTransaction">;
  readonly database: SqlReader;
}

/** Bounds of the API. No defaults here: see the configuration's schema. */
export interface ApiOptions {
  /** `HOST:PORT`. */
  readonly address: string;
  /** Bearer token; absent: none is asked for, and requests of web pages are refused. */
  readonly token?: string;
  /** Requests per second, all clients together; twice as many at once after a pause. */
  readonly ratePerSecond: number;
  /** Longest request body. */
  readonly bodyBytes: number;
  /** A request that the neighbours (queue, store, nodes) do not answer within it ends as 502. */
  readonly timeoutMs: number;
}
