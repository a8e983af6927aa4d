/** Texts of bounded length, and what they mean as numbers, hex and errors (TRACE 1.2, 1.7). */

/** A text that arrives in pieces, in a buffer of fixed size. */
export class Text {
  readonly #buffer: Uint8Array;
  #length = 0;

  constructor(buffer: Uint8Array) {
    this.#buffer = buffer;
  }

  get length(): number {
    return this.#length;
  }

  get maxBytes(): number {
    return this.#buffer.length;
  }

  clear(): void {
    this.#length = 0;
  }

  /** `false`: it does not fit. */
  append(bytes: Uint8Array, from: number, to: number): boolean {
    if (this.#length + to - from > this.#buffer.length) return false;
    if (to - from < 24) {
      for (let index = from; index < to; index++) this.#buffer[this.#length++] = bytes[index]!;
    } else {
      this.#buffer.set(bytes.subarray(from, to), this.#length);
      this.#length += to - from;
    }
    return true;
  }

  /** Replaces the text. `false`: it does not fit. */
  set(text: string): boolean {
    const bytes = new TextEncoder().encode(text);
    this.clear();
    return this.append(bytes, 0, bytes.length);
  }

  /** The bytes, valid until the next change. */
  bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
  }

  toString(): string {
    return decoder.decode(this.bytes());
  }
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** An integer as printed. */
export interface Quantity {
  readonly negative: boolean;
  /** At most 2^64 - 1. */
  readonly magnitude: bigint;
}

const MAX_MAGNITUDE = 2n ** 64n - 1n;

/** Digits, or 0x and hex digits, with a minus sign or not. `undefined`: it is none, or has more than 64 bits. */
export function parseQuantity(text: string): Quantity | undefined {
  const match = /^(-?)(\d+|0x[0-9a-fA-F]+)$/.exec(text);
  if (match === null) return undefined;
  const magnitude = BigInt(match[2]!);
  return magnitude > MAX_MAGNITUDE ? undefined : { negative: match[1] === "-" && magnitude > 0n, magnitude };
}

/** Makes hex text lower case in place. Returns where its digits begin (behind 0x); -1 when it is no hex text. */
export function normaliseHex(text: Uint8Array): number {
  const from = text.length >= 2 && text[0] === 0x30 && text[1] === 0x78 ? 2 : 0;
  for (let index = from; index < text.length; index++) {
    const byte = text[index]!;
    if (byte >= 0x30 && byte <= 0x39) continue;
    const letter = byte | 0x20;
    if (letter < 0x61 || letter > 0x66) return -1;
    text[index] = letter;
  }
  return from;
}

/** TRACE 1.7: the text of an `error` member, empty where there is none. */
export function errorText(value: unknown): string {
  if (value === null) return "";
  if (Array.isArray(value)) return value.map(errorText).filter((text) => text !== "").join(",");
  if (typeof value === "object") return Object.keys(value).length === 0 ? "" : JSON.stringify(value);
  return String(value).replace(/^Some\((.*)\)$/s, "$1");
}
