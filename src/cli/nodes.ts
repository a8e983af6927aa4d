/** `nodes`: what a running process knows about its nodes, or a quick look of our own. */
import { loadConfig } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
import { classified } from "../errors.ts";
import { describeNodes, NODE_VERBS, type NodesAnswer, type NodeVerb } from "../rpc/operator_routes.ts";
import { openNodePool } from "../rpc/pool.ts";
import { CALL_CLASSES, type NodeState } from "../rpc/port.ts";
import { type Command, type CommandIo, printText, readFlags, UsageError } from "./command.ts";
import { duration, grouped, textTable, wrapped } from "./text_table.ts";

const HELP = `Usage: main.ts nodes [drain|resume|reset NAME] [--config FILE] [--network NAME] [--json] [--watch]

Shows the nodes of a running process, asked over its API (api.address in the configuration); where none answers, the nodes
are probed once, and it says so.

  drain NAME      ask the node nothing more; what is in hand finishes
  resume NAME     use it again
  reset NAME      forget what was learned about it, its breakers and a wrong chain; probe it anew
  --config FILE   the configuration (default: config.yaml)
  --network NAME  only this network
  --json          print JSON
  --watch         print again every 2 s until interrupted

Exit 0: every class has a node. Exit 1: a class has none, or a verb found no running process. Exit 2: wrong arguments or
configuration.`;

const WATCH_MS = 2_000;
const API_MS = 2_000;
/** How long a probe of our own waits for the nodes. */
const PROBE_MS = 8_000;

interface Seen extends NodesAnswer {
  /** Of a running process, or looked at by this command. */
  readonly source: "process" | "probe";
}

async function run(args: readonly string[], io: CommandIo): Promise<number> {
  const { flags, words } = readFlags(args, {
    config: "text",
    network: "text",
    json: "switch",
    watch: "switch",
  }, ["verb", "name"]);
  const verb = verbOf(words);
  let config: Config;
  try {
    ({ config } = await loadConfig(flags.config ?? "config.yaml", (name) => Deno.env.get(name)));
  } catch (error) {
    io.stderr(classified(error).message);
    return 2;
  }
  if (flags.network !== undefined && !config.networks.some(({ name }) => name === flags.network)) {
    throw new UsageError(`Cannot find network ${flags.network} in the configuration`);
  }
  if (verb !== undefined) return await turn(config, verb, words[1]!, flags.network, io);
  while (true) {
    const seen = await look(config, flags.network);
    await printText(io, flags.json === true ? JSON.stringify(seen, null, 2) : describe(seen));
    if (flags.watch !== true || io.signal.aborted) return lacking(seen).length > 0 ? 1 : 0;
    if (!await waited(WATCH_MS, io.signal)) return 0;
  }
}

function verbOf(words: readonly string[]): NodeVerb | undefined {
  const [word, name] = words;
  if (word === undefined) return undefined;
  const verb = NODE_VERBS.find((known) => known === word);
  if (verb === undefined) throw new UsageError(`Cannot run "nodes ${word}": the verbs are ${NODE_VERBS.join(", ")}`);
  if (name === undefined) throw new UsageError(`Cannot run "nodes ${word}" without the name of a node`);
  return verb;
}

/** @returns whether the time has passed without an interruption */
function waited(ms: number, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => end(true), ms);
    const end = (passed: boolean) => {
      clearTimeout(timer);
      signal.removeEventListener("abort", aborted);
      resolve(passed);
    };
    const aborted = () => end(false);
    signal.addEventListener("abort", aborted);
  });
}

function apiRequest(config: Config, path: string, method: string): Promise<Response> | undefined {
  const { address, token } = config.api;
  if (address === undefined) return undefined;
  return fetch(`http://${address}${path}`, {
    method,
    headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
    signal: AbortSignal.timeout(API_MS),
  });
}

async function turn(
  config: Config,
  verb: NodeVerb,
  name: string,
  network: string | undefined,
  io: CommandIo,
): Promise<number> {
  const query = network === undefined ? "" : `?network=${encodeURIComponent(network)}`;
  try {
    const response = await apiRequest(config, `/nodes/${encodeURIComponent(name)}/${verb}${query}`, "POST");
    if (response === undefined) {
      io.stderr(`Cannot ${verb} node ${name} as no process is known: set api.address in the configuration`);
      return 1;
    }
    const answer: NodesAnswer & { error?: string } = await response.json();
    if (!response.ok) {
      io.stderr(answer.error ?? `Cannot ${verb} node ${name}: the process answers ${response.status}`);
      return 1;
    }
    await printText(io, describe({ source: "process", networks: answer.networks }));
    return 0;
  } catch (error) {
    io.stderr(`Cannot ${verb} node ${name} as no process answers at ${config.api.address}: ${reasonOf(error)}`);
    return 1;
  }
}

