/** The bounded worker pool: a piece of work per item, in bounded number at once, results in the order of the items. */
import pMap from "p-map";
import type { EachAsk, EachResults, Result } from "./port.ts";

/**
 * Runs `work` over `items`. `failFast` aborts the signal of all others with the first failure and throws it; `collect`
 * runs them all. When `signal` fires, items in hand are aborted and those not begun fail with its reason.
 */
export async function each<T, R>(
  items: Iterable<T>,
  ask: EachAsk & { readonly concurrency: number },
  work: (item: T, signal: AbortSignal, index: number) => Promise<R>,
): Promise<EachResults<R>> {
  const abort = new AbortController();
  const forward = () => abort.abort(ask.signal!.reason);
  if (ask.signal?.aborted) forward();
  ask.signal?.addEventListener("abort", forward, { once: true });
  let failures = 0;
  let first: unknown;
  const run = async (item: T, index: number): Promise<Result<R>> => {
    try {
      abort.signal.throwIfAborted();
      return { ok: true, value: await work(item, abort.signal, index) };
    } catch (error) {
      failures++;
      if (ask.mode === "failFast" && failures === 1) {
        first = error;
        abort.abort(error);
      }
      return { ok: false, error: error instanceof Error ? error : new Error(String(error), { cause: error }) };
    }
  };
  try {
    const results = await pMap(items, run, { concurrency: ask.concurrency });
    if (ask.mode === "failFast" && failures > 0) throw first;
    return { results, failures };
  } finally {
    ask.signal?.removeEventListener("abort", forward);
  }
}
