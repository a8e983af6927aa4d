/**
 * Many owners, one write: items of several lanes gather in batches by group, and each owner learns two things about
 * its own: that there is room for more, and that it is durable. RxJS's buffers know neither, nor any bound.
 */
import { asyncScheduler, type SchedulerLike, type Subscription } from "rxjs";

/** Limits of one {@linkcode Batcher}. */
export interface BatchOptions {
  /** A batch of this many rows is written. */
  readonly rows: number;
  /** A batch of this many bytes is written. */
  readonly bytes: number;
  /** A batch is written this many milliseconds after its first item, if a write is free. */
  readonly lingerMs: number;
  /** Writes at a time. */
  readonly inFlight: number;
  /** Bytes submitted and not durable above which nothing more is accepted, and batches overflow. */
  readonly memoryBytes: number;
  /**
   * A batch goes on lingering until this many times as long as the last write took have passed since then, and at most
   * as many times `lingerMs`: whoever is slow to write gets fewer and larger batches. Absent: no matter how long.
   */
  readonly rest?: number;
}

/** What an item weighs against the limits. */
export interface Weight {
  /** Against {@linkcode BatchOptions.rows}. */
  readonly rows: number;
  /** Against {@linkcode BatchOptions.bytes} and {@linkcode BatchLimits.memoryBytes}. */
  readonly bytes: number;
}

/** Items of one group, in the order in which they came. */
export interface Batch<T> {
  /** As given to {@linkcode Batcher.submit}. */
  readonly group: string;
  /** At least one. */
  readonly items: readonly T[];
  /** Of all items. */
  readonly rows: number;
  /** Of all items. */
  readonly bytes: number;
  /** Why it was closed. */
  readonly reason: BatchReason;
}

/** What closed a batch: a limit, time, nobody left to wait for, the end, memory. */
export type BatchReason = "rows" | "bytes" | "linger" | "idle" | "drain" | "overflow";

/** The two moments of an item. Both reject with the error of the write. A rejection that nobody awaits is no crash. */
export interface Submitted<R> {
  /** There is room again: the owner may go on to its next piece of work. */
  readonly accepted: Promise<void>;
  /** What the write of its batch resolved to. */
  readonly durable: Promise<R>;
}

/** The two moments of a write. */
export interface Written<R> {
  /** The batch has left memory, durable or put somewhere else. */
  readonly taken: Promise<void>;
  /** The write is done; what it says goes to the owners of the items. */
  readonly durable: Promise<R>;
}

/** Where batches go. */
export interface BatchWriter<T, R> {
  /** Writes one batch. Its rejection is that of its items alone. */
  write(batch: Batch<T>): Written<R>;
  /** A full batch has to wait, and nothing is added to it: what can be done before it is written. Same `items` then. */
  prepare?(batch: Batch<T>): void;
  /** Bytes have left memory. */
  released?(): void;
  /** Takes a batch out of memory while writes are too slow. Absent: what is too much waits. */
  overflow?(batch: Batch<T>): Written<R>;
}

/** See {@linkcode batch}. */
export interface Batcher<T, R> {
  /** Takes an item into the open batch of its group. */
  submit(group: string, item: T, weight: Weight): Submitted<R>;
  /** Somebody works on items to come: batches linger for them until the result is disposed of. */
  expect(): Disposable;
  /** `undefined`: within the memory. Otherwise resolves when it is so again. */
  room(): Promise<void> | undefined;
  /** Bytes submitted, neither durable nor overflowed. */
  readonly pendingBytes: number;
  /** Writes that have begun and are not durable. */
  readonly inFlight: number;
  /** From now on nothing lingers. Resolves when nothing is there. Rejections go to their owners. */
  drain(): Promise<void>;
}

/** Who is told of an item. Apart from it: what was taken out of memory is forgotten long before its owner learns more. */
interface Owner<R> {
  resolve(result: R): void;
  reject(error: unknown): void;
}

interface Open<T, R> {
  readonly group: string;
  readonly items: T[];
  /** One per item. */
  readonly owners: Owner<R>[];
  rows: number;
  bytes: number;
  /** Why it may be written now; `undefined`: it lingers. */
  due: BatchReason | undefined;
  linger: Subscription | undefined;
  prepared: boolean;
}

