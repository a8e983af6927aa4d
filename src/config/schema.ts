/**
 * The configuration: its one definition. Names, defaults, units, checks and the text that explains each key are all
 * here; `config.yaml` is written from it and compared with it by a test.
 *
 * Durations and sizes are written with units and become milliseconds and bytes.
 */
import { z } from "zod";
import { parseDuration, parseSize } from "./units.ts";

/** Facts about a key that the types do not carry. */
export interface KeyMeta {
  /** What it does, in whole sentences. */
  readonly effect: string;
  /** Shown in `config.yaml` for a key that has no default. */
  readonly example?: unknown;
}

/** Key facts by schema node. */
export const keyMeta = z.registry<KeyMeta>();

function key<S extends z.ZodType>(schema: S, effect: string, example?: unknown): S {
  keyMeta.add(schema, { effect, ...(example === undefined ? {} : { example }) });
  return schema;
}

function withUnit(parse: (text: string) => number | undefined, expected: string) {
  return z.string({ error: `expected ${expected}` }).transform((text, context) => {
    const value = parse(text);
    if (value !== undefined) return value;
    context.addIssue({ code: "custom", message: `expected ${expected}`, input: text });
    return z.NEVER;
  });
}

const duration = () => withUnit(parseDuration, "a duration with its unit, such as 250ms, 5s, 10m or 1h");
const size = () => withUnit(parseSize, "a size with its unit, such as 64MiB or 1GB");
const count = () => z.int().min(1);
const share = () => z.number().min(0).max(1);
const group = <S extends z.ZodRawShape>(shape: S, effect: string) =>
  key(z.strictObject(shape).prefault({} as never), effect);

const concurrency = (max: number, start: number, effect: string) =>
  group({
    min: key(count().default(1), "Lowest limit."),
    max: key(count().default(max), "Highest limit."),
    start: key(count().default(start), "Limit before anything is known."),
  }, effect);

const rateRule = z.strictObject({
  methods: key(z.string().min(1), "Method name, or a prefix and `*`.", "debug_*"),
  perSecond: key(z.number().positive(), "Calls per second; a batch costs its items.", 10),
  burst: key(z.number().positive(), "Calls at once after a pause.", 10),
});

const url = (schemes: readonly string[]) =>
  z.string().refine((text) => URL.canParse(text) && schemes.includes(new URL(text).protocol), {
    error: `expected a URL beginning with ${schemes.map((scheme) => `${scheme}//`).join(" or ")}`,
  });

const node = z.strictObject({
  name: key(
    z.string().regex(/^[A-Za-z0-9_.-]+$/, "expected letters, digits, dots and dashes"),
    "Name in logs, metrics and stored records (never the URL).",
    "local",
  ),
  url: key(url(["http:", "https:"]), "JSON-RPC endpoint. Credentials belong into `headers`.", "http://127.0.0.1:8545"),
  ws: key(
    url(["ws:", "wss:"]).optional(),
    "WebSocket endpoint for new heads; without it heads are polled.",
    "ws://127.0.0.1:8546",
  ),
  headers: key(
    z.record(z.string(), z.string()).default({}),
    "HTTP headers of every request, e.g. authorization: Bearer ${NODE_TOKEN}.",
  ),
  gzip: key(z.boolean().default(false), "Ask for compressed replies: for nodes behind a slow line."),
  tier: key(
    z.enum(["primary", "fallback"]).default("primary"),
    "A fallback is used only when no primary can serve a request.",
  ),
  weight: key(z.number().positive().default(1), "Share of the blocks beside the other nodes'."),
  enabled: key(z.boolean().default(true), "false takes the node out of use."),
  family: key(
    z.enum(["auto", "geth", "erigon", "nethermind", "besu", "revm", "ethereumjs"]).default("auto"),
    "How the client prints traces; auto asks web3_clientVersion.",
  ),
  balanced: key(z.union([z.literal("auto"), z.boolean()]).default("auto"), "true: several nodes hide behind the URL."),
  depth: key(
    z.union([z.enum(["auto", "full"]), count()]).default("auto"),
    "How many blocks back the node has state: auto, full, or a number.",
  ),
  methods: group({
    allow: key(z.array(z.string()).default([]), "Only these methods; empty: all."),
    deny: key(z.array(z.string()).default([]), "Never these methods."),
  }, "Which methods the node may be asked."),
  limits: group({
    read: concurrency(256, 16, "Concurrent reads."),
    receipts: concurrency(64, 4, "Concurrent calls of eth_getBlockReceipts."),
    trace: concurrency(64, 4, "Concurrent traces."),
    traceBytes: key(size().prefault("512MiB"), "Predicted bytes of trace replies in flight."),
    replyBytes: key(
      z.union([z.literal("auto"), size()]).default("auto"),
      "Largest reply that the node sends; auto learns it.",
    ),
    batchItems: key(count().default(100), "Calls per JSON-RPC batch."),
    rates: key(z.array(rateRule).default([]), "Token buckets by method; all that match apply."),
  }, "Bounds on what this node is asked at once. Limits move between min and max as the node answers."),
  timeouts: group({
    head: key(duration().optional(), "Of eth_blockNumber and the like.", "3s"),
    read: key(duration().optional(), "Of blocks, transactions, receipts.", "10s"),
    receipts: key(duration().optional(), "Of eth_getBlockReceipts.", "20s"),
    trace: key(
      duration().optional(),
      "Of a whole trace, first to last byte; by default what the client's server allows.",
      "28s",
    ),
  }, "Time limits of this node where they differ from rpc.timeouts."),
  caFile: key(z.string().optional(), "PEM file of a further certificate authority.", "/etc/ssl/private-ca.pem"),
});

