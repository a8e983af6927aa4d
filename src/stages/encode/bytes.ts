/** Growing and reading byte buffers for the Native format: little endian, lengths as LEB128. */
import { NativeFormatError } from "./errors.ts";

const utf8 = new TextEncoder();
const text = new TextDecoder("utf-8", { ignoreBOM: true });

/** Bytes that {@linkcode ByteWriter.leb128} needs for `value`. */
export function leb128Bytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) bytes++;
  return bytes;
}

/** Appends to a buffer that doubles as needed, or writes into one of known size. */
export class ByteWriter {
  #bytes: Uint8Array<ArrayBuffer>;
  #view: DataView<ArrayBuffer>;
  #at = 0;

  /** `buffer`: begin with this memory, so that a caller who knows the size allocates once. */
  constructor(buffer: Uint8Array<ArrayBuffer> = new Uint8Array(1024)) {
    this.#bytes = buffer;
    this.#view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
  }

  /** Bytes written so far. */
  get length(): number {
    return this.#at;
  }

  /** The bytes written so far, a view: valid until the next write. */
  get written(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#at);
  }

  /** The next `count` bytes, to be filled by the caller at once. Their content is undefined. */
  take(count: number): Uint8Array<ArrayBuffer> {
    this.#reserve(count);
    const from = this.#at;
    this.#at += count;
    return this.#bytes.subarray(from, this.#at);
  }

  bytes(source: Uint8Array): void {
    this.#reserve(source.length);
    this.#bytes.set(source, this.#at);
    this.#at += source.length;
  }

  uint8(value: number): void {
    this.#reserve(1);
    this.#view.setUint8(this.#at, value);
    this.#at += 1;
  }

  uint16(value: number): void {
    this.#reserve(2);
    this.#view.setUint16(this.#at, value, true);
    this.#at += 2;
  }

  uint32(value: number): void {
    this.#reserve(4);
    this.#view.setUint32(this.#at, value, true);
    this.#at += 4;
  }

  /** 64 bits, of a safe integer as two lanes, of a `bigint` modulo 2^64. */
  uint64(value: number | bigint): void {
    this.#reserve(8);
    if (typeof value === "bigint") {
      this.#view.setBigUint64(this.#at, BigInt.asUintN(64, value), true);
    } else {
      this.#view.setUint32(this.#at, value >>> 0, true);
      this.#view.setInt32(this.#at + 4, Math.floor(value / 0x1_0000_0000), true);
    }
    this.#at += 8;
  }

  /** An unsigned length, seven bits a byte, lowest first. */
  leb128(value: number): void {
    let rest = value;
    while (rest >= 128) {
      this.uint8((rest % 128) | 128);
      rest = Math.floor(rest / 128);
    }
    this.uint8(rest);
  }

  /** Length in bytes, then UTF-8. */
  string(value: string): void {
    this.#reserve(10 + value.length * 3);
    const ascii = this.#writeAscii(value);
    if (!ascii) this.#writeUtf8(value);
  }

  /** Short ASCII, the usual case, without the encoder's call. */
  #writeAscii(value: string): boolean {
    if (value.length > 127) return false;
    const bytes = this.#bytes;
    let at = this.#at;
    bytes[at++] = value.length;
    for (let i = 0; i < value.length; i++) {
      const unit = value.charCodeAt(i);
      if (unit > 127) return false;
      bytes[at++] = unit;
    }
    this.#at = at;
    return true;
  }

  #writeUtf8(value: string): void {
    const encoded = utf8.encode(value);
    this.leb128(encoded.length);
    this.bytes(encoded);
  }

  #reserve(count: number): void {
    const needed = this.#at + count;
    if (needed <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    grown.set(this.#bytes.subarray(0, this.#at));
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
  }
}

/** Reads what {@linkcode ByteWriter} writes. @throws {NativeFormatError} where the bytes end early. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Offset of the next byte. */
  get offset(): number {
    return this.#at;
  }

  get ended(): boolean {
    return this.#at === this.#bytes.length;
  }

  bytes(count: number): Uint8Array {
    const from = this.#advance(count);
    return this.#bytes.subarray(from, from + count);
  }

  uint8(): number {
    return this.#view.getUint8(this.#advance(1));
  }

  uint16(): number {
    return this.#view.getUint16(this.#advance(2), true);
  }

  uint32(): number {
    return this.#view.getUint32(this.#advance(4), true);
  }

  uint64(): bigint {
    return this.#view.getBigUint64(this.#advance(8), true);
  }

  /** A 64-bit count. @throws {NativeFormatError} beyond what the bytes could hold. */
  count(): number {
    const at = this.#at;
    const value = Number(this.uint64());
    if (!Number.isSafeInteger(value)) {
      throw new NativeFormatError(`Cannot read byte ${at} as a count: current value is ${value}`);
    }
    return value;
  }

  leb128(): number {
    let value = 0;
    for (let shift = 1;; shift *= 128) {
      const byte = this.uint8();
      value += (byte & 127) * shift;
      if (byte < 128) return value;
    }
  }

  string(): string {
    return text.decode(this.bytes(this.leb128()));
  }

  #advance(count: number): number {
    const from = this.#at;
    if (from + count > this.#bytes.length) {
      const left = this.#bytes.length - from;
      throw new NativeFormatError(
        `Cannot read ${count} bytes at byte ${from} of a block: current rest is ${left} bytes`,
      );
    }
    this.#at = from + count;
    return from;
  }
}
