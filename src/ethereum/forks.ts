/**
 * The hard forks that change what a trace means, when they began on the known networks, and how the fork of a block is
 * found when several sources may know it.
 */

/** Forks by name, oldest first. Lower case without blanks; the order is the order of activation. */
export const FORKS = [
  "frontier",
  "spuriousdragon",
  "byzantium",
  "petersburg",
  "istanbul",
  "berlin",
  "london",
  "shanghai",
  "cancun",
  "prague",
  "osaka",
  "amsterdam",
] as const;

/** Rules of a block. `frontier` stands for all before Spurious Dragon. Forks without new rules have no name of their own. */
export type Fork = typeof FORKS[number];

/** Names that mean the rules of another one. */
const ALIASES: Readonly<Record<string, Fork>> = {
  homestead: "frontier",
  dao: "frontier",
  tangerinewhistle: "frontier",
  constantinople: "petersburg",
  muirglacier: "istanbul",
  arrowglacier: "london",
  grayglacier: "london",
  paris: "london",
  merge: "london",
  bpo1: "osaka",
  bpo2: "osaka",
  bpo3: "osaka",
  bpo4: "osaka",
  bpo5: "osaka",
};

/**
 * The fork that a name means, in any case and with blanks, `-` or `_` between words; `undefined` for a name nobody knows.
 */
export function forkByName(name: string): Fork | undefined {
  const plain = name.toLowerCase().replace(/[\s_-]/g, "");
  return FORKS.find((fork) => fork === plain) ?? (Object.hasOwn(ALIASES, plain) ? ALIASES[plain] : undefined);
}

/** Whether the rules of `fork` include those of `since`. */
export function isActive(fork: Fork, since: Fork): boolean {
  return FORKS.indexOf(fork) >= FORKS.indexOf(since);
}

/** Fork name to the block number (before Paris) or the timestamp (from Shanghai on) at which it began. */
export type ForkActivations = Readonly<Record<string, number>>;

/** Activations of the known networks by chain id. Paris is a block number, all behind it are timestamps (seconds). */
export const ACTIVATIONS: ReadonlyMap<number, ForkActivations> = new Map([
  [1, {
    spuriousdragon: 2_675_000,
    byzantium: 4_370_000,
    petersburg: 7_280_000,
    istanbul: 9_069_000,
    berlin: 12_244_000,
    london: 12_965_000,
    paris: 15_537_394,
    shanghai: 1_681_338_455,
    cancun: 1_710_338_135,
    prague: 1_746_612_311,
    osaka: 1_764_798_551,
  }],
  [11_155_111, {
    spuriousdragon: 0,
    byzantium: 0,
    petersburg: 0,
    istanbul: 0,
    berlin: 0,
    london: 0,
    paris: 1_735_371,
    shanghai: 1_677_557_088,
    cancun: 1_706_655_072,
    prague: 1_741_159_776,
    osaka: 1_760_427_360,
  }],
  [17_000, {
    spuriousdragon: 0,
    byzantium: 0,
    petersburg: 0,
    istanbul: 0,
    berlin: 0,
    london: 0,
    paris: 0,
    shanghai: 1_696_000_704,
    cancun: 1_707_305_664,
    prague: 1_740_434_112,
    osaka: 1_759_308_480,
  }],
  [560_048, {
    spuriousdragon: 0,
    byzantium: 0,
    petersburg: 0,
    istanbul: 0,
    berlin: 0,
    london: 0,
    paris: 0,
    shanghai: 0,
    cancun: 0,
    prague: 1_742_999_832,
    osaka: 1_761_677_592,
  }],
]);

/** Everything that may know the fork of a block, in the order in which it is asked. */
export interface ForkSources {
  /** Given on the command line. */
  readonly given?: Fork;
  /** `networks[].forks` of the configuration. */
  readonly configured?: ForkActivations;
  /** For the table of known networks. */
  readonly chainId?: number;
  /** What the node answered (`eth_config` of EIP-7910, `anvil_nodeInfo`): the name of its current fork. */
  readonly node?: string;
}

/** Number and timestamp (seconds) of the block whose rules are wanted. */
export interface BlockPosition {
  /** Decides before Paris. */
  readonly number: number;
  /** Seconds; decides from Paris on. */
  readonly timestamp: number;
}

/**
 * Rules of a block: the first source that answers. `undefined` when none does; the verdict is `unproved` then.
 */
export function forkOfBlock(block: BlockPosition, sources: ForkSources): Fork | undefined {
  if (sources.given !== undefined) return sources.given;
  if (sources.configured !== undefined) return activeFork(block, sources.configured);
  const known = sources.chainId === undefined ? undefined : ACTIVATIONS.get(sources.chainId);
  if (known !== undefined) return activeFork(block, known);
  return sources.node === undefined ? undefined : forkByName(sources.node);
}

/** Timestamps began with Shanghai; the names before it are compared with the block number. */
function activeFork(block: BlockPosition, activations: ForkActivations): Fork | undefined {
  let newest: Fork = "frontier";
  for (const [name, activation] of Object.entries(activations)) {
    const fork = forkByName(name);
    if (fork === undefined) continue;
    const position = isActive(fork, "shanghai") ? block.timestamp : block.number;
    if (position >= activation && isActive(fork, newest)) newest = fork;
  }
  return newest;
}
