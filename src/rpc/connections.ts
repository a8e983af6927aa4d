/**
 * HTTP connections to nodes: one client per node and isolate, HTTP/1.1 so that a large trace and a head never share a
 * connection.
 */
import type { NodeView } from "./port.ts";

const IDLE_MS = 20_000;

/** Clients by node. */
export class Connections implements Disposable {
  readonly #clients = new Map<string, Deno.HttpClient>();

  /** The client of this node, made when first asked for. */
  of(view: NodeView): Deno.HttpClient {
    const key = `${view.network}/${view.name}`;
    let client = this.#clients.get(key);
    if (client === undefined) {
      client = Deno.createHttpClient({
        poolMaxIdlePerHost: view.connections,
        poolIdleTimeout: IDLE_MS,
        http2: false,
        ...(view.caCerts.length === 0 ? {} : { caCerts: [...view.caCerts] }),
      });
      this.#clients.set(key, client);
    }
    return client;
  }

  /** Forgets idle connections that may be dead without a sign of it. Calls in flight finish. */
  renew(view: NodeView): void {
    const key = `${view.network}/${view.name}`;
    this.#clients.get(key)?.close();
    this.#clients.delete(key);
  }

  [Symbol.dispose](): void {
    for (const client of this.#clients.values()) client.close();
    this.#clients.clear();
  }
}

/** Sends a JSON body; resolves with the head of the answer. Rejects as fetch does. */
export function post(connections: Connections, view: NodeView, body: string, signal: AbortSignal): Promise<Response> {
  const init: RequestInit & { client: Deno.HttpClient } = {
    method: "POST",
    body,
    headers: requestHeaders(view),
    redirect: "error",
    signal,
    client: connections.of(view),
  };
  return fetch(view.url, init);
}

const headersOf = new WeakMap<NodeView["headers"], Readonly<Record<string, string>>>();

function requestHeaders(view: NodeView): Record<string, string> {
  let headers = headersOf.get(view.headers);
  if (headers === undefined) {
    headers = {
      ...view.headers,
      "content-type": "application/json",
      ...(view.gzip ? {} : { "accept-encoding": "identity" }),
    };
    headersOf.set(view.headers, headers);
  }
  return headers;
}