const rpc = {
  timeouts: group({
    head: key(duration().prefault("3s"), "eth_blockNumber and the like."),
    read: key(duration().prefault("10s"), "Blocks, transactions, receipts."),
    receipts: key(duration().prefault("20s"), "eth_getBlockReceipts."),
    default: key(duration().prefault("30s"), "Everything else."),
    stall: key(duration().prefault("10s"), "Longest silence within a reply."),
  }, "Time limits of requests."),
  breaker: group({
    failures: key(count().default(5), "Consecutive failures that open it."),
    ratio: key(share().default(0.5), "Share of failures that opens it."),
    of: key(count().default(20), "Calls over which the share is taken."),
    atLeast: key(count().default(10), "Calls before the share counts."),
    reset: key(duration().prefault("10s"), "Time until the first probe, doubled at each reopening."),
    resetMax: key(duration().prefault("5m"), "Longest time until a probe."),
    successes: key(count().default(1), "Probes in a row that close it."),
  }, "Circuit breaker per node and class of methods."),
  retry: group({
    attempts: key(count().default(4), "Attempts within one call."),
    base: key(duration().prefault("50ms"), "First pause, doubled each time, with jitter."),
    max: key(duration().prefault("2s"), "Longest pause."),
    ratio: key(share().default(0.2), "Retries allowed per call of the last 10 s."),
    perSecond: key(z.number().nonnegative().default(10), "Retries allowed besides."),
  }, "Retries of cheap calls. Traces are retried by the queue."),
  hedge: group({
    ratio: key(share().default(0.05), "Second calls allowed per call; 0 switches hedging off."),
    min: key(duration().prefault("50ms"), "Shortest wait before a second call."),
    max: key(duration().prefault("2s"), "Longest wait before a second call."),
  }, "A second call on another node when the first is late. Never for traces."),
  queue: group(
    { max: key(count().default(1000), "Waiting requests; beyond it the lowest priority is shed.") },
    "Requests that wait for a node.",
  ),
  shares: group({
    head: key(share().default(1), "Heads."),
    repair: key(share().default(0.9), "Reprocessing."),
    process: key(share().default(0.85), "New blocks."),
    backfill: key(share().default(0.75), "Backfill."),
    verify: key(share().default(0.25), "Verification."),
  }, "Share of a node's concurrency that each priority may fill."),
  lag: group({
    blocks: key(count().default(3), "Blocks behind the tip."),
    seconds: key(duration().prefault("30s"), "Time behind the tip."),
  }, "From when on a node counts as lagging; it still serves what it has."),
  batch: group({
    items: key(count().default(100), "Calls per batch."),
    bytes: key(size().prefault("1MiB"), "Bytes per batch request."),
    wait: key(duration().prefault("5ms"), "Longest wait for a fuller batch."),
  }, "JSON-RPC batches of cheap calls."),
  each: group({ concurrency: key(count().default(10), "Calls at once.") }, "Lists of calls."),
  pending: group({
    enabled: key(z.boolean().default(false), "Subscribe to pending transactions."),
    inFlight: key(count().default(4), "Batches of look-ups in flight."),
    max: key(count().default(10_000), "Hashes waiting; beyond it the oldest are dropped and counted."),
  }, "Look-ups of pending transactions."),
  probe: group(
    { interval: key(duration().prefault("10m"), "How often a node's client and methods are asked again.") },
    "Probes of nodes.",
  ),
};

