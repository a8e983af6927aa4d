/**
 * The pool against others on the same flaky nodes, what a request costs, what ten at a time gain, and in virtual time how
 * near its limits come to the best ones. Each figure is a line
 * `name<TAB>value<TAB>unit`; progress goes to stderr.
 *
 * Nodes: A answers 10 % with 503, 3 % after 2 s, 0.3 % never; B is the fastest and 3 blocks behind; C is good, takes 60
 * requests a second, and answers 502 for 4 s of each round. 80 receipts a second, half of them of the newest block. viem is
 * used as its documentation shows: `fallback([http(a), http(b), http(c)])`.
 */
import { createPublicClient, fallback, http, type PublicClient } from "viem";
import { configSchema } from "../src/config/schema.ts";
import { openNodePool } from "../src/rpc/pool.ts";
import type { NodePool, RequestAsk } from "../src/rpc/port.ts";
import { bestFixed, KINDS, LIMITERS, workDone } from "./limit_simulation.ts";
import { figure, median, say } from "./figures.ts";

const SEEDS = (Deno.env.get("RPC_BENCH_SEEDS") ?? "1 2 3 4 5").split(" ").map(Number);
const ROUND_MS = 10_000;
const CALLS_PER_SECOND = 80;
const BLOCK_MS = 2_000;
const CALL_LIMIT_MS = 10_000;
const OUTAGE = { fromMs: 3_000, untilMs: 7_000 };
const PER_SECOND = 60;
const BEHIND = 3;
const CHAIN_ID = 1337;
const SIMULATED_MS = 3_600_000;
/** Calls before the overhead is measured: a process that runs for long has compiled all of it. */
const WARM_UP_CALLS = 2_000;

function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

function hashOf(number: number): string {
  return `0x${(number + 1).toString(16).padStart(64, "0")}`;
}

const ZERO = `0x${"0".repeat(64)}`;

function headerOf(number: number): Record<string, unknown> {
  return {
    number: `0x${number.toString(16)}`,
    hash: hashOf(number),
    parentHash: number === 0 ? ZERO : hashOf(number - 1),
    timestamp: `0x${(1_600_000_000 + number).toString(16)}`,
    difficulty: "0x0",
    gasLimit: "0x1c9c380",
    gasUsed: "0x0",
    miner: `0x${"0".repeat(40)}`,
    size: "0x220",
    stateRoot: ZERO,
    transactionsRoot: ZERO,
    receiptsRoot: ZERO,
    logsBloom: `0x${"0".repeat(512)}`,
    extraData: "0x",
    nonce: "0x0000000000000000",
    transactions: [],
  };
}

/** Hash of a transaction of this block; each is asked for once. */
function transactionOf(block: number, nonce: number): `0x${string}` {
  return `0x${block.toString(16).padStart(32, "0")}${nonce.toString(16).padStart(32, "0")}`;
}

function blockOf(transaction: string): number {
  return parseInt(transaction.slice(2, 34), 16);
}

function receiptOf(transaction: string, block: number): Record<string, unknown> {
  return {
    transactionHash: transaction,
    transactionIndex: "0x0",
    blockHash: hashOf(block),
    blockNumber: `0x${block.toString(16)}`,
    from: `0x${"1".repeat(40)}`,
    to: `0x${"2".repeat(40)}`,
    cumulativeGasUsed: "0x5208",
    gasUsed: "0x5208",
    effectiveGasPrice: "0x1",
    contractAddress: null,
    logs: [],
    logsBloom: `0x${"0".repeat(512)}`,
    status: "0x1",
    type: "0x2",
  };
}

/** Where the chain stands, for all nodes. */
class World {
  readonly startedMs = performance.now();

  get elapsedMs(): number {
    return performance.now() - this.startedMs;
  }

  get head(): number {
    return 1_000 + Math.floor(this.elapsedMs / BLOCK_MS);
  }
}

type Fault = "503" | "502" | "429" | "slow" | "hang" | undefined;

/** One node of the bench. */
class Node implements AsyncDisposable {
  received = 0;
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #sockets = new Set<WebSocket>();
  readonly #ticking: ReturnType<typeof setInterval>;
  readonly #waiting = new Set<() => void>();
  #announced = 0;

  constructor(readonly world: World, readonly behind: number, readonly fault: () => Fault) {
    this.#server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => this.#serve(request));
    this.#ticking = setInterval(() => this.#announce(), 20);
  }

