/** The backends of storage as the contract sees them. */
import { CLICKHOUSE_SETTINGS } from "../../src/pipeline/options.ts";
import { ByteReader } from "../../src/stages/encode/bytes.ts";
import { decodeBlocks } from "../../src/stages/encode/native.ts";
import { type ClickHouseStorage, openClickHouse } from "../../src/stages/sink/clickhouse.ts";
import { MemoryStorage } from "../../src/stages/sink/memory.ts";
import { migrations } from "../../src/stages/sink/schema.ts";
import { freshDatabase } from "../embedded/shared_engine.ts";
import type { OpenStorage, Row } from "./storage_contract.ts";

/** Storage in memory. */
export function openMemoryStorage(): Promise<OpenStorage & { readonly storage: MemoryStorage }> {
  const storage = new MemoryStorage({ rows: "kept" });
  return Promise.resolve({
    storage,
    visible: (table) => Promise.resolve(storage.final(table)),
    [Symbol.asyncDispose]: () => storage.close(),
  });
}

/** Where a real server is. */
export interface Address {
  readonly url: string;
  readonly database: string;
  readonly user: string;
  readonly password: string;
}

/** Our adapter on a server. */
export function clickHouseAt({ url, database, user, password }: Address, requestTimeoutMs = 30_000): ClickHouseStorage {
  return openClickHouse({ url, database, user, password, requestTimeoutMs, settings: CLICKHOUSE_SETTINGS });
}

/** Every row that a query gives, as Native. */
export async function rowsAt(address: Address, sql: string): Promise<readonly Row[]> {
  const response = await fetch(`${address.url}/?database=${address.database}`, {
    method: "POST",
    headers: { "X-ClickHouse-User": address.user, "X-ClickHouse-Key": address.password },
    body: `${sql} FORMAT Native`,
  });
  const bytes = new Uint8Array(await response.arrayBuffer());
  if (!response.ok) throw new Error(new TextDecoder().decode(bytes));
  return decodeBlocks(new ByteReader(bytes)).flatMap(({ rows, columns }) =>
    Array.from(
      { length: rows },
      (_, row) => Object.fromEntries([...columns].map(([name, cells]) => [name, cells[row]])),
    )
  );
}

/** Storage in a fresh database of the embedded engine, with all tables. */
export async function openEngineStorage(): Promise<
  OpenStorage & { readonly storage: ClickHouseStorage; readonly address: Address }
> {
  const database = await freshDatabase();
  for (const migration of migrations) for (const statement of migration.statements) await database.query(statement);
  const storage = clickHouseAt(database);
  return {
    storage,
    address: database,
    visible: (table) => rowsAt(database, `SELECT * FROM ${table} FINAL`),
    async [Symbol.asyncDispose]() {
      await storage.close();
      await database[Symbol.asyncDispose]();
    },
  };
}
