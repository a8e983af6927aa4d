/**
 * A node with faults: a real HTTP and WebSocket server on the loopback that answers like a client, or fails as told. Raw
 * TCP, so that it can cut, stall and reset where a server library would not.
 */
import { anyPort, PORT_TRIES } from "../ports.ts";

/** What a call is answered with. */
export type Reaction =
  /** The node's own answer. */
  | { readonly kind: "answer" }
  | { readonly kind: "result"; readonly result: unknown }
  | {
    readonly kind: "error";
    readonly error: { code: number; message: string; data?: unknown };
    readonly status?: number;
  }
  | {
    readonly kind: "status";
    readonly status: number;
    readonly body?: string;
    readonly headers?: Record<string, string>;
  }
  /** This text as the body. */
  | { readonly kind: "body"; readonly body: string }
  /** Never an answer. */
  | { readonly kind: "hang" }
  /** The connection ends before a byte. */
  | { readonly kind: "close" }
  /** The body, or this one, ends after so many bytes. */
  | { readonly kind: "cut"; readonly bytes: number; readonly chunked?: boolean; readonly body?: string }
  /** The body, or this one, pauses for ever after so many bytes. */
  | { readonly kind: "stall"; readonly bytes: number; readonly body?: string };

/** Called for each call of a body; `undefined` is the node's own answer. */
export type Script = (call: RpcCall) => Reaction | undefined | Promise<Reaction | undefined>;

/** One JSON-RPC call. */
export interface RpcCall {
  readonly id: unknown;
  readonly method: string;
  readonly params: readonly unknown[];
}

/** A chain that only counts. */
export interface FakeChain {
  readonly chainId: number;
  /** Number of the newest block. */
  head: number;
  /** Distinguishes chains: blocks above `forkAt` differ by it. */
  fork: number;
  forkAt: number;
  clientVersion: string;
}

/** A running node. */
export interface FlakyNode extends AsyncDisposable {
  readonly url: string;
  readonly ws: string;
  readonly port: number;
  readonly chain: FakeChain;
  script: Script;
  /** Calls received, by method. */
  readonly received: Map<string, number>;
  /** Largest number of requests in hand at once. */
  peak: number;
  /** Connections accepted. */
  connections: number;
  /** Connections open. */
  readonly open: number;
  /** Sockets with a subscription to heads. */
  readonly subscribers: number;
  /** Announces the chain's head, or this header, over all sockets. */
  announce(header?: unknown): void;
  /** Sends a text over all sockets. */
  say(text: string): void;
  /** Sockets no longer answer nor announce. */
  silent: boolean;
  /** Resolves when a peer has left a call that hung. */
  readonly abandoned: Promise<void>;
  /** Ends all sockets. */
  dropSockets(): void;
  /** Ends all connections. */
  drop(): void;
  /** Ends every new connection at once. */
  refusing: boolean;
  /** Stops listening and ends all connections. */
  down(): void;
  /** Listens on the same port again, some time after {@linkcode down}. */
  up(): void;
}

/** A block hash that depends on number and fork. */
export function hashOf(chain: FakeChain, number: number): string {
  const fork = number > chain.forkAt ? chain.fork : 0;
  return `0x${fork.toString(16).padStart(8, "0")}${(number + 1).toString(16).padStart(56, "0")}`;
}

