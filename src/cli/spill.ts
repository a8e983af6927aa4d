/** `spill`: rows that wait on disk for ClickHouse. */
import { loadConfig } from "../config/load.ts";
import { classified } from "../errors.ts";
import { spillOptions, storageConnection } from "../pipeline/options.ts";
import { openClickHouse } from "../stages/sink/clickhouse.ts";
import { openSpill } from "../stages/sink/spill.ts";
import { inspectSpill, type SegmentReport } from "../stages/sink/spill_inspect.ts";
import { subscribe } from "../telemetry/emit.ts";
import { type Command, type CommandIo, printText, readFlags, UsageError } from "./command.ts";

const HELP = `Usage: main.ts spill ls|verify|replay [--config FILE] [--directory PATH] [--json]

Rows that were written to disk while ClickHouse was away or slow. A running processor replays them by itself.

  ls               one line a segment: operations, rows, attempts, bytes, when
  verify           reads every record and checks it; names what is damaged
  replay           replays everything into ClickHouse and ends; not while a processor has the directory open
  --config FILE    the configuration (default: config.yaml)
  --directory PATH the directory, for ls and verify without a configuration
  --json           print JSON, one object a segment

A write that a crash cut short is no damage: it was never acknowledged. Exit 1: something is damaged, or it failed.`;

async function run(args: readonly string[], io: CommandIo): Promise<number> {
  const { flags, words } = readFlags(args, { config: "text", directory: "text", json: "switch" }, ["verb"]);
  const [verb] = words;
  if (verb !== "ls" && verb !== "verify" && verb !== "replay") {
    throw new UsageError(`Cannot run "spill ${verb ?? ""}": expected ls, verify or replay`);
  }
  try {
    if (verb === "replay") return await replayAll(flags.config, io);
    const directory = flags.directory ?? (await load(flags.config)).sink.spill.directory;
    return await inspect(directory, verb, flags.json === true, io);
  } catch (error) {
    io.stderr(classified(error).message);
    return 1;
  }
}

async function load(path: string | undefined) {
  return (await loadConfig(path ?? "config.yaml", (name) => Deno.env.get(name))).config;
}

async function inspect(directory: string, verb: "ls" | "verify", json: boolean, io: CommandIo): Promise<number> {
  let damaged = 0;
  let segments = 0;
  for await (const report of inspectSpill(directory)) {
    segments++;
    damaged += report.damaged.length;
    await printText(io, json ? JSON.stringify(report) : line(report));
    if (json || verb === "ls") continue;
    for (const { offset, error } of report.damaged) await printText(io, `  damaged at byte ${offset}: ${error}`);
  }
  if (segments === 0 && !json) await printText(io, "nothing waits");
  return damaged > 0 ? 1 : 0;
}

function line({ name, bytes, modified, operations, rows, attempts, tornBytes, damaged }: SegmentReport): string {
  const kinds = Object.entries(operations).filter(([, count]) => count > 0).map(([kind, count]) => `${count} ${kind}`);
  return [
    name,
    kinds.length === 0 ? "no operations" : kinds.join(", "),
    `${rows} rows`,
    `${attempts} attempts`,
    `${bytes} bytes`,
    ...(tornBytes > 0 ? [`${tornBytes} bytes torn`] : []),
    ...(damaged.length > 0 ? [`${damaged.length} damaged`] : []),
    ...(modified === undefined ? [] : [modified.toISOString()]),
  ].join("  ");
}

async function replayAll(path: string | undefined, io: CommandIo): Promise<number> {
  const config = await load(path);
  const storage = openClickHouse(storageConnection(config));
  let quarantined = 0;
  let replayed = 0;
  using _reader = subscribe((event) => {
    if (event.kind === "spill_replayed") replayed++;
    if (event.kind === "spill_quarantined") {
      quarantined++;
      io.stderr(`quarantined ${event.segment} at byte ${event.offset}: ${event.error}`);
    }
    if (event.kind === "storage_failed" && event.repeated || event.kind === "spill_stuck") {
      io.stderr(`waiting: ${event.error}`);
    }
  });
  await using spill = await openSpill(spillOptions(config), storage);
  const bytes = spill.backlogBytes;
  spill.start();
  await spill.drained(io.signal);
  await printText(io, `replayed ${replayed} operations, ${bytes} bytes`);
  return quarantined > 0 ? 1 : 0;
}

export const command: Command = { name: "spill", summary: "rows that wait on disk for ClickHouse", help: HELP, run };
