/**
 * Storage in a ClickHouse server, over its HTTP interface. SQL goes through the official client; blocks of bytes,
 * which it cannot send, through requests beside it with the same URL, credentials and settings.
 */
import { ClickHouseError, ClickHouseLogLevel, createClient, parseError } from "@clickhouse/client-web";
import type { PipelineError } from "../../errors.ts";
import type { NativeBlock } from "../encode/port.ts";
import { structlogTable } from "../encode/structlog.ts";
import { structlogAggTable } from "../encode/structlog_agg.ts";
import { type BlockAnswer, type BlockRequests, blockRequests } from "./block_request.ts";
import { serverError, transportError } from "./classify.ts";
import type { AttemptKey, SqlDatabase, Storage, StoredRecord, TraceTable, TransactionKey } from "./port.ts";
import countSurplusSql from "./sql/count_surplus.sql" with { type: "text" };
import deleteAttemptsSql from "./sql/delete_attempts.sql" with { type: "text" };
import deleteSurplusSql from "./sql/delete_surplus.sql" with { type: "text" };
import orphanedSql from "./sql/orphaned.sql" with { type: "text" };
import recordsSql from "./sql/records.sql" with { type: "text" };

/** How to reach a server. No defaults here: see the configuration's schema. */
export interface StorageConnection {
  readonly url: string;
  readonly database: string;
  readonly user: string;
  readonly password: string;
  /** Name of the cluster whose tables are `X_local` behind `Distributed` ones; absent: one server. */
  readonly cluster?: string;
  /** Milliseconds of one request, to its last byte. */
  readonly requestTimeoutMs: number;
  /** Settings of every request. */
  readonly settings: Readonly<Record<string, string | number | boolean>>;
}

/** Names of the trace tables. */
export const TRACE_TABLES: Readonly<Record<TraceTable, string>> = {
  structlog: structlogTable.name,
  structlog_agg: structlogAggTable.name,
};

/** An acknowledged insert through a Distributed table has reached the shards. */
const CLUSTER_SETTINGS = { distributed_foreground_insert: 1 } as const;

/** Storage in the server of `connection`; opens nothing before its first request. */
export function openClickHouse(connection: StorageConnection): ClickHouseStorage {
  return new ClickHouseStorage(connection);
}

/** See the module's comment. */
export class ClickHouseStorage implements Storage, SqlDatabase {
  readonly endpoint = "clickhouse";
  readonly #options: StorageConnection;
  readonly #client;
  readonly #blocks: BlockRequests;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #settings: Readonly<Record<string, string>>;