  get url(): string {
    return `http://127.0.0.1:${this.#server.addr.port}/`;
  }

  get head(): number {
    return this.world.head - this.behind;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#ticking);
    for (const release of this.#waiting) release();
    for (const socket of this.#sockets) socket.close();
    await this.#server.shutdown();
  }

  #announce(): void {
    if (this.head === this.#announced) return;
    this.#announced = this.head;
    const params = { subscription: "0x1", result: headerOf(this.head) };
    for (const socket of this.#sockets) {
      if (socket.readyState === WebSocket.OPEN) {
        socket.send(JSON.stringify({ jsonrpc: "2.0", method: "eth_subscription", params }));
      }
    }
  }

  async #serve(request: Request): Promise<Response> {
    if (request.headers.get("upgrade") === "websocket") return this.#upgrade(request);
    const { id, method, params } = await request.json();
    this.received++;
    switch (this.fault()) {
      case "503":
        return new Response("unavailable", { status: 503 });
      case "502":
        return new Response("bad gateway", { status: 502 });
      case "429":
        return new Response("slow down", { status: 429 });
      case "slow":
        await this.#wait(2_000);
        break;
      case "hang":
        await this.#wait(60_000);
    }
    return Response.json({ jsonrpc: "2.0", id, result: this.#answer(method, params) });
  }

  /** Ends early when the bench does. */
  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.#waiting.delete(done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      this.#waiting.add(done);
    });
  }

  #answer(method: string, params: readonly unknown[]): unknown {
    switch (method) {
      case "eth_chainId":
        return `0x${CHAIN_ID.toString(16)}`;
      case "web3_clientVersion":
        return "Geth/v1.17.8";
      case "eth_blockNumber":
        return `0x${this.head.toString(16)}`;
      case "eth_getBlockByNumber": {
        const number = params[0] === "latest" ? this.head : Number(params[0]);
        return number <= this.head ? headerOf(number) : null;
      }
      case "eth_getTransactionReceipt": {
        const number = blockOf(String(params[0]));
        return number <= this.head ? receiptOf(String(params[0]), number) : null;
      }
      default:
        return "0x";
    }
  }

  #upgrade(request: Request): Response {
    const { socket, response } = Deno.upgradeWebSocket(request, { idleTimeout: 0 });
    socket.onopen = () => this.#sockets.add(socket);
    socket.onclose = () => this.#sockets.delete(socket);
    socket.onmessage = ({ data }) => {
      const { id, method } = JSON.parse(data);
      const result = method === "eth_subscribe" ? "0x1" : "0x539";
      socket.send(JSON.stringify({ jsonrpc: "2.0", id, result }));
    };
    return response;
  }
}

/** The three nodes of one round. */
function openNodes(seed: number): { world: World; nodes: readonly [Node, Node, Node] } & AsyncDisposable {
  const random = seeded(seed);
  const world = new World();
  const a = new Node(world, 0, () => {
    const drawn = random();
    return drawn < 0.1 ? "503" : drawn < 0.13 ? "slow" : drawn < 0.133 ? "hang" : undefined;
  });
  const b = new Node(world, BEHIND, () => undefined);
  let [second, taken] = [0, 0];
  const c = new Node(world, 0, () => {
    const { elapsedMs } = world;
    if (elapsedMs >= OUTAGE.fromMs && elapsedMs < OUTAGE.untilMs) return "502";
    const now = Math.floor(elapsedMs / 1000);
    if (now !== second) [second, taken] = [now, 0];
    return ++taken > PER_SECOND ? "429" : undefined;
  });
  const nodes = [a, b, c] as const;
  return {
    world,
    nodes,
    [Symbol.asyncDispose]: async () => void await Promise.all(nodes.map((node) => node[Symbol.asyncDispose]())),
  };
}

/** Asks for the receipt of a transaction; resolves with the number of the block that it names. */
type Ask = (transaction: `0x${string}`, blockNumber: number) => Promise<number>;

interface Client extends AsyncDisposable {
  readonly name: string;
  readonly ask: Ask;
}

type OpenClient = (nodes: readonly Node[]) => Promise<Client>;

async function openPool(nodes: readonly Node[]): Promise<Client> {
  const pool = makePool(nodes);
  await pool.ready();
  return {
    name: "pool",
    ask: (transaction, blockNumber) =>
      pool.request("eth_getTransactionReceipt", [transaction], {
        ...readAsk(),
        blockNumber,
        decode: (result) => Number((result as { blockNumber: string }).blockNumber),
      }),
    [Symbol.asyncDispose]: () => pool[Symbol.asyncDispose](),
  };
}

