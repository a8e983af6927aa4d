/** How the reading of a reply ends when it holds no trace. */
import { PipelineError } from "../../errors.ts";

/** Where a reply stops being a trace. */
export interface MalformedReplyDetail {
  /** Bytes from the reply's start to the one that does not fit; the reply's length where it ends early. */
  readonly offset: number;
  /** What would have fitted. */
  readonly expected: string;
  /** What stands there. */
  readonly found: string;
  /** Structlogs read so far, of all transactions of the reply. */
  readonly structlogs: number;
  /** Position in the reply of the transaction that was being read. */
  readonly transaction: number;
}

/** The reply is no JSON, ends early, or is JSON and no trace. Another node, or the same one later, may answer well. */
export class MalformedReplyError extends PipelineError implements MalformedReplyDetail {
  readonly code = "malformed_reply";
  readonly disposition = "retry";
  readonly offset: number;
  readonly expected: string;
  readonly found: string;
  readonly structlogs: number;
  readonly transaction: number;

  constructor(detail: MalformedReplyDetail) {
    super(
      `Cannot read the reply as a trace: expected ${detail.expected} at byte ${detail.offset}, current value is ` +
        `${detail.found}, after ${detail.structlogs} structlogs (transaction ${detail.transaction} of the reply)`,
    );
    this.offset = detail.offset;
    this.expected = detail.expected;
    this.found = detail.found;
    this.structlogs = detail.structlogs;
    this.transaction = detail.transaction;
  }
}

/** What a node said instead of a trace. */
export interface ReplyErrorDetail {
  /** There is no error member: the result is `null`. */
  readonly absent: boolean;
  /** JSON-RPC error code. */
  readonly rpcCode: number | undefined;
  readonly rpcMessage: string;
  /** The error's `data`: text as it is, anything else as JSON. */
  readonly rpcData: string | undefined;
  /** The beginning of the error member, at most {@linkcode RAW_ERROR_BYTES}. */
  readonly raw: Uint8Array;
  /** Position of the transaction that it is about; absent when it is about the whole reply. */
  readonly transaction: number | undefined;
}

/** How much of an error member is kept. */
export const RAW_ERROR_BYTES = 1024;

/**
 * The reply is an error of the node, or a `null` result. What it means depends on client and text: `rpc/` classifies it.
 * The disposition is that of an error which nobody classified.
 */
export class ReplyError extends PipelineError implements ReplyErrorDetail {
  readonly code = "trace_refused";
  readonly disposition = "retry";
  readonly absent: boolean;
  readonly rpcCode: number | undefined;
  readonly rpcMessage: string;
  readonly rpcData: string | undefined;
  readonly raw: Uint8Array;
  readonly transaction: number | undefined;

  constructor(detail: ReplyErrorDetail) {
    super(
      `Cannot read the reply as a trace: current value is error ${detail.rpcCode ?? "without code"}, ` +
        JSON.stringify(detail.rpcMessage),
    );
    this.absent = detail.absent;
    this.rpcCode = detail.rpcCode;
    this.rpcMessage = detail.rpcMessage;
    this.rpcData = detail.rpcData;
    this.raw = detail.raw;
    this.transaction = detail.transaction;
  }
}
