/** Plan: a block becomes tasks, each a range of transactions whose predicted structlogs fit one task. */
import type { TransactionRange } from "../stages/queue/port.ts";

/** Structlogs per gas before anything was learned: the mean of ordinary mainnet blocks is about one in fifty gas. */
const STRUCTLOGS_PER_GAS = 0.02;
/** Weight of a new block in the running mean. */
const LEARNING_RATE = 0.1;

/** Accepted blocks whose gas is remembered until they are stored. */
const MAX_ACCEPTED = 1_024;

/** Predicts structlogs from gas, and learns from the blocks that were processed. One per network. */
export class Prediction {
  #perGas = STRUCTLOGS_PER_GAS;
  readonly #accepted = new Map<string, number>();

  /** Structlogs that `gas` is expected to make; at least 1. */
  structlogs(gas: number): number {
    return Math.max(1, Math.round(gas * this.#perGas));
  }

  /** A block of `gas` was accepted here; who works on it may be another process. */
  accepted(blockHash: string, gas: number): void {
    this.#accepted.set(blockHash, gas);
    if (this.#accepted.size > MAX_ACCEPTED) this.#accepted.delete(this.#accepted.keys().next().value!);
  }

  /** A block was stored with this many structlogs, as its records say. */
  stored(blockHash: string, structlogs: number): void {
    const gas = this.#accepted.get(blockHash);
    this.#accepted.delete(blockHash);
    if (gas !== undefined && structlogs > 0) this.learn(gas, structlogs);
  }

  /** What a task of `gas` really was. */
  learn(gas: number, structlogs: number): void {
    if (gas > 0) this.#perGas += LEARNING_RATE * (structlogs / gas - this.#perGas);
  }
}

/** One range for all: a block that fits. Empty for a block without transactions. */
export function wholeBlock(transactions: number): readonly TransactionRange[] {
  return transactions === 0 ? [] : [{ first: 0, last: transactions - 1 }];
}

/**
 * Cuts a block into about `count` ranges of about equal gas, at most twice as many: a transaction with more gas than a
 * share is alone. Depends on the block and the count, so that the same block is cut alike when it is enqueued again.
 *
 * @param gasUsed Of each transaction, in order.
 * @param count At most one per transaction.
 */
export function equalGasRanges(gasUsed: readonly number[], count: number): readonly TransactionRange[] {
  const total = gasUsed.reduce((sum, gas) => sum + gas, 0);
  const ranges: TransactionRange[] = [];
  let first = 0;
  let sum = 0;
  let shares = 0;
  for (const [index, gas] of gasUsed.entries()) {
    const large = gas * count > total;
    if (large && index > first) {
      ranges.push({ first, last: index - 1 });
      first = index;
    }
    sum += gas;
    const reached = Math.floor((sum * count) / total);
    if (!large && !(reached > shares) && index < gasUsed.length - 1) continue;
    ranges.push({ first, last: index });
    first = index + 1;
    shares = reached;
  }
  return ranges;
}
