/**
 * Three doors to one dev chain, each with moods that change at random: it lags, cuts, stalls, hangs, refuses, limits,
 * breaks or lies. The seed decides everything but the timing.
 */
import type { DevChain } from "../../src/embedded/chain.ts";
import { seeded } from "../rpc/virtual_clock.ts";
import { type FlakyNode, type Reaction, type RpcCall, startFlakyNode } from "../rpc/flaky_node.ts";
import { ask } from "./stack.ts";

/** How a door behaves for a while. */
export type Mood = "lags" | "cuts" | "stalls" | "hangs" | "refuses" | "limits" | "breaks" | "lies";

const MOODS: readonly Mood[] = ["lags", "cuts", "stalls", "hangs", "refuses", "limits", "breaks", "lies"];
/** Share of calls that a moody door fails. */
const FAILING_SHARE = 0.5;
const MOOD_MS = { least: 1_000, most: 4_000 };
const REST_MS = { least: 300, most: 2_500 };

interface Header {
  readonly number: string;
}

/** One door. */
export class Door implements AsyncDisposable {
  readonly #node: FlakyNode;
  readonly #chain: DevChain;
  readonly #random: () => number;
  /** Moods that are still to come before they are shuffled anew. */
  #moods: Mood[] = [];
  #mood: Mood | undefined;
  #behind = 0;

  /** @param liar Shortens traces when it lies: two doors that do so would agree. */
  constructor(chain: DevChain, random: () => number, readonly liar: boolean) {
    this.#chain = chain;
    this.#random = random;
    this.#node = startFlakyNode({}, (call) => this.#react(call));
  }

  get url(): string {
    return this.#node.url;
  }

  get ws(): string {
    return this.#node.ws;
  }

  /** Connections open now. */
  get open(): number {
    return this.#node.open;
  }

  /** Announces the chain's head as far as this door admits to know it. */
  async announce(): Promise<void> {
    const header = await this.#chainsHead();
    const seen = Math.max(0, Number(header.number) - this.#behind);
    this.#node.announce(seen === Number(header.number) ? header : await this.#header(seen));
  }

  /** Changes moods until the signal fires, then is good for ever. */
  async changeMoods(signal: AbortSignal): Promise<void> {
    const between = ({ least, most }: typeof MOOD_MS) => least + (most - least) * this.#random();
    while (!signal.aborted) {
      await waited(between(REST_MS), signal);
      if (signal.aborted) break;
      this.#enter(this.#nextMood());
      await waited(between(MOOD_MS), signal);
      this.recover();
    }
    this.recover();
  }

  /** Is good again; what hung or stalled ends. */
  recover(): void {
    if (this.#mood === "hangs" || this.#mood === "stalls") this.#node.drop();
    this.#node.refusing = false;
    this.#mood = undefined;
    this.#behind = 0;
  }

  /** Stops listening, as a node that died. */
  stop(): void {
    this.#node.down();
  }

  /** Listens again. */
  start(): void {
    this.#node.up();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#node[Symbol.asyncDispose]();
  }

  #nextMood(): Mood {
    if (this.#moods.length === 0) {
      this.#moods = MOODS.map((mood) => ({ mood, at: this.#random() })).sort((a, b) => a.at - b.at)
        .map(({ mood }) => mood);
    }
    return this.#moods.pop()!;
  }

  #enter(mood: Mood): void {
    this.#mood = mood;
    if (mood === "refuses") {
      this.#node.refusing = true;
      this.#node.drop();
    }
    if (mood === "lags") this.#behind = 1 + Math.floor(6 * this.#random());
  }

