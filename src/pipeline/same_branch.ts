/**
 * A block's calls stay on one node. Where another node takes over, it may be on another branch, on which the same
 * transaction was executed in another block, in another state: its trace would be well formed and wrong.
 */
import { RpcFailure } from "../rpc/failure.ts";
import type { Failure, Hash, Lease, NodePool, Priority } from "../rpc/port.ts";

/** Two epochs: what lies deeper is finalized, or as good as. */
const REVERSIBLE_BLOCKS = 64;

/** The transaction that is to be traced on a lease. */
export interface Placed {
  readonly transactionHash: Hash;
  readonly blockHash: Hash;
  readonly blockNumber: number;
}

/**
 * Makes sure that the node of this lease, if it took the block over, has the transaction in the block.
 *
 * @throws {RpcFailure} it has not, which is no fault of the task; or its receipt could not be read
 */
export async function checkBranch(
  pool: Pick<NodePool, "nodes" | "request">,
  lease: Lease,
  { transactionHash, blockHash, blockNumber }: Placed,
  ask: { readonly priority: Priority; readonly deadlineMs: number; readonly signal: AbortSignal },
): Promise<void> {
  if (!lease.moved) return;
  const nodes = pool.nodes();
  const head = Math.max(...nodes.map(({ headNumber }) => headNumber ?? 0));
  if (blockNumber < head - REVERSIBLE_BLOCKS) return;
  const node = lease.node.name;
  const found = await pool.request<string | undefined>("eth_getTransactionReceipt", [transactionHash], {
    ...ask,
    class: "read",
    decode: (result) => String((result as { blockHash?: unknown }).blockHash).toLowerCase(),
    absent: () => undefined,
    not: nodes.map(({ name }) => name).filter((name) => name !== node),
  });
  if (found === blockHash) return;
  const failure: Failure = {
    class: "trace",
    method: "debug_traceTransaction",
    node,
    action: "missing",
    reason: "other_branch",
    text: `its receipt of ${transactionHash} names ${found ?? "no block"} instead of ${blockHash}`,
    bytes: 0,
  };
  lease.report({ kind: "failed", failure });
  throw new RpcFailure(failure, true);
}
