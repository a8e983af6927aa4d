/** Log lines from events, to stderr: JSON for machines, one aligned line for people. */
import { pino } from "pino";
import { logs } from "./events.ts";
import type { PipelineEvent } from "./events.ts";
import type { LogLevel } from "./metric.ts";

/** How logs are written. */
export interface LogOptions {
  readonly level: LogLevel;
  readonly format: "json" | "pretty";
  /** Where lines go. */
  readonly write: (line: string) => void;
  /** Values that are replaced wherever they occur. */
  readonly secrets: ReadonlySet<string>;
}

type Line = (event: PipelineEvent) => readonly [LogLevel, string];

/** A reader that logs what the tables say. */
export function logReader(options: LogOptions): (event: PipelineEvent) => void {
  const write = options.format === "json" ? options.write : (line: string) => options.write(pretty(line));
  const logger = pino(
    {
      level: options.level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      messageKey: "msg",
      formatters: { level: (level) => ({ level }) },
    },
    { write: (line: string) => write(redacted(line, options.secrets)) },
  );
  return (event) => {
    const line = logs[event.kind] as Line | undefined;
    if (line === undefined) return;
    const [level, message] = line(event);
    const { kind, ...fields } = event;
    logger[level]({ event: kind, ...fields }, message);
  };
}

function redacted(line: string, secrets: ReadonlySet<string>): string {
  let text = line;
  for (const secret of secrets) text = text.replaceAll(secret, "[redacted]");
  return text;
}

function pretty(json: string): string {
  const { time, level, event: _event, msg, ...fields } = JSON.parse(json) as Record<string, unknown>;
  const facts = Object.entries(fields).map(([name, value]) =>
    `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`
  );
  return `${String(time).slice(11, 23)} ${String(level).toUpperCase().padEnd(5)} ${msg}${facts.length > 0 ? "  " : ""}${
    facts.join(" ")
  }\n`;
}
