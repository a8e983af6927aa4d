/**
 * The request for a trace, as each client family understands it. Every switch is sent under every name that some
 * release knows: each ignores what it does not know. `limit` is never sent: it cuts traces without a sign.
 */
import type { NodeView } from "./port.ts";

/** What to trace and which parts of a structlog to ask for. */
export interface TraceRequest {
  /** The transaction, or the block whose transactions are traced in one reply. */
  readonly target:
    | { readonly kind: "transaction"; readonly hash: string }
    | { readonly kind: "block"; readonly hash: string };
  readonly memory: boolean;
  readonly stack: boolean;
  readonly storage: boolean;
  readonly returnData: boolean;
}

/** JSON-RPC method of a target. */
export function traceMethod(request: TraceRequest): "debug_traceTransaction" | "debug_traceBlockByHash" {
  return request.target.kind === "transaction" ? "debug_traceTransaction" : "debug_traceBlockByHash";
}

/** Options of the struct logger for this node. */
export function traceOptions(view: NodeView, request: TraceRequest): Readonly<Record<string, unknown>> {
  const { executionMs } = view.limits;
  return {
    enableMemory: request.memory,
    disableMemory: !request.memory,
    disableStack: !request.stack,
    disableStorage: !request.storage,
    enableReturnData: request.returnData,
    disableReturnData: !request.returnData,
    ...(executionMs === undefined ? {} : { timeout: `${executionMs}ms` }),
  };
}

/** The whole request body. */
export function traceBody(view: NodeView, request: TraceRequest): string {
  return JSON.stringify({
    jsonrpc: "2.0",
    id: 1,
    method: traceMethod(request),
    params: [request.target.hash, traceOptions(view, request)],
  });
}
