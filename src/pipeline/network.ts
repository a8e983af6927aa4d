/** One network's pipeline: its pool, queue, ledger and streams, from its part of the configuration. */
import { catchError, EMPTY, ignoreElements, map, merge, Observable, startWith, switchMap } from "rxjs";
import type { Config, NetworkConfig } from "../config/schema.ts";
import { ACTIVATIONS } from "../ethereum/forks.ts";
import { abortable } from "../flow/abortable.ts";
import { pause } from "../flow/pause.ts";
import { openNodePool } from "../rpc/pool.ts";
import type { NodePool } from "../rpc/port.ts";
import type { Direction, Ledger } from "../stages/gate/ledger.ts";
import { leadership } from "../stages/gate/leadership.ts";
import { Limiter } from "../stages/gate/limiter.ts";
import { highestAllowed } from "../stages/gate/limiter_query.ts";
import type { WorkQueue, WorkQueues } from "../stages/queue/port.ts";
import type { Sink, SqlReader } from "../stages/sink/port.ts";
import { Chain } from "../stages/source/chain.ts";
import { ReorgTooDeepError } from "../stages/source/reorg.ts";
import { nodeFork } from "../stages/source/node_fork.ts";
import { BlockCache } from "./block_cache.ts";
import { type DiscoverNetwork, lead } from "./discover.ts";
import { writeLedger } from "./ledger_writer.ts";
import { poolOptions, processorsOf, tablesOf } from "./options.ts";
import { findOrphanRows } from "./orphan_rows.ts";
import { Orphans } from "./orphans.ts";
import { Prediction } from "./plan.ts";
import { watchQueue } from "./queue_watch.ts";
import { storeTransactions } from "./simple_transactions.ts";
import type { ProcessStore } from "./store.ts";
import { tellFailure, tellUnlessFatal } from "./tell_failure.ts";
import { auditSample, type VerifyNetwork, verifyStored } from "./verify.ts";
import type { WorkNetwork } from "./work.ts";

/** What the networks of a process share. */
export interface NetworkSurroundings {
  readonly config: Config;
  readonly queues: WorkQueues;
  readonly store: Pick<ProcessStore, "database" | "ledger">;
  /** Of the main isolate, for small tables. */
  readonly sink: Sink;
  /** Identity of the process among the leaders. */
  readonly holder: string;
}

/** How often rows of orphaned blocks are looked for. */
const SWEEP_MS = 2_000;
/** How often the depths of the queue are told. */
const DEPTHS_MS = 5_000;
/** How long one question about the node's fork may take. */
const FORK_WITHIN_MS = 10_000;

/** An open network. */
export class Network implements AsyncDisposable {
  readonly name: string;
  /** Names of `networks[].processors`. */
  readonly processors: readonly string[];
  /** Its blocks are verified. */
  readonly verified: boolean;
  readonly ledger: Ledger;
  readonly chain: Chain;
  readonly database: SqlReader;
  readonly #config: NetworkConfig;
  readonly #surroundings: NetworkSurroundings;
  readonly #blocks: BlockCache;
  readonly #prediction = new Prediction();
  #nodeFork: Promise<string | undefined> | undefined;
  #stopped: string | undefined;

  private constructor(
    config: NetworkConfig,
    surroundings: NetworkSurroundings,
    readonly pool: NodePool,
    readonly queue: WorkQueue,
  ) {
    this.name = config.name;
    this.#config = config;
    this.#surroundings = surroundings;
    this.processors = config.processors;
    this.verified = config.verify.enabled;
    this.database = surroundings.store.database;
    this.chain = new Chain(pool);
    this.#blocks = new BlockCache(this.chain);
    this.ledger = surroundings.store.ledger(config.name, surroundings.sink);
  }

