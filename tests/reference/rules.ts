/**
 * Constants of the reference decoder: forks, opcodes, prices, clients, precompiles, intrinsic gas. Written a second
 * time on purpose: a price that is wrong in `src/ethereum` must not be wrong here as well.
 */
import type { JsonObject } from "../../src/stages/decode/port.ts";

const FORKS = [
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
export type ForkName = typeof FORKS[number];

/** Rules of one fork: `at("berlin")` is whether the fork is Berlin or later. */
export class Rules {
  readonly name: ForkName;

  constructor(name: string) {
    const known = { constantinople: "petersburg", paris: "london", merge: "london" }[name] ??
      name.replace(/^bpo\d$/, "osaka");
    const found = FORKS.find((fork) => fork === known);
    if (found === undefined) throw new Error(`Cannot read the fork: current value is "${name}"`);
    this.name = found;
  }

  at(fork: ForkName): boolean {
    return FORKS.indexOf(this.name) >= FORKS.indexOf(fork);
  }
}

/** How a client prints traces. */
export interface Client {
  readonly family: "erigon" | "geth" | "nethermind" | "besu" | "revm" | "ethereumjs";
  readonly refundPrinted: "nonzero" | "always" | "never";
  readonly refundPerFrame: boolean;
  readonly refundPoint: "after" | "before" | "sstore";
  readonly stopRow: boolean;
  readonly madeUpStop: "none" | "create" | "call";
  readonly topGasTrusted: boolean;
  /** The top-level gas may be that of the block so far. */
  readonly topGasCumulative: boolean;
}

export function clientOf(version: string): Client {
  const text = version.toLowerCase();
  const release = (at: number) => Number(/(\d+)\.(\d+)/.exec(text)?.[at] ?? Infinity);
  const since = (major: number, minor: number) => release(1) > major || release(1) === major && release(2) >= minor;
  const geth: Client = {
    family: "geth",
    refundPrinted: "nonzero",
    refundPerFrame: false,
    refundPoint: "after",
    stopRow: true,
    madeUpStop: "none",
    topGasTrusted: true,
    topGasCumulative: text.includes("anvil"),
  };
  if (text.includes("erigon")) return { ...geth, family: "erigon" };
  if (text.includes("geth")) return geth;
  if (text.includes("nethermind")) {
    const refundPrinted = since(1, 38) ? "nonzero" : "never";
    return {
      ...geth,
      family: "nethermind",
      refundPrinted,
      refundPoint: "before",
      stopRow: false,
      topGasTrusted: false,
    };
  }
  if (text.includes("besu")) {
    const [refundPrinted, madeUpStop] = since(26, 8) ? ["nonzero", "none"] as const : ["never", "call"] as const;
    return { ...geth, family: "besu", refundPrinted, madeUpStop, topGasTrusted: false };
  }
  if (/reth|anvil|hardhat|edr/.test(text)) {
    const refundPrinted = /hardhat|edr/.test(text) ? "never" : "always";
    return {
      ...geth,
      family: "revm",
      refundPrinted,
      refundPerFrame: true,
      refundPoint: "before",
      madeUpStop: "create",
    };
  }
  if (text.includes("ethereumjs")) {
    return { ...geth, family: "ethereumjs", refundPrinted: "always", refundPoint: "sstore", stopRow: false };
  }
  return geth;
}

const ALIASES: Readonly<Record<string, string>> = {
  SHA3: "KECCAK256",
  SUICIDE: "SELFDESTRUCT",
  PREVRANDAO: "DIFFICULTY",
  RANDOM: "DIFFICULTY",
  PREVRANDOM: "DIFFICULTY",
};

/** The name that is stored for a printed one. */
export function canonicalName(op: string): string {
  return Object.hasOwn(ALIASES, op) ? ALIASES[op]! : op;
}

export interface Opcode {
  readonly pops: number;
  readonly pushes: number;
  /** Constant price; absent where it depends on operands, state or fork. */
  readonly price?: bigint;
  readonly immediate: number;
  readonly since: ForkName;
}

const OPCODE_TEXT = `
0 0 0: STOP
2 1 3: ADD SUB LT GT SLT SGT EQ AND OR XOR BYTE; 2 1 3 petersburg: SHL SHR SAR
2 1 5: MUL DIV SDIV MOD SMOD SIGNEXTEND
3 1 8: ADDMOD MULMOD
2 1 -: EXP KECCAK256
1 1 3: ISZERO NOT CALLDATALOAD; 1 1 3 cancun: BLOBHASH
1 1 5 osaka: CLZ
0 1 2: ADDRESS ORIGIN CALLER CALLVALUE CALLDATASIZE CODESIZE GASPRICE COINBASE TIMESTAMP NUMBER DIFFICULTY GASLIMIT PC MSIZE GAS
0 1 2 byzantium: RETURNDATASIZE; 0 1 2 istanbul: CHAINID; 0 1 2 london: BASEFEE; 0 1 2 cancun: BLOBBASEFEE
0 1 2 shanghai: PUSH0; 0 1 2 amsterdam: SLOTNUM
0 1 5 istanbul: SELFBALANCE
1 1 20: BLOCKHASH
1 1 -: BALANCE EXTCODESIZE SLOAD MLOAD; 1 1 - petersburg: EXTCODEHASH
3 0 -: CALLDATACOPY CODECOPY; 3 0 - byzantium: RETURNDATACOPY; 3 0 - cancun: MCOPY
4 0 -: EXTCODECOPY
1 0 2: POP
2 0 -: MSTORE MSTORE8 SSTORE RETURN; 2 0 - byzantium: REVERT
1 0 8: JUMP
2 0 10: JUMPI
0 0 1: JUMPDEST
1 1 100 cancun: TLOAD
2 0 100 cancun: TSTORE
3 1 -: CREATE
4 1 - petersburg: CREATE2
7 1 -: CALL CALLCODE
6 1 -: DELEGATECALL; 6 1 - byzantium: STATICCALL
1 0 -: SELFDESTRUCT
`;

export const OPCODES: ReadonlyMap<string, Opcode> = new Map(opcodes());

function* opcodes(): Generator<[string, Opcode]> {
  for (const group of OPCODE_TEXT.trim().split(/[;\n]/)) {
    const [shape, names] = group.split(":") as [string, string];
    const [pops, pushes, price, since] = shape.trim().split(" ");
    for (const name of names.trim().split(" ")) {
      yield [name, opcode(Number(pops), Number(pushes), price === "-" ? undefined : BigInt(price!), 0, since)];
    }
  }
  for (let n = 1; n <= 32; n++) yield [`PUSH${n}`, opcode(0, 1, 3n, n)];
  for (let n = 1; n <= 16; n++) yield [`DUP${n}`, opcode(n, n + 1, 3n)];
  for (let n = 1; n <= 16; n++) yield [`SWAP${n}`, opcode(n + 1, n + 1, 3n)];
  for (let n = 0; n <= 4; n++) yield [`LOG${n}`, opcode(n + 2, 0)];
}

function opcode(pops: number, pushes: number, price?: bigint, immediate = 0, since = "spuriousdragon"): Opcode {
  return { pops, pushes, immediate, since: since as ForkName, ...price === undefined ? {} : { price } };
}

/** Positions of (offset, size) on the stack, 0 = top; a negative size is a constant. */
export const MEMORY_OPERANDS: Readonly<Record<string, readonly (readonly [offset: number, size: number])[]>> = {
  MLOAD: [[0, -32]],
  MSTORE: [[0, -32]],
  MSTORE8: [[0, -1]],
  KECCAK256: [[0, 1]],
  RETURN: [[0, 1]],
  REVERT: [[0, 1]],
  LOG0: [[0, 1]],
  LOG1: [[0, 1]],
  LOG2: [[0, 1]],
  LOG3: [[0, 1]],
  LOG4: [[0, 1]],
  CALLDATACOPY: [[0, 2]],
  CODECOPY: [[0, 2]],
  RETURNDATACOPY: [[0, 2]],
  EXTCODECOPY: [[1, 3]],
  MCOPY: [[0, 2], [1, 2]],
  CREATE: [[1, 2]],
  CREATE2: [[1, 2]],
  CALL: [[3, 4], [5, 6]],
  CALLCODE: [[3, 4], [5, 6]],
  DELEGATECALL: [[2, 3], [4, 5]],
  STATICCALL: [[2, 3], [4, 5]],
};

export const CALLS: ReadonlySet<string> = new Set(["CALL", "CALLCODE", "DELEGATECALL", "STATICCALL"]);
export const CREATES: ReadonlySet<string> = new Set(["CREATE", "CREATE2"]);
export const ENDS: ReadonlySet<string> = new Set(["STOP", "RETURN", "REVERT", "SELFDESTRUCT"]);

export const words = (bytes: bigint): bigint => (bytes + 31n) / 32n;
export const memoryCost = (count: bigint): bigint => 3n * count + count * count / 512n;
export const max = (a: bigint, b: bigint): bigint => a > b ? a : b;
export const min = (a: bigint, b: bigint): bigint => a < b ? a : b;

/** 20 bytes of a stack word as an address. */
export function addressOf(word: bigint): string {
  return `0x${(word & ((1n << 160n) - 1n)).toString(16).padStart(40, "0")}`;
}

/** Whether `address` is a precompile of the fork. */
export function isPrecompile(address: string, rules: Rules): boolean {
  const number = BigInt(address);
  const last = rules.at("prague")
    ? 0x11n
    : rules.at("cancun")
    ? 0x0an
    : rules.at("istanbul")
    ? 9n
    : rules.at("byzantium")
    ? 8n
    : 4n;
  return number >= 1n && number <= last || number === 0x100n && rules.at("osaka");
}

// EIP-2537, discounts of multi-scalar multiplication in thousandths, for 1 to 128 pairs.
const DISCOUNT_G1 =
  `1000 949 848 797 764 750 738 728 719 712 705 698 692 687 682 677 673 669 665 661 658 654 651 648 645 642
640 637 635 632 630 627 625 623 621 619 617 615 613 611 609 608 606 604 603 601 599 598 596 595 593 592 591 589 588 586 585
584 582 581 580 579 577 576 575 574 573 572 570 569 568 567 566 565 564 563 562 561 560 559 558 557 556 555 554 553 552 551
550 549 548 547 547 546 545 544 543 542 541 540 540 539 538 537 536 536 535 534 533 532 532 531 530 529 528 528 527 526 525
525 524 523 522 522 521 520 520 519`.split(/\s/).map(BigInt);
const DISCOUNT_G2 =
  `1000 1000 923 884 855 832 812 796 782 770 759 749 740 732 724 717 711 704 699 693 688 683 679 674 670 666
663 659 655 652 649 646 643 640 637 634 632 629 627 624 622 620 618 615 613 611 609 607 606 604 602 600 598 597 595 593 592
590 589 587 586 584 583 582 580 579 578 576 575 574 573 571 570 569 568 567 566 565 563 562 561 560 559 558 557 556 555 554
553 552 552 551 550 549 548 547 546 545 545 544 543 542 541 541 540 539 538 537 537 536 535 535 534 533 532 532 531 530 530
529 528 528 527 526 526 525 524 524`.split(/\s/).map(BigInt);

/** Price of a precompile for `n` bytes of input; `exact` is false where it depends on the bytes, and the price a lower bound. */
export function precompilePrice(address: string, n: bigint, rules: Rules): { price: bigint; exact: boolean } {
  const exactly = (price: bigint) => ({ price, exact: true });
  const multi = (k: bigint, base: bigint, discounts: readonly bigint[]) =>
    exactly(k === 0n ? 0n : k * base * discounts[Number(min(k, 128n)) - 1]! / 1000n);
  switch (BigInt(address)) {
    case 1n:
      return exactly(3000n);
    case 2n:
      return exactly(60n + 12n * words(n));
    case 3n:
      return exactly(600n + 120n * words(n));
    case 4n:
      return exactly(15n + 3n * words(n));
    case 5n:
      return { price: rules.at("osaka") ? 500n : rules.at("berlin") ? 200n : 0n, exact: false };
    case 6n:
      return exactly(rules.at("istanbul") ? 150n : 500n);
    case 7n:
      return exactly(rules.at("istanbul") ? 6000n : 40000n);
    case 8n:
      return exactly(rules.at("istanbul") ? 45000n + 34000n * (n / 192n) : 100000n + 80000n * (n / 192n));
    case 9n:
      return { price: 0n, exact: false };
    case 0x0an:
      return exactly(50000n);
    case 0x0bn:
      return exactly(375n);
    case 0x0cn:
      return multi(n / 160n, 12000n, DISCOUNT_G1);
    case 0x0dn:
      return exactly(600n);
    case 0x0en:
      return multi(n / 288n, 22500n, DISCOUNT_G2);
    case 0x0fn:
      return exactly(37700n + 32600n * (n / 384n));
    case 0x10n:
      return exactly(5500n);
    case 0x11n:
      return exactly(23800n);
    case 0x100n:
      return exactly(6900n);
    default:
      throw new Error(`Cannot price ${address}: it is no precompile`);
  }
}

/** Price of a precompile for an input that is known: exact also for modexp and blake2f. */
export function precompilePriceOf(address: string, input: Uint8Array, rules: Rules): bigint {
  const word = (at: number, length: number) => {
    let value = 0n;
    for (let i = 0; i < length; i++) value = value << 8n | BigInt(input[at + i] ?? 0);
    return value;
  };
  if (BigInt(address) === 9n) return input.length === 213 ? word(0, 4) : 0n;
  if (BigInt(address) !== 5n) return precompilePrice(address, BigInt(input.length), rules).price;
  const [baseLength, exponentLength, modulusLength] = [word(0, 32), word(32, 32), word(64, 32)];
  const at = baseLength > BigInt(input.length) ? input.length : 96 + Number(baseLength);
  const head = word(at, Number(min(exponentLength, 32n)));
  const bits = head === 0n ? 0n : BigInt(head.toString(2).length - 1);
  const longest = max(baseLength, modulusLength);
  const eights = (longest + 7n) / 8n;
  if (rules.at("osaka")) { // EIP-7883
    const complexity = longest <= 32n ? 16n : 2n * eights * eights;
    const rounds = exponentLength <= 32n ? bits : 16n * (exponentLength - 32n) + bits;
    return max(500n, complexity * max(rounds, 1n));
  }
  const rounds = max(exponentLength <= 32n ? bits : 8n * (exponentLength - 32n) + bits, 1n);
  if (rules.at("berlin")) return max(200n, eights * eights * rounds / 3n); // EIP-2565
  const complexity = longest <= 64n // EIP-198
    ? longest * longest
    : longest <= 1024n
    ? longest * longest / 4n + 96n * longest - 3072n
    : longest * longest / 16n + 480n * longest - 199680n;
  return complexity * rounds / 20n;
}

/** A quantity of the JSON-RPC API. */
export function quantity(value: unknown): bigint | undefined {
  return typeof value === "string" || typeof value === "number" ? BigInt(value) : undefined;
}

/** What a transaction pays before its first opcode, and the least it pays (EIP-7623). */
export function intrinsicGas(transaction: JsonObject, rules: Rules): { intrinsic: bigint; floor: bigint } {
  const input = bytesOf(String(transaction.input ?? transaction.data ?? "0x"));
  const zeros = BigInt(input.filter((byte) => byte === 0).length);
  const others = BigInt(input.length) - zeros;
  const creation = (transaction.to ?? null) === null;
  const list = accessList(transaction);
  let intrinsic = 21000n + 4n * zeros + (rules.at("istanbul") ? 16n : 68n) * others;
  if (creation) intrinsic += 32000n + (rules.at("shanghai") ? 2n * words(BigInt(input.length)) : 0n);
  for (const { keys } of list) intrinsic += 2400n + 1900n * BigInt(keys.length);
  intrinsic += 25000n * BigInt(authorizations(transaction).length);
  return { intrinsic, floor: rules.at("prague") ? 21000n + 10n * (zeros + 4n * others) : 0n };
}

export function accessList(transaction: JsonObject): { address: string; keys: readonly bigint[] }[] {
  const list = (transaction.accessList ?? []) as { address: string; storageKeys: readonly string[] }[];
  return list.map(({ address, storageKeys }) => ({ address: address.toLowerCase(), keys: storageKeys.map(BigInt) }));
}

export function authorizations(transaction: JsonObject): readonly JsonObject[] {
  return (transaction.authorizationList ?? []) as JsonObject[];
}

export function bytesOf(hex: string): Uint8Array {
  return Uint8Array.fromHex(hex.replace(/^0x/, ""));
}
