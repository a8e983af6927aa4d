/**
 * What the readers of a reply ask of the semantics: one object per module instance, told of each transaction's beginning,
 * its facts and its end. Its structlogs go through the record in the module's memory.
 */
import type { ReplyContext, TraceSink } from "./port.ts";

/** What a result says about its transaction besides the structlogs, complete at its end. */
export interface ResultFacts {
  /** `structLogs` was there (TRACE 8.1, N2). */
  readonly structLogs: boolean;
  readonly failed?: boolean;
  readonly gas?: bigint;
  /** An `error` member inside the result (N1): its text, or the JSON of what is none. */
  readonly error?: string;
  readonly errorCode?: string;
  /** TRACE 11. */
  readonly executionGasUsed?: bigint;
  readonly stateGasUsed?: bigint;
  readonly finalRefund?: bigint;
  /** Lower-case hex without 0x; absent when empty. */
  readonly returnValue?: string;
  /** Offset of the result in the reply, and its bytes. */
  readonly offset: number;
  readonly bytes: number;
  /** As a block's item prints it. */
  readonly transactionHash?: string;
}

/** The semantics of one module instance, on the side of TypeScript. */
export interface TraceMeaning {
  /** What the module imports. */
  readonly imports: WebAssembly.Imports;
  /** The module is there. Called once. */
  attach(exports: WebAssembly.Exports): void;
  /** A reply begins. Drops what an earlier one left behind, a half-read trace too. */
  begin(context: ReplyContext, sink: TraceSink): void;
  /** `position` in {@linkcode ReplyContext.transactions}. */
  beginTransaction(position: number): void;
  /** As soon as it is read, before or after the structlogs; `undefined` is empty. The last one counts. */
  returnValue(hex: string | undefined): void;
  endTransaction(facts: ResultFacts): void;
}
