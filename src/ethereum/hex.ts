/** Hex texts of JSON-RPC: quantities, bytes and addresses. */

/**
 * A quantity as nodes print it: hex text with 0x, decimal text, or a JSON number that is a safe integer.
 *
 * @returns `undefined` for everything else.
 */
export function quantity(value: unknown): bigint | undefined {
  if (typeof value === "number") return Number.isSafeInteger(value) && value >= 0 ? BigInt(value) : undefined;
  if (typeof value !== "string") return undefined;
  return /^(0x[0-9a-fA-F]+|[0-9]+)$/.test(value) ? BigInt(value) : undefined;
}

/** Lower-case hex digits of a byte text, without 0x. `undefined` when it is not one or has an odd number of digits. */
export function hexDigits(value: unknown): string | undefined {
  if (typeof value !== "string" || value.length % 2 !== 0 || !/^(0x)?[0-9a-fA-F]*$/.test(value)) return undefined;
  return (value.startsWith("0x") ? value.slice(2) : value).toLowerCase();
}

/** The 20 bytes of an address as a number; `undefined` when the text is not one. */
export function addressNumber(value: unknown): bigint | undefined {
  return typeof value === "string" && /^0x[0-9a-fA-F]{40}$/.test(value) ? BigInt(value) : undefined;
}

/** `0x` and 40 lower-case digits. */
export function addressText(address: bigint): string {
  return `0x${address.toString(16).padStart(40, "0")}`;
}

/** Bytes of `digits`, two hex digits each. */
export function bytesOfHex(digits: string): Uint8Array {
  return Uint8Array.fromHex(digits);
}

/** Lower-case hex digits of `bytes`, without 0x. */
export function hexOfBytes(bytes: Uint8Array): string {
  return bytes.toHex();
}

/** Big-endian bytes of a non-negative number without leading zeros; 0 is no byte. */
export function bytesOfNumber(value: bigint): Uint8Array {
  const digits = value === 0n ? "" : value.toString(16);
  return bytesOfHex(digits.length % 2 === 0 ? digits : `0${digits}`);
}
