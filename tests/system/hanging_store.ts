/** ClickHouse's HTTP interface behind a door: inserts into the trace tables hang until it is opened. */

/** The door. */
export interface HangingStore extends AsyncDisposable {
  readonly url: string;
  /** Inserts that hang now. */
  hanging(): number;
  /** Lets everything through from now on. */
  open(): void;
}

/** Forwards to `target`. */
export function hangingStore(target: string): HangingStore {
  const opened = Promise.withResolvers<void>();
  let hanging = 0;
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
    const url = new URL(request.url);
    const body = await request.arrayBuffer();
    if (url.searchParams.get("query")?.startsWith("INSERT INTO canonical_") === true) {
      hanging++;
      await Promise.race([
        opened.promise,
        new Promise<void>((gone) => request.signal.addEventListener("abort", () => gone(), { once: true })),
      ]);
      hanging--;
      if (request.signal.aborted) return new Response(null, { status: 499 });
    }
    const headers = new Headers(request.headers);
    headers.delete("host");
    headers.delete("content-length");
    const hasBody = request.method !== "GET" && request.method !== "HEAD";
    const answer = await fetch(new URL(url.pathname + url.search, target), {
      method: request.method,
      headers,
      ...(hasBody ? { body } : {}),
    }).catch(() => new Response("nobody answers\n", { status: 502 }));
    return new Response(answer.body, { status: answer.status, headers: answer.headers });
  });
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    hanging: () => hanging,
    open: () => opened.resolve(),
    async [Symbol.asyncDispose]() {
      opened.resolve();
      await server.shutdown();
    },
  };
}
