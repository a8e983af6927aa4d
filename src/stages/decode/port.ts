/**
 * The shapes on both sides of decode: what it is told about a reply, and the columns, frames and proof that leave it.
 *
 * Columns are views into the decoder's WebAssembly memory, laid out as ClickHouse's Native format wants them. They are
 * valid only during the callback that hands them over: whoever wants to keep them copies them.
 */
import type { Fork } from "../../ethereum/forks.ts";
import type { ClientFlags } from "../../ethereum/clients.ts";

/** A JSON object as the node answered it (`eth_getTransactionByHash`, a receipt, a block header). */
export type JsonObject = { readonly [member: string]: unknown };

/** What is known of one transaction besides its trace. What is absent makes the verdict `unproved`, with the reason. */
export interface TransactionContext {
  /** The transaction as `eth_getTransactionByHash` answers it. */
  readonly transaction?: JsonObject;
  /** Its receipt as `eth_getTransactionReceipt` answers it. */
  readonly receipt?: JsonObject;
}

/** What is known of one reply before its first byte. */
export interface ReplyContext {
  /** `transaction`: one `debug_traceTransaction` result. `block`: the array of `debug_traceBlockByHash`. */
  readonly shape: "transaction" | "block";
  /** How this client prints traces. */
  readonly flags: ClientFlags;
  /** Rules of the block, `undefined` when no source knows them (verdict `unproved`). */
  readonly fork?: Fork;
  /** Chain id of EIP-155, needed for authorisations (EIP-7702). */
  readonly chainId?: number;
  /** Header of the block as `eth_getBlockByHash` answers it (`miner` is warm from Shanghai on). */
  readonly block?: JsonObject;
  /** One entry per transaction that the reply holds, in its order. */
  readonly transactions: readonly TransactionContext[];
}

/** A column of `Nullable(String)`: `nulls` is 1 where null; `bytes` holds varint length and bytes of each row (0 where null). */
export interface NullableStrings {
  readonly nulls: Uint8Array;
  readonly bytes: Uint8Array;
}

/**
 * Structlog rows of one transaction (TRACE 10). 64-bit columns are `Uint32Array`s of two lanes a row, low lane first.
 * Rows leave out of index order: a call follows its callee.
 */
export interface StructlogColumns {
  readonly rows: number;
  readonly index: Uint32Array;
  readonly programCounter: Uint32Array;
  /** Position in {@linkcode TraceSink.structlogs}'s `operations`. */
  readonly operation: Uint16Array;
  readonly gas: Uint32Array;
  readonly gasCost: Uint32Array;
  readonly gasUsed: Uint32Array;
  readonly gasSelf: Uint32Array;
  readonly depth: Uint16Array;
  readonly refundNulls: Uint8Array;
  readonly refund: Uint32Array;
  readonly returnData: NullableStrings;
  readonly error: NullableStrings;
  readonly callToAddress: NullableStrings;
  readonly callFrameId: Uint32Array;
  /** Cumulative ends of the paths in `callFramePath`, two lanes a row, relative to these columns. */
  readonly callFramePathEnds: Uint32Array;
  readonly callFramePath: Uint32Array;
}

/** Aggregate rows of one transaction (TRACE 9): a summary row per frame and a row per (frame, opcode). */
export interface FrameColumns {
  readonly rows: number;
  readonly callFrameId: Uint32Array;
  readonly parentNulls: Uint8Array;
  readonly parentCallFrameId: Uint32Array;
  readonly callFramePathEnds: Uint32Array;
  readonly callFramePath: Uint32Array;
  readonly depth: Uint32Array;
  readonly targetAddress: NullableStrings;
  /** Position in `operations`; {@linkcode NO_OPERATION} is the empty text. */
  readonly callType: Uint16Array;
  /** Position in `operations`; {@linkcode NO_OPERATION} is the empty text of a summary row. */
  readonly operation: Uint16Array;
  readonly opcodeCount: Uint32Array;
  readonly errorCount: Uint32Array;
  readonly gas: Uint32Array;
  readonly gasCumulative: Uint32Array;
  readonly minDepth: Uint32Array;
  readonly maxDepth: Uint32Array;
  readonly memoryWordsSumBefore: Uint32Array;
  readonly memoryWordsSumAfter: Uint32Array;
  readonly memoryWordsSqSumBefore: Uint32Array;
  readonly memoryWordsSqSumAfter: Uint32Array;
  readonly memoryExpansionGas: Uint32Array;
  readonly coldAccessCount: Uint32Array;
  readonly gasRefundNulls: Uint8Array;
  readonly gasRefund: Uint32Array;
  readonly intrinsicGasNulls: Uint8Array;
  readonly intrinsicGas: Uint32Array;
}

