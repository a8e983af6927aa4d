/** TRACE 1.5: the printed refund counter, brought to the scope of the transaction. */
import { FACT_REFUND, FACT_REFUND_SCOPE, REFUND_ALWAYS, REFUND_NEVER, SCOPE_FRAME } from "./facts";
import { HAS_REFUND, RECORD, REFUND, REFUND_NEGATIVE } from "./record";
import { F, F_REFUND_BASE, fact32 } from "./state";

/** The node prints none: decided before the first row leaves, never by later rows. */
export let isRefundUnknown: u32 = 0;
let isFrameScope: u32 = 0;

export function resetRefund(): void {
  isRefundUnknown = fact32(FACT_REFUND) == REFUND_NEVER ? 1 : 0;
  isFrameScope = fact32(FACT_REFUND_SCOPE) == SCOPE_FRAME ? 1 : 0;
}

/** The first structlog decides for clients that print the counter always. */
export function seeFirstRefund(flags: u32): void {
  if (fact32(FACT_REFUND) == REFUND_ALWAYS && (flags & HAS_REFUND) == 0) isRefundUnknown = 1;
}

/** Counter of the structlog in the record, which belongs to the innermost frame. Magnitudes above 2^63 mean below zero. */

export function refundOfRecord(flags: u32): i64 {
  if ((flags & HAS_REFUND) == 0) return isFrameScope != 0 ? load<i64>(F, F_REFUND_BASE) : 0;
  const magnitude = load<i64>(RECORD, REFUND);
  const printed = (flags & REFUND_NEGATIVE) != 0 ? 0 - magnitude : magnitude;
  return isFrameScope != 0 ? load<i64>(F, F_REFUND_BASE) + printed : printed;
}