function readAsk(): Omit<RequestAsk<unknown>, "decode" | "absent"> {
  return { class: "read", priority: "process", deadlineMs: performance.now() + CALL_LIMIT_MS };
}

function makePool(nodes: readonly Node[]): NodePool {
  const config = configSchema.parse({
    networks: [{
      name: "bench",
      chainId: CHAIN_ID,
      blockTime: "2s",
      nodes: nodes.map(({ url }, at) => ({ name: "abc"[at], url, ws: url.replace("http:", "ws:") })),
    }],
  });
  return openNodePool({ ...config.networks[0]!, classes: ["head", "read"] });
}

function viemClient(nodes: readonly Node[], rank: boolean): PublicClient {
  return createPublicClient({ transport: fallback(nodes.map(({ url }) => http(url)), rank ? { rank } : {}) });
}

function openViem(rank: boolean): OpenClient {
  return (nodes) => {
    const client = viemClient(nodes, rank);
    return Promise.resolve({
      name: rank ? "viem fallback, rank" : "viem fallback",
      ask: async (hash) => Number((await client.getTransactionReceipt({ hash })).blockNumber),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    });
  };
}

/** eRPC as a proxy before the three nodes. */
async function openErpc(binary: string, nodes: readonly Node[]): Promise<Client> {
  const folder = await Deno.makeTempDir();
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  listener.close();
  const upstreams = nodes.map(({ url }, at) =>
    `      - id: ${"abc"[at]}\n        endpoint: ${url}\n        evm: { chainId: ${CHAIN_ID} }`
  );
  await Deno.writeTextFile(
    `${folder}/erpc.yaml`,
    `logLevel: error\nserver: { httpHostV4: 127.0.0.1, httpPort: ${port} }\nprojects:\n  - id: main\n    upstreams:\n${
      upstreams.join("\n")
    }\n`,
  );
  const child = new Deno.Command(binary, { args: [`${folder}/erpc.yaml`], stdout: "null", stderr: "null" }).spawn();
  const url = `http://127.0.0.1:${port}/main/evm/${CHAIN_ID}`;
  const ask: Ask = async (transaction) => {
    const body = { jsonrpc: "2.0", id: 1, method: "eth_getTransactionReceipt", params: [transaction] };
    const response = await fetch(url, {
      method: "POST",
      body: JSON.stringify(body),
      headers: { "content-type": "application/json" },
      signal: AbortSignal.timeout(CALL_LIMIT_MS),
    });
    return Number((await response.json()).result.blockNumber);
  };
  for (let tries = 0; tries < 100; tries++) {
    if (await ask(transactionOf(1, tries), 1).then(() => true, () => false)) break;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return {
    name: "eRPC",
    ask,
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGTERM");
      await child.status;
      await Deno.remove(folder, { recursive: true });
    },
  };
}

interface Round {
  readonly useful: number;
  readonly p99Ms: number;
  /** Requests that the nodes received per call asked. */
  readonly load: number;
}