/** `operations[NO_OPERATION]` is the empty text. 0..255 are the EVM's bytes; what lies above are names of undefined opcodes and `UNKNOWN`. */
export const NO_OPERATION = 256;

/** Verdict of the gas-closure proof (TRACE 8.6). */
export type Verdict = "proved" | "bounded" | "unproved" | "violated";

/** One identity that does not hold. */
export interface Violation {
  /** `N1 … V1`, TRACE 8.1 and 8.2. */
  readonly identity: string;
  readonly detail: string;
  /** Index of the structlog at which it was seen. */
  readonly index?: number;
}

/** The proof record of one transaction (TRACE 8.6). Gas values are exact below 2^53 and `bigint` above. */
export interface ProofRecord {
  readonly verdict: Verdict;
  /** First violated identity, empty otherwise. */
  readonly identity: string;
  readonly detail: string;
  readonly violations: readonly Violation[];
  readonly outcome: string;
  readonly intrinsicGas: number | bigint;
  readonly floorGas: number | bigint;
  readonly rootGas: number | bigint;
  readonly codeDepositGas: number | bigint;
  readonly refundCounter?: number | bigint;
  readonly refundSource: "node" | "operands" | "interval";
  readonly refundApplied: number | bigint;
  readonly gasUsed: number | bigint;
  readonly rows: number;
  readonly frames: number;
  readonly accessMismatch: Readonly<Record<string, number>>;
  readonly notes: readonly string[];
  /** Top-level `returnValue`: lower-case hex without 0x, absent when empty. */
  readonly returnValue?: string;
  /** Top-level `failed`, absent when the reply does not say. */
  readonly failed?: boolean;
  /** TRACE 11. */
  readonly executionGasUsed?: number | bigint;
  readonly stateGasUsed?: number | bigint;
  readonly finalRefund?: number | bigint;
  /** Rows that left in the aggregate table. */
  readonly aggregateRows: number;
  /** Sum over the rows, modulo 2^64, of the hash of the stored cells that `encode` defines. */
  readonly structlogChecksum: bigint;
  readonly aggregateChecksum: bigint;
  /** Offset in the reply at which this transaction's result begins. */
  readonly offset: number;
  /** Bytes of that result. */
  readonly bytes: number;
  /** `result.txHash` of a block reply, where the client prints it. */
  readonly transactionHash?: string;
}

/** Where decode puts what it finds. Calls are synchronous and in the order of the reply. */
export interface TraceSink {
  /**
   * `position` is that of the transaction in {@linkcode ReplyContext.transactions}. The list of operations may be kept: it
   * never changes, another name makes a longer list.
   */
  structlogs(position: number, columns: StructlogColumns, operations: readonly string[]): void;
  frames(position: number, columns: FrameColumns, operations: readonly string[]): void;
  /**
   * The top-level `returnValue`, as soon as it is read: lower-case hex without 0x, `undefined` when empty. Some clients
   * print it before the structlogs and some after them. The record has it in any case.
   */
  returnValue(position: number, hex: string | undefined): void;
  /** All rows of this transaction have left. */
  finished(position: number, record: ProofRecord): void;
}

/** Decodes one reply after the other with one WebAssembly instance. Not reentrant: one per lane. */
export interface TraceDecoder {
  /** Begins a reply; drops what an earlier one left behind. */
  begin(context: ReplyContext, sink: TraceSink): void;
  /**
   * The next bytes of the reply, any number of them.
   *
   * @throws {MalformedReplyError} with byte offset, what was expected, and how far rows had got.
   */
  push(bytes: Uint8Array): void;
  /** The reply has ended. @throws {MalformedReplyError} when the document has not. */
  end(): void;
  /** Figures of the reply so far, for progress and for the share that the scanner took. */
  readonly progress: { readonly bytes: number; readonly fastBytes: number; readonly structlogs: number };
}
