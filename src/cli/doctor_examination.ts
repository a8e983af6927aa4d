/**
 * The examination of one node: what it is, what it may be asked, how far back it has state, and how it traces. At most
 * {@linkcode MAX_CALLS} calls. The proof judges its traces; the raw reply shows what the client prints.
 */
import type { NetworkConfig } from "../config/schema.ts";
import { type ClientFlags, clientFlags } from "../ethereum/clients.ts";
import { forkByName, forkOfBlock } from "../ethereum/forks.ts";
import { NodesUnavailable, RpcFailure } from "../rpc/failure.ts";
import { openTrace } from "../rpc/open_trace.ts";
import { openNodePool } from "../rpc/pool.ts";
import { type CallClass, type NodePool, type NodeState } from "../rpc/port.ts";
import type { TraceRequest } from "../rpc/trace_request.ts";
import { openDecoder } from "../stages/decode/decoder.ts";
import { ReplyError } from "../stages/decode/errors.ts";
import type { JsonObject, ProofRecord, StructlogColumns, TraceSink } from "../stages/decode/port.ts";
import { nodeFork } from "../stages/source/node_fork.ts";
import { readReply } from "../stages/trace/read.ts";

/** Calls that one examination may send. */
export const MAX_CALLS = 60;
const REACH_MS = 8_000;
const CALL_MS = 30_000;
/** Blocks below the head that are searched for transactions. */
const SEARCHED_BLOCKS = 8;
const DEPTH_CALLS = 20;
const BATCH = 100;
/** Largest reply that is kept to look at its form. */
const RAW_BYTES = 16 * 1024 * 1024;
/** Rows of a transaction that two nodes are compared by. */
const COMPARED_ROWS = 20_000;
const TRANSFER_GAS = 21_000;

/** Something that a node lacks, and the line that switches it on. */
export interface Lack {
  readonly what: string;
  readonly remedy: string;
  /** Nothing works without it. */
  readonly needed: boolean;
}

/** One of the transactions that show how a node traces. */
export interface Specimen {
  readonly kind: "transfer" | "calls" | "failed" | "creation";
  readonly hash: string;
  readonly verdict: string;
  readonly detail: string;
  readonly rows: number;
  readonly bytes: number;
  readonly seconds: number;
}

/** What was found out about one node. */
export interface Examination {
  readonly node: string;
  readonly reachable: boolean;
  /** Why it is of no use, where it is none. */
  readonly refusal: string;
  readonly clientVersion: string;
  readonly family: string;
  readonly headNumber?: number;
  readonly headAgeSeconds?: number;
  readonly syncing?: boolean;
  readonly methods: Readonly<Record<string, "yes" | "no" | "unknown">>;
  readonly newHeads: "announced" | "silent" | "no socket";
  readonly batchItems?: number;
  readonly lowestState?: number;
  readonly depthKnown: boolean;
  readonly specimens: readonly Specimen[];
  /** Kinds of transactions that recent blocks do not hold. */
  readonly notFound: readonly Specimen["kind"][];
  /** What the node prints, beside what its family's table says. */
  readonly flags: Readonly<Record<string, { readonly seen: string; readonly table: string }>>;
  /** Whether the switches of the struct logger do what they say. */
  readonly switches: Readonly<Record<string, string>>;
  readonly rowsPerSecond?: number;
  readonly bytesPerRow?: number;
  readonly lacks: readonly Lack[];
  readonly calls: number;
  /** Rows of a common transaction, for the comparison of nodes. */
  readonly rowsOf: ReadonlyMap<string, readonly string[]>;
}

interface RawRow {
  readonly refund?: unknown;
  readonly memory?: unknown;
  readonly storage?: unknown;
  readonly returnData?: unknown;
  readonly stack?: unknown;
}

interface RawTrace {
  readonly gas?: unknown;
  readonly structLogs?: readonly RawRow[];
}

interface Candidate {
  readonly kind: Specimen["kind"];
  readonly transaction: JsonObject;
  readonly receipt: JsonObject;
  readonly block: JsonObject;
}

/** Examines one node of a network. `position` is that of the node in the configuration. */
export async function examine(network: NetworkConfig, position: number, signal: AbortSignal): Promise<Examination> {
  const options = {
    ...network,
    nodes: [{ ...network.nodes[position]!, enabled: true, tier: "primary" as const }],
    rpc: { ...network.rpc, retry: { ...network.rpc.retry, attempts: 1 }, hedge: { ...network.rpc.hedge, ratio: 0 } },
    classes: ["head"] as const,
  };
  await using pool = openNodePool(options);
  return await new Examiner(network, pool, signal).run();
}

