/** Which call reads a range of transactions: one for the whole block while it is small, else one for each. */

/** How a range is read: one reply after the other. */
export interface TraceReads {
  readonly shape: "block" | "transaction";
  /** Ranges of indices; single ones where the shape is `transaction`. */
  readonly parts: readonly { readonly first: number; readonly last: number }[];
}

/** What decides. */
export interface MethodChoice {
  readonly method: "auto" | "block" | "transaction";
  /** Largest predicted number of structlogs that is read with one call for the block. */
  readonly blockStructlogs: number;
}

/**
 * Most clients execute the block up to the transaction for each `debug_traceTransaction`, so small transactions are
 * read with one `debug_traceBlockByHash`; a large one alone, so that a cut costs little.
 *
 * @param total Transactions of the block.
 * @param attempts Failures so far: after the first, the block is not asked for as a whole again.
 */
export function traceReads(
  range: { readonly first: number; readonly last: number },
  total: number,
  predictedStructlogs: number,
  attempts: number,
  choice: MethodChoice,
): TraceReads {
  const whole = range.first === 0 && range.last === total - 1;
  const small = predictedStructlogs <= choice.blockStructlogs && attempts === 0 && total > 1;
  if (whole && choice.method !== "transaction" && (choice.method === "block" || small)) {
    return { shape: "block", parts: [range] };
  }
  const parts = [];
  for (let index = range.first; index <= range.last; index++) parts.push({ first: index, last: index });
  return { shape: "transaction", parts };
}
