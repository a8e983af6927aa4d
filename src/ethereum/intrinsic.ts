/**
 * Gas that a transaction pays before its first opcode, and the floor below which it cannot end.
 *
 * @see Yellow Paper, section 6.2; EIP-2, EIP-2028, EIP-2930, EIP-3860, EIP-7623, EIP-7702
 */
import { type Fork, isActive } from "./forks.ts";
import { gasSchedule } from "./prices.ts";

/** What of a transaction decides its intrinsic gas. */
export interface IntrinsicInput {
  /** Hex digits of the input, without 0x. */
  readonly input: string;
  /** The transaction creates a contract: it has no `to`. */
  readonly creation: boolean;
  /** Entries of the access list; duplicates count. */
  readonly accessListAddresses: number;
  /** Storage keys of all those entries; duplicates count. */
  readonly accessListKeys: number;
  /** Entries of the authorisation list (EIP-7702), valid or not. */
  readonly authorisations: number;
}

/** Gas; both are safe integers. */
export interface IntrinsicGas {
  /** Charged before the first opcode. */
  readonly intrinsic: number;
  /** The least that is charged in all (EIP-7623); 0 before Prague. */
  readonly floor: number;
}

/** Intrinsic gas and floor under the rules of `fork`. */
export function intrinsicGas(fork: Fork, transaction: IntrinsicInput): IntrinsicGas {
  const schedule = gasSchedule(fork);
  const length = transaction.input.length / 2;
  const zeros = zeroBytes(transaction.input);
  const nonZeros = length - zeros;
  const creation = transaction.creation ? 32_000 + schedule.initCodeWord * Math.ceil(length / 32) : 0;
  return {
    intrinsic: 21_000 + 4 * zeros + schedule.inputByte * nonZeros + creation +
      2_400 * transaction.accessListAddresses + 1_900 * transaction.accessListKeys +
      25_000 * transaction.authorisations,
    floor: isActive(fork, "prague") ? 21_000 + 10 * (zeros + 4 * nonZeros) : 0,
  };
}

function zeroBytes(digits: string): number {
  let zeros = 0;
  for (let at = 0; at < digits.length; at += 2) {
    if (digits.charCodeAt(at) === 48 && digits.charCodeAt(at + 1) === 48) zeros++;
  }
  return zeros;
}
