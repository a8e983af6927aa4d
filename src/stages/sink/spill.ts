/**
 * The write-ahead directory: operations that storage cannot take now are appended and fsynced, and replayed in order
 * when it can, after a restart too. Two tasks run side by side: one writes groups of appends, one reads them back.
 */
import { PipelineError } from "../../errors.ts";
import { emit } from "../../telemetry/emit.ts";
import { pause } from "../../flow/pause.ts";
import { unlessAborted } from "../../flow/unless_aborted.ts";
import { Endpoint } from "./endpoint.ts";
import {
  SinkClosedError,
  SpillDamagedError,
  SpillFormatError,
  SpillFullError,
  StorageUnavailableError,
} from "./errors.ts";
import type { AttemptKey, BreakerOptions, RetryOptions, Spilled, SpillOperation, SpillPort, Storage } from "./port.ts";
import { attemptName, replay } from "./replay.ts";
import { encodeRecord, MAGIC } from "./spill_format.ts";
import {
  isSegment,
  readAt,
  readSegment,
  type SegmentEntry,
  segmentName,
  segmentNames,
  segmentNumber,
} from "./spill_segment.ts";

/** Options of the spill. No defaults here: see the configuration's schema. */
export interface SpillOptions {
  /** Name of the isolate: a label of its breaker's gauge. */
  readonly isolate: string;
  readonly directory: string;
  /** Bytes on disk beyond which nothing is taken. */
  readonly maxBytes: number;
  /** A segment of this many bytes is followed by the next one. */
  readonly segmentBytes: number;
  /** Wait before a full disk, or a storage that is set up wrongly, is tried again, in milliseconds. */
  readonly recheckMs: number;
  /** Patience of the replay: its own, so that it does not wait behind other operations. */
  readonly retry: RetryOptions;
  readonly breaker: BreakerOptions;
}

/** The spill of a process. */
export interface Spill extends SpillPort, AsyncDisposable {
  /** Begins to replay what is there; without it the spill only takes. */
  start(): void;
}

/** Full is full until a fifth is free again, so that claiming does not flutter. */
const REOPEN_SHARE = 0.8;
/** What must fit on a disk that was full before it counts as having room. */
const PROBE_BYTES = 1 << 20;
/** Refused attempts that are remembered, newest ones; a record of an older one is caught by verification. */
const REFUSED_ATTEMPTS = 10_000;

/**
 * Opens the directory, made if missing, for this process alone. What an earlier process left waits to be replayed.
 *
 * @throws {SpillFormatError} it cannot be made or written, or another process has it open.
 */
export async function openSpill(options: SpillOptions, storage: Storage): Promise<Spill> {
  const lock = await openLock(options.directory);
  try {
    if (!await lock.tryLock(true)) {
      throw new SpillFormatError(
        `Cannot open the spill directory ${options.directory}: another process has it open; end that one, or give this one a directory of its own (sink.spill.directory)`,
      );
    }
    const left: SegmentState[] = [];
    for (const name of await segmentNames(options.directory)) {
      const { size } = await Deno.stat(`${options.directory}/${name}`);
      left.push({ number: segmentNumber(name), end: size, writing: false });
    }
    return new DirectorySpill(options, storage, lock, left);
  } catch (error) {
    lock.close();
    throw error;
  }
}