async function look(config: Config, network: string | undefined): Promise<Seen> {
  try {
    const response = await apiRequest(config, "/nodes", "GET");
    if (response?.ok) {
      const answer: NodesAnswer = await response.json();
      const networks = answer.networks.filter(({ name }) => network === undefined || name === network);
      return { source: "process", networks };
    }
    await response?.body?.cancel();
  } catch {
    // No process answers: we look ourselves, and say so.
  }
  return { source: "probe", networks: await probe(config, network) };
}

/** Opens a pool for each network and waits until its nodes have answered, or long enough. */
async function probe(config: Config, only: string | undefined): Promise<NodesAnswer["networks"]> {
  const wanted = config.networks.filter(({ name }) => only === undefined || name === only);
  return await Promise.all(wanted.map(async (network) => {
    await using pool = openNodePool({ ...network, classes: CALL_CLASSES });
    const undecided = () => pool.nodes().some(({ condition }) => condition === "new" || condition === "probing");
    const untilMs = performance.now() + PROBE_MS;
    while (undecided() && performance.now() < untilMs) await waited(50, new AbortController().signal);
    return describeNodes([pool]).networks[0]!;
  }));
}

/** Classes without a node, by network. */
function lacking(seen: Seen): string[] {
  return seen.networks.flatMap(({ name, nodes }) =>
    CALL_CLASSES.filter((callClass) => nodes.every((node) => node.classes[callClass].reason !== ""))
      .map((callClass) => `${name}: no node for class ${callClass}`)
  );
}

function describe(seen: Seen): string {
  const lines = [seen.source === "process" ? "As the running process knows it." : "No process answers: probed once."];
  for (const { name, nodes } of seen.networks) lines.push("", `Network ${name}`, ...nodes.flatMap(describeNode));
  const missing = lacking(seen);
  if (missing.length > 0) lines.push("", ...missing);
  return lines.flatMap(wrapped).join("\n");
}

function describeNode(node: NodeState): string[] {
  const lag = (node.lagBlocks ?? 0) === 0 ? "" : `, ${node.lagBlocks} behind for ${duration(node.lagMs ?? 0)}`;
  const head = node.headNumber === undefined ? "head unknown" : `head ${grouped(node.headNumber)}${lag}`;
  const lines = [
    "",
    `${node.name}  ${node.tier}  ${node.condition}  ${node.clientVersion || "client unknown"}`,
    `  ${head}, state ${node.lowestState === undefined ? "from any block" : `from ${grouped(node.lowestState)}`}, ` +
    `socket ${node.webSocket}${node.balanced ? ", several nodes" : ""}`,
  ];
  const { reason } = node.classes.head;
  if (reason !== "" && reason !== node.condition) lines.push(`  not used: ${reason}`);
  if (node.methodsOff.length > 0) lines.push(`  without ${node.methodsOff.join(", ")}`);
  if (node.family !== "") lines.push(`  ${describeLearned(node)}`);
  if (node.ratePerSecond !== undefined) lines.push(`  rate ${node.ratePerSecond.toFixed(1)} a second`);
  if (node.pausedMs !== undefined) lines.push(`  left alone for ${duration(node.pausedMs)}, as it asked`);
  const rows = CALL_CLASSES.map((callClass) => {
    const { limit, inFlight, unitsPerSecond, breaker, attempts, failures, p95Ms, perSecond } = node.classes[callClass];
    return [
      `  ${callClass}`,
      `${inFlight}/${limit}`,
      perSecond.toFixed(1),
      callClass === "trace" ? grouped(unitsPerSecond) : "",
      p95Ms === undefined ? "" : `${Math.round(p95Ms)} ms`,
      attempts === 0 ? "" : `${(100 * failures / attempts).toFixed(1)} %`,
      breaker,
    ];
  });
  const heading = ["  class", "in hand", "per s", "structlogs/s", "p95", "failed", "breaker"];
  lines.push(...textTable([heading, ...rows], [1, 2, 3, 4, 5]));
  if (node.connectionBreaker !== "closed") lines.push(`  connection breaker ${node.connectionBreaker}`);
  if (node.lastFailure !== undefined) {
    const { failure, ageMs } = node.lastFailure;
    lines.push(`  last failure ${duration(ageMs)} ago: ${failure.method}: ${failure.reason}`);
  }
  return lines;
}

/** What its client is, and what was found to be too much for it. */
function describeLearned(node: NodeState): string {
  const { family, replyBytes, batchItems, bytesPerStructlog, classes } = node;
  return [
    `family ${family}`,
    ...(replyBytes === undefined ? [] : [`replies up to ${Math.round(replyBytes / 1e6)} MB`]),
    `batches of ${batchItems}`,
    ...(classes.trace.unitsPerSecond === 0 ? [] : [`${Math.round(bytesPerStructlog)} bytes a structlog`]),
  ].join(", ");
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

export const command: Command = {
  name: "nodes",
  summary: "the nodes: state, lag, limits, breakers",
  help: HELP,
  run,
};
