/**
 * Outages of the store as those see them who ask it questions. Leaders ask each second, so that each failure told would
 * bury everything else: it is told once, then each minute, and once when the store answers again. Inserts are not asked
 * about here: the sink retries them and has a breaker that tells.
 */
import type { SqlDatabase, Storage } from "../stages/sink/port.ts";
import { StorageUnavailableError } from "../stages/sink/errors.ts";
import { emit } from "../telemetry/emit.ts";

/** What is asked. */
type Database = SqlDatabase & Pick<Storage, "deleteAttempts">;

/** Shortest time between two tellings. */
const REPEAT_MS = 60_000;

/** Of one store. */
export class Outage {
  /** When the first call failed; `undefined`: the last call was answered. */
  #sinceMs: number | undefined;
  #toldMs = Number.NEGATIVE_INFINITY;
  #told = false;

  /** @param now Monotonic milliseconds. */
  constructor(readonly now: () => number) {}

  /** Runs a call, and tells what it says about the store. */
  async watched<T>(call: () => Promise<T>): Promise<T> {
    try {
      const answer = await call();
      this.#answered();
      return answer;
    } catch (error) {
      if (error instanceof StorageUnavailableError) this.#failed(error);
      throw error;
    }
  }

  #failed({ message }: StorageUnavailableError): void {
    const nowMs = this.now();
    this.#sinceMs ??= nowMs;
    if (nowMs - this.#toldMs < REPEAT_MS) return;
    this.#toldMs = nowMs;
    this.#told = true;
    emit({ kind: "store_outage", over: false, seconds: this.#seconds(nowMs), message });
  }

  #answered(): void {
    if (this.#told) emit({ kind: "store_outage", over: true, seconds: this.#seconds(this.now()), message: "" });
    this.#told = false;
    this.#sinceMs = undefined;
  }

  #seconds(nowMs: number): number {
    return Math.round((nowMs - (this.#sinceMs ?? nowMs)) / 1000);
  }
}

/** A database whose outages are told. */
export function watchedDatabase(database: Database, outage: Outage): Database {
  return {
    query: (sql, params, signal) => outage.watched(() => database.query(sql, params, signal)),
    execute: (sql, params, signal) => outage.watched(() => database.execute(sql, params, signal)),
    deleteAttempts: (table, attempts, signal) => outage.watched(() => database.deleteAttempts(table, attempts, signal)),
  };
}