  /** Opens pool and queue; nothing runs yet. */
  static async open(config: NetworkConfig, surroundings: NetworkSurroundings): Promise<Network> {
    const pool = openNodePool(poolOptions(config));
    try {
      return new Network(config, surroundings, pool, await surroundings.queues.open(config.name));
    } catch (error) {
      await pool[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Leads where it is elected, writes the ledger, and cleans up after reorgs. Ends when unsubscribed. */
  discover(): Observable<never> {
    const { mode } = this.#config;
    const directions: readonly Direction[] = mode === "both" ? ["forwards", "backwards"] : [mode];
    const orphans = this.#orphans();
    const network = this.#discoverNetwork(directions, orphans);
    const leaders = merge(...directions.map((direction) => lead(network, direction, this.#offices(direction)))).pipe(
      catchError((error: unknown) => {
        // This network waits for a person; what is queued is still done, and the others go on.
        if (!(error instanceof ReorgTooDeepError)) throw error;
        this.#stopped = error.message;
        return EMPTY;
      }),
    );
    return merge(
      writeLedger(network),
      leaders,
      watchQueue(this.queue, this.#surroundings.config.queue.ratePerSecond, DEPTHS_MS),
    ).pipe(ignoreElements());
  }

  /** What the lanes of the process need to work on its tasks. */
  work(): WorkNetwork {
    const { forks, chainId } = this.#config;
    const verified = this.#verifyNetwork();
    const audited = {
      name: this.name,
      share: this.#config.verify.auditShare,
      nodes: () => this.pool.nodes().map((node) => node.name),
    };
    return {
      name: this.name,
      chainId,
      pool: this.pool,
      queue: this.queue,
      blocks: this.#blocks,
      prediction: this.#prediction,
      tables: tablesOf(this.#config),
      ...(Object.keys(forks).length === 0 ? {} : { forks }),
      nodeFork: () => this.#askedFork(),
      others: {
        simple: (lease) => storeTransactions(lease, this.#blocks, this.#surroundings.sink),
        verify: async (lease, lane) => {
          const records = await verifyStored(lease, verified);
          await auditSample(lease, audited, records, (record) => lane.audit(record));
        },
      },
    };
  }

  /** Why nothing is claimed for it; empty when something may be. */
  notReady(): readonly string[] {
    if (this.#stopped !== undefined) return [`${this.name}: ${this.#stopped}`];
    const states = this.pool.nodes();
    const usable = states.some((node) => node.condition === "ready" || node.condition === "lagging");
    if (usable) return [];
    return [`${this.name}: no node can serve: ${states.map((node) => `${node.name} is ${node.condition}`).join(", ")}`];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.queue.close();
    await this.pool[Symbol.asyncDispose]();
  }

  /** Asked only where neither the configuration nor the table of known networks has the answer. */
  #askedFork(): Promise<string | undefined> {
    const { forks, chainId } = this.#config;
    if (Object.keys(forks).length > 0 || ACTIVATIONS.has(chainId)) return Promise.resolve(undefined);
    this.#nodeFork ??= nodeFork(this.pool, { priority: "process", withinMs: FORK_WITHIN_MS }).catch(
      (error: unknown) => {
        this.#nodeFork = undefined;
        throw error;
      },
    );
    return this.#nodeFork;
  }

  /** Terms of office; each reconnection to the queue counts as a new term, since the queue may have forgotten work. */
  #offices(direction: Direction) {
    const { holder, config } = this.#surroundings;
    const reconnections = new Observable<void>((subscriber) => {
      const listening = this.queue.onReconnect(() => subscriber.next());
      return () => listening[Symbol.dispose]();
    });
    const { renew, ttl } = config.queue.leader;
    return leadership(this.queue, direction, holder, { renewMs: renew, ttlMs: ttl }).pipe(
      switchMap((term) => reconnections.pipe(startWith(undefined), map(() => term.office))),
    );
  }

  /** Removes the rows of orphaned blocks, those of earlier leaders too. */
  #sweeping(direction: Direction, orphans: Orphans): Observable<never> {
    return abortable<never>(async (signal) => {
      let loaded = false;
      while (!signal.aborted) {
        try {
          if (!loaded) {
            const bounds = await this.ledger.bounds();
            await orphans.load(Math.max(0, (bounds?.highest ?? 0) - this.#config.reorg.maxDepth));
            loaded = true;
          }
          await orphans.sweep();
        } catch (error) {
          tellUnlessFatal(this.name, direction, error);
        }
        await pause(SWEEP_MS, signal);
      }
    });
  }

  #discoverNetwork(directions: readonly Direction[], orphans: Orphans): DiscoverNetwork {
    const { startBlock, confirmations, backfill, blockTime, window, reorg, gaps, verify } = this.#config;
    const { config } = this.#surroundings;
    const limiter = this.#limiter();
    return {
      name: this.name,
      pool: this.pool,
      chain: this.chain,
      queue: this.queue,
      ledger: this.ledger,
      prediction: this.#prediction,
      processors: processorsOf(this.#config),
      directions,
      ...(verify.enabled ? { verifyDelayMs: verify.delay } : {}),
      repair: {
        intervalMs: gaps.interval,
        ...(gaps.lookBack === "unlimited" ? {} : { lookBack: gaps.lookBack }),
        batch: gaps.batch,
        staleMs: gaps.stale,
        reconcileMs: config.queue.reconcile,
      },
      ...(startBlock === undefined ? {} : { startBlock }),
      confirmations,
      floor: backfill.floor,
      blockTimeMs: blockTime,
      window,
      ...(limiter === undefined ? {} : { limiter }),
      reorgMaxDepth: reorg.maxDepth,
      taskStructlogs: config.work.taskStructlogs,
      orphaned: (blocks) => orphans.add(blocks),
      chores: (direction) => direction === directions[0] ? this.#sweeping(direction, orphans) : EMPTY,
    };
  }

  #verifyNetwork(): VerifyNetwork {
    const { store: { database }, config } = this.#surroundings;
    return {
      name: this.name,
      queue: this.queue,
      ledger: this.ledger,
      processors: processorsOf(this.#config),
      tables: tablesOf(this.#config),
      database,
      rounds: this.#config.verify.rounds,
      leaseMs: config.queue.lease,
    };
  }

  #limiter(): Limiter | undefined {
    const { limiter } = this.#config;
    if (limiter === undefined) return undefined;
    return new Limiter(
      { refreshMs: limiter.refresh, maxAgeMs: limiter.maxAge },
      async () => {
        try {
          return highestAllowed(await this.database.query(limiter.query, { network: this.name }));
        } catch (error) {
          throw tellFailure(this.name, "limiter", error);
        }
      },
    );
  }

  #orphans(): Orphans {
    const { store: { database }, config } = this.#surroundings;
    return new Orphans({
      network: this.name,
      ledger: this.ledger,
      processors: this.processors,
      find: (blocks) => findOrphanRows(database, this.name, blocks, config.clickhouse.cluster),
      leaseMs: config.queue.lease,
      now: Date.now,
    });
  }
}
