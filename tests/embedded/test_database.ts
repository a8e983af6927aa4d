/** Databases of a test, on any ClickHouse server. */

/** How a server is reached. */
export interface ServerAddress {
  readonly url: string;
  readonly user: string;
  readonly password: string;
}

/** Speaks SQL to one database. */
export interface Speaker {
  /** Runs one statement in the database. @returns the body; throws the server's text otherwise. */
  query(sql: string, settings?: Readonly<Record<string, string>>): Promise<string>;
  /** Sends rows. @returns the body; throws the server's text otherwise. */
  insert(
    sql: string,
    rows: Uint8Array<ArrayBuffer> | string,
    settings?: Readonly<Record<string, string>>,
  ): Promise<string>;
}

/** An empty database, dropped when it is disposed of. */
export interface TestDatabase extends ServerAddress, Speaker, AsyncDisposable {
  /** Name of the database. */
  readonly database: string;
}

/** Speaks to `server` in `database`. */
export function speaker(server: ServerAddress, database: string): Speaker {
  const send = async (params: URLSearchParams, body: Uint8Array<ArrayBuffer> | string) => {
    const response = await fetch(`${server.url}/?${params}`, {
      method: "POST",
      headers: { "X-ClickHouse-User": server.user, "X-ClickHouse-Key": server.password },
      body,
    });
    const text = await response.text();
    if (!response.ok) throw new Error(text);
    return text;
  };
  return {
    query: (sql, settings = {}) => send(new URLSearchParams({ database, ...settings }), sql),
    insert: (sql, rows, settings = {}) => send(new URLSearchParams({ database, query: sql, ...settings }), rows),
  };
}

/** Makes an empty database on `server`. */
export async function freshDatabase(server: ServerAddress): Promise<TestDatabase> {
  const database = `test_${crypto.randomUUID().replaceAll("-", "")}`;
  const main = speaker(server, "default");
  await main.query(`CREATE DATABASE ${database}`);
  return {
    url: server.url,
    user: server.user,
    password: server.password,
    database,
    ...speaker(server, database),
    async [Symbol.asyncDispose]() {
      await main.query(`DROP DATABASE ${database}`);
    },
  };
}