/** One round of one client on fresh nodes with this seed. */
async function round(open: OpenClient, seed: number): Promise<Round> {
  await using surroundings = openNodes(seed);
  const { world, nodes } = surroundings;
  await using client = await open(nodes);
  const random = seeded(seed + 1_000);
  const latencies: number[] = [];
  const calls: Promise<void>[] = [];
  let [asked, useful] = [0, 0];
  const startedMs = performance.now();
  while (performance.now() - startedMs < ROUND_MS) {
    const due = Math.floor((performance.now() - startedMs) * CALLS_PER_SECOND / 1000);
    for (; asked < due; asked++) {
      const newest = world.head;
      const wanted = random() < 0.5 ? newest : newest - 10 - Math.floor(random() * 500);
      const sentMs = performance.now();
      const judged = client.ask(transactionOf(wanted, asked), wanted).then((number) => {
        if (number === wanted) useful++;
      }, () => {});
      calls.push(judged.then(() => void latencies.push(performance.now() - sentMs)));
    }
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  await Promise.all(calls);
  latencies.sort((a, b) => a - b);
  const received = nodes.reduce((sum, node) => sum + node.received, 0);
  return { useful: useful / asked, p99Ms: latencies[Math.floor(latencies.length * 0.99)]!, load: received / asked };
}

async function compare(): Promise<void> {
  const erpc = Deno.env.get("ERPC_BIN");
  const contenders: Record<string, OpenClient> = {
    pool: openPool,
    viem: openViem(false),
    viem_rank: openViem(true),
    ...(erpc === undefined ? {} : { erpc: (nodes: readonly Node[]) => openErpc(erpc, nodes) }),
  };
  const rounds: Record<string, Round[]> = {};
  for (const seed of SEEDS) {
    for (const [name, open] of Object.entries(contenders)) {
      const result = await round(open, seed);
      (rounds[name] ??= []).push(result);
      const { useful, p99Ms, load } = result;
      say(
        `seed ${seed} ${name}: ${(100 * useful).toFixed(2)} % useful, p99 ${p99Ms.toFixed(0)} ms, load ${
          load.toFixed(2)
        }`,
      );
    }
  }
  const of = (name: string, value: (round: Round) => number) => median(rounds[name]!.map(value));
  for (const name of Object.keys(contenders)) {
    figure(`rpc_success_${name}`, of(name, (each) => each.useful).toFixed(4), "share");
    figure(`rpc_p99_${name}`, of(name, (each) => each.p99Ms).toFixed(1), "ms");
  }
  const against = (name: string, label: string) => {
    const pairs = rounds["pool"]!.map((own, at) => ({ own, other: rounds[name]![at]! }));
    figure(`rpc_success_vs_${label}`, median(pairs.map(({ own, other }) => own.useful / other.useful)).toFixed(3), "x");
    figure(`rpc_p99_vs_${label}`, median(pairs.map(({ own, other }) => own.p99Ms / other.p99Ms)).toFixed(3), "x");
  };
  against("viem", "viem_fallback");
  against("viem_rank", "viem_fallback_rank");
  if (erpc === undefined) figure("rpc_success_vs_erpc", "not run", "ERPC_BIN names no binary");
  else against("erpc", "erpc");
  figure("rpc_load_factor", of("pool", (each) => each.load).toFixed(3), "x");
}

/** What a request adds to the fetch of the same call on the same connection. */
async function overhead(): Promise<void> {
  const body = '{"jsonrpc":"2.0","id":1,"result":"0x1"}';
  await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
    const { id, method } = await request.json();
    const result = method === "eth_chainId" ? "0x539" : method === "web3_clientVersion" ? "Geth/v1.17.8" : "0x1";
    return new Response(body.replace('"id":1', `"id":${id}`).replace('"0x1"', JSON.stringify(result)));
  });
  const url = `http://127.0.0.1:${server.addr.port}/`;
  const config = configSchema.parse({ networks: [{ name: "bench", chainId: CHAIN_ID, nodes: [{ name: "a", url }] }] });
  await using pool = openNodePool({ ...config.networks[0]!, classes: ["read"] });
  await pool.ready();
  using client = Deno.createHttpClient({ http2: false });
  const viem = createPublicClient({ transport: fallback([http(url)]) });
  let id = 0;
  const ways: Record<string, () => Promise<unknown>> = {
    fetch: async () => {
      const init: RequestInit & { client: Deno.HttpClient } = {
        method: "POST",
        body: JSON.stringify({ jsonrpc: "2.0", id: ++id, method: "eth_getCode", params: ["0x", "latest"] }),
        headers: { "content-type": "application/json", "accept-encoding": "identity" },
        client,
      };
      return JSON.parse(await (await fetch(url, init)).text()).result;
    },
    pool: () => pool.request("eth_getCode", ["0x", "latest"], { ...readAsk(), decode: (result) => result }),
    viem: () => viem.request({ method: "eth_blockNumber" }),
  };
  const times: Record<string, number[]> = { fetch: [], pool: [], viem: [] };
  for (const way of Object.values(ways)) for (let call = 0; call < WARM_UP_CALLS; call++) await way();
  for (let turn = 0; turn < 40; turn++) {
    for (const [name, way] of Object.entries(ways)) {
      for (let call = 0; call < 50; call++) {
        const startedMs = performance.now();
        await way();
        times[name]!.push(performance.now() - startedMs);
      }
    }
  }
  const [fetchMs, poolMs, viemMs] = ["fetch", "pool", "viem"].map((name) => median(times[name]!));
  say(`median of a call: fetch ${(fetchMs! * 1000).toFixed(0)} us, pool ${(poolMs! * 1000).toFixed(0)} us`);
  figure("rpc_overhead_us", ((poolMs! - fetchMs!) * 1000).toFixed(1), "us");
  figure("rpc_overhead_viem_us", ((viemMs! - fetchMs!) * 1000).toFixed(1), "us");
}

