/** The configuration as it may be shown: secrets replaced, URLs without credentials and query. */
import type { Config } from "./schema.ts";

/** What stands in for a secret. */
export const REDACTED = "[redacted]";

const SECRET_KEYS = new Set(["password", "token"]);
/** Below these keys every value is a secret (names stay). */
const SECRET_MAPS = new Set(["headers"]);

/** `url` without user, password and query, for logs and errors. */
export function redactUrl(url: string): string {
  if (!URL.canParse(url)) return REDACTED;
  const parsed = new URL(url);
  if (parsed.username !== "") parsed.username = REDACTED;
  if (parsed.password !== "") parsed.password = REDACTED;
  if (parsed.search !== "") parsed.search = `?${REDACTED}`;
  return decodeURI(parsed.href);
}

/**
 * A copy of the configuration that may be printed.
 *
 * @param secrets Values from the environment: replaced wherever they occur.
 */
export function redactConfig(config: Config, secrets: ReadonlySet<string>): unknown {
  return redact(config, secrets, false);
}

function redact(value: unknown, secrets: ReadonlySet<string>, secret: boolean): unknown {
  if (Array.isArray(value)) return value.map((inner) => redact(inner, secrets, secret));
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(
      Object.entries(value).map(([key, inner]) => [
        key,
        redact(inner, secrets, secret || SECRET_KEYS.has(key) || SECRET_MAPS.has(key)),
      ]),
    );
  }
  if (typeof value !== "string" || value === "") return value;
  if (secret) return REDACTED;
  let text = value;
  for (const hidden of secrets) text = text.replaceAll(hidden, REDACTED);
  return /^[a-z]+:\/\//.test(text) ? redactUrl(text) : text;
}
