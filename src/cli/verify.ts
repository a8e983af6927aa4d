/** `verify`: the completeness certificate of a range of blocks. */
import { loadConfig } from "../config/load.ts";
import type { NetworkConfig } from "../config/schema.ts";
import { classified } from "../errors.ts";
import { type Certificate, certify, type Condition, CONDITIONS } from "../pipeline/certificate.ts";
import { storageConnection } from "../pipeline/options.ts";
import { openClickHouse } from "../stages/sink/clickhouse.ts";
import boundsSql from "../stages/gate/sql/ledger_bounds.sql" with { type: "text" };
import { type Command, type CommandIo, printText, readFlags, UsageError } from "./command.ts";
import { grouped, textTable } from "./text_table.ts";

const HELP = `Usage: main.ts verify [--network NAME] [--from BLOCK] [--to BLOCK] [--json] [--config FILE]

The completeness certificate: what became of every block of a range, for every processor that is configured.

  complete    every transaction is stored, and its rows were read back and agree with their records
  unverified  every transaction is stored, its rows were not read back yet
  violated    stored, though the proof refuses a trace of it
  open        in work
  stuck       what is open of it is dead-lettered
  forked      two blocks of this number claim to be of the chain
  missing     not in the ledger

  --network NAME  needed where the configuration has more than one
  --from, --to    both ends included; default: the lowest and the highest block of the ledger
  --json          print JSON
  --config FILE   the configuration (default: config.yaml)

Exit 0: all complete (or unverified, where networks[].verify.enabled is false). Exit 1: something is amiss. Exit 2: wrong
arguments or configuration. Exit 3: ClickHouse cannot be asked.`;

/** Ranges that the table shows for a processor. */
const SHOWN_RANGES = 40;
const EXIT_AMISS = 1;
const EXIT_USAGE = 2;
const EXIT_UNKNOWN = 3;

async function run(args: readonly string[], io: CommandIo): Promise<number> {
  const { flags } = readFlags(args, { network: "text", from: "text", to: "text", json: "switch", config: "text" });
  const [from, to] = [blockNumber("--from", flags.from), blockNumber("--to", flags.to)];
  if (from !== undefined && to !== undefined && from > to) {
    throw new UsageError(`Cannot take --from ${from} and --to ${to} as a range: it has no block`);
  }
  let config;
  try {
    ({ config } = await loadConfig(flags.config ?? "config.yaml", (name) => Deno.env.get(name)));
  } catch (error) {
    io.stderr(classified(error).message);
    return EXIT_USAGE;
  }
  const network = networkGiven(config.networks, flags.network);
  const database = openClickHouse(storageConnection(config));
  let certificate: Certificate | undefined;
  try {
    const range = await rangeOf(network.name, from, to, database);
    if (range !== undefined) {
      certificate = await certify({
        network: network.name,
        processors: network.processors,
        verified: network.verify.enabled,
        ...range,
      }, database);
    }
  } catch (error) {
    io.stderr(classified(error).message);
    return EXIT_UNKNOWN;
  } finally {
    await database.close();
  }
  if (certificate === undefined) {
    io.stderr(`Cannot certify ${network.name}: its ledger is empty; say --from and --to, or start the processor`);
    return EXIT_AMISS;
  }
  await printText(io, flags.json === true ? JSON.stringify(certificate, null, 2) : describe(certificate));
  return certificate.ok ? 0 : EXIT_AMISS;
}

function blockNumber(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const number = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(number)) return number;
  throw new UsageError(`Cannot read ${flag} as a block number: current value is "${text}"`);
}

function networkGiven(networks: readonly NetworkConfig[], name: string | undefined): NetworkConfig {
  const names = networks.map((network) => network.name).join(", ");
  if (name === undefined && networks.length > 1) throw new UsageError(`Cannot choose a network: --network is ${names}`);
  const found = name === undefined ? networks[0] : networks.find((network) => network.name === name);
  if (found === undefined) throw new UsageError(`Cannot find network ${name} in the configuration: it has ${names}`);
  return found;
}

async function rangeOf(
  network: string,
  from: number | undefined,
  to: number | undefined,
  database: ReturnType<typeof openClickHouse>,
): Promise<{ readonly from: number; readonly to: number } | undefined> {
  if (from !== undefined && to !== undefined) return { from, to };
  const [row] = await database.query<{ lowest: string; highest: string; blocks: string }>(boundsSql, {
    network,
    from: 0,
  });
  if (row === undefined || Number(row.blocks) === 0) return undefined;
  const range = { from: from ?? Number(row.lowest), to: to ?? Number(row.highest) };
  return range.from > range.to ? undefined : range;
}

function describe(certificate: Certificate): string {
  const { network, from, to, processors, ok } = certificate;
  const lines = [`Certificate of ${network}, blocks ${grouped(from)} to ${grouped(to)} (${grouped(to - from + 1)})`];
  for (const { processor, ranges, blocks } of processors) {
    const counts = CONDITIONS.filter((condition) => blocks[condition] > 0)
      .map((condition) => `${grouped(blocks[condition])} ${condition}`);
    lines.push("", `${processor}: ${counts.join(", ")}`);
    const shown = ranges.slice(0, SHOWN_RANGES);
    lines.push(...textTable(
      [
        ["  from", "to", "blocks", "condition", "transactions", "rows"],
        ...shown.map((range) => [
          `  ${grouped(range.from)}`,
          grouped(range.to),
          grouped(range.to - range.from + 1),
          conditionText(range),
          range.condition === "missing" ? "" : grouped(range.transactions),
          range.condition === "missing" ? "" : grouped(Math.max(range.storedRows, range.expectedRows)),
        ]),
      ],
      [0, 1, 2, 4, 5],
    ));
    if (ranges.length > shown.length) {
      lines.push(`  and ${grouped(ranges.length - shown.length)} more ranges: --json shows all`);
    }
  }
  return [...lines, "", ok ? "Nothing is amiss." : "Something is amiss."].join("\n");
}

function conditionText(
  { condition, dead, violated }: {
    readonly condition: Condition;
    readonly dead: number;
    readonly violated: number;
  },
): string {
  if (condition === "stuck") return `stuck (${dead} dead)`;
  return condition === "violated" ? `violated (${violated})` : condition;
}

export const command: Command = {
  name: "verify",
  summary: "the completeness certificate of a range of blocks",
  help: HELP,
  run,
};
