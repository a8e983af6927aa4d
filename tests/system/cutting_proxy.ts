/** A TCP proxy whose connections can be cut at any moment. */

/** A running proxy. */
export interface CuttingProxy extends AsyncDisposable {
  /** The target's URL, through the proxy. */
  readonly url: string;
  /** Connections that are open now. */
  connections(): number;
  /** Closes every open connection. @returns how many. */
  cut(): number;
}

/** Listens on a free port and forwards to `target`. */
export function cuttingProxy(target: URL): CuttingProxy {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const open = new Set<Deno.Conn>();
  const forwarding = new Set<Promise<unknown>>();
  const close = (connection: Deno.Conn) => {
    try {
      connection.close();
    } catch (error) {
      if (!(error instanceof Deno.errors.BadResource)) throw error;
    }
  };
  const forward = async (client: Deno.Conn) => {
    const server = await Deno.connect({ hostname: target.hostname, port: Number(target.port) });
    open.add(client);
    await Promise.allSettled([
      client.readable.pipeTo(server.writable),
      server.readable.pipeTo(client.writable),
    ]);
    open.delete(client);
    close(server);
    close(client);
  };
  const accepting = (async () => {
    for await (const client of listener) {
      const done = forward(client).catch(() => close(client)).finally(() => forwarding.delete(done));
      forwarding.add(done);
    }
  })();
  const { port } = listener.addr as Deno.NetAddr;
  const url = new URL(target);
  url.port = String(port);
  const cut = () => {
    const count = open.size;
    for (const connection of open) close(connection);
    return count;
  };
  return {
    url: url.href,
    connections: () => open.size,
    cut,
    async [Symbol.asyncDispose]() {
      listener.close();
      cut();
      await accepting.catch(() => {});
      await Promise.allSettled(forwarding);
    },
  };
}
