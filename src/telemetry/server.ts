/** `/metrics`, `/healthz` and `/readyz` over HTTP. */
import { emit } from "./emit.ts";

/** Why the process is not ready; empty when it is. */
export type Readiness = () => readonly string[];

/** A running server. */
export interface TelemetryServer extends AsyncDisposable {
  /** `http://HOST:PORT`. */
  readonly url: string;
}

/** Splits `HOST:PORT`. @throws {TypeError} when it is not of that form. */
export function parseAddress(address: string): { hostname: string; port: number } {
  const match = /^(\[[^\]]+\]|[^:]+):(\d+)$/.exec(address);
  if (match === null) {
    throw new TypeError(`Cannot listen at an address: expected HOST:PORT, current value is "${address}"`);
  }
  return { hostname: match[1]!.replace(/^\[|\]$/g, ""), port: Number(match[2]) };
}

/** Serves until disposed of. */
export function serveTelemetry(
  address: string,
  metrics: () => string,
  notReady: Readiness,
): TelemetryServer {
  const { hostname, port } = parseAddress(address);
  const text = (body: string, status: number) =>
    new Response(body, { status, headers: { "content-type": "text/plain; charset=utf-8" } });
  const server = Deno.serve({ hostname, port, onListen: () => {} }, (request) => {
    if (request.method !== "GET") return text("method not allowed\n", 405);
    switch (new URL(request.url).pathname) {
      case "/metrics":
        return new Response(metrics(), {
          headers: { "content-type": "text/plain; version=0.0.4; charset=utf-8" },
        });
      case "/healthz":
        return text("ok\n", 200);
      case "/readyz": {
        const reasons = notReady();
        return reasons.length === 0 ? text("ok\n", 200) : text(`${reasons.join("\n")}\n`, 503);
      }
      default:
        return text("not found: try /metrics, /healthz or /readyz\n", 404);
    }
  });
  const { addr } = server;
  const host = addr.hostname.includes(":") ? `[${addr.hostname}]` : addr.hostname;
  const url = `http://${host}:${addr.port}`;
  emit({ kind: "telemetry_listening", url });
  return { url, [Symbol.asyncDispose]: () => server.shutdown() };
}
