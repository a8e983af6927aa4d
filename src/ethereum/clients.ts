/**
 * How execution clients differ in what they print, as data: one table of flags per client family. Nothing else in the
 * pipeline asks for a client's name.
 */

/** Families whose traces have one shape. `revm` is reth, anvil and hardhat's EDR. */
export type ClientFamily = "geth" | "erigon" | "nethermind" | "besu" | "revm" | "ethereumjs";

/** What to expect in the traces of one client release. */
export interface ClientFlags {
  /** Whose conventions the flags are. */
  readonly family: ClientFamily;
  /** `nonzero`: a missing refund counter is 0. `always`: missing in the first structlog means unknown. `never`: unknown. */
  readonly refund: "nonzero" | "always" | "never";
  /** `frame`: the counter starts at 0 in each call frame and wraps below 0. */
  readonly refundScope: "transaction" | "frame";
  /** Whether a structlog shows its own effect: of SSTORE and SELFDESTRUCT, of SSTORE alone, of neither. */
  readonly refundPoint: "after" | "sstore" | "before";
  /** The refund of EIP-7702 authorisations is inside the counter. */
  readonly refundHoldsAuthorisations: boolean;
  /** The implicit STOP at the end of code has a structlog. */
  readonly stopRow: boolean;
  /** Made-up STOP structlogs: none, for creations with empty init code, for calls and empty replies too (Besu before 26.8). */
  readonly madeUpStop: "none" | "creates" | "calls";
  /** The top-level `gas` is the receipt's `gasUsed`, or (anvil) its `cumulativeGasUsed`, or nothing to rely on. */
  readonly topGas: "receipt" | "cumulative" | "untrusted";
}

const GETH: ClientFlags = {
  family: "geth",
  refund: "nonzero",
  refundScope: "transaction",
  refundPoint: "after",
  refundHoldsAuthorisations: true,
  stopRow: true,
  madeUpStop: "none",
  topGas: "receipt",
};
const REVM: ClientFlags = {
  family: "revm",
  refund: "always",
  refundScope: "frame",
  refundPoint: "before",
  refundHoldsAuthorisations: false,
  stopRow: true,
  madeUpStop: "creates",
  topGas: "receipt",
};
const NETHERMIND: ClientFlags = {
  family: "nethermind",
  refund: "nonzero",
  refundScope: "transaction",
  refundPoint: "before",
  refundHoldsAuthorisations: false,
  stopRow: false,
  madeUpStop: "none",
  topGas: "untrusted",
};
const BESU: ClientFlags = {
  family: "besu",
  refund: "nonzero",
  refundScope: "transaction",
  refundPoint: "after",
  refundHoldsAuthorisations: false,
  stopRow: true,
  madeUpStop: "none",
  topGas: "untrusted",
};
const ETHEREUMJS: ClientFlags = {
  family: "ethereumjs",
  refund: "always",
  refundScope: "transaction",
  refundPoint: "sstore",
  refundHoldsAuthorisations: false,
  stopRow: false,
  madeUpStop: "none",
  topGas: "receipt",
};

/** First match in the lower-cased version text wins. */
const FAMILIES: readonly (readonly [needle: string, flags: ClientFlags])[] = [
  ["erigon", { ...GETH, family: "erigon" }],
  ["geth", GETH],
  ["nethermind", NETHERMIND],
  ["besu", BESU],
  ["reth", REVM],
  ["anvil", { ...REVM, topGas: "cumulative" }],
  ["hardhat", REVM],
  ["edr", REVM],
  ["ethereumjs", ETHEREUMJS],
];

/**
 * Flags of the client that calls itself `clientVersion`.
 *
 * @param clientVersion The answer of `web3_clientVersion`, e.g. `Nethermind/v1.38.0`. Unknown names count as geth.
 * @returns Flags of the release; a release that cannot be read from the text counts as the newest.
 */
export function clientFlags(clientVersion: string): ClientFlags {
  const text = clientVersion.toLowerCase();
  const flags = FAMILIES.find(([needle]) => text.includes(needle))?.[1] ?? GETH;
  switch (flags.family) {
    case "nethermind":
      return isBefore(text, 1, 38) ? { ...flags, refund: "never" } : flags;
    case "besu":
      return isBefore(text, 26, 8) ? { ...flags, refund: "never", madeUpStop: "calls" } : flags;
    case "revm":
      return /hardhat|edr/.test(text) ? { ...flags, refund: "never" } : flags;
    default:
      return flags;
  }
}

function isBefore(text: string, major: number, minor: number): boolean {
  const found = /\/v?(\d+)\.(\d+)/.exec(text);
  if (found === null) return false;
  const release = [Number(found[1]), Number(found[2])] as const;
  return release[0] < major || (release[0] === major && release[1] < minor);
}
