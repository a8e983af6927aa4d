/** Storage in memory that fails, waits or loses its answers as a test says. */
import type { NativeBlock } from "../../../src/stages/encode/port.ts";
import { MemoryStorage } from "../../../src/stages/sink/memory.ts";
import type { AttemptKey, Storage, TraceTable, TransactionKey } from "../../../src/stages/sink/port.ts";

/** What happens to one call. `lost`: it is done, and the answer does not arrive. */
export type Fate = "done" | { readonly fail: Error } | { readonly lost: Error } | { readonly wait: Promise<void> };

/** One call, as text: `insert TABLE ROWS`, `delete TABLE`, `surplus TABLE`, `records`, `orphaned`, `ping`. */
export type Decide = (call: string) => Fate;

/** See the module's comment. */
export class ScriptedStorage implements Storage {
  readonly endpoint = "scripted";
  readonly memory = new MemoryStorage({ rows: "kept" });
  /** Calls in the order in which they came. */
  readonly calls: string[] = [];
  inFlight = 0;
  mostInFlight = 0;
  decide: Decide = () => "done";
  #waiting: { call: string; resolve: () => void }[] = [];

  /** Resolves when a call that begins so has come, or has come already. */
  called(call: string): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push({ call, resolve });
      this.#tell();
    });
  }

  insert(block: NativeBlock, signal: AbortSignal): Promise<void> {
    return this.#call(`insert ${block.table} ${block.rows}`, signal, () => this.memory.insert(block, signal));
  }

  deleteAttempts(table: TraceTable, attempts: readonly AttemptKey[], signal: AbortSignal): Promise<void> {
    return this.#call(`delete ${table}`, signal, () => this.memory.deleteAttempts(table, attempts, signal));
  }

  deleteSurplus(table: TraceTable, attempts: readonly AttemptKey[], signal: AbortSignal): Promise<number> {
    return this.#call(`surplus ${table}`, signal, () => this.memory.deleteSurplus(table, attempts, signal));
  }

  records(keys: readonly TransactionKey[], signal: AbortSignal) {
    return this.#call("records", signal, () => this.memory.records(keys, signal));
  }

  orphaned(keys: readonly TransactionKey[], signal: AbortSignal) {
    return this.#call("orphaned", signal, () => this.memory.orphaned(keys, signal));
  }

  ping(signal: AbortSignal): Promise<void> {
    return this.#call("ping", signal, () => this.memory.ping(signal));
  }

  close(): Promise<void> {
    return this.memory.close();
  }

  #tell(): void {
    for (const { call, resolve } of this.#waiting) if (this.calls.some((known) => known.startsWith(call))) resolve();
  }

  async #call<T>(call: string, signal: AbortSignal, operation: () => Promise<T>): Promise<T> {
    this.calls.push(call);
    this.#tell();
    this.inFlight++;
    this.mostInFlight = Math.max(this.mostInFlight, this.inFlight);
    try {
      const fate = this.decide(call);
      if (fate !== "done" && "wait" in fate) await unlessAborted(fate.wait, signal);
      if (fate !== "done" && "fail" in fate) throw fate.fail;
      const result = await operation();
      if (fate !== "done" && "lost" in fate) throw fate.lost;
      return result;
    } finally {
      this.inFlight--;
    }
  }
}

function unlessAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    work.then(resolve, reject);
  });
}
