/** Makes Native blocks of both tables from what a decoder gives, each of some ten thousand rows, and drops them. */
import type {
  FrameColumns,
  ProofRecord,
  ReplyContext,
  StructlogColumns,
  TraceSink,
} from "../src/stages/decode/port.ts";
import type { ColumnarEncoder, Part, Segment } from "../src/stages/encode/columnar.ts";
import { structlogEncoder } from "../src/stages/encode/structlog.ts";
import { structlogAggEncoder } from "../src/stages/encode/structlog_agg.ts";
import type { TransactionConstants } from "../src/stages/encode/transaction_constants.ts";

/** Whichever comes first ends a block. */
const BLOCK_ROWS = 100_000;
const BLOCK_BYTES = 4 * 1024 * 1024;

/** Memory of what waits for one block, taken again for the next: as garbage it would outweigh all else. */
class Arena {
  static readonly #CHUNK_BYTES = 4 * 1024 * 1024;
  readonly #chunks: ArrayBuffer[] = [];
  #chunk = -1;
  #at = Arena.#CHUNK_BYTES;

  take(bytes: number): Uint8Array<ArrayBuffer> {
    if (bytes > Arena.#CHUNK_BYTES) return new Uint8Array(bytes);
    if (this.#at + bytes > Arena.#CHUNK_BYTES) {
      this.#chunk++;
      this.#at = 0;
    }
    const chunk = this.#chunks[this.#chunk] ??= new ArrayBuffer(Arena.#CHUNK_BYTES);
    const taken = new Uint8Array(chunk, this.#at, bytes);
    this.#at += bytes;
    return taken;
  }

  reset(): void {
    this.#chunk = -1;
    this.#at = Arena.#CHUNK_BYTES;
  }
}

/** Segments of one table that wait for their block. */
class Waiting<C extends { readonly rows: number }> {
  readonly #encoder: ColumnarEncoder<C, TransactionConstants>;
  readonly #constants: TransactionConstants;
  #parts: { constants: TransactionConstants; segments: Segment[] }[] = [];
  #rows = 0;
  #bytes = 0;
  readonly #allocate: (bytes: number) => Uint8Array<ArrayBuffer>;
  readonly #arena = new Arena();
  sent = 0;

  constructor(
    encoder: ColumnarEncoder<C, TransactionConstants>,
    constants: TransactionConstants,
    allocate: (bytes: number) => Uint8Array<ArrayBuffer>,
  ) {
    this.#encoder = encoder;
    this.#constants = constants;
    this.#allocate = allocate;
  }

  add(columns: C, operations: readonly string[], isNewTransaction: boolean): void {
    const segment = this.#encoder.segment(columns, operations, (bytes) => this.#arena.take(bytes));
    if (isNewTransaction || this.#parts.length === 0) this.#parts.push({ constants: this.#constants, segments: [] });
    this.#parts.at(-1)!.segments.push(segment);
    this.#rows += segment.rows;
    this.#bytes += segment.bytes;
    if (this.#rows >= BLOCK_ROWS || this.#bytes >= BLOCK_BYTES) this.send();
  }

  send(): void {
    if (this.#rows === 0) return;
    const parts: readonly Part<TransactionConstants>[] = this.#parts;
    const { rows } = this.#encoder.block(parts, { allocate: this.#allocate });
    this.sent += rows;
    this.#parts = [];
    this.#rows = 0;
    this.#bytes = 0;
    this.#arena.reset();
  }
}

/** See the module comment. Small transactions share blocks. */
export class NativeSink implements TraceSink {
  record: ProofRecord | undefined;
  readonly #structlogs: Waiting<StructlogColumns>;
  readonly #frames: Waiting<FrameColumns>;
  /** Memory of the last block, which the next one is written into. */
  #memory = new Uint8Array(0);
  #isNew = { structlogs: true, frames: true };

  constructor(context: ReplyContext) {
    const { transaction, receipt } = context.transactions[0]!;
    const constants: TransactionConstants = {
      encodedAt: new Date(0),
      network: "bench",
      blockNumber: Number(transaction!.blockNumber),
      blockHash: transaction!.blockHash as string,
      transactionHash: transaction!.hash as string,
      transactionIndex: 0,
      gasUsed: Number(receipt!.gasUsed),
      failed: false,
      returnValue: undefined,
      rowVersion: 1,
    };
    const allocate = (bytes: number) => {
      if (this.#memory.length < bytes) this.#memory = new Uint8Array(1.25 * bytes);
      return this.#memory;
    };
    this.#structlogs = new Waiting(structlogEncoder, constants, allocate);
    this.#frames = new Waiting(structlogAggEncoder, constants, allocate);
  }

  /** Rows of the blocks made so far. */
  get nativeRows(): number {
    return this.#structlogs.sent + this.#frames.sent;
  }

  structlogs(_position: number, columns: StructlogColumns, operations: readonly string[]): void {
    this.#structlogs.add(columns, operations, this.#isNew.structlogs);
    this.#isNew.structlogs = false;
  }

  frames(_position: number, columns: FrameColumns, operations: readonly string[]): void {
    this.#frames.add(columns, operations, this.#isNew.frames);
    this.#isNew.frames = false;
  }

  returnValue(): void {}

  finished(_position: number, record: ProofRecord): void {
    this.record = record;
    this.#isNew = { structlogs: true, frames: true };
  }

  /** Sends what waits. */
  flush(): void {
    this.#structlogs.send();
    this.#frames.send();
  }
}
