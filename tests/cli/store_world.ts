/** A directory with a configuration that points at a database of the embedded engine. */
import { freshDatabase, type TestDatabase } from "../embedded/shared_engine.ts";

/** See the module's comment. */
export interface StoreWorld extends AsyncDisposable {
  readonly database: TestDatabase;
  /** Path of the configuration. */
  readonly config: string;
  /** Path of the spill directory, which nothing has made yet. */
  readonly spill: string;
}

/** Makes one; disposing of it removes both. */
export async function storeWorld(): Promise<StoreWorld> {
  const directory = await Deno.makeTempDir({ prefix: "store-" });
  const database = await freshDatabase();
  const [config, spill] = [`${directory}/config.yaml`, `${directory}/spill`];
  await Deno.writeTextFile(
    config,
    `networks:
  - name: testnet
    chainId: 1
    nodes:
      - { name: a, url: "http://127.0.0.1:8545" }
clickhouse:
  url: "${database.url}"
  database: "${database.database}"
  user: "${database.user}"
  password: "${database.password}"
sink:
  spill: { directory: "${spill}" }
`,
  );
  return {
    database,
    config,
    spill,
    async [Symbol.asyncDispose]() {
      await database[Symbol.asyncDispose]();
      await Deno.remove(directory, { recursive: true });
    },
  };
}
