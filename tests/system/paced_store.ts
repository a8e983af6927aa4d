/** ClickHouse's HTTP interface at another pace: inserts of structlogs wait until their rows are allowed. */
import { structlogTable } from "../../src/stages/encode/structlog.ts";

/** The store. */
export interface PacedStore extends AsyncDisposable {
  readonly url: string;
  /** Structlogs that were let through. */
  rows(): number;
}

/** How often a waiting insert looks whether it is allowed. */
const LOOK_MS = 10;

/** Forwards to `target`. `allowed`: how many structlogs may have gone through by now. */
export function pacedStore(target: string, allowed: () => number): PacedStore {
  let rows = 0;
  let closed = false;
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
    const url = new URL(request.url);
    const body = new Uint8Array(await request.arrayBuffer());
    if (url.searchParams.get("query")?.startsWith(`INSERT INTO ${structlogTable.name} `) === true) {
      while (rows > allowed()) {
        if (closed || request.signal.aborted) return new Response(null, { status: 499 });
        await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
      }
      rows += blockRows(body);
    }
    const headers = new Headers(request.headers);
    for (const name of ["host", "content-length"]) headers.delete(name);
    const hasBody = request.method !== "GET" && request.method !== "HEAD";
    const answer = await fetch(new URL(url.pathname + url.search, target), {
      method: request.method,
      headers,
      ...(hasBody ? { body } : {}),
    });
    return new Response(answer.body, { status: answer.status, headers: answer.headers });
  });
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    rows: () => rows,
    async [Symbol.asyncDispose]() {
      closed = true;
      await server.shutdown();
    },
  };
}

/** The second number of a Native block, after that of its columns: seven bits a byte, lowest first. */
function blockRows(block: Uint8Array): number {
  let at = 0;
  while (block[at]! >= 128) at++;
  let rows = 0;
  let shift = 1;
  do {
    at++;
    rows += (block[at]! & 127) * shift;
    shift *= 128;
  } while (block[at]! >= 128);
  return rows;
}
