/**
 * Watches the heads of one node: by its socket while that is alive, by polling otherwise. Silent death is the normal
 * death of a socket, so it is asked for a sign of life, and a poll that finds a newer block than it announced renews it.
 */
import { emit } from "../telemetry/emit.ts";
import { type Clock, pause } from "./clock.ts";
import type { Direct } from "./direct.ts";
import { type HeadFacts, isHash, readHead } from "./heads.ts";
import type { PoolNode } from "./node.ts";
import type { Failure, Hash } from "./port.ts";

const HEARTBEAT_MS = 15_000;
const HEARTBEAT_ANSWER_MS = 5_000;
const QUIET_MS = 30_000;
const QUIET_BLOCKS = 3;
const POLL_MIN_MS = 1_000;
const FALLBACK_SLOWER = 10;
const RECONNECT_MS = 500;
const RECONNECT_MAX_MS = 30_000;
const STEADY_MS = 60_000;
const CONNECT_MS = 10_000;
/** Missed heads that are fetched after a reconnect; what is older is the backfill's work. */
const CATCH_UP = 128;
/** Polls for what was missed, should one fail: until the next head nothing else would tell. */
const CATCH_UP_POLLS = 5;
/** Random part of a wait. */
const JITTER = 0.2;

/** The part of a WebSocket that is used. A seam for tests. */
export interface Socket {
  onopen: (() => void) | null;
  onmessage: ((event: { readonly data: unknown }) => void) | null;
  onerror: ((event: unknown) => void) | null;
  onclose: ((event: { readonly code: number }) => void) | null;
  send(text: string): void;
  close(): void;
}

/** Opens a socket. */
export type OpenSocket = (url: string, headers: Readonly<Record<string, string>>) => Socket;

/** A socket of the platform. */
export const openWebSocket: OpenSocket = (url, headers) => new WebSocket(url, { headers: { ...headers } }) as Socket;

/** Where heads go. */
export interface HeadWatchContext {
  readonly network: string;
  readonly clock: Clock;
  readonly random: () => number;
  readonly direct: Direct;
  readonly openSocket: OpenSocket;
  readonly blockTimeMs: number;
  readonly headLimitMs: number;
  /** Subscribe to pending transactions too? Asked at each connection. */
  readonly pending: () => boolean;
  /** `isNewest`: as the node says; otherwise it was asked for the block by its number. */
  readonly seen: (node: PoolNode, head: HeadFacts, isNewest: boolean) => void;
  readonly pendingSeen: (hash: Hash) => void;
  /** The socket is open again. */
  readonly reconnected: (node: PoolNode) => void;
  /** A poll went well or failed. */
  readonly polled: (node: PoolNode, ok: boolean, failure: Failure | undefined) => void;
}

/** Ends one connection; the reason is a metric label. */
class SocketLost extends Error {
  constructor(readonly reason: string) {
    super(reason);
  }
}

