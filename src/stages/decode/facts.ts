/**
 * What a transaction, its receipt and its block say before the trace is read: intrinsic gas, what is warm from the start,
 * and what is missing for a proof.
 */
import { authority, createdAddress } from "../../ethereum/accounts.ts";
import { type Fork, isActive } from "../../ethereum/forks.ts";
import { addressNumber, hexDigits, quantity } from "../../ethereum/hex.ts";
import { intrinsicGas } from "../../ethereum/intrinsic.ts";
import { precompilePrice } from "../../ethereum/precompiles.ts";
import type { JsonObject, ReplyContext } from "./port.ts";

/** Facts of one transaction. Gas is 0 where it is not known. */
export interface TransactionFacts {
  /** The transaction is there and its type has rules. */
  readonly hasTransaction: boolean;
  readonly hasReceipt: boolean;
  /** Status of the receipt; absent before Byzantium. */
  readonly succeeded: boolean | undefined;
  readonly isCreation: boolean;
  readonly isInputEmpty: boolean;
  /** `to`; absent for a creation. */
  readonly to: bigint | undefined;
  /** The account in which the root frame runs. */
  readonly target: bigint | undefined;
  readonly gasLimit: bigint;
  readonly intrinsicGas: number;
  readonly floorGas: number;
  readonly gasUsed: bigint;
  /** Of the block up to and with this transaction. */
  readonly cumulativeGasUsed: bigint | undefined;
  /** Exact price of the precompile at `to`. */
  readonly directPrice: bigint | undefined;
  readonly authorisations: number;
  readonly storageKeys: number;
  /** Accounts and slots that are warm from the start, without precompiles; whether that is all. */
  readonly warmAccounts: readonly bigint[];
  readonly warmSlots: readonly (readonly [account: bigint, slot: bigint])[];
  readonly isWarmComplete: boolean;
  /** Why nothing can be proved; empty when something can. */
  readonly missing: readonly string[];
}

/** Types of transactions whose intrinsic gas is known. */
const LAST_TYPE = 4n;

/** Whether all rules of a fork are known. */
export function hasRules(fork: Fork | undefined): fork is Fork {
  return fork !== undefined && isActive(fork, "spuriousdragon") && !isActive(fork, "amsterdam");
}

/** The rules by which a trace is read when its own are unknown or incomplete. */
export function rulesFor(fork: Fork | undefined): Fork {
  return fork === undefined || isActive(fork, "osaka") ? "osaka" : fork;
}

/** Facts of the transaction at `position` of a reply. */
export function transactionFacts(context: ReplyContext, position: number): TransactionFacts {
  const { transaction, receipt } = context.transactions[position] ?? {};
  const rules = rulesFor(context.fork);
  const type = quantity(transaction?.type) ?? 0n;
  const to = addressNumber(transaction === undefined ? receipt?.to : transaction.to);
  const isCreation = to === undefined && (transaction ?? receipt) !== undefined;
  const sender = addressNumber(transaction?.from ?? receipt?.from);
  const input = hexDigits(transaction?.input ?? transaction?.data) ?? "";
  const accessList = entries(transaction?.accessList);
  const authorisations = entries(transaction?.authorizationList);
  const keys = accessList.map((entry) => listOf(entry.storageKeys).map(quantity).filter((key) => key !== undefined));
  const storageKeys = keys.reduce((sum, list) => sum + list.length, 0);
  const gas = transaction === undefined ? { intrinsic: 0, floor: 0 } : intrinsicGas(rules, {
    input,
    creation: isCreation,
    accessListAddresses: accessList.length,
    accessListKeys: storageKeys,
    authorisations: authorisations.length,
  });
  const target = to ?? (isCreation ? creationTarget(sender, transaction, receipt) : undefined);
  const miner = addressNumber(context.block?.miner);
  const needsMiner = isActive(rules, "shanghai");
  const hasTransaction = transaction !== undefined && type <= LAST_TYPE;
  return {
    hasTransaction,
    hasReceipt: receipt !== undefined && quantity(receipt.gasUsed) !== undefined,
    succeeded: statusOf(receipt),
    isCreation,
    isInputEmpty: transaction !== undefined && input === "",
    to,
    target,
    gasLimit: quantity(transaction?.gas) ?? 0n,
    intrinsicGas: gas.intrinsic,
    floorGas: gas.floor,
    gasUsed: quantity(receipt?.gasUsed) ?? 0n,
    cumulativeGasUsed: quantity(receipt?.cumulativeGasUsed),
    directPrice: to === undefined || to > 0x1ffn ? undefined : precompilePrice(rules, Number(to), input),
    authorisations: authorisations.length,
    storageKeys,
    warmAccounts: [
      sender,
      target,
      needsMiner ? miner : undefined,
      ...accessList.map((entry) => addressNumber(entry.address)),
      ...(isActive(rules, "prague") ? authorities(authorisations, context.chainId) : []),
    ].filter((account) => account !== undefined),
    warmSlots: accessList.flatMap((entry, at) => {
      const account = addressNumber(entry.address);
      return account === undefined ? [] : keys[at]!.map((key) => [account, key] as const);
    }),
    isWarmComplete: hasTransaction && (!needsMiner || miner !== undefined) &&
      (type === 0n || Array.isArray(transaction.accessList)) &&
      (type !== 4n || Array.isArray(transaction.authorizationList)),
    missing: [
      ...missingRules(context.fork),
      ...(transaction === undefined ? ["transaction missing"] : []),
      ...(type > LAST_TYPE ? [`transaction type 0x${type.toString(16)} has no rules`] : []),
      ...(receipt === undefined ? ["receipt missing"] : []),
      ...(context.block === undefined ? ["block missing"] : []),
    ],
  };
}

function missingRules(fork: Fork | undefined): string[] {
  if (hasRules(fork)) return [];
  if (fork === undefined) return ["fork unknown"];
  return [isActive(fork, "amsterdam") ? `fork ${fork}` : "fork before spuriousdragon"];
}

function statusOf(receipt: JsonObject | undefined): boolean | undefined {
  const status = quantity(receipt?.status);
  return status === undefined ? undefined : status !== 0n;
}

function creationTarget(
  sender: bigint | undefined,
  transaction: JsonObject | undefined,
  receipt: JsonObject | undefined,
): bigint | undefined {
  const created = addressNumber(receipt?.contractAddress);
  if (created !== undefined) return created;
  const nonce = quantity(transaction?.nonce);
  return sender === undefined || nonce === undefined ? undefined : createdAddress(sender, nonce);
}

function authorities(authorisations: readonly JsonObject[], chainId: number | undefined): (bigint | undefined)[] {
  const chain = chainId === undefined ? undefined : BigInt(chainId);
  return authorisations.map((authorisation) => authority(authorisation, chain));
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function entries(value: unknown): readonly JsonObject[] {
  return listOf(value).filter((entry): entry is JsonObject => typeof entry === "object" && entry !== null);
}
