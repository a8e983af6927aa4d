/**
 * Drives the two readers of a reply: copies its bytes into the module's memory in slices, lets the scanner take what it
 * takes, and gives the rest to the general reader. Memory, module and buffers are kept from reply to reply.
 */
import { INPUT, INPUT_BYTES, SCANNED, STOP_END, STOP_MORE, STOP_REASON } from "../../../wasm/memory.ts";
import { TraceDocument } from "./document.ts";
import type { TraceMeaning } from "./meaning.ts";
import type { DecodeExports } from "./module.ts";
import type { ReplyContext, TraceDecoder, TraceSink } from "./port.ts";
import { StructlogRecord } from "./structlog.ts";

/** How a decoder reads. Production has one way, {@linkcode READING}; tests choose. */
export interface Reading {
  /** Bytes that are waited for before any are looked at. */
  readonly sliceBytes: number;
  /** Whether the scanner may read; without it the general reader reads everything. */
  readonly scan: boolean;
}

/** The most that a decoder holds and has not read: it may be that far behind what was pushed. */
export const MAX_UNREAD_BYTES = INPUT_BYTES;

/** Slices that stay in the processor's second-level cache. */
export const READING: Reading = { sliceBytes: 128 * 1024, scan: true };

/** The decoder of one module instance. */
export class ReplyDecoder implements TraceDecoder {
  readonly #reading: Reading;
  readonly #meaning: TraceMeaning;
  readonly #exports: DecodeExports;
  readonly #input: Uint8Array;
  readonly #report: DataView;
  readonly #document: TraceDocument;
  /** Bytes of the input region in use. */
  #filled = 0;
  /** Bytes of the region at which it is read. */
  #readAt = 0;
  /** Offset in the reply of the region's first byte. */
  #base = 0;
  #fastBytes = 0;

  constructor(reading: Reading, meaning: TraceMeaning, exports: DecodeExports) {
    this.#reading = reading;
    this.#meaning = meaning;
    this.#exports = exports;
    const memory = exports.memory.buffer;
    this.#input = new Uint8Array(memory, INPUT, INPUT_BYTES);
    this.#report = new DataView(memory);
    this.#document = new TraceDocument(new StructlogRecord(memory), {
      beginTransaction: (position) => meaning.beginTransaction(position),
      returnValue: (hex) => meaning.returnValue(hex),
      structlog: () => exports.structlog(),
      endTransaction: (facts) => meaning.endTransaction(facts),
    });
  }

  begin(context: ReplyContext, sink: TraceSink): void {
    this.#filled = 0;
    this.#readAt = this.#reading.sliceBytes;
    this.#base = 0;
    this.#fastBytes = 0;
    this.#document.begin(context, this.#reading.scan);
    this.#meaning.begin(context, sink);
  }

  push(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length) {
      const taken = Math.min(bytes.length - at, this.#readAt - this.#filled);
      this.#input.set(taken === bytes.length ? bytes : bytes.subarray(at, at + taken), this.#filled);
      this.#filled += taken;
      at += taken;
      if (this.#filled === this.#readAt) this.#read(false);
    }
  }

  end(): void {
    this.#read(true);
    this.#document.end(this.#input, this.#filled, this.#base);
  }

  get progress(): { readonly bytes: number; readonly fastBytes: number; readonly structlogs: number } {
    return { bytes: this.#base + this.#filled, fastBytes: this.#fastBytes, structlogs: this.#document.structlogs };
  }

  /** Reads the region, but for the beginning of a structlog that the scanner wants to see whole. */
  #read(isLast: boolean): void {
    let at = 0;
    while (at < this.#filled) {
      if (this.#document.paused) {
        const { next, waits } = this.#scan(at);
        at = next;
        if (waits && !isLast && this.#filled - at <= INPUT_BYTES / 2) break;
        if (!this.#document.paused) continue;
      }
      at = this.#document.read(this.#input, at, this.#filled, this.#base);
    }
    this.#keep(at);
  }

  /** Lets the scanner read from `at`. `waits`: it would take the next structlog if it saw more. */
  #scan(at: number): { readonly next: number; readonly waits: boolean } {
    const next = this.#exports.scan(INPUT + at, INPUT + this.#filled) - INPUT;
    const reason = this.#report.getUint32(STOP_REASON, true);
    this.#fastBytes += next - at;
    this.#document.scanned(
      this.#report.getUint32(SCANNED, true),
      reason === STOP_END,
      this.#input,
      next,
      this.#base,
    );
    return { next, waits: reason === STOP_MORE };
  }

  /** Moves what was not read to the region's start. More is read once there is a slice more, or twice as much. */
  #keep(from: number): void {
    const left = this.#filled - from;
    if (left > 0) this.#input.copyWithin(0, from, this.#filled);
    this.#filled = left;
    this.#base += from;
    this.#readAt = Math.min(INPUT_BYTES, left + Math.max(left, this.#reading.sliceBytes));
  }
}
