/**
 * Which nodes sent a trace that the proof refused, by transaction: a transaction is given up when nodes agree about it,
 * not when one node is wrong twice. Known to this process only; another one finds it out anew.
 */

/** Transactions remembered. */
const MAX_TRANSACTIONS = 4_096;

/** Refused traces of one network. */
export class Violations {
  /** Nodes by transaction hash, the longest unchanged first. */
  readonly #nodes = new Map<string, { readonly names: Set<string>; times: number }>();

  /**
   * Counts a refused trace.
   *
   * @param alone No other node can be asked: each time counts.
   * @returns how many nodes sent a refused trace of this transaction, this one included.
   */
  add(transactionHash: string, node: string, alone: boolean): number {
    const known = this.#nodes.get(transactionHash) ?? { names: new Set(), times: 0 };
    known.names.add(node);
    known.times++;
    this.#nodes.delete(transactionHash);
    this.#nodes.set(transactionHash, known);
    if (this.#nodes.size > MAX_TRANSACTIONS) this.#nodes.delete(this.#nodes.keys().next().value!);
    return alone ? known.times : known.names.size;
  }
}
