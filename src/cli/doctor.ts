/** `doctor`: examines every node and names the line that switches on what is missing. */
import { loadConfig } from "../config/load.ts";
import type { Config, NetworkConfig } from "../config/schema.ts";
import { classified } from "../errors.ts";
import { closeTraceConnections } from "../rpc/open_trace.ts";
import { type Command, type CommandIo, printText, readFlags, UsageError } from "./command.ts";
import { type Examination, examine, firstDifference } from "./doctor_examination.ts";
import { duration, grouped, textTable, wrapped } from "./text_table.ts";

const HELP = `Usage: main.ts doctor [--config FILE] [--network NAME] [--json]

Asks every node of the configuration, with at most 60 calls each: what it is, how far it is, which methods it has, how
far back it has state, and how it traces. Traces of a plain transfer, a call with frames below it, a failed transaction
and a creation from recent blocks are proved; nodes are compared cell by cell.

  --config FILE   the configuration (default: config.yaml)
  --network NAME  only this network
  --json          print JSON

Exit 0: all good. Exit 1: something needed is missing; the line that switches it on is printed. Exit 2: no node answers,
or wrong arguments or configuration.`;

interface Report {
  readonly network: string;
  readonly nodes: readonly Examination[];
  /** What pairs of nodes say about the same transaction. */
  readonly comparisons: readonly Comparison[];
}

interface Comparison {
  readonly nodes: readonly [string, string];
  readonly result: ReturnType<typeof firstDifference>;
}

async function run(args: readonly string[], io: CommandIo): Promise<number> {
  const { flags } = readFlags(args, { config: "text", network: "text", json: "switch" });
  let config: Config;
  try {
    ({ config } = await loadConfig(flags.config ?? "config.yaml", (name) => Deno.env.get(name)));
  } catch (error) {
    io.stderr(classified(error).message);
    return 2;
  }
  const networks = config.networks.filter(({ name }) => flags.network === undefined || name === flags.network);
  if (networks.length === 0) throw new UsageError(`Cannot find network ${flags.network} in the configuration`);
  try {
    const reports: Report[] = [];
    for (const network of networks) reports.push(await examineNetwork(network, io.signal));
    await printText(io, flags.json === true ? toJson(reports) : reports.flatMap(describe).flatMap(wrapped).join("\n"));
    const nodes = reports.flatMap((report) => report.nodes);
    if (nodes.every((node) => !node.reachable)) return 2;
    const differ = reports.some(({ comparisons }) => comparisons.some(({ result }) => typeof result === "object"));
    return differ || nodes.some((node) => node.lacks.some(({ needed }) => needed)) ? 1 : 0;
  } finally {
    closeTraceConnections();
  }
}

async function examineNetwork(network: NetworkConfig, signal: AbortSignal): Promise<Report> {
  const positions = network.nodes.map((_, position) => position);
  const nodes = await Promise.all(positions.map((position) => examine(network, position, signal)));
  const comparisons: Comparison[] = [];
  for (const [at, one] of nodes.entries()) {
    for (const other of nodes.slice(at + 1)) {
      if (one.reachable && other.reachable) {
        comparisons.push({ nodes: [one.node, other.node], result: firstDifference(one, other) });
      }
    }
  }
  return { network: network.name, nodes, comparisons };
}

function toJson(reports: readonly Report[]): string {
  return JSON.stringify(reports, (key, value: unknown) => key === "rowsOf" ? undefined : value, 2);
}

function describe(report: Report): string[] {
  const lines = [`Network ${report.network}`];
  const tip = Math.max(...report.nodes.map((node) => node.headNumber ?? 0));
  for (const node of report.nodes) lines.push("", ...describeNode(node, tip));
  for (const { nodes: [one, other], result } of report.comparisons) {
    if (result === "agree") lines.push("", `${one} and ${other} agree in every cell of what both traced.`);
    else if (result === "nothing in common") lines.push("", `${one} and ${other} traced nothing in common.`);
    else lines.push("", `${one} and ${other} differ about ${result.hash}:`, `  ${result.one}`, `  ${result.other}`);
  }
  lines.push("");
  return lines;
}

function describeNode(node: Examination, tip: number): string[] {
  const lines = [`${node.node}  ${node.clientVersion || "client unknown"}`];
  if (!node.reachable) return [...lines, `  does not serve: ${node.refusal}`, ...describeLacks(node)];
  const head = node.headNumber === undefined ? "unknown" : grouped(node.headNumber);
  const behind = node.headNumber === undefined || node.headNumber === tip ? "" : `, ${tip - node.headNumber} behind`;
  const age = node.headAgeSeconds === undefined ? "" : `, ${duration(node.headAgeSeconds * 1000)} old`;
  const facts: string[][] = [
    ["  head", `${head}${behind}${age}${node.syncing === true ? ", syncing" : ""}`],
    ["  family", node.family],
    ["  state", stateText(node)],
    ["  new heads", node.newHeads],
    ["  batch", node.batchItems === undefined ? "none" : `${node.batchItems} calls`],
    [
      "  methods",
      Object.entries(node.methods).filter(([, has]) => has !== "yes").map(([m, has]) => `${m}: ${has}`).join(", ") ||
      "all",
    ],
  ];
  if (node.rowsPerSecond !== undefined) {
    facts.push(["  traces", `${grouped(node.rowsPerSecond)} rows/s, ${Math.round(node.bytesPerRow!)} bytes a row`]);
  }
  lines.push(...textTable(facts));
  if (node.specimens.length > 0) {
    const rows = node.specimens.map(({ kind, hash, rows: count, verdict }) => [
      `  ${kind}`,
      `${hash.slice(0, 10)}…`,
      `${grouped(count)} rows`,
      verdict,
    ]);
    lines.push(...textTable(rows, [2]));
  }
  if (node.notFound.length > 0) lines.push(`  not in recent blocks: ${node.notFound.join(", ")}`);
  const flags = Object.entries(node.flags).map(([name, { seen, table }]) =>
    `${name} ${seen}${seen === table ? "" : ` (table: ${table})`}`
  );
  if (flags.length > 0) lines.push(`  prints ${flags.join(", ")}`);
  const switches = Object.entries(node.switches).map(([name, effect]) => `${name} ${effect}`);
  if (switches.length > 0) lines.push(`  switches: ${switches.join(", ")}`);
  return [...lines, ...describeLacks(node)];
}

function stateText(node: Examination): string {
  if (!node.depthKnown) return "unknown";
  return node.lowestState === undefined ? "from block 0" : `from block ${grouped(node.lowestState)}`;
}

function describeLacks(node: Examination): string[] {
  return node.lacks.flatMap((
    { what, remedy, needed },
  ) => [`  ${needed ? "needed" : "missing"}: ${what}`, `    ${remedy}`]);
}

export const command: Command = {
  name: "doctor",
  summary: "what a node lacks, and the line that switches it on",
  help: HELP,
  run,
};
