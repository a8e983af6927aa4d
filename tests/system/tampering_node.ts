/** A node that answers as another one does, except where a test wants otherwise. */

/** One JSON-RPC call. */
export interface NodeCall {
  readonly method: string;
  readonly params: readonly unknown[];
}

/** The answer that takes the place of the node's own: `undefined` leaves that. */
export type Tamper = (call: NodeCall) => { readonly result: unknown } | { readonly error: object } | undefined;

/** A JSON-RPC server before a node. */
export interface TamperingNode extends AsyncDisposable {
  readonly url: string;
  /** Calls that were answered otherwise. */
  tampered(): number;
}

/** Starts it on a free port; batches are taken apart. */
export function tamperingNode(target: string, tamper: Tamper): TamperingNode {
  let tampered = 0;
  const answer = async (call: NodeCall & { readonly id: unknown }): Promise<string> => {
    const other = tamper(call);
    if (other !== undefined) {
      tampered++;
      return JSON.stringify({ jsonrpc: "2.0", id: call.id, ...other });
    }
    const response = await fetch(target, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(call),
    });
    return await response.text();
  };
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
    const calls = await request.json();
    const text = Array.isArray(calls) ? `[${(await Promise.all(calls.map(answer))).join(",")}]` : await answer(calls);
    return new Response(text, { headers: { "content-type": "application/json" } });
  });
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    tampered: () => tampered,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}
