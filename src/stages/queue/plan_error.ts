/** The one text of a plan that contradicts its block. */
import { type BlockPlan, BlockPlanError } from "./port.ts";

/** A plan whose number of transactions is not that of the block's first plan. */
export function totalError(plan: BlockPlan): BlockPlanError {
  return new BlockPlanError(
    `Cannot enqueue block ${plan.blockNumber} (${plan.blockHash}) as ${plan.total} transactions: ` +
      `current value of its total is another`,
  );
}
