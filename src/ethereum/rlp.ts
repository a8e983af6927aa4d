/** Recursive length prefix: the encoding over which Ethereum hashes and signs. Only encoding is needed here. */

/** Bytes, or a list of items. */
export type RlpItem = Uint8Array | readonly RlpItem[];

/**
 * Encoding of an item.
 *
 * @see Yellow Paper, appendix B
 */
export function rlp(item: RlpItem): Uint8Array {
  if (item instanceof Uint8Array) {
    return item.length === 1 && item[0]! < 0x80 ? item : concat([prefix(0x80, item.length), item]);
  }
  const body = concat(item.map(rlp));
  return concat([prefix(0xc0, body.length), body]);
}

function prefix(short: number, length: number): Uint8Array {
  if (length < 56) return Uint8Array.of(short + length);
  const bytes: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256);
  return Uint8Array.of(short + 55 + bytes.length, ...bytes);
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
