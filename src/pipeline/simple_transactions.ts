/** The processor `transaction_simple`: rows of `execution_transaction` from block and receipts, no trace needed. */
import { bytesOfHex, bytesOfNumber, hexDigits, quantity } from "../ethereum/hex.ts";
import { rlp, type RlpItem } from "../ethereum/rlp.ts";
import { PipelineError } from "../errors.ts";
import { type ExecutionTransactionRow, executionTransactionTable } from "../stages/encode/execution_transaction.ts";
import type { Lease } from "../stages/queue/port.ts";
import type { Sink } from "../stages/sink/port.ts";
import type { FullBlock, JsonObject } from "../stages/source/chain.ts";
import type { BlockCache } from "./block_cache.ts";
import { PRIORITIES } from "./priorities.ts";

/** Gas per blob of EIP-4844. */
const BLOB_GAS = 131_072n;
const READ_WITHIN_MS = 30_000;

/** The node's answer lacks a member that every transaction or receipt has. */
export class TransactionShapeError extends PipelineError {
  readonly code = "transaction_shape";
  readonly disposition = "retry";
}

/** Stores the rows of a task; resolves when they are durable. */
export async function storeTransactions(lease: Lease, blocks: BlockCache, sink: Sink): Promise<void> {
  const { task } = lease;
  const { block, receipts } = await blocks.get(task.blockHash, task.blockNumber, {
    priority: PRIORITIES[task.class],
    withinMs: READ_WITHIN_MS,
    signal: lease.signal,
  });
  const rows: ExecutionTransactionRow[] = [];
  for (let index = task.first; index <= task.last; index++) {
    rows.push(transactionRow(task.network, block, index, receipts[index]!, BigInt(lease.token)));
  }
  if (rows.length > 0) await sink.insertRows(executionTransactionTable, rows);
}

/** One row. @throws {TransactionShapeError} naming the transaction and the member. */
export function transactionRow(
  network: string,
  block: FullBlock,
  index: number,
  receipt: JsonObject,
  rowVersion: bigint,
): ExecutionTransactionRow {
  const transaction = block.transactionJson[index]!;
  const number = (of: JsonObject, member: string): bigint => {
    const value = quantity(of[member]);
    if (value !== undefined) return value;
    throw new TransactionShapeError(
      `Cannot read ${member} of transaction ${transaction["hash"]} as a quantity: current value is ${
        JSON.stringify(of[member])
      }`,
    );
  };
  const type = quantity(transaction["type"]) ?? 0n;
  const dynamic = type >= 2n;
  const tip = dynamic ? number(transaction, "maxPriorityFeePerGas") : undefined;
  const cap = dynamic ? number(transaction, "maxFeePerGas") : undefined;
  const input = hexDigits(transaction["input"]) ?? "";
  const zeroBytes = zeroBytesOf(input);
  const blobHashes = texts(transaction["blobVersionedHashes"]);
  const gasUsed = number(receipt, "gasUsed");
  const gas = number(transaction, "gas");
  const status = quantity(receipt["status"]);
  return {
    updated_date_time: new Date(),
    block_number: BigInt(block.number),
    block_hash: block.hash,
    parent_hash: block.parentHash,
    position: index,
    hash: String(transaction["hash"]).toLowerCase(),
    from: String(transaction["from"]),
    to: typeof transaction["to"] === "string" ? transaction["to"] : undefined,
    nonce: number(transaction, "nonce"),
    gas_price: quantity(receipt["effectiveGasPrice"]) ?? quantity(transaction["gasPrice"]) ??
      effectivePrice(block, cap, tip),
    gas,
    gas_tip_cap: tip,
    gas_fee_cap: cap,
    value: number(transaction, "value"),
    type: Number(type),
    size: encodedSize(transaction, Number(type), input),
    call_data_size: input.length / 2,
    blob_gas: type === 3n ? BLOB_GAS * BigInt(blobHashes.length) : undefined,
    blob_gas_fee_cap: type === 3n ? number(transaction, "maxFeePerBlobGas") : undefined,
    blob_hashes: blobHashes,
    success: status === undefined ? gasUsed < gas : status === 1n,
    n_input_bytes: input.length / 2,
    n_input_zero_bytes: zeroBytes,
    n_input_nonzero_bytes: input.length / 2 - zeroBytes,
    meta_network_name: network,
    gas_used: gasUsed,
    row_version: rowVersion,
  };
}

function effectivePrice(block: FullBlock, cap: bigint | undefined, tip: bigint | undefined): bigint {
  const base = quantity(block.json["baseFeePerGas"]) ?? 0n;
  const wanted = base + (tip ?? 0n);
  return cap !== undefined && cap < wanted ? cap : wanted;
}

function zeroBytesOf(digits: string): number {
  let zeros = 0;
  for (let at = 0; at < digits.length; at += 2) if (digits[at] === "0" && digits[at + 1] === "0") zeros++;
  return zeros;
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : [];
}

/**
 * Bytes of the EIP-2718 encoding, without the sidecar of blobs.
 *
 * @see EIP-155 (legacy), EIP-2930 (type 1), EIP-1559 (2), EIP-4844 (3), EIP-7702 (4)
 */
export function encodedSize(transaction: JsonObject, type: number, input: string): number {
  const number = (member: string): RlpItem => bytesOfNumber(quantity(transaction[member]) ?? 0n);
  const bytes = (value: unknown): RlpItem => bytesOfHex(hexDigits(value) ?? "");
  const to = bytes(transaction["to"] ?? "");
  const call: RlpItem[] = [number("gas"), to, number("value"), bytesOfHex(input)];
  const parity = transaction["yParity"] === undefined ? number("v") : number("yParity");
  const signature: RlpItem[] = [parity, number("r"), number("s")];
  const accessList = objects(transaction["accessList"]).map((entry) => [
    bytes(entry["address"]),
    texts(entry["storageKeys"]).map(bytes),
  ]);
  const fees: RlpItem[] = [number("maxPriorityFeePerGas"), number("maxFeePerGas")];
  switch (type) {
    case 0:
      return rlp([number("nonce"), number("gasPrice"), ...call, number("v"), number("r"), number("s")]).length;
    case 1:
      return 1 +
        rlp([number("chainId"), number("nonce"), number("gasPrice"), ...call, accessList, ...signature]).length;
    case 2:
      return 1 + rlp([number("chainId"), number("nonce"), ...fees, ...call, accessList, ...signature]).length;
    case 3: {
      const blobs: RlpItem[] = [number("maxFeePerBlobGas"), texts(transaction["blobVersionedHashes"]).map(bytes)];
      return 1 + rlp([number("chainId"), number("nonce"), ...fees, ...call, accessList, ...blobs, ...signature]).length;
    }
    case 4: {
      const authorisations = objects(transaction["authorizationList"]).map((entry) => {
        const own = (member: string): RlpItem => bytesOfNumber(quantity(entry[member]) ?? 0n);
        return [
          own("chainId"),
          bytes(entry["address"]),
          own("nonce"),
          own(entry["yParity"] === undefined ? "v" : "yParity"),
          own("r"),
          own("s"),
        ];
      });
      return 1 +
        rlp([number("chainId"), number("nonce"), ...fees, ...call, accessList, authorisations, ...signature]).length;
    }
    default:
      throw new TransactionShapeError(
        `Cannot size transaction ${transaction["hash"]} as EIP-2718: current type is ${type}, known are 0 to 4`,
      );
  }
}

function objects(value: unknown): JsonObject[] {
  return Array.isArray(value) ? value as JsonObject[] : [];
}