  async #react(call: RpcCall): Promise<Reaction | undefined> {
    if (call.method === "eth_subscribe") return undefined;
    const fails = this.#random() < FAILING_SHARE;
    switch (this.#mood) {
      case "hangs":
        return { kind: "hang" };
      case "limits":
        if (!fails) break;
        return { kind: "status", status: 429, headers: this.#random() < 0.5 ? { "retry-after": "1" } : {} };
      case "breaks":
        if (fails) return this.#broken();
        break;
      case "lies":
        if (fails) return await this.#lie(call);
        break;
      case "cuts":
      case "stalls": {
        if (!fails) break;
        const body = await this.#forward(call);
        const bytes = Math.floor(body.length * this.#random());
        if (this.#mood === "stalls") return { kind: "stall", bytes, body };
        return { kind: "cut", bytes, chunked: this.#random() < 0.5, body };
      }
      case "lags":
        return await this.#late(call);
    }
    return { kind: "body", body: await this.#forward(call) };
  }

  #broken(): Reaction {
    const kinds: readonly Reaction[] = [
      { kind: "status", status: 500, body: "oops" },
      { kind: "status", status: 502 },
      { kind: "status", status: 503 },
      { kind: "close" },
      { kind: "body", body: "<html>maintenance</html>" },
      { kind: "error", error: { code: -32603, message: "something went wrong" } },
    ];
    return kinds[Math.floor(kinds.length * this.#random())]!;
  }

  /** Answers as a node that has not seen the newest blocks. */
  async #late(call: RpcCall): Promise<Reaction> {
    const head = Math.max(0, Number((await this.#chainsHead()).number) - this.#behind);
    const [first] = call.params;
    if (call.method === "eth_blockNumber") return { kind: "result", result: hex(head) };
    if (call.method === "eth_getBlockByNumber" && first === "latest") {
      return { kind: "body", body: await this.#forward({ ...call, params: [hex(head), call.params[1]] }) };
    }
    const text = await this.#forward(call);
    const { result } = JSON.parse(text) as { result?: unknown };
    const number = numberOf(result);
    return number !== undefined && number > head ? { kind: "result", result: null } : { kind: "body", body: text };
  }

  async #lie(call: RpcCall): Promise<Reaction> {
    const text = await this.#forward(call);
    switch (call.method) {
      case "eth_blockNumber":
        return { kind: "result", result: hex(Number((await this.#chainsHead()).number) + 1_000) };
      case "debug_traceTransaction":
      case "debug_traceBlockByHash":
        return { kind: "body", body: this.liar ? shortened(text) : text };
      case "eth_getBlockByHash":
      case "eth_getBlockReceipts":
        return { kind: "result", result: null };
      default:
        return { kind: "body", body: text.replace(/"id":\d+/, '"id":987654321') };
    }
  }

  async #forward({ id, method, params }: RpcCall): Promise<string> {
    const response = await fetch(this.#chain.httpUrl, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ jsonrpc: "2.0", id, method, params }),
    });
    return await response.text();
  }

  #chainsHead(): Promise<Header> {
    return ask<Header>(this.#chain.httpUrl, "eth_getBlockByNumber", ["latest", false]);
  }

  #header(number: number): Promise<Header> {
    return ask<Header>(this.#chain.httpUrl, "eth_getBlockByNumber", [hex(number), false]);
  }
}

/** Opens three doors; the third one shortens traces. */
export function openDoors(chain: DevChain, seed: number): readonly Door[] {
  return [0, 1, 2].map((at) => new Door(chain, seeded(seed * 3 + at), at === 2));
}

/** Resolves after `ms`, or when the signal fires. */
export function waited(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end);
    if (signal.aborted) end();
  });
}

/** A valid reply with half of the structlogs of its longest transaction. */
function shortened(text: string): string {
  const document = JSON.parse(text) as { result: Trace | { result: Trace }[] | null };
  if (document.result === null) return text;
  const traces = Array.isArray(document.result) ? document.result.map(({ result }) => result) : [document.result];
  const longest = traces.reduce((a, b) => b.structLogs.length > a.structLogs.length ? b : a);
  longest.structLogs.length = Math.floor(longest.structLogs.length / 2);
  return JSON.stringify(document);
}

interface Trace {
  readonly structLogs: unknown[];
}

/** Number of the block that a result is about. */
function numberOf(result: unknown): number | undefined {
  const one = Array.isArray(result) ? result[0] : result;
  const { number, blockNumber } = (one ?? {}) as { number?: unknown; blockNumber?: unknown };
  const text = number ?? blockNumber;
  return typeof text === "string" ? Number(text) : undefined;
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