const network = z.strictObject({
  name: key(
    z.string().regex(/^[a-z0-9_-]+$/, "expected lower-case letters, digits and dashes"),
    "Stored in the column meta_network_name.",
    "mainnet",
  ),
  chainId: key(count(), "Chain id of EIP-155; a node of another chain is refused.", 1),
  blockTime: key(duration().prefault("12s"), "Expected time between two blocks: paces polling and staleness."),
  forks: key(
    z.record(z.string(), z.int().min(0)).default({}),
    "Fork name to first block number (before Paris) or timestamp; needed for chains that no table knows.",
  ),
  nodes: key(z.array(node).min(1), "The nodes of this network; all calls for one block go to one of them."),
  mode: key(
    z.enum(["forwards", "backwards", "both"]).default("forwards"),
    "Follow the head, backfill history, or both.",
  ),
  processors: key(
    z.array(z.enum(["transaction_structlog", "transaction_structlog_agg", "transaction_simple"])).min(1)
      .default(["transaction_structlog", "transaction_structlog_agg"]),
    "What is made of a block: rows per opcode, rows per call frame (both from one trace), rows per transaction (no trace).",
  ),
  startBlock: key(z.int().min(0).optional(), "First block where the ledger is empty; by default the head.", 19_000_000),
  confirmations: key(z.int().min(0).default(0), "Blocks that must lie above a block before it is processed."),
  backfill: group({
    floor: key(z.int().min(0).default(0), "Lowest block of the backfill."),
  }, "History below the first stored block."),
  window: group({
    maxPendingBlocks: key(count().default(64), "Blocks accepted and not finished, per direction."),
    maxQueuedTasks: key(count().default(10_000), "Tasks in the queue that close the window; it reopens at 0.8 of it."),
  }, "Back-pressure between the chain and the queue."),
  limiter: key(
    z.strictObject({
      query: key(
        z.string().default(
          "SELECT max(execution_payload_block_number) AS block FROM canonical_beacon_block WHERE meta_network_name = {network:String}",
        ),
        "SELECT with one column `block`: the highest block that may be processed.",
      ),
      refresh: key(duration().prefault("6s"), "How often it is asked."),
      maxAge: key(duration().prefault("5m"), "Age of the answer from which on nothing new is processed."),
    }).optional(),
    "Process no block that the consensus layer's table does not hold yet. Absent: no limiter.",
  ),
  reorg: group({
    maxDepth: key(count().default(128), "Deepest reorg that is followed; a deeper one stops this network."),
  }, "Reorgs."),
  gaps: group({
    interval: key(duration().prefault("1m"), "Time between two scans."),
    lookBack: key(
      z.union([z.literal("unlimited"), count()]).default(10_000),
      "Blocks below the head that are scanned, or unlimited.",
    ),
    batch: key(count().default(100), "Blocks repaired per scan."),
    stale: key(duration().prefault("10m"), "Time without progress after which an open block is enqueued again."),
  }, "Scan for missing and incomplete blocks."),
  verify: group({
    enabled: key(z.boolean().default(true), "Compare the stored rows of every block with their record."),
    delay: key(duration().prefault("10m"), "How long after a block is complete."),
    auditShare: key(share().default(0), "Share of transactions traced again on another node."),
    rounds: key(count().default(3), "Times that a mismatch is processed again before it is dead-lettered."),
  }, "Verification of what is stored."),
  rpc: group(rpc, "How the nodes are used."),
});

