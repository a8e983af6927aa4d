/** What the pool throws. The queue reads the disposition; `release` means that no attempt is used. */
import { type Disposition, PipelineError } from "../errors.ts";
import type { CallClass, Failure, NodeName, Priority } from "./port.ts";

/** A node answered with a failure, and no other node was left to ask. */
export class RpcFailure extends PipelineError {
  readonly code = "rpc_failure";
  readonly disposition: Disposition;
  override readonly release: boolean;

  /** @param release the node, not the request, is to blame */
  constructor(readonly failure: Failure, release: boolean, options?: ErrorOptions) {
    const code = failure.code === undefined ? "" : ` (code ${failure.code})`;
    const status = failure.httpStatus === undefined ? "" : ` (HTTP ${failure.httpStatus})`;
    super(
      `Cannot read ${failure.method} from node ${failure.node}: ${failure.reason}${code}${status}: ${failure.text}`,
      options,
    );
    this.disposition = failure.action === "dead" ? "dead" : "retry";
    this.release = release && failure.action !== "dead";
  }
}

/** No node can serve the class. */
export class NodesUnavailable extends PipelineError {
  readonly code = "nodes_unavailable";
  readonly disposition = "retry";
  override readonly release = true;

  constructor(
    readonly network: string,
    readonly callClass: CallClass,
    /** When the next breaker probes or the next pause ends, monotonic milliseconds. */
    readonly retryAtMs: number,
    readonly reasons: ReadonlyMap<NodeName, string>,
  ) {
    const perNode = [...reasons].map(([node, reason]) => `${node}: ${reason}`).join("; ");
    super(`Cannot serve class ${callClass} on network ${network} as no node can: ${perNode}`);
  }
}

/** Why waiting work was sent back. */
export type ShedReason = "queue_full" | "deadline" | "no_node" | "shutdown";

/** The lease was shed from the waiting queue. */
export class Overloaded extends PipelineError {
  readonly code = "rpc_overloaded";
  readonly disposition = "retry";
  override readonly release = true;

  constructor(network: string, readonly priority: Priority, readonly reason: ShedReason, readonly waiting: number) {
    super(`Cannot lease a node of network ${network} for priority ${priority}: ${reason}, ${waiting} waiting`);
  }
}

/** The deadline passed before anything was sent. */
export class DeadlineExceeded extends PipelineError {
  readonly code = "rpc_deadline";
  readonly disposition = "retry";
  override readonly release = true;

  constructor(network: string, readonly callClass: CallClass) {
    super(`Cannot send a call of class ${callClass} on network ${network}: its deadline has passed`);
  }
}

/** Every node of the network is of another chain. */
export class NetworkRefused extends PipelineError {
  readonly code = "network_refused";
  readonly disposition = "fatal";

  constructor(network: string, chainId: number, found: ReadonlyMap<NodeName, string>) {
    const perNode = [...found].map(([node, what]) => `${node}: ${what}`).join("; ");
    super(`Cannot use any node of network ${network} as chain ${chainId}: ${perNode}. Check networks[].nodes[].url`);
  }
}