/** Ten calls at a time against one at a time, on a node that takes 100 ms. */
async function speedup(): Promise<void> {
  await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
    const { id, method } = await request.json();
    if (method === "eth_getCode") await new Promise((resolve) => setTimeout(resolve, 100));
    const result = method === "eth_chainId" ? "0x539" : method === "web3_clientVersion" ? "Geth/v1.17.8" : "0x1";
    return Response.json({ jsonrpc: "2.0", id, result });
  });
  const url = `http://127.0.0.1:${server.addr.port}/`;
  const config = configSchema.parse({ networks: [{ name: "bench", chainId: CHAIN_ID, nodes: [{ name: "a", url }] }] });
  await using pool = openNodePool({ ...config.networks[0]!, classes: ["read"] });
  await pool.ready();
  const items = Array.from({ length: 40 }, (_, at) => at);
  const timed = async (concurrency: number) => {
    const startedMs = performance.now();
    await pool.each(
      items,
      { concurrency, mode: "failFast" },
      (item) => pool.request("eth_getCode", [item, "latest"], { ...readAsk(), decode: (result) => result }),
    );
    return performance.now() - startedMs;
  };
  const [one, ten] = [await timed(1), await timed(10)];
  figure("rpc_parallel_speedup", (one / ten).toFixed(2), "x");
}

/** What a thousand waiting leases and 256 calls in flight weigh. */
async function weight(): Promise<void> {
  const release = Promise.withResolvers<void>();
  await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
    const { id, method } = await request.json();
    if (method === "eth_getCode") await release.promise;
    const result = method === "eth_chainId" ? "0x539" : method === "web3_clientVersion" ? "Geth/v1.17.8" : "0x1";
    return Response.json({ jsonrpc: "2.0", id, result });
  });
  const url = `http://127.0.0.1:${server.addr.port}/`;
  const config = configSchema.parse({
    networks: [{
      name: "bench",
      chainId: CHAIN_ID,
      nodes: [{ name: "a", url, limits: { read: { start: 256, max: 256 } }, timeouts: { read: "1m" } }],
      rpc: { hedge: { ratio: 0 }, timeouts: { default: "1m" }, shares: { repair: 1, process: 1 } },
    }],
  });
  await using pool = openNodePool({ ...config.networks[0]!, classes: ["read"] });
  await pool.ready();
  const before = Deno.memoryUsage();
  const ask = { ...readAsk(), deadlineMs: performance.now() + 60_000, decode: (result: unknown) => result };
  const calls = Array.from({ length: 1_256 }, (_, at) => pool.request("eth_getCode", [at, "latest"], ask));
  let longestMs = 0;
  for (let turn = 0; turn < 100; turn++) {
    const startedMs = performance.now();
    await new Promise((resolve) => setTimeout(resolve, 10));
    longestMs = Math.max(longestMs, performance.now() - startedMs - 10);
  }
  const after = Deno.memoryUsage();
  figure("rpc_waiting_memory", ((after.rss - before.rss) / 1_048_576).toFixed(1), "MiB");
  figure("rpc_waiting_delay", longestMs.toFixed(1), "ms");
  release.resolve();
  await Promise.all(calls);
}

/** Share of the work that the best fixed limit does, in virtual time: this pool's way to a limit, and others'. */
function limits(): void {
  const shares: Record<string, number[]> = {};
  for (const kind of KINDS) {
    const best = bestFixed(kind, SIMULATED_MS, () => seeded(1));
    const line: string[] = [];
    for (const [name, make] of Object.entries(LIMITERS)) {
      const share = median([2, 3, 4].map((seed) => workDone(kind, make(), SIMULATED_MS, seeded(seed)) / best));
      (shares[name] ??= []).push(share);
      line.push(`${name} ${share.toFixed(2)}`);
    }
    say(`${kind.name}: ${line.join(", ")}`);
  }
  const worst = (name: string) => Math.min(...shares[name]!).toFixed(3);
  figure("rpc_limit_vs_best_fixed", worst("this pool"), "share");
  figure("rpc_limit_fixed_10", worst("fixed 10"), "share");
  figure("rpc_limit_gradient2", worst("Gradient2"), "share");
  figure("rpc_limit_aimd", worst("AIMD"), "share");
}

limits();
await overhead();
await speedup();
await weight();
await compare();
// viem goes on ranking its nodes for ever, and nothing ends that.
Deno.exit(0);
