/** Nodes that exist in virtual time only: a pool over a {@linkcode VirtualClock}, without a socket or a fetch. */
import type { Transport } from "../../src/rpc/http_transport.ts";
import { type Exchange, TimeLimit, TransportError } from "../../src/rpc/http_transport.ts";
import { openNodePool, type PoolSeams } from "../../src/rpc/pool.ts";
import type { NodePool, NodeView } from "../../src/rpc/port.ts";
import { type FakeChain, headerOf } from "./flaky_node.ts";
import { poolOptions, type PoolSketch } from "./options.ts";
import { seeded, VirtualClock } from "./virtual_clock.ts";

/** What a simulated node does with a call. */
export interface SimulatedReply {
  /** Milliseconds until the answer; `Infinity`: never. */
  readonly afterMs?: number;
  /** Absent: the node's own answer. */
  readonly result?: unknown;
  readonly error?: { readonly code: number; readonly message: string; readonly data?: unknown };
  readonly status?: number;
  readonly retryAfter?: string;
  readonly fault?: TransportError["fault"];
  /** This call of a batch gets no answer. */
  readonly omitted?: boolean;
}

/** One node. */
export interface SimulatedNode {
  readonly chain: FakeChain;
  /** Absent answer: the node's own, at once. */
  react: (call: { readonly method: string; readonly params: readonly unknown[] }) => SimulatedReply;
  /** What it does with a whole batch, beside what it does with each call. */
  reactToBatch?: (calls: number) => SimulatedReply | undefined;
  /** Calls received, by method. */
  readonly received: Map<string, number>;
  inHand: number;
  peak: number;
  /** Times that its idle connections were forgotten. */
  renewed: number;
}

/** A pool in virtual time. */
export interface Simulation extends AsyncDisposable {
  readonly clock: VirtualClock;
  readonly pool: NodePool;
  readonly nodes: Readonly<Record<string, SimulatedNode>>;
  readonly random: () => number;
}

/** Node options by name. */
export type SimulatedNodes = Readonly<Record<string, Record<string, unknown>>>;

/** Opens a pool over simulated nodes and waits until it is ready. */
export async function simulate(
  names: SimulatedNodes,
  sketch: Omit<PoolSketch, "nodes"> = {},
  seed = 1,
  openSocket: PoolSeams["openSocket"] = () => {
    throw new Error("a simulated node has no socket");
  },
): Promise<Simulation> {
  const clock = new VirtualClock();
  const random = seeded(seed);
  const nodes = Object.fromEntries(Object.keys(names).map((name) => [name, makeNode()]));
  const transport = new SimulatedTransport(clock, nodes);
  const options = poolOptions({
    ...sketch,
    nodes: Object.entries(names).map(([name, node]) => ({ name, url: `http://${name}.test/`, ...node })),
  });
  const pool = openNodePool(options, { clock, random, transport, openSocket });
  await clock.advance(0);
  return {
    clock,
    pool,
    nodes,
    random,
    [Symbol.asyncDispose]: () => pool[Symbol.asyncDispose](),
  };
}

function makeNode(): SimulatedNode {
  return {
    chain: { chainId: 1337, head: 100, fork: 0, forkAt: -1, clientVersion: "Geth/v1.17.8" },
    react: () => ({}),
    received: new Map(),
    inHand: 0,
    peak: 0,
    renewed: 0,
  };
}

class SimulatedTransport implements Transport {
  readonly #clock: VirtualClock;
  readonly #nodes: Readonly<Record<string, SimulatedNode>>;

  constructor(clock: VirtualClock, nodes: Readonly<Record<string, SimulatedNode>>) {
    this.#clock = clock;
    this.#nodes = nodes;
  }

  renew(view: NodeView): void {
    this.#nodes[view.name]!.renewed++;
  }

  exchange(view: NodeView, body: string, signal: AbortSignal): Promise<Exchange> {
    const node = this.#nodes[view.name]!;
    const document = JSON.parse(body);
    const calls: { id: number; method: string; params: unknown[] }[] = Array.isArray(document) ? document : [document];
    const replies = calls.map((call) => {
      node.received.set(call.method, (node.received.get(call.method) ?? 0) + 1);
      return node.react(call);
    });
    const items = calls.flatMap(({ id, method, params }, at) => {
      const { error, result, omitted } = replies[at]!;
      if (omitted) return [];
      if (error !== undefined) return { jsonrpc: "2.0", id, error };
      return { jsonrpc: "2.0", id, result: result !== undefined ? result : ownAnswer(node.chain, method, params) };
    });
    const first = (Array.isArray(document) ? node.reactToBatch?.(calls.length) : undefined) ?? replies[0]!;
    node.peak = Math.max(node.peak, ++node.inHand);
    const { promise, resolve, reject } = Promise.withResolvers<Exchange>();
    const end = (settle: () => void) => {
      timer?.[Symbol.dispose]();
      signal.removeEventListener("abort", aborted);
      node.inHand--;
      settle();
    };
    const aborted = () =>
      end(() => reject(signal.reason instanceof TimeLimit ? new TransportError("first_byte_timeout") : signal.reason));
    const afterMs = Math.max(...replies.map((reply) => reply.afterMs ?? 0));
    const answer = () =>
      end(() => {
        if (first.fault !== undefined) return reject(new TransportError(first.fault));
        const whole = first.error === undefined ? items : { jsonrpc: "2.0", id: null, error: first.error };
        const text = JSON.stringify(Array.isArray(document) ? whole : items[0]);
        const status = first.status ?? 200;
        resolve({ status, text, bytes: text.length, retryAfter: first.retryAfter, firstByteMs: afterMs });
      });
    const timer = afterMs === 0 || afterMs === Infinity ? undefined : this.#clock.after(afterMs, answer);
    if (afterMs === 0 && !signal.aborted) answer();
    signal.addEventListener("abort", aborted, { once: true });
    if (signal.aborted) aborted();
    return promise;
  }
}

function ownAnswer(chain: FakeChain, method: string, params: readonly unknown[]): unknown {
  switch (method) {
    case "eth_chainId":
      return `0x${chain.chainId.toString(16)}`;
    case "web3_clientVersion":
      return chain.clientVersion;
    case "eth_blockNumber":
      return `0x${chain.head.toString(16)}`;
    case "eth_getBlockByNumber": {
      const tag = String(params[0]);
      const number = tag.startsWith("0x") ? Number(tag) : tag === "finalized" ? chain.head - 64 : chain.head;
      return number >= 0 && number <= chain.head ? headerOf(chain, number) : null;
    }
    default:
      return `${method} ${JSON.stringify(params)}`;
  }
}