  constructor(options: StorageConnection) {
    this.#options = options;
    const settings = { ...(options.cluster === undefined ? {} : CLUSTER_SETTINGS), ...options.settings };
    this.#settings = Object.fromEntries(Object.entries(settings).map(([name, value]) => [name, settingText(value)]));
    this.#headers = { "authorization": `Basic ${base64(`${options.user}:${options.password}`)}` };
    this.#blocks = blockRequests(new URL(options.url).protocol);
    this.#client = createClient({
      url: options.url,
      database: options.database,
      username: options.user,
      password: options.password,
      request_timeout: options.requestTimeoutMs,
      clickhouse_settings: this.#settings,
      // What it would log reaches its caller as an error, and warnings about settings are not the operator's business.
      log: { level: ClickHouseLogLevel.OFF },
      json: { parse: JSON.parse, stringify: stringifyWide },
    });
  }

  async insert(block: NativeBlock, signal: AbortSignal): Promise<void> {
    const columns = block.columns.map((name) => `\`${name}\``).join(", ");
    const url = new URL(this.#options.url);
    url.searchParams.set("query", `INSERT INTO ${block.table} (${columns}) FORMAT Native`);
    url.searchParams.set("database", this.#options.database);
    for (const [name, value] of Object.entries(this.#settings)) url.searchParams.set(name, value);
    await this.#attempt(`insert ${block.rows} rows into ${block.table}`, signal, async (limited) => {
      const answer = await this.#blocks.send({ url, headers: this.#headers, bytes: block.bytes, signal: limited });
      if (answer.status === 200 && answer.text === "" && answer.exceptionCode === undefined) return;
      throw answered(answer);
    });
  }

  async deleteAttempts(table: TraceTable, attempts: readonly AttemptKey[], signal: AbortSignal): Promise<void> {
    for (const [network, group] of byNetwork(attempts)) {
      const params = {
        network,
        blocks: blocksOf(group),
        keys: group.map((key) => `${key.blockNumber}:${key.transactionHash}:${key.rowVersion}`),
      };
      await this.execute(deleteAttemptsSql.replace(":target", this.#localTable(TRACE_TABLES[table])), params, signal);
    }
  }

  async deleteSurplus(table: TraceTable, attempts: readonly AttemptKey[], signal: AbortSignal): Promise<number> {
    let surplus = 0;
    for (const [network, group] of byNetwork(attempts)) {
      const params = {
        network,
        blocks: blocksOf(group),
        keys: group.map((key) => `${key.blockNumber}:${key.transactionHash}`),
        versions: group.map((key) => key.rowVersion),
      };
      const count = countSurplusSql.replace(":target", TRACE_TABLES[table]);
      const [row] = await this.query<{ surplus: string }>(count, params, signal);
      const found = Number(row?.surplus ?? 0);
      // A delete is a mutation, a tenth of a second and more: only where something is to be deleted.
      if (found === 0) continue;
      await this.execute(deleteSurplusSql.replace(":target", this.#localTable(TRACE_TABLES[table])), params, signal);
      surplus += found;
    }
    return surplus;
  }

  async records(keys: readonly TransactionKey[], signal: AbortSignal): Promise<StoredRecord[]> {
    const found: StoredRecord[] = [];
    for (const [network, group] of byNetwork(keys)) {
      const params = {
        network,
        blocks: blocksOf(group),
        keys: group.map((key) => `${key.blockNumber}:${key.transactionHash}`),
      };
      const rows = await this.query<
        {
          block_number: string;
          transaction_hash: string;
          row_version: string;
          verdict: StoredRecord["verdict"];
          published: number;
        }
      >(recordsSql, params, signal);
      for (const row of rows) {
        found.push({
          blockNumber: Number(row.block_number),
          transactionHash: row.transaction_hash,
          rowVersion: Number(row.row_version),
          verdict: row.verdict,
          published: row.published === 1,
        });
      }
    }
    return found;
  }

  async orphaned(keys: readonly TransactionKey[], signal: AbortSignal): Promise<ReadonlySet<string>> {
    const found = new Set<string>();
    for (const [network, group] of byNetwork(keys)) {
      const params = {
        network,
        blocks: blocksOf(group),
        keys: group.map((key) => `${key.blockNumber}:${key.blockHash}`),
      };
      for (const row of await this.query<{ block: string }>(orphanedSql, params, signal)) found.add(row.block);
    }
    return found;
  }

  async ping(signal: AbortSignal): Promise<void> {
    await this.query("SELECT 1", {}, signal);
  }

  async query<T>(sql: string, params: Readonly<Record<string, unknown>>, signal?: AbortSignal): Promise<T[]> {
    return await this.#attempt("run a query", signal, async (limited) => {
      const result = await this.#client.query({
        query: sql,
        query_params: { ...params },
        format: "JSONEachRow",
        abort_signal: limited,
      });
      return await result.json<T>();
    });
  }

  async execute(sql: string, params: Readonly<Record<string, unknown>>, signal?: AbortSignal): Promise<void> {
    await this.#attempt("run a statement", signal, async (limited) => {
      await this.#client.command({ query: sql, query_params: { ...params }, abort_signal: limited });
    });
  }

  async close(): Promise<void> {
    this.#blocks.close();
    await this.#client.close();
  }

  #localTable(table: string): string {
    const { cluster } = this.#options;
    return cluster === undefined ? table : `${table}_local ON CLUSTER \`${cluster}\``;
  }

  /** One try, with a time limit of its own over headers and body, and errors that have a disposition. */
  async #attempt<T>(
    doing: string,
    signal: AbortSignal | undefined,
    operation: (limited: AbortSignal) => Promise<T>,
  ): Promise<T> {
    signal?.throwIfAborted();
    using limit = timeLimit(this.#options.requestTimeoutMs, signal);
    const outage = `${doing} in ClickHouse at ${new URL(this.#options.url).host}`;
    try {
      return await operation(limit.signal);
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      if (error instanceof ClickHouseError) throw refused(doing, error);
      if (limit.signal.aborted) {
        throw transportError(outage, new Error(`no answer within ${this.#options.requestTimeoutMs} ms`));
      }
      throw transportError(outage, error);
    }
  }
}

/** A signal that is aborted after `ms` or with `outer`; disposing of it leaves neither timer nor listener. */
function timeLimit(ms: number, outer: AbortSignal | undefined): Disposable & { readonly signal: AbortSignal } {
  const controller = new AbortController();
  const abort = () => controller.abort(outer?.reason);
  const timer = setTimeout(() => controller.abort(new DOMException("Timed out", "TimeoutError")), ms);
  outer?.addEventListener("abort", abort, { once: true });
  return {
    signal: controller.signal,
    [Symbol.dispose]() {
      clearTimeout(timer);
      outer?.removeEventListener("abort", abort);
    },
  };
}

function refused(doing: string, error: ClickHouseError): PipelineError {
  return serverError(doing, { code: Number(error.code), type: error.type ?? "", message: error.message }, error);
}

/** What a server, or a proxy before it, said instead of nothing. */
function answered({ status, exceptionCode, text }: BlockAnswer): Error {
  const error = parseError(text);
  if (error instanceof ClickHouseError) return error;
  if (exceptionCode !== undefined) return new ClickHouseError({ code: exceptionCode, type: "", message: text });
  return new Error(`HTTP ${status} without an answer of ClickHouse`);
}

/** Parameters travel in the URL, which has to stay well below 64 KiB: this many keys, 100 bytes each, in a statement. */
const KEYS_PER_STATEMENT = 200;

function* byNetwork<K extends TransactionKey>(keys: readonly K[]): Generator<readonly [string, readonly K[]]> {
  for (const [network, all] of Map.groupBy(keys, (key) => key.network)) {
    for (let at = 0; at < all.length; at += KEYS_PER_STATEMENT) {
      yield [network, all.slice(at, at + KEYS_PER_STATEMENT)];
    }
  }
}

function blocksOf(keys: readonly TransactionKey[]): number[] {
  return [...new Set(keys.map((key) => key.blockNumber))];
}

function settingText(value: string | number | boolean): string {
  return typeof value === "boolean" ? (value ? "1" : "0") : String(value);
}

/** JSON has no 64-bit integers that survive a double: they go as text, which ClickHouse reads. */
function stringifyWide(value: unknown): string {
  return JSON.stringify(value, (_, cell) => typeof cell === "bigint" ? cell.toString() : cell);
}

function base64(text: string): string {
  return new TextEncoder().encode(text).toBase64();
}
