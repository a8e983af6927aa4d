/**
 * Where a process stores: ClickHouse with the spill before it, or nowhere. A dry run does everything else as usual, so
 * it needs a store that takes rows, counts them, and answers every question as an empty database would.
 */
import type { Config } from "../config/schema.ts";
import type { Ledger } from "../stages/gate/ledger.ts";
import { MemoryLedger } from "../stages/gate/ledger_memory.ts";
import { openClickHouse } from "../stages/sink/clickhouse.ts";
import { MemoryStorage } from "../stages/sink/memory.ts";
import type { Sink, SpillPort, SqlDatabase, Storage } from "../stages/sink/port.ts";
import { checkSchema } from "../stages/sink/schema.ts";
import { openSpill } from "../stages/sink/spill.ts";
import { openLedger } from "./ledger_store.ts";
import { spillOptions, storageConnection } from "./options.ts";
import { Outage, watchedDatabase } from "./outage.ts";
import type { WorkerStorage } from "./worker_messages.ts";

/** What a process needs of its store. */
export interface ProcessStore extends AsyncDisposable {
  /** Of the main isolate's sink. */
  readonly storage: Storage;
  /** Absent: storage is never away. */
  readonly spill?: SpillPort;
  readonly database: SqlDatabase & Pick<Storage, "deleteAttempts">;
  /** What each trace worker opens. */
  readonly workerStorage: WorkerStorage;
  /** @param sink of the main isolate. */
  ledger(network: string, sink: Sink): Ledger;
}

/**
 * The ClickHouse of the configuration, its schema checked, and the spill, which begins to replay.
 *
 * @throws {PipelineError} the schema is not what will be inserted, or the spill belongs to another process.
 */
export async function openStore(config: Config): Promise<ProcessStore> {
  await using opening = new AsyncDisposableStack();
  const workerStorage = storageConnection(config);
  const storage = openClickHouse(workerStorage);
  opening.defer(() => storage.close());
  const { cluster } = config.clickhouse;
  await checkSchema(storage, cluster === undefined ? {} : { cluster });
  const spill = opening.use(await openSpill(spillOptions(config), storage));
  spill.start();
  const database = watchedDatabase(storage, new Outage(() => performance.now()));
  const opened = opening.move();
  return {
    storage,
    spill,
    database,
    workerStorage,
    ledger: (network, sink) => openLedger(network, database, sink),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

/** Stores nothing: rows are counted by the events of the sinks, the ledger is kept in memory. */
export function openDryStore(): ProcessStore {
  return {
    storage: new MemoryStorage({ rows: "counted" }),
    database: {
      query: () => Promise.resolve([]),
      execute: () => Promise.resolve(),
      deleteAttempts: () => Promise.resolve(),
    },
    workerStorage: "memory",
    ledger: (network) => new MemoryLedger(network),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/**
 * The configuration of a dry run: it takes no work from a queue that others share, and asks a store that has nothing
 * neither for its limits nor for what was stored.
 */
export function dryRunConfig(config: Config): Config {
  return {
    ...config,
    queue: { ...config.queue, url: "memory:" },
    roles: ["discover", "work", ...(config.roles.includes("api") ? ["api" as const] : [])],
    networks: config.networks.map(({ limiter: _, ...network }) => ({
      ...network,
      verify: { ...network.verify, enabled: false },
    })),
  };
}
