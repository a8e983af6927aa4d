/** Runs replies through the real decoder and keeps what leaves it, for tests. */
import { clientFlags } from "../../../src/ethereum/clients.ts";
import { forkByName } from "../../../src/ethereum/forks.ts";
import { frameLines, structlogLines } from "../../../src/cli/ndjson.ts";
import type {
  FrameColumns,
  JsonObject,
  ProofRecord,
  ReplyContext,
  StructlogColumns,
  TraceDecoder,
  TraceSink,
} from "../../../src/stages/decode/port.ts";
import type { VectorMeta } from "../../fixtures/vectors.ts";
import type { ComparedProof, ComparedRow } from "../../reference/compare.ts";

/** Everything that belongs to one reply. */
export interface Case {
  readonly transaction: JsonObject;
  readonly receipt: JsonObject;
  readonly block: JsonObject;
  readonly meta: Pick<VectorMeta, "client" | "fork" | "chain_id" | "network">;
}

/** What the decoder is told of a case. */
export function contextOf({ transaction, receipt, block, meta }: Case): ReplyContext {
  const fork = forkByName(meta.fork);
  if (fork === undefined) throw new Error(`Cannot read "${meta.fork}" as a fork`);
  return {
    shape: "transaction",
    flags: clientFlags(meta.client),
    fork,
    chainId: meta.chain_id,
    block,
    transactions: [{ transaction, receipt }],
  };
}

/** Decodes `pieces`, which together are one reply. */
export function decodeInto(
  decoder: TraceDecoder,
  context: ReplyContext,
  pieces: Iterable<Uint8Array>,
  sink: TraceSink,
): void {
  decoder.begin(context, sink);
  for (const piece of pieces) decoder.push(piece);
  decoder.end();
}

/** Rows as NDJSON and the record, as they left the decoder. */
export class Collected implements TraceSink {
  record: ProofRecord | undefined;
  #structlog = "";
  #agg = "";

  structlogs(_position: number, columns: StructlogColumns, operations: readonly string[]): void {
    for (const bytes of structlogLines(columns, operations, new Map(), new Set())) this.#structlog += text(bytes);
  }

  frames(_position: number, columns: FrameColumns, operations: readonly string[]): void {
    for (const bytes of frameLines(columns, operations, new Map(), new Set())) this.#agg += text(bytes);
  }

  returnValue(): void {}

  finished(_position: number, record: ProofRecord): void {
    this.record = record;
  }

  /** All lines, for comparing two runs. */
  get lines(): string {
    return this.#structlog + this.#agg;
  }

  rows(table: "structlog" | "agg"): ComparedRow[] {
    const lines = table === "structlog" ? this.#structlog : this.#agg;
    return lines.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
  }

  get proof(): ComparedProof {
    const record = this.record!;
    return {
      ...record,
      intrinsic_gas: record.intrinsicGas,
      gas_used: record.gasUsed,
      refund_applied: record.refundCounter === undefined ? null : record.refundApplied,
      root_gas: record.rootGas,
      identities: record.violations.map(({ identity }) => identity),
    };
  }
}

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

/** Cells that are the same in every row, as the command would add them. */
export function constantsOf({ receipt, meta }: Case, record: ProofRecord): ComparedRow {
  return {
    block_number: BigInt(receipt.blockNumber as string),
    transaction_hash: receipt.transactionHash,
    transaction_index: BigInt(receipt.transactionIndex as string),
    transaction_gas: BigInt(receipt.gasUsed as string),
    transaction_failed: receipt.status === undefined ? record.failed : receipt.status === "0x0",
    transaction_return_value: record.returnValue ?? null,
    meta_network_name: meta.network,
    block_hash: receipt.blockHash,
  };
}