/**
 * Gathers items into batches, one group to a batch.
 *
 * A batch is written when it has its rows or bytes, when its first item has waited `lingerMs` (and the last write is
 * long enough ago, see {@linkcode BatchOptions.rest}), and in the next turn when nobody is
 * {@linkcode Batcher.expect expected} to bring more. While every write is busy, batches go on growing.
 *
 * @param options Limits.
 * @param writer Where batches go; called with at most `inFlight` writes at a time.
 * @param scheduler Time, in milliseconds.
 *
 * @example Two items of one group share a write
 * ```ts
 * import assert from "node:assert/strict";
 * import { batch } from "./batch.ts";
 *
 * const written: string[][] = [];
 * const batcher = batch<string, void>(
 *   { rows: 10, bytes: 1000, lingerMs: 5, inFlight: 1, memoryBytes: 1000 },
 *   {
 *     write: ({ items }) => {
 *       const durable = Promise.resolve(void written.push([...items]));
 *       return { taken: durable, durable };
 *     },
 *   },
 * );
 * const weight = { rows: 1, bytes: 1 };
 * await Promise.all([batcher.submit("g", "a", weight).durable, batcher.submit("g", "b", weight).durable]);
 * assert.deepEqual(written, [["a", "b"]]);
 * ```
 */
export function batch<T, R>(
  options: BatchOptions,
  writer: BatchWriter<T, R>,
  scheduler: SchedulerLike = asyncScheduler,
): Batcher<T, R> {
  return new GroupBatcher(options, writer, scheduler);
}

class GroupBatcher<T, R> implements Batcher<T, R> {
  readonly #options: BatchOptions;
  readonly #writer: BatchWriter<T, R>;
  readonly #scheduler: SchedulerLike;
  /** By group, in the order of their first items. */
  readonly #open = new Map<string, Open<T, R>>();
  /** Closed by a limit, waiting for a write. Bounded by `memoryBytes`. */
  readonly #full: Open<T, R>[] = [];
  #rooms: (() => void)[] = [];
  #empties: (() => void)[] = [];
  #pendingBytes = 0;
  /** Of them: on their way to the overflow. */
  #overflowingBytes = 0;
  #inFlight = 0;
  #overflowing = 0;
  #expected = 0;
  #draining = false;
  #restUntilMs = 0;
  #turn: Subscription | undefined;

  constructor(options: BatchOptions, writer: BatchWriter<T, R>, scheduler: SchedulerLike) {
    this.#options = options;
    this.#writer = writer;
    this.#scheduler = scheduler;
  }

  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  submit(group: string, value: T, weight: Weight): Submitted<R> {
    const { promise: durable, resolve, reject } = Promise.withResolvers<R>();
    durable.catch(() => {}); // its owner may look at it later, or at `accepted` only
    this.#makeFit(group, weight);
    const open = this.#openBatch(group);
    open.items.push(value);
    open.owners.push({ resolve, reject });
    open.rows += weight.rows;
    open.bytes += weight.bytes;
    this.#pendingBytes += weight.bytes;
    if (open.rows >= this.#options.rows) this.#close(open, "rows");
    else if (open.bytes >= this.#options.bytes) this.#close(open, "bytes");
    this.#overflowSurplus();
    this.#pumpSoon();
    const room = this.room();
    const accepted = room === undefined ? Promise.resolve() : Promise.race([room, durable.then(() => {})]);
    accepted.catch(() => {});
    return { accepted, durable };
  }

  expect(): Disposable {
    this.#expected++;
    let counted = true;
    return {
      [Symbol.dispose]: () => {
        if (!counted) return;
        counted = false;
        this.#expected--;
        this.#pumpSoon();
      },
    };
  }

  room(): Promise<void> | undefined {
    if (this.#pendingBytes <= this.#options.memoryBytes) return undefined;
    return new Promise((resolve) => void this.#rooms.push(resolve));
  }

  drain(): Promise<void> {
    this.#draining = true;
    for (const open of this.#open.values()) open.due ??= "drain";
    this.#pump();
    if (this.#idle) return Promise.resolve();
    return new Promise((resolve) => void this.#empties.push(resolve));
  }

  get #idle(): boolean {
    return this.#open.size === 0 && this.#full.length === 0 && this.#inFlight === 0 && this.#overflowing === 0;
  }

  /** An item that would push its batch beyond the bytes goes into the next one. */
  #makeFit(group: string, weight: Weight): void {
    const open = this.#open.get(group);
    if (open !== undefined && open.bytes + weight.bytes > this.#options.bytes) this.#close(open, "bytes");
  }

  #openBatch(group: string): Open<T, R> {
    const known = this.#open.get(group);
    if (known !== undefined) return known;
    const open: Open<T, R> = {
      group,
      items: [],
      owners: [],
      rows: 0,
      bytes: 0,
      due: undefined,
      linger: undefined,
      prepared: false,
    };
    this.#linger(open, this.#options.lingerMs);
    this.#open.set(group, open);
    return open;
  }

  #linger(open: Open<T, R>, ms: number): void {
    open.linger = this.#scheduler.schedule(() => {
      const restMs = this.#restUntilMs - this.#scheduler.now();
      if (restMs > 0) return this.#linger(open, restMs);
      open.due ??= "linger";
      this.#pump();
    }, ms);
  }

  #close(open: Open<T, R>, reason: BatchReason): void {
    open.due = reason;
    this.#leave(open);
    this.#full.push(open);
  }

  #leave(open: Open<T, R>): void {
    open.linger?.unsubscribe();
    if (this.#open.get(open.group) === open) this.#open.delete(open.group);
    if (this.#open.size > 0) return;
    this.#turn?.unsubscribe();
    this.#turn = undefined;
  }

  /** In the next turn, so that owners who were told of one write together bring their next items together. */
  #pumpSoon(): void {
    if (this.#full.length > 0) this.#pump();
    this.#prepareFull();
    if (this.#open.size === 0) return;
    this.#turn ??= this.#scheduler.schedule(() => {
      this.#turn = undefined;
      const reason = this.#draining ? "drain" : this.#expected === 0 ? "idle" : undefined;
      for (const open of this.#open.values()) open.due ??= reason;
      this.#pump();
    });
  }

  #prepareFull(): void {
    if (this.#writer.prepare === undefined) return;
    for (const open of this.#full) {
      if (open.prepared) continue;
      open.prepared = true;
      this.#writer.prepare(closed(open));
    }
  }

  #pump(): void {
    while (this.#inFlight < this.#options.inFlight) {
      const next = this.#full.shift() ?? this.#firstDue();
      if (next === undefined) return;
      this.#leave(next);
      void this.#write(next);
    }
  }

  #firstDue(): Open<T, R> | undefined {
    for (const open of this.#open.values()) if (open.due !== undefined) return open;
    return undefined;
  }

  async #write(open: Open<T, R>): Promise<void> {
    this.#inFlight++;
    const startedMs = this.#scheduler.now();
    await this.#hand(open, (batch) => this.#writer.write(batch));
    this.#rest(this.#scheduler.now() - startedMs);
    this.#inFlight--;
    this.#pumpSoon();
    this.#tellRoom();
    this.#tellEmpty();
  }

