/**
 * Rows of blocks that left the chain. They are removed only when the replacement is durable, so that a number is never
 * without rows, and once more after the longest lease, since a late writer may have put some back.
 */
import type { Ledger } from "../stages/gate/ledger.ts";
import type { LeftBlock } from "../stages/source/reorg.ts";
import { emit } from "../telemetry/emit.ts";
import type { OrphanRows } from "./orphan_rows.ts";

/** What the removal needs. */
export interface OrphanStore {
  readonly network: string;
  readonly ledger: Ledger;
  /** Of the network now: what another one has left open is waited for no more. */
  readonly processors: readonly string[];
  /** Looks for the rows of these blocks in the tables of the processors. */
  readonly find: (blocks: readonly LeftBlock[]) => Promise<OrphanRows>;
  /** Longest time that a late writer may still hold a lease. */
  readonly leaseMs: number;
  readonly now: () => number;
}

interface Orphan {
  readonly block: LeftBlock;
  /** When the second removal is due; absent before the first. */
  readonly againMs?: number;
}

/** Blocks whose rows are removed at a time. */
const MAX_BLOCKS = 500;

/** Orphans of one network that still have rows. */
export class Orphans {
  readonly #orphans = new Map<string, Orphan>();

  constructor(readonly store: OrphanStore) {}

  /** Blocks left the chain. */
  add(blocks: readonly LeftBlock[]): void {
    for (const block of blocks) this.#orphans.set(block.blockHash, { block });
  }

  /** What an earlier leader left behind, from a number on. */
  async load(from: number): Promise<void> {
    for (const { blockNumber, blockHash } of await this.store.ledger.orphaned(from)) {
      if (!this.#orphans.has(blockHash)) this.#orphans.set(blockHash, { block: { blockNumber, blockHash } });
    }
  }

  /** Removes what may be removed now. */
  async sweep(): Promise<void> {
    const nowMs = this.store.now();
    const due: Orphan[] = [];
    for (const orphan of this.#orphans.values()) {
      if (due.length === MAX_BLOCKS) break;
      if (orphan.againMs !== undefined && nowMs < orphan.againMs) continue;
      if (await this.#fate(orphan.block) !== "waiting") due.push(orphan);
    }
    if (due.length === 0) return;
    // In this order, so that rows of a block that comes back meanwhile are newer than those found.
    const found = await this.store.find(due.map(({ block }) => block));
    const replaced: Orphan[] = [];
    for (const orphan of due) {
      const fate = await this.#fate(orphan.block);
      if (fate === "came_back") this.#orphans.delete(orphan.block.blockHash);
      if (fate === "replaced") replaced.push(orphan);
    }
    const removed = await found.remove(replaced.map(({ block }) => block));
    for (const { block, againMs } of replaced) {
      const { blockNumber, blockHash } = block;
      if (removed.has(blockHash)) {
        emit({ kind: "orphaned_rows_removed", network: this.store.network, blockNumber, blockHash });
      }
      if (againMs === undefined) this.#orphans.set(blockHash, { block, againMs: nowMs + this.store.leaseMs });
      else this.#orphans.delete(blockHash);
    }
  }

  /** `replaced`: every processor's row of the block that took its place is finished. `came_back`: it is of the chain again. */
  async #fate(block: LeftBlock): Promise<"waiting" | "replaced" | "came_back"> {
    const rows = (await this.store.ledger.between(block.blockNumber, block.blockNumber)).filter((row) =>
      row.state !== "orphaned"
    );
    if (rows.some((row) => row.blockHash === block.blockHash)) return "came_back";
    const wanted = rows.filter((row) => this.store.processors.includes(row.processor));
    return wanted.length > 0 && wanted.every((row) => row.state !== "accepted") ? "replaced" : "waiting";
  }
}
