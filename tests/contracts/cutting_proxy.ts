/** A TCP proxy in front of a server, that can swallow an answer and cut the connection: the request was carried out. */

/** Forwards to `port`, until told otherwise. */
export class CuttingProxy implements AsyncDisposable {
  readonly #listener: Deno.TcpListener;
  readonly #target: number;
  readonly #connections = new Set<Deno.TcpConn>();
  readonly #running = new Set<Promise<void>>();
  #cutAfter: string | undefined;
  /** Requests whose answer was swallowed. */
  cuts = 0;

  constructor(target: number) {
    this.#target = target;
    this.#listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    this.#track(this.#accept());
  }

  get port(): number {
    return (this.#listener.addr as Deno.NetAddr).port;
  }

  /** The next request that holds `text` is forwarded, its answer swallowed, its connection cut. */
  cutAfter(text: string): void {
    this.#cutAfter = text;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    for (const connection of [...this.#connections]) this.#close(connection);
    await Promise.all(this.#running);
  }

  async #accept(): Promise<void> {
    for await (const client of this.#listener) {
      let server: Deno.TcpConn;
      try {
        server = await Deno.connect({ hostname: "127.0.0.1", port: this.#target });
      } catch {
        client.close();
        continue;
      }
      this.#connections.add(client).add(server);
      const state = { cut: false };
      this.#track(this.#forward(client, server, (text) => {
        if (this.#cutAfter === undefined || !text.includes(this.#cutAfter)) return true;
        this.#cutAfter = undefined;
        state.cut = true;
        return true;
      }));
      this.#track(this.#forward(server, client, () => {
        if (state.cut) this.cuts++;
        return !state.cut;
      }));
    }
  }

  async #forward(from: Deno.TcpConn, to: Deno.TcpConn, passes: (text: string) => boolean): Promise<void> {
    const chunk = new Uint8Array(65536);
    try {
      while (true) {
        const read = await from.read(chunk);
        if (read === null || !passes(new TextDecoder().decode(chunk.subarray(0, read)))) break;
        for (let sent = 0; sent < read;) sent += await to.write(chunk.subarray(sent, read));
      }
    } catch { /* cut from the other side */ }
    this.#close(from);
    this.#close(to);
  }

  #close(connection: Deno.TcpConn): void {
    if (this.#connections.delete(connection)) connection.close();
  }

  #track(work: Promise<void>): void {
    const tracked = work.catch(() => {}).finally(() => this.#running.delete(tracked));
    this.#running.add(tracked);
  }
}