class Examiner {
  readonly #network: NetworkConfig;
  readonly #pool: NodePool;
  readonly #signal: AbortSignal;
  readonly #methods: Record<string, "yes" | "no" | "unknown"> = {};
  readonly #lacks: Lack[] = [];
  readonly #specimens: Specimen[] = [];
  readonly #flags: Record<string, { seen: string; table: string }> = {};
  readonly #switches: Record<string, string> = {};
  readonly #rowsOf = new Map<string, readonly string[]>();
  #calls = 0;
  #announced = false;
  #headAgeSeconds: number | undefined;
  #syncing: boolean | undefined;
  #batchItems: number | undefined;
  #lowestState: number | undefined;
  #depthKnown = false;
  #rows = 0;
  #bytes = 0;
  #seconds = 0;
  #found: readonly Candidate[] = [];

  constructor(network: NetworkConfig, pool: NodePool, signal: AbortSignal) {
    this.#network = network;
    this.#pool = pool;
    this.#signal = signal;
  }

  async run(): Promise<Examination> {
    const startedMs = performance.now();
    const heads = this.#pool.heads.subscribe(() => {
      if (this.#state().webSocket === "open") this.#announced = true;
    });
    try {
      await this.#pool.ready(AbortSignal.any([this.#signal, AbortSignal.timeout(REACH_MS)]));
    } catch {
      this.#signal.throwIfAborted();
      heads.unsubscribe();
      return this.#result(false);
    }
    // The introduction asked for chain id, client, block 0 and the head.
    this.#calls += 4;
    const head = await this.#lookAtHead();
    await this.#lookAtBatches();
    await this.#lookAtDepth(head);
    this.#found = await this.#search(head);
    await this.#lookAtTraces();
    await this.#awaitHead(startedMs);
    heads.unsubscribe();
    this.#nameLacks();
    return this.#result(true);
  }

  #state(): NodeState {
    return this.#pool.nodes()[0]!;
  }

  /** The answer; `undefined` when there is none, with what that says about the method. */
  async #ask(method: string, params: readonly unknown[], callClass: CallClass = "read"): Promise<unknown> {
    if (this.#calls >= MAX_CALLS) return undefined;
    this.#calls++;
    try {
      const result = await this.#pool.request(method, params, {
        class: callClass,
        decode: (value) => value,
        priority: "verify",
        deadlineMs: performance.now() + CALL_MS,
        signal: this.#signal,
      });
      this.#methods[method] = "yes";
      return result;
    } catch (error) {
      this.#signal.throwIfAborted();
      if (error instanceof NodesUnavailable) return void (this.#methods[method] ??= "no");
      if (!(error instanceof RpcFailure)) throw error;
      const { action, capability } = error.failure;
      if (action === "depth" && capability === "method") this.#methods[method] = "no";
      else if (action === "missing" || action === "dead" || capability === "state") this.#methods[method] = "yes";
      else this.#methods[method] ??= "unknown";
      return undefined;
    }
  }

  async #lookAtHead(): Promise<JsonObject | undefined> {
    const syncing = await this.#ask("eth_syncing", [], "head");
    this.#syncing = syncing === undefined ? undefined : syncing !== false;
    const head = await this.#ask("eth_getBlockByNumber", ["latest", true]) as JsonObject | undefined;
    if (head !== undefined) this.#headAgeSeconds = Math.round(Date.now() / 1000 - Number(head["timestamp"]));
    return head;
  }

  async #lookAtBatches(): Promise<void> {
    const calls = Array.from({ length: BATCH }, () => ({ method: "eth_getBlockByNumber", params: ["0x0", false] }));
    this.#calls++;
    const results = await this.#pool.batch(calls, {
      class: "read",
      decode: (value) => value,
      priority: "verify",
      deadlineMs: performance.now() + CALL_MS,
      signal: this.#signal,
      mode: "collect",
    });
    if (results.every((result) => result.ok)) this.#batchItems = Math.min(BATCH, this.#state().batchItems);
  }

  /** Lowest block with state, by halving. */
  async #lookAtDepth(head: JsonObject | undefined): Promise<void> {
    if (head === undefined) return;
    const zero = `0x${"0".repeat(40)}`;
    const has = async (block: number) =>
      await this.#ask("eth_getBalance", [zero, `0x${block.toString(16)}`]) !== undefined;
    let [low, high] = [0, Number(head["number"])];
    if (!await has(high)) return;
    this.#depthKnown = true;
    if (await has(low)) return;
    for (let calls = 2; calls < DEPTH_CALLS && high - low > 1; calls++) {
      const middle = (low + high) >> 1;
      if (await has(middle)) high = middle;
      else low = middle;
    }
    this.#lowestState = high;
  }

  /** A plain transfer, a call with frames below it, a failed transaction and a creation, in recent blocks. */
  async #search(head: JsonObject | undefined): Promise<readonly Candidate[]> {
    const best = new Map<Specimen["kind"], Candidate>();
    let block = head;
    for (let searched = 0; block !== undefined && searched < SEARCHED_BLOCKS && best.size < 4; searched++) {
      const transactions = block["transactions"] as readonly JsonObject[];
      const receipts = await this.#receipts(block, transactions);
      for (const [at, transaction] of transactions.entries()) {
        const receipt = receipts[at];
        if (receipt === undefined) continue;
        const kind = kindOf(transaction, receipt);
        const before = best.get(kind);
        const larger = before === undefined || Number(receipt["gasUsed"]) > Number(before.receipt["gasUsed"]);
        if (larger) best.set(kind, { kind, transaction, receipt, block });
      }
      const parent = Number(block["number"]) - 1;
      if (parent < 1) break;
      block = await this.#ask("eth_getBlockByNumber", [`0x${parent.toString(16)}`, true]) as JsonObject | undefined;
    }
    return [...best.values()];
  }

  async #receipts(
    block: JsonObject,
    transactions: readonly JsonObject[],
  ): Promise<readonly (JsonObject | undefined)[]> {
    if (transactions.length === 0) return [];
    if (this.#methods["eth_getBlockReceipts"] !== "no") {
      const receipts = await this.#ask("eth_getBlockReceipts", [block["hash"]], "receipts");
      if (Array.isArray(receipts)) return receipts as JsonObject[];
    }
    const first = transactions[0]!;
    return [await this.#ask("eth_getTransactionReceipt", [first["hash"]]) as JsonObject | undefined];
  }

  async #lookAtTraces(): Promise<void> {
    const fork = await nodeFork(this.#pool, { priority: "verify", withinMs: CALL_MS, signal: this.#signal });
    this.#calls += 2;
    for (const candidate of this.#found) {
      const specimen = await this.#trace(candidate, fork);
      if (specimen === undefined) return;
      this.#specimens.push(specimen);
    }
    const subject = this.#found.find(({ kind }) => kind === "calls") ?? this.#found[0];
    if (subject === undefined) return;
    await this.#lookAtSwitches(subject);
    const block = await this.#rawOf("block", String(subject.block["hash"]), {});
    if (block !== undefined) this.#methods["debug_traceBlockByHash"] = "yes";
  }

  /** Traces with the options of the pipeline and proves the reply. */
  async #trace(candidate: Candidate, fork: string | undefined): Promise<Specimen | undefined> {
    const { kind, transaction, receipt, block } = candidate;
    const hash = String(transaction["hash"]);
    const raw = await this.#rawOf("transaction", hash, {});
    if (raw === undefined) return undefined;
    const { number, timestamp } = { number: Number(block["number"]), timestamp: Number(block["timestamp"]) };
    const rules = forkOfBlock({ number, timestamp }, {
      chainId: this.#network.chainId,
      ...(Object.keys(this.#network.forks).length === 0 ? {} : { configured: this.#network.forks }),
      ...(fork === undefined || forkByName(fork) === undefined ? {} : { node: fork }),
    });
    const collected = new Collector();
    const decoder = await openDecoder();
    const { clientVersion, family } = this.#state();
    const flags: ClientFlags = clientFlags(clientVersion || family);
    decoder.begin({
      shape: "transaction",
      flags,
      chainId: this.#network.chainId,
      block,
      transactions: [{ transaction, receipt }],
      ...(rules === undefined ? {} : { fork: rules }),
    }, collected);
    let [verdict, detail] = ["unreadable", ""];
    try {
      decoder.push(raw.bytes);
      decoder.end();
      const record = collected.record!;
      [verdict, detail] = [
        record.verdict,
        record.identity === "" ? record.detail : `${record.identity}: ${record.detail}`,
      ];
    } catch (error) {
      detail = error instanceof ReplyError ? error.rpcMessage : error instanceof Error ? error.message : String(error);
    }
    this.#rowsOf.set(hash, collected.rows);
    this.#observe(kind, raw.trace, receipt, flags);
    this.#rows += collected.total;
    this.#bytes += raw.bytes.length;
    this.#seconds += raw.seconds;
    return { kind, hash, verdict, detail, rows: collected.total, bytes: raw.bytes.length, seconds: raw.seconds };
  }

  /** One reply as bytes and as a document. */
  async #rawOf(
    kind: "transaction" | "block",
    hash: string,
    more: Partial<TraceRequest>,
    executionMs?: number,
  ): Promise<{ bytes: Uint8Array; trace: RawTrace; seconds: number } | undefined> {
    const method = kind === "transaction" ? "debug_traceTransaction" : "debug_traceBlockByHash";
    if (this.#calls >= MAX_CALLS) return undefined;
    this.#calls++;
    const startedMs = performance.now();
    try {
      using lease = await this.#pool.lease({
        need: { class: "trace", method },
        priority: "verify",
        deadlineMs: startedMs + CALL_MS,
        signal: this.#signal,
      });
      const view = executionMs === undefined
        ? lease.node
        : { ...lease.node, limits: { ...lease.node.limits, executionMs } };
      const request = { target: { kind, hash }, ...OUR_SWITCHES, ...more };
      await using reply = await openTrace(view, request, lease.signal);
      const pieces: Uint8Array<ArrayBuffer>[] = [];
      await readReply(reply.body, lease.signal, (piece, bytes) => {
        if (bytes <= RAW_BYTES) pieces.push(piece.slice());
        return undefined;
      });
      const seconds = (performance.now() - startedMs) / 1000;
      const bytes = await new Blob(pieces).bytes();
      const document = JSON.parse(new TextDecoder().decode(bytes)) as { result?: unknown; error?: unknown };
      if (document.error !== undefined && document.error !== null) {
        const failure = reply.failure({ kind: "error", error: document.error });
        lease.report({ kind: "failed", failure });
        throw new RpcFailure(failure, false);
      }
      lease.report(reply.outcome(0));
      this.#methods[method] = "yes";
      return { bytes, trace: document.result as RawTrace, seconds };
    } catch (error) {
      this.#signal.throwIfAborted();
      if (error instanceof NodesUnavailable) this.#methods[method] ??= "no";
      else if (!(error instanceof RpcFailure)) this.#methods[method] ??= "unknown";
      else if (error.failure.action === "depth") this.#methods[method] = "no";
      else if (error.failure.reason !== "execution_timeout") this.#methods[method] ??= "unknown";
      return undefined;
    }
  }

  /** What the reply shows of the flags that differ between clients. */
  #observe(kind: Specimen["kind"], trace: RawTrace, receipt: JsonObject, flags: ClientFlags): void {
    const rows = trace.structLogs ?? [];
    const note = (name: string, seen: string, table: string) => {
      // The first deviation stays.
      if (this.#flags[name] === undefined || this.#flags[name].seen === this.#flags[name].table) {
        this.#flags[name] = { seen, table };
      }
    };
    if (rows.length > 1) {
      const printed = rows.filter((row) => row.refund !== undefined).length;
      const seen = printed === rows.length ? "always" : printed > 0 ? "nonzero" : "none printed";
      const table = flags.refund;
      // A transaction without refunds shows nothing of a counter that is printed when it is not 0.
      note("refund", seen === "none printed" && table !== "always" ? table : seen, table);
    }
    if (kind === "transfer") {
      note("made-up STOP", rows.length > 0 ? "yes" : "no", flags.madeUpStop === "calls" ? "yes" : "no");
    }
    const top = Number(trace.gas);
    const fits: Readonly<Record<ClientFlags["topGas"], boolean>> = {
      receipt: top === Number(receipt["gasUsed"]),
      cumulative: top === Number(receipt["cumulativeGasUsed"]),
      untrusted: true,
    };
    // The first transaction of a block does not tell the first two apart.
    const seen = fits[flags.topGas]
      ? flags.topGas
      : fits.receipt
      ? "receipt"
      : fits.cumulative
      ? "cumulative"
      : "untrusted";
    note("top-level gas", seen, flags.topGas);
  }

  async #lookAtSwitches(subject: Candidate): Promise<void> {
    const hash = String(subject.transaction["hash"]);
    const shows = (raw: { trace: RawTrace } | undefined, member: keyof RawRow) =>
      (raw?.trace.structLogs ?? []).some((row) => {
        const value = row[member];
        return value !== undefined && value !== null && (typeof value !== "object" || Object.keys(value).length > 0);
      });
    const off = await this.#rawOf("transaction", hash, { returnData: false });
    const on = await this.#rawOf("transaction", hash, { memory: true, storage: true, returnData: true });
    if (off === undefined || on === undefined) return;
    for (const member of ["memory", "storage", "returnData"] as const) {
      const [whenOff, whenOn] = [shows(off, member), shows(on, member)];
      this.#switches[member] = whenOff ? "printed although off" : whenOn ? "works" : "not seen";
    }
    const stackless = await this.#rawOf("transaction", hash, { stack: false });
    if (stackless !== undefined) this.#switches["stack"] = shows(stackless, "stack") ? "printed although off" : "works";
    if (this.#state().family === "geth") {
      const hurried = await this.#rawOf("transaction", hash, {}, 0);
      this.#switches["timeout"] = hurried === undefined ? "works" : "no effect seen";
    }
  }

  /** A head within two block times of the beginning. */
  async #awaitHead(startedMs: number): Promise<void> {
    if (this.#network.nodes.every((node) => node.ws === undefined)) return;
    const untilMs = startedMs + 2 * this.#network.blockTime;
    while (!this.#announced && performance.now() < untilMs) {
      this.#signal.throwIfAborted();
      await new Promise((resolve) => setTimeout(resolve, HEAD_LOOK_MS));
    }
  }

  #nameLacks(): void {
    const { family } = this.#state();
    const { processors } = this.#network;
    const lack = (what: string, remedy: string | undefined, needed: boolean) =>
      this.#lacks.push({ what, remedy: remedy ?? "see the client's documentation", needed });
    const traces = processors.some((processor) => processor !== "transaction_simple");
    if (traces && this.#methods["debug_traceTransaction"] === "no") {
      lack("debug_traceTransaction", DEBUG_REMEDY[family], true);
    }
    for (const method of ["eth_getBlockByNumber", "eth_syncing"]) {
      if (this.#methods[method] === "no") lack(method, DEBUG_REMEDY[family], true);
    }
    if (
      this.#specimens.some(({ kind, rows, verdict }) => kind !== "transfer" && rows === 0 && verdict === "violated")
    ) {
      lack("structlogs: traces are empty", EMPTY_REMEDY[family] ?? EMPTY_REMEDY["revm"], true);
    } else if (this.#specimens.some(({ verdict }) => verdict === "violated")) {
      const cut = this.#specimens.find(({ verdict }) => verdict === "violated")!;
      lack(`a proved trace: ${cut.kind} ${cut.hash} violates ${cut.detail}`, CUT_REMEDY[family], true);
    }
    if (this.#lowestState !== undefined) lack(`state below block ${this.#lowestState}`, ARCHIVE_REMEDY[family], false);
    const socket = this.#state().webSocket;
    if (socket === "connecting") lack("an open socket", SOCKET_REMEDY[family], false);
    if (this.#batchItems !== undefined && this.#batchItems < BATCH) {
      lack(`batches of ${BATCH} calls`, `limits.batchItems: ${this.#batchItems}`, false);
    }
  }

  #result(reachable: boolean): Examination {
    const state = this.#state();
    const kinds = this.#found.map(({ kind }) => kind);
    return {
      node: state.name,
      reachable,
      refusal: reachable ? "" : state.classes.head.reason || "no answer",
      clientVersion: state.clientVersion,
      family: state.family,
      ...(state.headNumber === undefined ? {} : { headNumber: state.headNumber }),
      ...(this.#headAgeSeconds === undefined ? {} : { headAgeSeconds: this.#headAgeSeconds }),
      ...(this.#syncing === undefined ? {} : { syncing: this.#syncing }),
      methods: this.#methods,
      newHeads: this.#announced ? "announced" : state.webSocket === "none" ? "no socket" : "silent",
      ...(this.#batchItems === undefined ? {} : { batchItems: this.#batchItems }),
      ...(this.#lowestState === undefined ? {} : { lowestState: this.#lowestState }),
      depthKnown: this.#depthKnown,
      specimens: this.#specimens,
      notFound: reachable ? KINDS.filter((kind) => !kinds.includes(kind)) : [],
      flags: this.#flags,
      switches: this.#switches,
      ...(this.#rows === 0 ? {} : { rowsPerSecond: this.#rows / this.#seconds, bytesPerRow: this.#bytes / this.#rows }),
      lacks: reachable
        ? this.#lacks
        : [{ what: "an answer", remedy: `check its url: ${state.classes.head.reason}`, needed: true }],
      calls: this.#calls,
      rowsOf: this.#rowsOf,
    };
  }
}

/** Keeps the record and the cells of the first rows. */
class Collector implements TraceSink {
  readonly rows: string[] = [];
  record: ProofRecord | undefined;
  total = 0;

  structlogs(_position: number, columns: StructlogColumns, operations: readonly string[]): void {
    this.total += columns.rows;
    for (let row = 0; row < columns.rows && this.rows.length < COMPARED_ROWS; row++) {
      const wide = (lanes: Uint32Array) => lanes[2 * row + 1]! * 4_294_967_296 + lanes[2 * row]!;
      this.rows.push(
        [
          `${columns.index[row]} ${operations[columns.operation[row]!]}`,
          `pc ${columns.programCounter[row]}`,
          `depth ${columns.depth[row]}`,
          `gas ${wide(columns.gas)}`,
          `gas_used ${wide(columns.gasUsed)}`,
          `gas_self ${wide(columns.gasSelf)}`,
          `frame ${columns.callFrameId[row]}`,
        ].join(", "),
      );
    }
  }

  frames(): void {}

  returnValue(): void {}

  finished(_position: number, record: ProofRecord): void {
    this.record = record;
    // Rows leave when they are resolved; compared is by index.
    this.rows.sort((a, b) => parseInt(a) - parseInt(b));
  }
}

/** Where two nodes differ about a transaction that both traced; absent: they agree, or have none in common. */
export function firstDifference(
  one: Examination,
  other: Examination,
): { readonly hash: string; readonly one: string; readonly other: string } | "agree" | "nothing in common" {
  let common = false;
  for (const [hash, rows] of one.rowsOf) {
    const others = other.rowsOf.get(hash);
    if (others === undefined) continue;
    common = true;
    for (let at = 0; at < Math.max(rows.length, others.length); at++) {
      if (rows[at] !== others[at]) return { hash, one: rows[at] ?? "no row", other: others[at] ?? "no row" };
    }
  }
  return common ? "agree" : "nothing in common";
}

const KINDS: readonly Specimen["kind"][] = ["transfer", "calls", "failed", "creation"];
const HEAD_LOOK_MS = 100;
/** The switches with which the pipeline traces. */
const OUR_SWITCHES = { memory: false, stack: true, storage: false, returnData: true } as const;

const DEBUG_REMEDY: Readonly<Record<string, string>> = {
  geth: "geth --http.api eth,net,web3,debug",
  erigon: "erigon --http.api eth,net,web3,debug",
  nethermind: "nethermind --JsonRpc.EnabledModules Eth,Net,Web3,Debug",
  besu: "besu --rpc-http-api=ETH,NET,WEB3,DEBUG",
  revm: "reth node --http --http.api eth,net,web3,debug",
};
const EMPTY_REMEDY: Readonly<Record<string, string>> = {
  revm: "anvil --steps-tracing",
};
const CUT_REMEDY: Readonly<Record<string, string>> = {
  geth: "a proxy in between may add `limit`; otherwise keep the reply as evidence and report it",
  erigon: "erigon --rpc.evmtimeout 5m (a shorter one cuts traces without an error)",
  nethermind: "nethermind --JsonRpc.Timeout 120000, and timeouts.trace in the configuration",
  revm: "reth node --rpc.max-response-size 1000 --rpc.max-tracing-requests 16",
};
const ARCHIVE_REMEDY: Readonly<Record<string, string>> = {
  geth: "geth --gcmode archive (the path scheme keeps 128 blocks)",
  erigon: "erigon --prune.mode archive",
  nethermind: "nethermind --Pruning.Mode None",
  besu: "besu --sync-mode=FULL --data-storage-format=FOREST",
  revm: "reth node without --full",
};
const SOCKET_REMEDY: Readonly<Record<string, string>> = {
  geth: "geth --ws --ws.api eth",
  erigon: "erigon --ws",
  nethermind: "nethermind --Init.WebSocketsEnabled true",
  besu: "besu --rpc-ws-enabled",
  revm: "reth node --ws",
};

function kindOf(transaction: JsonObject, receipt: JsonObject): Specimen["kind"] {
  if (Number(receipt["status"]) === 0) return "failed";
  if (transaction["to"] === null || transaction["to"] === undefined) return "creation";
  return Number(receipt["gasUsed"]) === TRANSFER_GAS ? "transfer" : "calls";
}