async function openLock(directory: string): Promise<Deno.FsFile> {
  try {
    await Deno.mkdir(`${directory}/quarantine`, { recursive: true });
    return await Deno.open(`${directory}/lock`, { create: true, write: true });
  } catch (error) {
    throw new SpillFormatError(
      `Cannot use the spill directory ${directory}: ${
        textOf(error)
      }; choose one that can be written (sink.spill.directory)`,
      { cause: error },
    );
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** One segment file. */
interface SegmentState {
  readonly number: number;
  /** Bytes that are fsynced. */
  end: number;
  /** Appends may follow. */
  writing: boolean;
}

interface Append {
  readonly operation: SpillOperation;
  readonly spilled: PromiseWithResolvers<void>;
  readonly durable: PromiseWithResolvers<void>;
}

class DirectorySpill implements Spill {
  readonly #options: SpillOptions;
  readonly #storage: Storage;
  readonly #endpoint: Endpoint;
  readonly #lock: Deno.FsFile;
  /** Oldest first; the last one may be the one being written. */
  readonly #segments: SegmentState[];
  readonly #closing = new AbortController();
  /** Owners that wait for the replay, by segment and offset. What they wait for is on disk, and no longer here. */
  readonly #owners = new Map<string, Append["durable"]>();
  /** Attempts of rows that storage refused, by name: their records would publish what is not there. */
  readonly #refused = new Set<string>();
  #queue: Append[] = [];
  #writing: Promise<void> | undefined;
  #rechecking: Promise<void> | undefined;
  #replaying: Promise<void> | undefined;
  #file: Deno.FsFile | undefined;
  #nextNumber: number;
  /** Of the oldest segment: everything before is replayed. */
  #replayed = 0;
  #backlogBytes = 0;
  #full: string | undefined;
  /** The last try of the replay met an outage. */
  #away = false;
  #changes = Promise.withResolvers<void>();

  constructor(
    options: SpillOptions,
    storage: Storage,
    lock: Deno.FsFile,
    left: SegmentState[],
  ) {
    this.#options = options;
    this.#storage = storage;
    const { retry, breaker } = options;
    this.#endpoint = new Endpoint({
      name: `${storage.endpoint} replay`,
      isolate: options.isolate,
      retry,
      breaker,
      now: Date.now,
      random: Math.random,
    });
    this.#lock = lock;
    this.#segments = left;
    this.#nextNumber = (left.at(-1)?.number ?? 0) + 1;
    this.#backlogBytes = left.reduce((sum, segment) => sum + segment.end, 0);
    this.#told();
  }

  get backlogBytes(): number {
    return this.#backlogBytes;
  }

  append(operation: SpillOperation): Spilled {
    const append = { operation, spilled: Promise.withResolvers<void>(), durable: Promise.withResolvers<void>() };
    // Owners may look at one of the two only.
    append.spilled.promise.catch(() => {});
    append.durable.promise.catch(() => {});
    if (this.#closing.signal.aborted) this.#refuse(append, new SinkClosedError("Cannot spill: the spill is closed"));
    else {
      this.#queue.push(append);
      this.#writing ??= this.#writeQueue().finally(() => {
        this.#writing = undefined;
        this.#told();
      });
    }
    return { spilled: append.spilled.promise, durable: append.durable.promise };
  }

  start(): void {
    this.#replaying ??= this.#replayAll();
  }

  async drained(signal: AbortSignal): Promise<void> {
    while (!this.#empty) await this.#changed(signal);
  }

  async drainedOrAway(signal: AbortSignal): Promise<void> {
    while (!this.#empty && !this.#away) await this.#changed(signal);
  }

  async room(signal: AbortSignal): Promise<void> {
    while (this.#full !== undefined) {
      signal.throwIfAborted();
      this.#rechecking ??= this.#recheck().finally(() => this.#rechecking = undefined);
      await this.#rechecking;
      if (this.#full !== undefined) await pause(this.#options.recheckMs, signal);
    }
    signal.throwIfAborted();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(new SinkClosedError("Cannot replay further: the spill is closed"));
    await this.#writing;
    await this.#replaying;
    await this.#rechecking;
    for (const owner of this.#owners.values()) owner.reject(this.#closing.signal.reason);
    this.#file?.close();
    this.#lock.close();
  }

  get #empty(): boolean {
    return this.#segments.length === 0 && this.#writing === undefined;
  }

  // Writing.

  async #writeQueue(): Promise<void> {
    while (this.#queue.length > 0) {
      const group = this.#queue;
      this.#queue = [];
      await this.#writeGroup(group);
    }
  }

  /** Writes a group of appends with one fsync. What does not fit is refused, never half kept. */
  async #writeGroup(group: readonly Append[]): Promise<void> {
    const startedMs = performance.now();
    const taken: { append: Append; offset: number; bytes: number }[] = [];
    let segment: SegmentState | undefined;
    let end = 0;
    try {
      segment = await this.#openSegment();
      end = segment.end;
      for (const append of group) {
        const pieces = encodeRecord(append.operation);
        const bytes = pieces.reduce((sum, piece) => sum + piece.length, 0);
        if (this.#backlogBytes + (end - segment.end) + bytes > this.#options.maxBytes) {
          this.#refuse(append, this.#becomeFull(`its bound is ${this.#options.maxBytes} bytes`));
          continue;
        }
        for (const piece of pieces) await writeAll(this.#file!, piece);
        taken.push({ append, offset: end, bytes });
        end += bytes;
      }
      await this.#file!.syncData();
    } catch (error) {
      await this.#undo(segment);
      for (const append of group) this.#refuse(append, this.#becomeFull(textOf(error)));
      return;
    }
    const seconds = (performance.now() - startedMs) / 1000;
    this.#backlogBytes += end - segment.end;
    segment.end = end;
    for (const { append, offset, bytes } of taken) {
      this.#owners.set(`${segment.number}:${offset}`, append.durable);
      append.spilled.resolve();
      emit({ kind: "spill_appended", operation: append.operation.kind, bytes, seconds });
    }
    this.#told();
  }

  /** The segment to append to, a new one where the last is long enough or being given up. */
  async #openSegment(): Promise<SegmentState> {
    const last = this.#segments.at(-1);
    if (last?.writing && last.end < this.#options.segmentBytes) return last;
    if (last?.writing) this.#seal(last);
    const segment: SegmentState = { number: this.#nextNumber++, end: MAGIC.length, writing: true };
    const path = this.#pathOf(segment);
    const file = await Deno.open(path, { createNew: true, write: true });
    try {
      await writeAll(file, MAGIC);
      await file.sync();
      await syncDirectory(this.#options.directory);
    } catch (error) {
      file.close();
      await Deno.remove(path).catch(() => {});
      throw error;
    }
    this.#file = file;
    this.#segments.push(segment);
    this.#backlogBytes += MAGIC.length;
    return segment;
  }

  #seal(segment: SegmentState): void {
    segment.writing = false;
    this.#file?.close();
    this.#file = undefined;
  }

  /** Cuts off what was not acknowledged. If even that fails, the next open finds a torn tail. */
  async #undo(segment: SegmentState | undefined): Promise<void> {
    if (segment === undefined) return;
    try {
      await this.#file?.truncate(segment.end);
      await this.#file?.seek(segment.end, Deno.SeekMode.Start);
    } catch {
      this.#seal(segment);
    }
  }

  #becomeFull(why: string): SpillFullError {
    const error = new SpillFullError(`Cannot write to the spill directory ${this.#options.directory}: ${why}`);
    if (this.#full === undefined) emit({ kind: "spill_full", bytes: this.#backlogBytes, error: error.message });
    this.#full = why;
    return error;
  }

  #refuse(append: Append, error: PipelineError): void {
    append.spilled.reject(error);
    append.durable.reject(error);
  }

  /** One at a time: two probes would write into one file. */
  async #recheck(): Promise<void> {
    if (this.#backlogBytes > this.#options.maxBytes * REOPEN_SHARE || !await this.#diskHasRoom()) return;
    this.#full = undefined;
    emit({ kind: "spill_has_room", bytes: this.#backlogBytes });
  }

  async #diskHasRoom(): Promise<boolean> {
    const path = `${this.#options.directory}/probe`;
    try {
      using file = await Deno.open(path, { create: true, write: true, truncate: true });
      await writeAll(file, new Uint8Array(PROBE_BYTES));
      await file.syncData();
      return true;
    } catch {
      return false;
    } finally {
      await Deno.remove(path).catch(() => {});
    }
  }

  // Replaying.

  /** What the disk does not give now it may give later: nothing here ends the process. */
  async #replayAll(): Promise<void> {
    const { signal } = this.#closing;
    let told: string | undefined;
    while (!signal.aborted) {
      try {
        await this.#replayNext(signal);
        told = undefined;
      } catch (error) {
        if (signal.aborted) return;
        const text = `Cannot replay the spill in ${this.#options.directory}: ${textOf(error)}`;
        if (text !== told) emit({ kind: "spill_stuck", error: text });
        told = text;
        await pause(this.#options.recheckMs, signal);
      }
    }
  }

  async #replayNext(signal: AbortSignal): Promise<void> {
    const segment = this.#segments[0];
    if (segment === undefined || segment.end === this.#replayed && segment.writing && this.#writing !== undefined) {
      await this.#changed(signal);
    } else if (segment.end === this.#replayed) {
      await this.#removeSegment(segment);
    } else {
      await this.#replaySegment(segment, signal);
    }
  }

  /** Replays what is fsynced of the segment by now; appends may go on meanwhile. */
  async #replaySegment(segment: SegmentState, signal: AbortSignal): Promise<void> {
    const { end } = segment;
    using file = await Deno.open(this.#pathOf(segment), { read: true });
    if (this.#replayed === 0 && !await isSegment(file)) return await this.#quarantineSegment(segment);
    for await (const entry of readSegment(file, this.#replayed, end)) {
      await this.#replayEntry(segment, file, entry, signal);
      this.#advance(entry.end);
    }
    // A segment without records is its magic alone.
    this.#advance(end);
  }

  #advance(end: number): void {
    this.#backlogBytes -= end - this.#replayed;
    this.#replayed = end;
    this.#told();
  }

  async #replayEntry(
    segment: SegmentState,
    file: Deno.FsFile,
    entry: SegmentEntry,
    signal: AbortSignal,
  ): Promise<void> {
    const name = segmentName(segment.number);
    const bytes = entry.end - entry.offset;
    if (entry.kind === "torn") return emit({ kind: "spill_tail_cut", segment: name, bytes });
    if (entry.kind === "damaged") {
      await this.#quarantine(segment, file, entry, entry.error);
      return this.#tellDamaged(segment, entry.offset, entry.end);
    }
    const place = `${segment.number}:${entry.offset}`;
    const owner = this.#owners.get(place);
    try {
      const { operation } = entry;
      await this.#patiently(operation, signal);
      emit({ kind: "spill_replayed", operation: operation.kind, bytes });
      if (operation.kind === "record") { // the last that is heard of these
        for (const attempt of operation.attempts) this.#refused.delete(attemptName(attempt));
      }
      owner?.resolve();
    } catch (error) {
      if (!(error instanceof PipelineError) || signal.aborted) throw error;
      await this.#quarantine(segment, file, entry, error.message);
      if (entry.operation.kind === "insert") {
        this.#rememberRefused(entry.operation.attempts);
      }
      owner?.reject(error);
    }
    this.#owners.delete(place);
  }

  #rememberRefused(attempts: readonly AttemptKey[]): void {
    for (const attempt of attempts) this.#refused.add(attemptName(attempt));
    for (const oldest of this.#refused) {
      if (this.#refused.size <= REFUSED_ATTEMPTS) break;
      this.#refused.delete(oldest);
    }
  }

  /** Until it is done, or refused for its data. A storage that is set up wrongly may be set right. */
  async #patiently(operation: SpillOperation, signal: AbortSignal): Promise<void> {
    for (;;) {
      try {
        return await this.#endpoint.run((limited) => this.#replayOnce(operation, limited), signal);
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof PipelineError) || error.disposition !== "fatal") throw error;
        await pause(this.#options.recheckMs, signal);
      }
    }
  }

  async #replayOnce(operation: SpillOperation, signal: AbortSignal): Promise<void> {
    const wasAway = this.#away;
    try {
      await replay(operation, this.#storage, this.#refused, signal);
      this.#away = false;
    } catch (error) {
      this.#away = error instanceof StorageUnavailableError;
      throw error;
    } finally {
      if (this.#away !== wasAway) this.#told();
    }
  }

  /** The owners of what cannot be read any more make it again. */
  #tellDamaged(segment: SegmentState, from: number, to: number): void {
    for (const [place, owner] of this.#owners) {
      const [number, offset] = place.split(":").map(Number) as [number, number];
      if (number !== segment.number || offset < from || offset >= to) continue;
      this.#owners.delete(place);
      owner.reject(new SpillDamagedError(`Cannot read ${segmentName(number)} at byte ${offset}: it is damaged`));
    }
  }

  async #quarantine(segment: SegmentState, file: Deno.FsFile, entry: SegmentEntry, error: string): Promise<void> {
    const bytes = await readAt(file, entry.offset, entry.end - entry.offset);
    const path = `${this.#options.directory}/quarantine/${String(segment.number).padStart(10, "0")}-${entry.offset}`;
    await Deno.writeFile(`${path}.record`, bytes);
    await Deno.writeTextFile(`${path}.txt`, `${error}\n`);
    const { offset } = entry;
    emit({ kind: "spill_quarantined", segment: segmentName(segment.number), offset, bytes: bytes.length, error });
  }

  /** The file is not ours to read: it is put aside as a whole. */
  async #quarantineSegment(segment: SegmentState): Promise<void> {
    const name = segmentName(segment.number);
    await Deno.rename(this.#pathOf(segment), `${this.#options.directory}/quarantine/${name}`);
    this.#segments.shift();
    this.#backlogBytes -= segment.end;
    const error = "Cannot read the file as a spill segment: it does not begin with EPSPILL1";
    emit({ kind: "spill_quarantined", segment: name, offset: 0, bytes: segment.end, error });
    this.#tellDamaged(segment, 0, segment.end);
    this.#told();
  }

  async #removeSegment(segment: SegmentState): Promise<void> {
    if (segment.writing) this.#seal(segment);
    await Deno.remove(this.#pathOf(segment));
    this.#segments.shift();
    this.#replayed = 0;
    this.#told();
  }

  #pathOf(segment: SegmentState): string {
    return `${this.#options.directory}/${segmentName(segment.number)}`;
  }

  // Telling.

  #told(): void {
    emit({ kind: "spill_backlog", bytes: this.#backlogBytes, maxBytes: this.#options.maxBytes });
    this.#changes.resolve();
    this.#changes = Promise.withResolvers();
  }

  #changed(signal: AbortSignal): Promise<void> {
    return unlessAborted(this.#changes.promise, signal);
  }
}

/** A file that was just made is there after a power loss only if its directory is synced too. */
async function syncDirectory(path: string): Promise<void> {
  using directory = await Deno.open(path, { read: true });
  await directory.sync();
}

async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
}