  /** What lingers, or has lingered meanwhile, does so until the rest is over. */
  #rest(tookMs: number): void {
    const { rest = 0, lingerMs } = this.#options;
    if (rest === 0) return;
    this.#restUntilMs = this.#scheduler.now() + rest * Math.min(tookMs, lingerMs);
    for (const open of this.#open.values()) {
      if (open.due !== "linger") continue;
      open.due = undefined;
      this.#linger(open, this.#restUntilMs - this.#scheduler.now());
    }
  }

  /** Batches leave memory, oldest first, until what stays is within it. */
  #overflowSurplus(): void {
    if (this.#writer.overflow === undefined) return;
    while (this.#pendingBytes - this.#overflowingBytes > this.#options.memoryBytes) {
      const next = this.#full.shift() ?? this.#largest();
      if (next === undefined) return;
      this.#leave(next);
      next.due = "overflow";
      void this.#overflow(next);
    }
  }

  #largest(): Open<T, R> | undefined {
    let largest: Open<T, R> | undefined;
    for (const open of this.#open.values()) if (open.bytes > (largest?.bytes ?? 0)) largest = open;
    return largest;
  }

  async #overflow(open: Open<T, R>): Promise<void> {
    this.#overflowing++;
    this.#overflowingBytes += open.bytes;
    await this.#hand(open, (batch) => this.#writer.overflow!(batch));
    this.#overflowing--;
    this.#overflowingBytes -= open.bytes;
    this.#tellRoom();
    this.#tellEmpty();
  }

  /** Resolves when the batch has left memory; its owners learn what became of it, and are all that is kept for that. */
  async #hand(open: Open<T, R>, put: (batch: Batch<T>) => Written<R>): Promise<void> {
    const { owners } = open;
    const { taken, durable } = put(closed(open));
    durable.then(
      (result) => owners.forEach((owner) => owner.resolve(result)),
      (error) => owners.forEach((owner) => owner.reject(error)),
    );
    try {
      await taken;
    } catch (error) {
      for (const owner of owners) owner.reject(error);
    }
    this.#release(open.bytes);
  }

  #release(bytes: number): void {
    this.#pendingBytes -= bytes;
    this.#writer.released?.();
  }

  /** Where a write has taken the place of the last one, in the next turn: it goes out before owners are busy again. */
  #tellRoom(): void {
    if (this.#rooms.length === 0 || this.#pendingBytes > this.#options.memoryBytes) return;
    const rooms = this.#rooms;
    this.#rooms = [];
    const tell = () => rooms.forEach((resolve) => resolve());
    if (this.#inFlight === 0) tell();
    else this.#scheduler.schedule(tell);
  }

  #tellEmpty(): void {
    if (!this.#idle) return;
    const empties = this.#empties;
    this.#empties = [];
    for (const resolve of empties) resolve();
  }
}

function closed<T, R>(open: Open<T, R>): Batch<T> {
  return {
    group: open.group,
    items: open.items,
    rows: open.rows,
    bytes: open.bytes,
    reason: open.due ?? "drain",
  };
}
