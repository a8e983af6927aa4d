/** `evidence`: what is kept of refused traces. */
import { loadConfig } from "../config/load.ts";
import { classified } from "../errors.ts";
import { evidenceFiles, readEvidence } from "../pipeline/evidence.ts";
import { type Command, type CommandIo, printText, readFlags, UsageError } from "./command.ts";

const HELP = `Usage: main.ts evidence ls|show NAME [--config FILE] [--directory PATH] [--json]

Evidence of traces that the proof refused: the first and last bytes of the result, with transaction, receipt and record.

  ls               one line a file: name, bytes, when
  show NAME        the violated identity, the node, the record, and both ends of the result
  --config FILE    the configuration that names the directory (default: config.yaml)
  --directory PATH the directory itself
  --json           print JSON

Exit 1: there is no such file, or it cannot be read. A directory that does not exist yet holds no evidence.`;

async function run(args: readonly string[], io: CommandIo): Promise<number> {
  const { flags, words } = readFlags(args, { config: "text", directory: "text", json: "switch" }, ["verb", "name"]);
  const [verb, name] = words;
  try {
    const directory = flags.directory ??
      (await loadConfig(flags.config ?? "config.yaml", (key) => Deno.env.get(key))).config.proof.evidenceDirectory;
    if (verb === "ls") {
      const files = await evidenceFiles(directory);
      const lines = files.map((file) => `${file.name}  ${file.bytes}  ${new Date(file.writtenMs).toISOString()}`);
      await printText(io, flags.json === true ? JSON.stringify(files) : lines.join("\n"));
      return 0;
    }
    if (verb === "show" && name !== undefined) {
      const evidence = await readEvidence(directory, name);
      if (flags.json === true) {
        await printText(io, JSON.stringify(evidence, null, 2));
        return 0;
      }
      const {
        network,
        blockNumber,
        transactionHash,
        node,
        client,
        identity,
        detail,
        record,
        head,
        tail,
        omittedBytes,
        writtenAt,
      } = evidence;
      await printText(
        io,
        [
          `${identity}: ${detail}`,
          `network ${network}, block ${blockNumber}, transaction ${transactionHash}`,
          `node ${node} (${client}), ${writtenAt}`,
          `record ${JSON.stringify(record)}`,
          `result ${head}`,
          ...(omittedBytes > 0 ? [`… ${omittedBytes} bytes …`] : []),
          ...(tail === "" ? [] : [tail]),
        ].join("\n"),
      );
      return 0;
    }
  } catch (error) {
    io.stderr(classified(error).message);
    return 1;
  }
  throw new UsageError(`Cannot run "evidence ${words.join(" ")}": verbs are ls and show NAME`);
}

export const command: Command = {
  name: "evidence",
  summary: "list and show what is kept of refused traces",
  help: HELP,
  run,
};