/** A header as `eth_getBlockByNumber` answers it. */
export function headerOf(chain: FakeChain, number: number): Record<string, unknown> {
  return {
    number: `0x${number.toString(16)}`,
    hash: hashOf(chain, number),
    parentHash: number === 0 ? `0x${"0".repeat(64)}` : hashOf(chain, number - 1),
    timestamp: `0x${(1_600_000_000 + number * 12).toString(16)}`,
    transactions: [],
  };
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Starts a node. `script` says how it fails; without one it does not. */
export function startFlakyNode(chain: Partial<FakeChain> = {}, script: Script = () => undefined): FlakyNode {
  return new Server({ chainId: 1337, head: 100, fork: 0, forkAt: -1, clientVersion: "Geth/v1.17.8", ...chain }, script);
}

class Server implements FlakyNode {
  readonly received = new Map<string, number>();
  peak = 0;
  connections = 0;
  silent = false;
  refusing = false;
  readonly port: number;
  #listener: Deno.Listener | undefined;
  #accepting: Promise<void> = Promise.resolve();
  readonly #serving = new Set<Promise<void>>();
  readonly #open = new Set<Deno.Conn>();
  readonly #sockets = new Map<Deno.Conn, { heads?: string; pending?: string }>();
  readonly #release = Promise.withResolvers<void>();
  readonly #abandoned = Promise.withResolvers<void>();
  #inHand = 0;

  constructor(readonly chain: FakeChain, public script: Script) {
    this.#listener = listenWhereNobodyElseWill();
    this.port = (this.#listener.addr as Deno.NetAddr).port;
    this.#accepting = this.#accept(this.#listener);
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/`;
  }

  get ws(): string {
    return `ws://127.0.0.1:${this.port}/`;
  }

  get abandoned(): Promise<void> {
    return this.#abandoned.promise;
  }

  get open(): number {
    return this.#open.size;
  }

  get subscribers(): number {
    return [...this.#sockets.values()].filter((socket) => socket.heads !== undefined).length;
  }

  announce(header: unknown = headerOf(this.chain, this.chain.head)): void {
    if (this.silent) return;
    for (const [connection, { heads }] of this.#sockets) {
      if (heads === undefined) continue;
      const message = { jsonrpc: "2.0", method: "eth_subscription", params: { subscription: heads, result: header } };
      void writeFrame(connection, JSON.stringify(message)).catch(() => {});
    }
  }

  say(text: string): void {
    for (const connection of this.#sockets.keys()) void writeFrame(connection, text).catch(() => {});
  }

  dropSockets(): void {
    for (const connection of this.#sockets.keys()) this.#end(connection);
  }

  down(): void {
    this.#listener?.close();
    this.#listener = undefined;
    this.drop();
  }

  drop(): void {
    for (const connection of this.#open) this.#end(connection);
  }

  up(): void {
    this.#listener = Deno.listen({ hostname: "127.0.0.1", port: this.port });
    this.#accepting = this.#accept(this.#listener);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#release.resolve();
    this.down();
    await this.#accepting;
    await Promise.all(this.#serving);
  }

  async #accept(listener: Deno.Listener): Promise<void> {
    try {
      for await (const connection of listener) {
        this.connections++;
        if (this.refusing) {
          connection.close();
          continue;
        }
        this.#open.add(connection);
        const serving = this.#serve(connection).catch(() => {}).finally(() => {
          this.#end(connection);
          this.#serving.delete(serving);
        });
        this.#serving.add(serving);
      }
    } catch {
      // The listener was closed while it waited.
    }
  }

  #end(connection: Deno.Conn): void {
    this.#sockets.delete(connection);
    if (!this.#open.delete(connection)) return;
    try {
      connection.close();
    } catch {
      // The peer was faster.
    }
  }

  async #serve(connection: Deno.Conn): Promise<void> {
    const input = new Input(connection);
    while (true) {
      const head = await input.head();
      if (head === undefined) return;
      const key = /sec-websocket-key: *(\S+)/i.exec(head)?.[1];
      if (key !== undefined) return await this.#serveSocket(connection, input, key);
      const length = Number(/content-length: *(\d+)/i.exec(head)?.[1] ?? 0);
      const body = decoder.decode(await input.bytes(length));
      this.peak = Math.max(this.peak, ++this.#inHand);
      try {
        if (!await this.#answer(connection, body)) return;
      } finally {
        this.#inHand--;
      }
    }
  }

  /** @returns whether the connection stays open */
  async #answer(connection: Deno.Conn, body: string): Promise<boolean> {
    const document: RpcCall | RpcCall[] = JSON.parse(body);
    const calls = Array.isArray(document) ? document : [document];
    const reactions: Reaction[] = [];
    for (const call of calls) {
      this.received.set(call.method, (this.received.get(call.method) ?? 0) + 1);
      reactions.push(await this.script(call) ?? { kind: "answer" });
    }
    const whole = reactions.find(({ kind }) => !["answer", "result", "error"].includes(kind));
    const items = calls.map((call, at) => this.#item(call, reactions[at]!));
    const text = JSON.stringify(Array.isArray(document) ? items : items[0]);
    switch (whole?.kind) {
      case "hang":
        await Promise.race([this.#release.promise, this.#left(connection)]);
        return false;
      case "close":
        return false;
      case "status":
        await respond(connection, whole.status, whole.body ?? "", whole.headers);
        return true;
      case "body":
        await respond(connection, 200, whole.body);
        return true;
      case "cut":
      case "stall": {
        const bytes = encoder.encode(whole.body ?? text);
        const chunked = whole.kind === "cut" && whole.chunked === true;
        const head = chunked
          ? "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
          : `HTTP/1.1 200 OK\r\ncontent-length: ${bytes.length}\r\n\r\n`;
        const part = bytes.subarray(0, whole.bytes);
        await writeAll(connection, encoder.encode(head));
        // An empty chunk would be the end of the body.
        const framed = chunked && part.length > 0;
        if (framed) await writeAll(connection, encoder.encode(`${part.length.toString(16)}\r\n`));
        await writeAll(connection, part);
        if (framed) await writeAll(connection, encoder.encode("\r\n"));
        if (whole.kind === "stall") await this.#release.promise;
        return false;
      }
      default: {
        const error = reactions.find((reaction) => reaction.kind === "error");
        await respond(connection, error?.status ?? 200, text);
        return true;
      }
    }
  }

  /** Resolves when the peer has gone, which says nothing more while it waits. */
  async #left(connection: Deno.Conn): Promise<void> {
    await connection.read(new Uint8Array(1)).catch(() => null);
    this.#abandoned.resolve();
  }

  #item(call: RpcCall, reaction: Reaction): unknown {
    const envelope = { jsonrpc: "2.0", id: call.id };
    if (reaction.kind === "error") return { ...envelope, error: reaction.error };
    if (reaction.kind === "result") return { ...envelope, result: reaction.result };
    const own = this.#own(call);
    return own === undefined
      ? { ...envelope, error: { code: -32601, message: `the method ${call.method} does not exist/is not available` } }
      : { ...envelope, result: own };
  }

  #own({ method, params }: RpcCall): unknown {
    const { chain } = this;
    switch (method) {
      case "eth_chainId":
        return `0x${chain.chainId.toString(16)}`;
      case "web3_clientVersion":
        return chain.clientVersion;
      case "eth_syncing":
        return false;
      case "eth_blockNumber":
        return `0x${chain.head.toString(16)}`;
      case "eth_getBlockByNumber": {
        const tag = String(params[0]);
        const number = tag.startsWith("0x")
          ? Number(tag)
          : tag === "finalized"
          ? Math.max(0, chain.head - 64)
          : chain.head;
        return number <= chain.head ? headerOf(chain, number) : null;
      }
      case "eth_getBlockByHash": {
        const number = parseInt(String(params[0]).slice(10), 16) - 1;
        return number >= 0 && number <= chain.head && hashOf(chain, number) === params[0]
          ? headerOf(chain, number)
          : null;
      }
      case "eth_getTransactionByHash":
        return { hash: params[0], from: `0x${"1".repeat(40)}` };
      case "eth_getTransactionReceipt":
        return { transactionHash: params[0], status: "0x1" };
      case "eth_getBlockReceipts":
        return [];
      case "eth_getCode":
        return "0x";
      case "debug_traceTransaction":
        return { gas: 21_000, failed: false, returnValue: "0x", structLogs: [] };
      default:
        return undefined;
    }
  }

  async #serveSocket(connection: Deno.Conn, input: Input, key: string): Promise<void> {
    const digest = await crypto.subtle.digest("SHA-1", encoder.encode(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`));
    const accept = btoa(String.fromCharCode(...new Uint8Array(digest)));
    await writeAll(
      connection,
      encoder.encode(
        `HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: ${accept}\r\n\r\n`,
      ),
    );
    const socket: { heads?: string; pending?: string } = {};
    this.#sockets.set(connection, socket);
    while (true) {
      const frame = await input.frame();
      if (frame === undefined) return;
      if (this.silent) continue;
      const call: RpcCall = JSON.parse(frame);
      const reaction = await this.script(call) ?? { kind: "answer" };
      if (reaction.kind === "hang") continue;
      if (call.method === "eth_subscribe" && reaction.kind === "answer") {
        const id = `0x${(this.connections * 2).toString(16)}${call.params[0] === "newHeads" ? "1" : "2"}`;
        socket[call.params[0] === "newHeads" ? "heads" : "pending"] = id;
        await writeFrame(connection, JSON.stringify({ jsonrpc: "2.0", id: call.id, result: id }));
      } else await writeFrame(connection, JSON.stringify(this.#item(call, reaction)));
    }
  }
}

/** On a port that is still free after a pause. */
function listenWhereNobodyElseWill(): Deno.TcpListener {
  for (let tries = 0;; tries++) {
    try {
      return Deno.listen({ hostname: "127.0.0.1", port: anyPort("node") });
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse) || tries === PORT_TRIES) throw error;
    }
  }
}

async function respond(connection: Deno.Conn, status: number, body: string, headers: Record<string, string> = {}) {
  const bytes = encoder.encode(body);
  const more = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`).join("");
  const head =
    `HTTP/1.1 ${status} Status\r\ncontent-type: application/json\r\n${more}content-length: ${bytes.length}\r\n\r\n`;
  const whole = new Uint8Array(head.length + bytes.length);
  whole.set(encoder.encode(head));
  whole.set(bytes, head.length);
  await writeAll(connection, whole);
}

async function writeAll(connection: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
}

async function writeFrame(connection: Deno.Conn, text: string): Promise<void> {
  const payload = encoder.encode(text);
  const head = payload.length < 126
    ? Uint8Array.of(0x81, payload.length)
    : Uint8Array.of(0x81, 126, payload.length >> 8, payload.length & 255);
  const frame = new Uint8Array(head.length + payload.length);
  frame.set(head);
  frame.set(payload, head.length);
  await writeAll(connection, frame);
}

/** Bytes of one connection. */
class Input {
  #held = new Uint8Array(0);

  constructor(readonly connection: Deno.Conn) {}

  /** A request's head without its blank line; absent at the end of the connection. */
  async head(): Promise<string | undefined> {
    while (true) {
      const text = decoder.decode(this.#held);
      const end = text.indexOf("\r\n\r\n");
      if (end >= 0) {
        this.#held = this.#held.slice(end + 4);
        return text.slice(0, end);
      }
      // Something that is not HTTP, such as the beginning of TLS.
      if (this.#held.length > 0 && this.#held[0]! < 32) return undefined;
      if (!await this.#more()) return undefined;
    }
  }

  async bytes(count: number): Promise<Uint8Array> {
    while (this.#held.length < count) if (!await this.#more()) throw new Error("the peer went away");
    const bytes = this.#held.slice(0, count);
    this.#held = this.#held.slice(count);
    return bytes;
  }

  /** The next text message of a WebSocket; absent when it is closed. */
  async frame(): Promise<string | undefined> {
    try {
      while (true) {
        const [first, second] = await this.bytes(2);
        let length = second! & 127;
        if (length === 126) {
          const [high, low] = await this.bytes(2);
          length = high! << 8 | low!;
        }
        const mask = await this.bytes(4);
        const payload = (await this.bytes(length)).map((byte, at) => byte ^ mask[at % 4]!);
        const opcode = first! & 15;
        if (opcode === 8) return undefined;
        if (opcode === 1) return decoder.decode(payload);
      }
    } catch {
      return undefined;
    }
  }

  async #more(): Promise<boolean> {
    const buffer = new Uint8Array(65_536);
    let count: number | null;
    try {
      count = await this.connection.read(buffer);
    } catch {
      return false;
    }
    if (count === null) return false;
    const joined = new Uint8Array(this.#held.length + count);
    joined.set(this.#held);
    joined.set(buffer.subarray(0, count), this.#held.length);
    this.#held = joined;
    return true;
  }
}
