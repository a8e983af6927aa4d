/** Back-pressure between the chain and the queue: how many blocks may be open, and how deep the queue may grow. */

/** Bounds of one direction. */
export interface WindowOptions {
  /** Blocks accepted and not finished. */
  readonly maxPendingBlocks: number;
  /** Tasks in the queue that close the window; it reopens at {@linkcode REOPEN} of it. */
  readonly maxQueuedTasks: number;
}

/** Share of the bound at which a window that the queue closed opens again. */
export const REOPEN = 0.8;

/** Depths as the queue reports them. */
export interface WindowDepths {
  readonly pendingBlocks: number;
  readonly queuedTasks: number;
}

/** Why it is closed. */
export type WindowClosed = "blocks" | "queue";

/** Decides with hysteresis. State of one direction of one network. */
export class Window {
  #queueClosed = false;

  constructor(readonly options: WindowOptions) {}

  /** Whether one more block may enter; `undefined` means yes. */
  closedBy(depths: WindowDepths): WindowClosed | undefined {
    const { maxPendingBlocks, maxQueuedTasks } = this.options;
    if (depths.queuedTasks >= maxQueuedTasks) this.#queueClosed = true;
    else if (depths.queuedTasks <= maxQueuedTasks * REOPEN) this.#queueClosed = false;
    if (this.#queueClosed) return "queue";
    return depths.pendingBlocks >= maxPendingBlocks ? "blocks" : undefined;
  }
}