/** Watches until the signal fires. */
export async function watchHeads(node: PoolNode, context: HeadWatchContext, signal: AbortSignal): Promise<void> {
  try {
    await Promise.all([keepPolling(node, context, signal), keepSocket(node, context, signal)]);
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

async function keepPolling(node: PoolNode, context: HeadWatchContext, signal: AbortSignal): Promise<void> {
  const { clock, blockTimeMs } = context;
  const everyMs = Math.max(POLL_MIN_MS, blockTimeMs) * (node.options.tier === "fallback" ? FALLBACK_SLOWER : 1);
  while (true) {
    await pause(clock, everyMs * (1 - JITTER / 2 + JITTER * context.random()), signal);
    if (node.probed && !node.drained && node.webSocket !== "open") await poll(node, context);
  }
}

/** Asks for the newest block. @returns its number */
async function poll(node: PoolNode, context: HeadWatchContext): Promise<number | undefined> {
  const reply = await context.direct.try(
    node,
    "head",
    { method: "eth_getBlockByNumber", params: ["latest", false] },
    context.headLimitMs,
  );
  const head = reply.ok ? readHead(reply.result) : undefined;
  if (head !== undefined) context.seen(node, head, true);
  context.polled(node, reply.ok, reply.ok ? undefined : reply.failure);
  return head?.number;
}

async function keepSocket(node: PoolNode, context: HeadWatchContext, signal: AbortSignal): Promise<void> {
  const { clock, network } = context;
  const url = node.options.ws;
  if (url === undefined) return;
  let waitMs = RECONNECT_MS;
  let isFirst = true;
  const connected = () => {
    if (!isFirst) context.reconnected(node);
    isFirst = false;
  };
  while (true) {
    while (!node.probed || node.drained) await pause(clock, RECONNECT_MS, signal);
    const openedMs = clock.now();
    const reason = await new Connection(url, node, context, connected, signal).run();
    const wasOpen = node.webSocket === "open";
    node.webSocket = "connecting";
    signal.throwIfAborted();
    emit({ kind: "rpc_ws", network, node: node.name, connected: false, reason });
    if (wasOpen && clock.now() - openedMs > STEADY_MS) waitMs = RECONNECT_MS;
    await pause(clock, waitMs * (1 - JITTER + 2 * JITTER * context.random()), signal);
    waitMs = Math.min(RECONNECT_MAX_MS, waitMs * 2);
  }
}

/** One connection from opening to loss. A lost socket is forgotten, not awaited: to a silent peer it never closes. */
class Connection {
  readonly #node: PoolNode;
  readonly #context: HeadWatchContext;
  readonly #connected: () => void;
  readonly #signal: AbortSignal;
  readonly #socket: Socket;
  readonly #lost = Promise.withResolvers<string>();
  readonly #answers = new Map<number, (result: unknown) => void>();
  readonly #timers = new Set<Disposable>();
  #id = 0;
  #headsId: unknown;
  #pendingId: unknown;
  #headMs: number;

  constructor(
    url: string,
    node: PoolNode,
    context: HeadWatchContext,
    connected: () => void,
    signal: AbortSignal,
  ) {
    this.#node = node;
    this.#context = context;
    this.#connected = connected;
    this.#signal = signal;
    this.#headMs = context.clock.now();
    this.#socket = context.openSocket(url, node.options.headers);
    this.#after(CONNECT_MS, () => {
      if (node.webSocket !== "open") this.#lost.resolve("connect_timeout");
    });
    this.#socket.onopen = () => void this.#opened().catch((error) => this.#lost.resolve(reasonOf(error)));
    this.#socket.onmessage = ({ data }) => this.#received(data);
    this.#socket.onerror = () => this.#lost.resolve("error");
    this.#socket.onclose = ({ code }) =>
      this.#lost.resolve(`closed_${code === 1000 || code === 1001 ? code : "other"}`);
  }

  /** @returns why it was lost */
  async run(): Promise<string> {
    const aborted = () => this.#lost.resolve("shutdown");
    if (this.#signal.aborted) aborted();
    this.#signal.addEventListener("abort", aborted, { once: true });
    try {
      return await this.#lost.promise;
    } finally {
      this.#signal.removeEventListener("abort", aborted);
      for (const timer of this.#timers) timer[Symbol.dispose]();
      this.#socket.onopen =
        this.#socket.onmessage =
        this.#socket.onerror =
        this.#socket.onclose =
          null;
      this.#socket.close();
    }
  }

  async #opened(): Promise<void> {
    const { network, pending } = this.#context;
    this.#headsId = await this.#ask("eth_subscribe", ["newHeads"]);
    if (pending()) this.#pendingId = await this.#ask("eth_subscribe", ["newPendingTransactions"]);
    this.#node.webSocket = "open";
    emit({ kind: "rpc_ws", network, node: this.#node.name, connected: true, reason: "" });
    this.#connected();
    this.#beat();
    await this.#catchUp();
  }

  /** Heads that were announced while no socket was there. */
  async #catchUp(): Promise<void> {
    const before = this.#node.headNumber;
    let newest = await poll(this.#node, this.#context);
    for (let polls = 1; newest === undefined && polls < CATCH_UP_POLLS; polls++) {
      await pause(this.#context.clock, RECONNECT_MS, this.#signal);
      newest = await poll(this.#node, this.#context);
    }
    if (before === undefined || newest === undefined) return;
    for (let number = Math.max(before + 1, newest - CATCH_UP + 1); number < newest; number++) {
      const reply = await this.#context.direct.try(
        this.#node,
        "read",
        { method: "eth_getBlockByNumber", params: [`0x${number.toString(16)}`, false] },
        this.#context.headLimitMs,
      );
      const head = reply.ok ? readHead(reply.result) : undefined;
      if (head === undefined) return;
      this.#context.seen(this.#node, head, false);
    }
  }

  /** Asks for a sign of life, and for the head when none was announced for long. */
  #beat(): void {
    this.#after(HEARTBEAT_MS, () => {
      this.#beat();
      this.#check().catch((error) => this.#lost.resolve(reasonOf(error)));
    });
  }

  async #check(): Promise<void> {
    const { clock, blockTimeMs } = this.#context;
    await this.#ask("eth_chainId", []);
    if (clock.now() - this.#headMs < Math.max(QUIET_MS, QUIET_BLOCKS * blockTimeMs)) return;
    const announced = this.#node.headNumber ?? -1;
    const newest = await poll(this.#node, this.#context);
    if (newest !== undefined && newest > announced) throw new SocketLost("subscription_silent");
  }

  #ask(method: string, params: readonly unknown[]): Promise<unknown> {
    const id = ++this.#id;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const timer = this.#after(HEARTBEAT_ANSWER_MS, () => {
      this.#answers.delete(id);
      reject(new SocketLost("silent"));
    });
    this.#answers.set(id, (answer) => {
      timer[Symbol.dispose]();
      const { result } = answer as { result?: unknown };
      if (result === undefined || result === null) reject(new SocketLost("refused"));
      else resolve(result);
    });
    this.#socket.send(JSON.stringify({ jsonrpc: "2.0", id, method, params }));
    return promise;
  }

  #received(data: unknown): void {
    const unreadable = (what: string) =>
      emit({ kind: "rpc_ws_unreadable", network: this.#context.network, node: this.#node.name, what });
    if (typeof data !== "string") return unreadable("binary");
    let message:
      | { id?: unknown; method?: unknown; params?: { subscription?: unknown; result?: unknown } | null }
      | null;
    try {
      message = JSON.parse(data);
    } catch {
      return unreadable("not_json");
    }
    if (typeof message !== "object" || message === null) return unreadable("not_an_object");
    if (typeof message.id === "number") {
      const answer = this.#answers.get(message.id);
      this.#answers.delete(message.id);
      return answer === undefined ? unreadable("foreign_id") : answer(message);
    }
    if (message.method !== "eth_subscription") return unreadable("method");
    const { subscription, result } = message.params ?? {};
    if (subscription !== undefined && subscription === this.#headsId) {
      const head = readHead(result);
      if (head === undefined) return unreadable("head");
      this.#headMs = this.#context.clock.now();
      return this.#context.seen(this.#node, head, true);
    }
    if (subscription !== undefined && subscription === this.#pendingId) {
      return isHash(result) ? this.#context.pendingSeen(result.toLowerCase()) : unreadable("pending");
    }
    unreadable("foreign_subscription");
  }

  #after(ms: number, task: () => void): Disposable {
    const timer = this.#context.clock.after(ms, () => {
      this.#timers.delete(entry);
      task();
    });
    const entry: Disposable = {
      [Symbol.dispose]: () => {
        this.#timers.delete(entry);
        timer[Symbol.dispose]();
      },
    };
    this.#timers.add(entry);
    return entry;
  }
}

function reasonOf(error: unknown): string {
  return error instanceof SocketLost ? error.reason : "error";
}
