/**
 * From a YAML file to the frozen configuration: environment references filled in, every key known, every value of its
 * type, every relation checked, every error with its line.
 */
import { isAlias, isCollection, isMap, isPair, isScalar, LineCounter, parseDocument, visit } from "yaml";
import type { Document } from "yaml";
import type { z } from "zod";
import { PipelineError } from "../errors.ts";
import { checkNodes, neededMethods } from "../rpc/check_options.ts";
import { nearest } from "./nearest.ts";
import { type Config, configSchema } from "./schema.ts";

/** The configuration cannot be used. Holds one line per mistake, each with file and line. */
export class ConfigError extends PipelineError {
  readonly code = "config";
  readonly disposition = "fatal";

  constructor(readonly problems: readonly string[]) {
    super(problems.join("\n"));
  }
}

type Path = readonly (string | number)[];

/** A configuration and the names of environment variables whose values it holds. */
export interface LoadedConfig {
  readonly config: Config;
  /** Values that came from the environment: secrets until proven otherwise. */
  readonly secrets: ReadonlySet<string>;
  /** What is allowed but looks like a mistake. */
  readonly warnings: readonly string[];
}

/** Reads one variable of the environment; throws when the process may not. */
export type ReadEnv = (name: string) => string | undefined;

/**
 * Parses `text` as the configuration.
 *
 * @param file Name for error messages.
 * @throws {ConfigError} every mistake found, with its line.
 */
export function parseConfig(text: string, file: string, readEnv: ReadEnv): LoadedConfig {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  if (document.errors.length > 0) {
    throw new ConfigError(document.errors.map((error) => {
      return `${file}:${lines.linePos(error.pos[0]).line}: Cannot read as YAML: ${error.message}`;
    }));
  }
  const lineOf = (path: Path) => `${file}:${lineOfPath(document, path, lines)}`;
  const secrets = new Set<string>();
  const missing = fillEnvironment(document, readEnv, secrets, (offset) => `${file}:${lines.linePos(offset).line}`);
  if (missing.length > 0) throw new ConfigError(missing);

  const parsed = configSchema.safeParse(withoutEmpty(document.toJS() ?? {}));
  if (!parsed.success) throw new ConfigError(parsed.error.issues.flatMap((issue) => describeIssue(issue, lineOf)));
  const { errors, warnings } = checkRelations(parsed.data, lineOf);
  if (errors.length > 0) throw new ConfigError(errors);
  return { config: deepFreeze(parsed.data), secrets, warnings };
}

/** Reads and parses the file at `path`. @throws {ConfigError} */
export async function loadConfig(path: string, readEnv: ReadEnv): Promise<LoadedConfig> {
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ConfigError([`${path}: Cannot read the configuration: ${reason}`]);
  }
  return parseConfig(text, path, readEnv);
}

/** A key without a value (all below it is commented out) counts as absent. */
function withoutEmpty(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutEmpty);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).filter(([, inner]) => inner !== null).map(([name, inner]) => [name, withoutEmpty(inner)]),
  );
}

const REFERENCE = /\$\{([A-Za-z_][A-Za-z0-9_]*)\}/g;

/** Puts `${NAME}` in. Returns a line per variable that is not set. */
function fillEnvironment(
  document: Document,
  readEnv: ReadEnv,
  secrets: Set<string>,
  lineAt: (offset: number) => string,
): string[] {
  const missing: string[] = [];
  visit(document, {
    Scalar(_key, scalar) {
      if (typeof scalar.value !== "string") return;
      scalar.value = scalar.value.replaceAll(REFERENCE, (reference, name: string) => {
        const value = permitted(readEnv, name);
        if (typeof value !== "string") {
          const place = lineAt(scalar.range?.[0] ?? 0);
          const reason = value === undefined
            ? `the environment variable ${name} is not set`
            : `this process may not read ${name}; run it with --allow-env=${name}`;
          missing.push(`${place}: Cannot fill ${reference}: ${reason}`);
          return "";
        }
        if (value !== "") secrets.add(value);
        return value;
      });
    },
  });
  return missing;
}

/** The variable's value, or Deno's refusal to read it. */
function permitted(readEnv: ReadEnv, name: string): string | undefined | Deno.errors.NotCapable {
  try {
    return readEnv(name);
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) return error;
    throw error;
  }
}

/** The line on which the value at `path` stands, or that of the nearest collection around it. */
function lineOfPath(document: Document, path: Path, lines: LineCounter): number {
  let node: unknown = document.contents;
  let offset = 0;
  for (const step of path) {
    if (isAlias(node)) node = node.resolve(document);
    if (!isCollection(node)) break;
    const item: unknown = isMap(node)
      ? node.items.find((pair) => isScalar(pair.key) && pair.key.value === step)
      : node.items[Number(step)];
    if (item === undefined) break;
    const located: unknown = isPair(item) ? item.key : item;
    if (isScalar(located) || isCollection(located)) offset = located.range?.[0] ?? offset;
    node = isPair(item) ? item.value : item;
  }
  return lines.linePos(offset).line;
}

function pathText(path: Path): string {
  return path.map((step, index) => typeof step === "number" ? `[${step}]` : index === 0 ? step : `.${step}`).join("");
}

/** The keys that the schema knows at `path`. */
function knownKeys(path: Path): string[] {
  let schema: unknown = configSchema;
  for (const step of [...path, undefined]) {
    schema = unwrap(schema);
    if (step === undefined) break;
    const { shape, element } = schema as { shape?: Record<string, unknown>; element?: unknown };
    schema = typeof step === "number" ? element : shape?.[step];
  }
  return Object.keys((schema as { shape?: Record<string, unknown> } | undefined)?.shape ?? {});
}

