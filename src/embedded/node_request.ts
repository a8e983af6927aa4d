/**
 * One JSON-RPC request to the dev chain, read with plain `JSON.parse`. The pipeline speaks to nodes through the pool of
 * `rpc/`; what makes the workload and what checks the pipeline's result shares no code with it, on purpose.
 */
import { ChainError } from "./errors.ts";

/** Sends one request and resolves with its `result`. */
export async function nodeRequest<Result>(
  url: string,
  method: string,
  params: readonly unknown[],
  signal?: AbortSignal,
): Promise<Result> {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
    ...(signal && { signal }),
  });
  const reply: { readonly result?: Result; readonly error?: { readonly message: string } } = await response.json();
  if (reply.error !== undefined) {
    throw new ChainError(`Cannot ${method} on the dev chain: it answered "${reply.error.message}"`);
  }
  return reply.result as Result;
}
