/** `config.yaml` as the schema says it: every key with its effect, unit and default. */
import { configSchema, keyMeta } from "./schema.ts";
import { unwrap } from "./load.ts";

interface Node {
  readonly def: { readonly type: string; readonly defaultValue?: unknown; readonly innerType?: Node };
  readonly shape?: Record<string, Node>;
  readonly element?: Node;
}

const HEADER =
  `# The reference: every key with its effect and its default. A key that has no default is shown as a comment or as an
# example. Durations carry a unit (250ms, 5s, 10m, 1h), sizes too (64KiB, 16MiB, 1GB). \${NAME} is filled in from the
# environment. Written from src/config/schema.ts by \`deno task config\`; \`main.ts config check\` prints what is in effect.
`;

/** The text of the reference configuration; it is itself a valid one. */
export function referenceConfig(): string {
  return `${HEADER}\n${objectLines(configSchema as unknown as Node, "").join("\n")}\n`;
}

function objectLines(schema: Node, indent: string): string[] {
  const lines: string[] = [];
  for (const [name, child] of Object.entries(schema.shape ?? {})) {
    const meta = keyMeta.get(child as never) as { effect: string; example?: unknown } | undefined;
    const inner = unwrap(child) as Node;
    const given = defaultOf(child);
    if (indent === "" && lines.length > 0) lines.push("");
    if (meta !== undefined) lines.push(...wrap(meta.effect, `${indent}# `));
    if (inner.shape !== undefined && !isOptional(child)) {
      lines.push(`${indent}${name}:`, ...objectLines(inner, `${indent}  `));
    } else if (inner.shape !== undefined) {
      lines.push(`${indent}# ${name}:`, ...objectLines(inner, `${indent}  `).map((line) => comment(line, indent)));
    } else if (given === undefined && (inner.element as Node | undefined)?.shape !== undefined) {
      const items = objectLines(inner.element!, `${indent}    `);
      const first = items.findIndex((line) => !line.trimStart().startsWith("#"));
      lines.push(`${indent}${name}:`, ...items.map((line, at) => at === first ? dash(line, indent) : line));
    } else if (given !== undefined) lines.push(`${indent}${name}: ${flow(given)}`);
    else if (isOptional(child)) lines.push(`${indent}# ${name}: ${flow(meta?.example)}`);
    else lines.push(`${indent}${name}: ${flow(meta?.example)}`);
  }
  return lines;
}

function comment(line: string, indent: string): string {
  return `${indent}# ${line.slice(indent.length)}`;
}

function dash(line: string, indent: string): string {
  return `${indent}  - ${line.slice(indent.length + 4)}`;
}

function isOptional(schema: Node): boolean {
  return schema.def.type === "optional";
}

function defaultOf(schema: Node): unknown {
  const value = schema.def.defaultValue;
  return typeof value === "object" && value !== null && !Array.isArray(value) && unwrapsToObject(schema)
    ? undefined
    : value;
}

function unwrapsToObject(schema: Node): boolean {
  return (unwrap(schema) as Node).shape !== undefined;
}

function flow(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? "[]" : `[${value.map(flow).join(", ")}]`;
  if (typeof value === "object" && value !== null) return JSON.stringify(value);
  if (typeof value === "string") return /^[A-Za-z0-9./_-]+$/.test(value) ? value : JSON.stringify(value);
  return String(value);
}

function wrap(text: string, prefix: string): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && prefix.length + line.length + word.length + 1 > 116) {
      lines.push(prefix + line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, prefix + line];
}