/** The schema below defaults and `optional`. */
export function unwrap(schema: unknown): unknown {
  let inner = schema as { def?: { innerType?: unknown } } | undefined;
  while (inner?.def?.innerType !== undefined) inner = inner.def.innerType as typeof inner;
  return inner;
}

function describeIssue(issue: z.core.$ZodIssue, lineOf: (path: Path) => string): string[] {
  const path = issue.path.filter((step): step is string | number => typeof step !== "symbol");
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => {
      const guess = nearest(key, knownKeys(path));
      const hint = guess === undefined ? "" : `: did you mean ${guess}?`;
      return `${lineOf([...path, key])}: Cannot take the unknown key ${pathText([...path, key])}${hint}`;
    });
  }
  const place = `${lineOf(path)}: Cannot take ${pathText(path) || "the configuration"}`;
  if (issue.code === "invalid_union") {
    const reasons = issue.errors.map((branch) => branch[0]?.message ?? "").filter((text) => text !== "");
    return [`${place}: ${[...new Set(reasons)].join(", or ")}`];
  }
  return [`${place}: ${issue.message}`];
}

/** Checks that no type can say: relations between keys. */
function checkRelations(config: Config, lineOf: (path: Path) => string): { errors: string[]; warnings: string[] } {
  const errors: string[] = [];
  const warnings: string[] = [];
  const refuse = (path: Path, text: string) => errors.push(`${lineOf(path)}: Cannot take ${pathText(path)}: ${text}`);
  const { queue, sink, api, work } = config;
  if (queue.heartbeat * 3 > queue.lease) {
    refuse(["queue", "heartbeat"], "it must be at most a third of queue.lease, or one late beat loses the work");
  }
  if (queue.leader.renew * 3 > queue.leader.ttl) {
    refuse(["queue", "leader", "renew"], "it must be at most a third of queue.leader.ttl");
  }
  if (sink.linger * 3 > queue.lease) refuse(["sink", "linger"], "it must be below a third of queue.lease");
  if (sink.holdBytes > sink.memoryBytes) refuse(["sink", "holdBytes"], "it must not exceed sink.memoryBytes");
  if (sink.spill.segmentBytes > sink.spill.maxBytes) {
    refuse(["sink", "spill", "segmentBytes"], "it must not exceed sink.spill.maxBytes");
  }
  if (api.address !== undefined && api.token === undefined && !isLoopback(api.address)) {
    refuse(["api", "token"], `a token is required because ${api.address} is not a loopback address`);
  }
  const names = new Set<string>();
  for (const [index, network] of config.networks.entries()) {
    const at = (...path: Path): Path => ["networks", index, ...path];
    if (names.has(network.name)) refuse(at("name"), `another network is called ${network.name} too`);
    names.add(network.name);
    const nodeNames = new Set<string>();
    for (const [position, node] of network.nodes.entries()) {
      if (nodeNames.has(node.name)) refuse(at("nodes", position, "name"), `another node is called ${node.name} too`);
      nodeNames.add(node.name);
      for (const kind of ["read", "receipts", "trace"] as const) {
        const { min, max, start } = node.limits[kind];
        if (min > max) refuse(at("nodes", position, "limits", kind, "min"), `it exceeds max (${max})`);
        else if (start < min || start > max) {
          refuse(at("nodes", position, "limits", kind, "start"), `it must lie between ${min} and ${max}`);
        }
      }
      if (node.limits.read.max < work.lanes) {
        warnings.push(`${lineOf(at("nodes", position))}: limits.read.max is below work.lanes (${work.lanes})`);
      }
      if (node.ws === undefined) {
        warnings.push(`${lineOf(at("nodes", position))}: ${node.name} has no ws: heads are polled`);
      }
    }
    const traces = network.processors.some((processor) => processor !== "transaction_simple");
    const nodes = checkNodes(network, neededMethods(traces));
    for (const { path, text } of nodes.errors) refuse(at(...path), text);
    for (const { path, text } of nodes.warnings) warnings.push(`${lineOf(at(...path))}: ${text}`);
    if (network.nodes.every((node) => !node.enabled)) refuse(at("nodes"), "no node is enabled");
    if (network.nodes.every((node) => node.tier === "fallback")) {
      warnings.push(`${lineOf(at("nodes"))}: every node is a fallback, none is primary`);
    }
    if (network.verify.rounds >= queue.attempts) {
      refuse(at("verify", "rounds"), `it must be below queue.attempts (${queue.attempts})`);
    }
    if (network.verify.auditShare > 0 && network.nodes.filter((node) => node.enabled).length < 2) {
      warnings.push(`${lineOf(at("verify", "auditShare"))}: nothing is audited: ${network.name} has only one node`);
    }
    if (network.startBlock !== undefined && network.startBlock < network.backfill.floor) {
      refuse(at("startBlock"), `it lies below backfill.floor (${network.backfill.floor})`);
    }
  }
  if (config.networks.length > 0 && queue.url === "memory:" && config.roles.length < 3) {
    const split = !config.roles.includes("discover") || !config.roles.includes("work");
    if (split) refuse(["queue", "url"], "memory: joins nothing between processes; roles are split, so name a Redis");
  }
  return { errors, warnings };
}

/** Whether HOST:PORT is reachable from this machine only. */
export function isLoopback(address: string): boolean {
  const host = address.replace(/:\d+$/, "").replace(/^\[|\]$/g, "");
  return host === "localhost" || host === "::1" || /^127\./.test(host);
}

function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) deepFreeze(inner);
  }
  return value;
}
