/** `config check`: the effective configuration, secrets redacted. */
import { stringify } from "yaml";
import { loadConfig } from "../config/load.ts";
import { redactConfig } from "../config/redact.ts";
import { classified } from "../errors.ts";
import { type Command, type CommandIo, printText, readFlags, UsageError } from "./command.ts";

const HELP = `Usage: main.ts config check [--config FILE] [--json]

Reads the configuration, checks every key and relation, and prints what is in effect: defaults filled in, durations in
milliseconds, sizes in bytes, secrets redacted.

  --config FILE   the configuration (default: config.yaml)
  --json          print JSON instead of YAML

Exit 0: it can be used. Exit 1: it cannot; each mistake is a line on stderr with file and line.`;

async function run(args: readonly string[], io: CommandIo): Promise<number> {
  const { flags, words } = readFlags(args, { config: "text", json: "switch" }, ["verb"]);
  if (words[0] !== "check") throw new UsageError(`Cannot run "config ${words[0] ?? ""}": the only verb is check`);
  try {
    const { config, secrets, warnings } = await loadConfig(flags.config ?? "config.yaml", (name) => Deno.env.get(name));
    for (const warning of warnings) io.stderr(`warning: ${warning}`);
    const shown = redactConfig(config, secrets);
    await printText(io, flags.json === true ? JSON.stringify(shown, null, 2) : stringify(shown));
    return 0;
  } catch (error) {
    io.stderr(classified(error).message);
    return 1;
  }
}

export const command: Command = {
  name: "config",
  summary: "check the configuration and print what is in effect",
  help: HELP,
  run,
};
