/**
 * Addresses that a transaction determines without being executed: that of the contract it creates, and the accounts that
 * signed its EIP-7702 authorisations.
 */
import { secp256k1 } from "@noble/curves/secp256k1";
import { keccak_256 } from "@noble/hashes/sha3";
import { addressNumber, bytesOfHex, bytesOfNumber, hexOfBytes, quantity } from "./hex.ts";
import { rlp } from "./rlp.ts";

/**
 * Address of the contract that `sender` creates with a transaction of this nonce.
 *
 * @see Yellow Paper, section 7: last 20 bytes of keccak(rlp([sender, nonce]))
 */
export function createdAddress(sender: bigint, nonce: bigint): bigint {
  return lastTwenty(keccak_256(rlp([addressBytes(sender), bytesOfNumber(nonce)])));
}

/** An entry of `authorizationList` as `eth_getTransactionByHash` answers it. */
export type Authorisation = { readonly [member: string]: unknown };

const HALF_ORDER = secp256k1.CURVE.n / 2n;
const MAX_NONCE = 2n ** 64n - 1n;

/**
 * The account that signed an authorisation. It is warm for the whole transaction even if the authorisation turns out to be
 * useless.
 *
 * @returns `undefined` when the authorisation is for another chain, its nonce is 2^64 - 1, or the signature does not
 * recover.
 * @see EIP-7702, behaviour, steps 1 to 4
 */
export function authority(authorisation: Authorisation, chainId: bigint | undefined): bigint | undefined {
  const [chain, nonce] = [quantity(authorisation.chainId), quantity(authorisation.nonce)];
  const target = addressNumber(authorisation.address);
  const yParity = quantity(authorisation.yParity ?? authorisation.v);
  const [r, s] = [quantity(authorisation.r), quantity(authorisation.s)];
  if (chain === undefined || nonce === undefined || target === undefined) return undefined;
  if (yParity === undefined || r === undefined || s === undefined) return undefined;
  if ((chain !== 0n && chain !== chainId) || nonce >= MAX_NONCE || s > HALF_ORDER || yParity > 1n) return undefined;
  const message = rlp([bytesOfNumber(chain), addressBytes(target), bytesOfNumber(nonce)]);
  const digest = keccak_256(Uint8Array.of(0x05, ...message));
  try {
    const key = new secp256k1.Signature(r, s).addRecoveryBit(Number(yParity)).recoverPublicKey(digest);
    return lastTwenty(keccak_256(key.toRawBytes(false).subarray(1)));
  } catch {
    return undefined; // no point of the curve: the signature of nobody
  }
}

function lastTwenty(hash: Uint8Array): bigint {
  return BigInt(`0x${hexOfBytes(hash.subarray(12))}`);
}

function addressBytes(address: bigint): Uint8Array {
  return bytesOfHex(address.toString(16).padStart(40, "0"));
}
