/** Plan: a block becomes tasks, each a range of transactions whose predicted structlogs fit one task. */
import type { TransactionRange } from "../stages/queue/port.ts";

/** Structlogs per gas before anything was learned: the mean of ordinary mainnet blocks is about one in fifty gas. */
const STRUCTLOGS_PER_GAS = 0.02;
/** Weight of a new block in the running mean. */
const LEARNING_RATE = 0.1;

/** Predicts structlogs from gas, and learns from the blocks that were processed. One per network. */
export class Prediction {
  #perGas = STRUCTLOGS_PER_GAS;

  /** Structlogs that `gas` is expected to make; at least 1. */
  structlogs(gas: number): number {
    return Math.max(1, Math.round(gas * this.#perGas));
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
 * Cuts a block where the predicted structlogs would exceed `taskStructlogs`; a larger transaction is alone.
 *
 * @param structlogs Predicted structlogs of each transaction, in order.
 */
export function ranges(structlogs: readonly number[], taskStructlogs: number): readonly TransactionRange[] {
  const cut: TransactionRange[] = [];
  let first = 0;
  let sum = 0;
  for (const [index, predicted] of structlogs.entries()) {
    if (index > first && sum + predicted > taskStructlogs) {
      cut.push({ first, last: index - 1 });
      first = index;
      sum = 0;
    }
    sum += predicted;
  }
  if (structlogs.length > 0) cut.push({ first, last: structlogs.length - 1 });
  return cut;
}