/** The whole tree. */
export const configSchema = z.strictObject({
  networks: key(z.array(network).min(1), "The networks that this process works for."),
  queue: group({
    url: key(
      z.string().refine((text) => text === "memory:" || /^(redis|rediss):\/\//.test(text), {
        error: "expected memory:, redis://… or rediss://…",
      })
        .default("memory:"),
      "memory: for one process; redis://user:password@host:port/db or rediss://… to share the work between processes.",
    ),
    prefix: key(z.string().min(1).default("execution-processor"), "Begins every key in Redis."),
    lease: key(duration().prefault("30s"), "How long a claim holds without a heartbeat."),
    heartbeat: key(duration().prefault("10s"), "Time between heartbeats; below a third of the lease or equal."),
    reclaim: key(duration().prefault("5s"), "Time between looks for expired leases."),
    attempts: key(count().default(8), "Failures of a task before it is a dead letter."),
    recoveries: key(count().default(5), "Crashes of its owner before a task is a dead letter."),
    backoff: group({
      base: key(duration().prefault("1s"), "Pause after the first failure, doubled each time, with jitter."),
      max: key(duration().prefault("10m"), "Longest pause."),
    }, "Pause between two attempts of a task."),
    leader: group({
      ttl: key(duration().prefault("10s"), "How long leadership holds without a renewal."),
      renew: key(duration().prefault("2500ms"), "Time between renewals."),
    }, "Leadership of (network, direction)."),
    weights: group({
      reprocess: key(z.tuple([count(), count()]).default([20, 15]), "Forwards, backwards."),
      process: key(z.tuple([count(), count()]).default([10, 5]), "Forwards, backwards."),
      verify: key(z.tuple([count(), count()]).default([1, 1]), "Forwards, backwards."),
    }, "Shares of the claims while all classes have work."),
    inFlightShare: group({
      reprocess: key(share().default(1), "Of reprocessing."),
      process: key(share().default(1), "Of new blocks."),
      verify: key(share().default(0.25), "Of verification."),
    }, "Share of the lanes that a class may hold."),
    ratePerSecond: key(
      z.number().positive().optional(),
      "Tasks per second, all processes together; absent: no limit.",
      100,
    ),
    tls: key(
      z.record(z.string(), z.union([z.string(), z.boolean()])).optional(),
      "TLS options of the client (ca, cert, key as PEM text, servername, rejectUnauthorized), for rediss://.",
      { servername: "redis.internal" },
    ),
    sentinel: key(
      z.strictObject({
        name: key(z.string(), "Name of the master.", "mymaster"),
        nodes: key(
          z.array(z.strictObject({
            host: key(z.string(), "Host of a sentinel.", "127.0.0.1"),
            port: key(z.int(), "Its port.", 26379),
          })).min(1),
          "The sentinels.",
        ),
        username: key(z.string().optional(), "User of the sentinels.", "sentinel"),
        password: key(z.string().optional(), "Their password.", "${SENTINEL_PASSWORD}"),
      }).optional(),
      "Redis Sentinel; of queue.url only user, password and database count then.",
    ),
    replicas: key(z.int().min(0).default(0), "Replicas that must have a new leader's token before it leads."),
    keepCompleted: key(duration().prefault("24h"), "How long a completed block is remembered."),
    reconcile: key(duration().prefault("1m"), "Time between reconciliations of ledger and queue."),
  }, "Work between processes."),
  work: group({
    workers: key(z.int().min(0).default(0), "Trace workers (threads); 0: one per core."),
    lanes: key(count().default(4), "Tasks at once per worker."),
    taskStructlogs: key(
      count().default(250_000),
      "Predicted structlogs of one task: a larger block is cut into several.",
    ),
    stallTimeout: key(duration().prefault("2m"), "A task that has not moved for so long gives its lease up."),
    drain: key(duration().prefault("30s"), "How long tasks in hand may take after SIGTERM."),
  }, "Who does the work in this process."),
  trace: group({
    method: key(
      z.enum(["auto", "block", "transaction"]).default("auto"),
      "debug_traceBlockByHash, debug_traceTransaction, or by predicted size.",
    ),
    blockStructlogs: key(
      count().default(100_000),
      "auto: largest predicted range that is read with one debug_traceBlockByHash.",
    ),
    returnData: key(z.boolean().default(false), "Ask for return data and fill the column return_data."),
    maxBytes: key(size().optional(), "A larger reply is a dead letter; absent: no limit.", "64GiB"),
    maxStructlogs: key(count().optional(), "A longer trace is a dead letter; absent: no limit.", 1_000_000_000),
  }, "How traces are asked for."),
  proof: group({
    policy: key(
      z.enum(["enforce", "record", "off"]).default("enforce"),
      "enforce: rows of a violated trace are not published; record: they are, with their verdict; off: nothing is refused.",
    ),
    evidenceBytes: key(size().prefault("1MiB"), "First and last bytes of a violated trace that are kept."),
    evidenceDirectory: key(z.string().default("./evidence"), "Where they are kept."),
    evidenceMaxBytes: key(size().prefault("1GiB"), "Size of that directory; the oldest evidence leaves first."),
  }, "The gas-closure proof of each trace against its receipt."),
  sink: group({
    rows: key(count().default(100_000), "Rows of an insert."),
    bytes: key(size().prefault("32MiB"), "Bytes of an insert; less where many workers share memoryBytes."),
    linger: key(
      duration().prefault("200ms"),
      "Longest wait of a row for a fuller insert; of a record up to ten times that, where inserts are slow.",
    ),
    holdBytes: key(
      size().prefault("16MiB"),
      "Encoded rows of one trace that wait for its verdict; a longer trace streams.",
    ),
    inFlight: key(count().default(2), "Inserts of rows at once per worker; of records there is one."),
    memoryBytes: key(size().prefault("256MiB"), "Rows accepted and not durable, in memory, per process."),
    settleOn: key(
      z.enum(["durable", "spilled"]).default("durable"),
      "A task is done when its rows are in ClickHouse, or when they are fsynced to the spill.",
    ),
    drain: key(duration().prefault("10s"), "How long a flush may take at shutdown before the rest is spilled."),
    retry: group({
      base: key(duration().prefault("100ms"), "First pause, doubled each time, with jitter."),
      max: key(duration().prefault("10s"), "Longest pause."),
    }, "Retries of an insert, until it is done or spill.after has passed."),
    breaker: group({
      failures: key(count().default(5), "Consecutive failures that open it."),
      reset: key(duration().prefault("5s"), "Time until a probe."),
    }, "Circuit breaker of the ClickHouse endpoint."),
    spill: group({
      directory: key(z.string().default("./spill"), "Write-ahead directory for rows that ClickHouse cannot take."),
      maxBytes: key(size().prefault("10GiB"), "Its size; when it is full nothing more is claimed."),
      segmentBytes: key(size().prefault("64MiB"), "Size of a segment file."),
      after: key(duration().prefault("30s"), "How long ClickHouse must be away before rows are spilled."),
    }, "Rows on disk while ClickHouse is away or slow."),
  }, "From rows to durable rows."),
  clickhouse: group({
    url: key(url(["http:", "https:"]).default("http://127.0.0.1:8123"), "HTTP interface."),
    database: key(z.string().min(1).default("default"), "Database of the tables."),
    user: key(z.string().default("default"), "User."),
    password: key(z.string().default(""), "Password, e.g. ${CLICKHOUSE_PASSWORD}."),
    cluster: key(
      z.string().optional(),
      "Name of a cluster: DDL runs ON CLUSTER, tables are replicated and distributed.",
      "main",
    ),
    settings: key(
      z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).default({}),
      "Settings of every request, besides async_insert, optimize_on_insert, input_format_skip_unknown_fields (0) and output_format_json_quote_64bit_integers (1).",
    ),
    timeout: key(duration().prefault("60s"), "Of one request."),
  }, "The store."),
  api: group({
    address: key(z.string().optional(), "HOST:PORT of the operator API; absent: off.", "127.0.0.1:8080"),
    token: key(z.string().min(1).optional(), "Bearer token; required unless the address is loopback.", "${API_TOKEN}"),
    ratePerSecond: key(z.number().positive().default(50), "Requests per second, all clients together."),
    bodyBytes: key(size().prefault("64KiB"), "Longest request body."),
    timeout: key(duration().prefault("20s"), "How long queue, ClickHouse and nodes may take for an answer."),
  }, "Operator API."),
  telemetry: group({
    address: key(z.string().optional(), "HOST:PORT of /metrics, /healthz and /readyz; absent: off.", "127.0.0.1:9090"),
    log: group({
      level: key(z.enum(["debug", "info", "warn", "error"]).default("info"), "Lowest level that is written."),
      format: key(z.enum(["json", "pretty"]).default("json"), "json: one object a line; pretty: for people."),
    }, "Logs, to stderr."),
    progress: key(
      z.enum(["auto", "bar", "lines", "off"]).default("auto"),
      "Live progress on stdout; auto: a bar on a terminal, a line a minute otherwise.",
    ),
  }, "What others can see."),
  roles: key(
    z.array(z.enum(["discover", "work", "api"])).min(1).default(["discover", "work", "api"]),
    "What this process does. Processes that share Redis and ClickHouse share the work.",
  ),
});

/** The configuration after parsing: durations in milliseconds, sizes in bytes, every default filled in. */
export type Config = z.output<typeof configSchema>;
/** One entry of `networks`. */
export type NetworkConfig = Config["networks"][number];
/** One entry of `networks[].nodes`. */
export type NodeConfig = NetworkConfig["nodes"][number];
