/**
 * Gas prices and refunds that changed from fork to fork, as one schedule per fork.
 *
 * @see EIP-150, EIP-1884, EIP-2200, EIP-2929, EIP-3529, EIP-3860, EIP-7623, EIP-7702
 */
import { type Fork, isActive } from "./forks.ts";

/** Prices of one fork, gas. */
export interface GasSchedule {
  /** Warm price (the only one before Berlin) by opcode name. */
  readonly access: {
    readonly SLOAD: number;
    readonly BALANCE: number;
    readonly EXTCODESIZE: number;
    readonly EXTCODEHASH: number;
    readonly EXTCODECOPY: number;
    /** The four kinds of calls. */
    readonly CALL: number;
  };
  /** Price of a cold slot instead of the warm one; equal to that before Berlin. */
  readonly coldSlot: number;
  /** Price of a cold account instead of the warm one; equal to that before Berlin. */
  readonly coldAccount: number;
  /** SSTORE that changes nothing or touches a slot that is dirty already (before Istanbul: {@linkcode sstoreReset}). */
  readonly sstoreNoop: number;
  /** SSTORE of a clean slot that is not zero, or that stays zero before Istanbul. */
  readonly sstoreReset: number;
  /** Refund for a slot that becomes zero. */
  readonly refundClear: number;
  /** Refund, besides the above, for a dirty slot that gets back its original value, which is not zero. */
  readonly refundRestoreNonZero: number;
  /** The same of a slot that was zero. */
  readonly refundRestoreZero: number;
  /** Refund for the first SELFDESTRUCT of an account; 0 from London. */
  readonly refundSelfdestruct: number;
  /** At most `used / refundQuotient` is refunded. */
  readonly refundQuotient: number;
  /** Per non-zero byte of the transaction's input. */
  readonly inputByte: number;
  /** Per word of init code, 0 before Shanghai. */
  readonly initCodeWord: number;
}

/** SSTORE of a zero slot that was zero from the start of the transaction. */
export const SSTORE_SET = 20_000;
/** Added to the price of a CALL or CALLCODE that carries value. */
export const CALL_VALUE = 9_000;
/** What the callee of such a call gets for nothing. */
export const CALL_STIPEND = 2_300;
/** Added to the price of a CALL or SELFDESTRUCT whose value makes a new account. */
export const NEW_ACCOUNT = 25_000;
/** Per byte of deployed code. */
export const CODE_DEPOSIT = 200;
/** EIP-7702: refund per authorisation of an account that exists. */
export const REFUND_AUTHORISATION = 12_500;

/** Prices under the rules of `fork`; blocks before Spurious Dragon get those of Spurious Dragon. */
export function gasSchedule(fork: Fork): GasSchedule {
  let schedule = made.get(fork);
  if (schedule === undefined) made.set(fork, schedule = makeSchedule(fork));
  return schedule;
}

const made = new Map<Fork, GasSchedule>();

function makeSchedule(fork: Fork): GasSchedule {
  const since = (first: Fork) => isActive(fork, first);
  const [berlin, istanbul, london] = [since("berlin"), since("istanbul"), since("london")];
  const sload = berlin ? 100 : istanbul ? 800 : 200;
  const account = berlin ? 100 : 700;
  const older = berlin ? 100 : istanbul ? 700 : 400;
  return {
    access: {
      SLOAD: sload,
      BALANCE: older,
      EXTCODESIZE: account,
      EXTCODEHASH: older,
      EXTCODECOPY: account,
      CALL: account,
    },
    coldSlot: berlin ? 2_100 : sload,
    coldAccount: berlin ? 2_600 : account,
    sstoreNoop: istanbul ? sload : 5_000,
    sstoreReset: berlin ? 2_900 : 5_000,
    refundClear: london ? 4_800 : 15_000,
    refundRestoreNonZero: berlin ? 2_800 : istanbul ? 4_200 : 0,
    refundRestoreZero: istanbul ? SSTORE_SET - sload : 0,
    refundSelfdestruct: london ? 0 : 24_000,
    refundQuotient: london ? 5 : 2,
    inputByte: istanbul ? 16 : 68,
    initCodeWord: since("shanghai") ? 2 : 0,
  };
}
