/** `schema`: plan, apply or compare the tables. */
import { loadConfig } from "../config/load.ts";
import { classified } from "../errors.ts";
import { storageConnection } from "../pipeline/options.ts";
import { openClickHouse } from "../stages/sink/clickhouse.ts";
import {
  applySchema,
  describeDifference,
  diffSchema,
  type Migration,
  planSchema,
  type SchemaOptions,
  statementsFor,
} from "../stages/sink/schema.ts";
import { VERSION } from "../version.ts";
import { type Command, type CommandIo, printText, readFlags, UsageError } from "./command.ts";

const HELP = `Usage: main.ts schema plan|apply|diff [--config FILE] [--sql]

The tables in ClickHouse and their versions. Every statement can be run again without harm, and by two at once.

  plan            the migrations that are not applied yet; with --sql their statements, ready to be run by hand
  apply           applies them and records it in schema_version
  diff            how the live tables differ from what will be inserted; more columns than ours are fine
  --config FILE   the configuration that says where ClickHouse is, and which cluster (default: config.yaml)
  --sql           print statements

Exit 0: nothing to do, or done. Exit 1: diff found an error, the schema is newer than this program, or it failed.`;

async function run(args: readonly string[], io: CommandIo): Promise<number> {
  const { flags, words } = readFlags(args, { config: "text", sql: "switch" }, ["verb"]);
  const [verb] = words;
  if (verb !== "plan" && verb !== "apply" && verb !== "diff") {
    throw new UsageError(`Cannot run "schema ${verb ?? ""}": expected plan, apply or diff`);
  }
  try {
    const { config } = await loadConfig(flags.config ?? "config.yaml", (name) => Deno.env.get(name));
    const database = openClickHouse(storageConnection(config));
    const { cluster } = config.clickhouse;
    const options: SchemaOptions = cluster === undefined ? {} : { cluster };
    switch (verb) {
      case "plan":
        return await show(io, await planSchema(database), options, flags.sql === true, "to apply");
      case "apply":
        return await show(
          io,
          await applySchema(database, { ...options, appliedBy: VERSION }),
          options,
          false,
          "applied",
        );
      case "diff": {
        const differences = await diffSchema(database, options);
        const lines = differences.map((difference) => `${difference.severity}: ${describeDifference(difference)}`);
        await printText(io, lines.length === 0 ? "no difference" : lines.join("\n"));
        return differences.some(({ severity }) => severity === "error") ? 1 : 0;
      }
    }
  } catch (error) {
    io.stderr(classified(error).message);
    return 1;
  }
}

async function show(
  io: CommandIo,
  migrations: readonly Migration[],
  options: SchemaOptions,
  sql: boolean,
  word: string,
): Promise<number> {
  if (migrations.length === 0) {
    await printText(io, "up to date");
    return 0;
  }
  for (const migration of migrations) {
    const title = `${String(migration.version).padStart(3, "0")} ${migration.name}`;
    if (!sql) await printText(io, `${word}: ${title}`);
    else {await printText(
        io,
        `-- ${title}\n${statementsFor(migration, options).map((text) => `${text};`).join("\n\n")}\n`,
      );}
  }
  return 0;
}

export const command: Command = { name: "schema", summary: "plan, apply or compare the tables", help: HELP, run };
