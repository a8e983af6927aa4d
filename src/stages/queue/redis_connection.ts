/**
 * Connections to Redis: how they wait, come back, and say what is wrong. Used on the main isolate and in the heartbeat's
 * thread.
 *
 * ioredis sends commands again that were in flight when a connection broke, so every script may run twice and is
 * written for it. (The option that turns this off leaves their promises pending for ever.)
 */
import { createHash } from "node:crypto";
import process from "node:process";
import { Redis, type RedisOptions } from "ioredis";
import { PipelineError } from "../../errors.ts";
import prelude from "./scripts/prelude.lua" with { type: "text" };

const RETRY_MAX_MS = 500;
const RETRY_STEP_MS = 50;
const CONNECT_TIMEOUT_MS = 5_000;
/** Longer than any wait of a blocking command, so that only a dead connection meets it. */
const SOCKET_TIMEOUT_MS = 20_000;
const BUSY_DELAY_MS = 250;

/** Where Redis is. Everything but the URL and the prefix is passed to ioredis as it is. */
export interface RedisTarget {
  /** `redis://[user:password@]host[:port][/db]` or `rediss://…`; with `sentinel` only user, password and db count. */
  readonly url: string;
  /** Keys are `<prefix>:{<network>}:…`. */
  readonly prefix: string;
  readonly tls?: { readonly [option: string]: string | boolean };
  readonly sentinel?: {
    readonly name: string;
    readonly nodes: readonly { readonly host: string; readonly port: number }[];
    readonly username?: string | undefined;
    readonly password?: string | undefined;
  };
  /** Replicas that must have a leader's token before it leads. */
  readonly replicas: number;
}

/** Redis answers, and refuses us. */
export class QueueAccessError extends PipelineError {
  readonly code = "queue_access";
  readonly disposition = "fatal";
}

/** What Redis says while it cannot serve and soon will. */
const BUSY = /^(LOADING|BUSY|MASTERDOWN|TRYAGAIN|CLUSTERDOWN|MISCONF|NOREPLICAS)\b/;
const REFUSED =
  /^(WRONGPASS|NOAUTH|NOPERM|ERR .*invalid password|ERR AUTH)|can't run this command|no permissions|No permissions/;

/** An unconnected client; give it listeners, then use it: what is sent before it is connected waits. */
export function newClient(target: RedisTarget): Redis {
  const url = new URL(target.url);
  const secure = url.protocol === "rediss:";
  const options = {
    lazyConnect: true,
    protocol: 2 as const,
    maxRetriesPerRequest: null,
    retryStrategy: (times: number) => Math.min(RETRY_MAX_MS, RETRY_STEP_MS * times),
    sentinelRetryStrategy: (times: number) => Math.min(RETRY_MAX_MS, RETRY_STEP_MS * times),
    reconnectOnError: (error: Error) => error.message.startsWith("READONLY") ? 2 as const : false,
    connectTimeout: CONNECT_TIMEOUT_MS,
    socketTimeout: SOCKET_TIMEOUT_MS,
    blockingTimeout: SOCKET_TIMEOUT_MS,
    db: url.pathname.length > 1 ? Number(url.pathname.slice(1)) : 0,
    ...(url.username === "" ? {} : { username: decodeURIComponent(url.username) }),
    ...(url.password === "" ? {} : { password: decodeURIComponent(url.password) }),
    ...(secure || target.tls !== undefined ? { tls: { ...target.tls } } : {}),
  } satisfies RedisOptions;
  if (target.sentinel !== undefined) {
    const { name, nodes, username, password } = target.sentinel;
    return new Redis({
      ...options,
      name,
      sentinels: nodes.map(({ host, port }) => ({ host, port })),
      ...(username === undefined ? {} : { sentinelUsername: username }),
      ...(password === undefined ? {} : { sentinelPassword: password }),
    });
  }
  return new Redis({
    ...options,
    host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
    port: url.port === "" ? 6379 : Number(url.port),
  });
}

/**
 * Disconnects, and resolves when nothing is left of the connection. What was asked and not answered is rejected.
 *
 * Between two tries to connect, ioredis takes a `disconnect` for the end of the tries and tells nobody: no `end` ever
 * comes and what waits never settles. There the next try is waited for, and the socket that it opens a tick later.
 */
export function disconnected(client: Redis): Promise<void> {
  if (client.status === "end") return Promise.resolve();
  const { promise, resolve } = Promise.withResolvers<void>();
  client.once("end", () => resolve());
  function leave(): void {
    if (client.status === "reconnecting") client.once("connecting", () => process.nextTick(leave));
    else client.disconnect();
  }
  leave();
  return promise;
}

/** `error` as ours where it means that Redis refuses us; names what is missing, never the password. */
export function accessError(target: RedisTarget, error: unknown): QueueAccessError | undefined {
  const text = error instanceof Error ? error.message : String(error);
  if (!REFUSED.test(text)) return undefined;
  const url = new URL(target.url);
  const user = url.username === "" ? "default" : decodeURIComponent(url.username);
  const missing = /^(WRONGPASS|NOAUTH|ERR AUTH)|invalid password/.test(text)
    ? "user name and password in queue.url"
    : "the user's ACL rules, which have to be ~<prefix>:* +@read +@write +@scripting +@blocking +@connection +time +info +wait";
  return new QueueAccessError(
    `Cannot use Redis at ${url.host} as user "${user}": current value of what it answers is "${text}". Check: ${missing}`,
    { cause: error },
  );
}

/** A Lua script behind the prelude, under the name of its file. */
export interface Script {
  readonly source: string;
  readonly sha: string;
}

/** Puts the prelude in front of a script. */
export function script(text: string): Script {
  const source = `${prelude}\n${text}`;
  return { source, sha: createHash("sha1").update(source).digest("hex") };
}

/**
 * Runs a script on one network's keys.
 *
 * NOSCRIPT heals by sending the source, which reorders a pipeline: nothing may rely on the order of two scripts. While
 * Redis loads or fails over, waits.
 *
 * @throws {QueueAccessError} and whatever else Redis answers.
 */
export async function runScript(
  client: Redis,
  target: RedisTarget,
  { source, sha }: Script,
  network: string,
  args: readonly (string | number)[],
): Promise<unknown> {
  const prefix = keyPrefix(target, network);
  while (true) {
    try {
      return await client.evalsha(sha, 1, prefix, ...args);
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      if (text.startsWith("NOSCRIPT")) {
        await client.script("LOAD", source);
      } else if (BUSY.test(text)) {
        await new Promise((resolve) => setTimeout(resolve, BUSY_DELAY_MS));
      } else {
        throw accessError(target, error) ?? error;
      }
    }
  }
}

/** Prefix of a network's keys, with its hash tag. */
export function keyPrefix(target: RedisTarget, network: string): string {
  return `${target.prefix}:{${network}}:`;
}

/** `process_forwards` is `pf` in keys. */
export function shortClass(taskClass: string): string {
  return `${taskClass[0]}${taskClass[taskClass.indexOf("_") + 1]}`;
}
