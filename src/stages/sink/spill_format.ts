/**
 * The spill at rest (docs/spill.md). A segment is a magic and records; a record is a head of 16 bytes, a description
 * in JSON and, where the operation carries one, the bytes of its Native block.
 *
 *     magic     8 bytes   "EPSPILL1"
 *     record    u32 bytes of description and block together, little endian as all
 *               u32 bytes of the description
 *               u32 CRC-32 of description and block
 *               u32 CRC-32 of the 12 bytes before
 *               description, block
 */
import { crc32 } from "node:zlib";
import { SpillFormatError } from "./errors.ts";
import type { SpillOperation } from "./port.ts";

const utf8 = new TextEncoder();
const text = new TextDecoder("utf-8", { fatal: true });

/** First bytes of a segment. */
export const MAGIC = utf8.encode("EPSPILL1");

/** Bytes of a record's head. */
export const HEAD_BYTES = 16;

/** A record as it is written: pieces, so that the block is not copied. */
export function encodeRecord(operation: SpillOperation): Uint8Array[] {
  const block = "block" in operation ? operation.block.bytes : new Uint8Array();
  const described = "block" in operation
    ? { ...operation, block: { ...operation.block, bytes: undefined } }
    : operation;
  const description = utf8.encode(JSON.stringify(described));
  const head = new DataView(new ArrayBuffer(HEAD_BYTES));
  head.setUint32(0, description.length + block.length, true);
  head.setUint32(4, description.length, true);
  head.setUint32(8, crc32(block, crc32(description)), true);
  head.setUint32(12, crc32(new Uint8Array(head.buffer, 0, 12)), true);
  return [new Uint8Array(head.buffer), description, block];
}

/** What a head says. */
export interface RecordHead {
  /** Bytes of description and block. */
  readonly bodyBytes: number;
  readonly descriptionBytes: number;
  readonly checksum: number;
}

/** @returns `undefined` when the head does not have its checksum. */
export function readHead(bytes: Uint8Array): RecordHead | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, HEAD_BYTES);
  const [bodyBytes, descriptionBytes] = [view.getUint32(0, true), view.getUint32(4, true)];
  if (view.getUint32(12, true) !== crc32(bytes.subarray(0, 12)) || descriptionBytes > bodyBytes) return undefined;
  return { bodyBytes, descriptionBytes, checksum: view.getUint32(8, true) };
}

/** The operation of a record's body. @throws {SpillFormatError} when it is not what was written. */
export function readBody(head: RecordHead, body: Uint8Array<ArrayBuffer>): SpillOperation {
  if (crc32(body) !== head.checksum) throw new SpillFormatError("Cannot trust a spill record: its checksum differs");
  const described = JSON.parse(text.decode(body.subarray(0, head.descriptionBytes)));
  if (!["insert", "record", "delete", "surplus"].includes(described.kind)) {
    throw new SpillFormatError(`Cannot replay a spill record of kind "${described.kind}"`);
  }
  if ("block" in described) described.block.bytes = body.subarray(head.descriptionBytes);
  return described as SpillOperation;
}
