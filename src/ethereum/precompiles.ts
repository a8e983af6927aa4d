/**
 * The precompiled contracts: which addresses have one under the rules of a fork, and what they cost.
 *
 * @see Yellow Paper, appendix E; EIP-198, EIP-1108, EIP-152, EIP-2565, EIP-4844, EIP-2537, EIP-7883, EIP-7951
 */
import { bytesOfHex } from "./hex.ts";
import { type Fork, isActive } from "./forks.ts";

/**
 * How a price depends on the length n of the input, in bytes:
 * `words`: base + per * ceil(n / 32); `units`: base + per * floor(n / unit);
 * `g1`, `g2`: k * per * discount(k) / 1000 with k = floor(n / unit); `atLeast`: base or more, by the input's content.
 */
export type PriceFormula = "words" | "units" | "g1" | "g2" | "atLeast";

/** Price of one precompile. */
export interface Precompile {
  /** As a number: the other bytes of the address are zero. */
  readonly address: number;
  /** How the price depends on the input. */
  readonly formula: PriceFormula;
  /** Gas whatever the input. */
  readonly base: number;
  /** Gas per word or unit of the input. */
  readonly per: number;
  /** Bytes of input that {@linkcode per} counts once; 0 where the formula counts words, or nothing. */
  readonly unit: number;
}

/** The precompiles of `fork`, by ascending address. */
export function precompiles(fork: Fork): readonly Precompile[] {
  const since = (first: Fork) => isActive(fork, first);
  const istanbul = since("istanbul");
  const found = [words(0x01, 3_000, 0), words(0x02, 60, 12), words(0x03, 600, 120), words(0x04, 15, 3)];
  if (since("byzantium")) {
    found.push(
      { address: MODEXP, formula: "atLeast", base: modexpMinimum(fork), per: 0, unit: 1 },
      words(0x06, istanbul ? 150 : 500, 0),
      words(0x07, istanbul ? 6_000 : 40_000, 0),
      units(0x08, istanbul ? 45_000 : 100_000, istanbul ? 34_000 : 80_000, 192),
    );
  }
  if (istanbul) found.push({ address: BLAKE2F, formula: "atLeast", base: 0, per: 0, unit: 1 });
  if (since("cancun")) found.push(words(0x0a, 50_000, 0));
  if (since("prague")) {
    found.push(
      words(0x0b, 375, 0),
      { address: 0x0c, formula: "g1", base: 0, per: 12_000, unit: 160 },
      words(0x0d, 600, 0),
      { address: 0x0e, formula: "g2", base: 0, per: 22_500, unit: 288 },
      units(0x0f, 37_700, 32_600, 384),
      words(0x10, 5_500, 0),
      words(0x11, 23_800, 0),
    );
  }
  if (since("osaka")) found.push(words(0x100, 6_900, 0));
  return found;
}

/**
 * Exact price of a precompile called with `input`.
 *
 * @param input Lower-case hex digits without 0x.
 * @returns Gas; `undefined` when the address has no precompile under these rules.
 */
export function precompilePrice(fork: Fork, address: number, input: string): bigint | undefined {
  const found = precompiles(fork).find((precompile) => precompile.address === address);
  if (found === undefined) return undefined;
  if (found.address === MODEXP) return modexpPrice(fork, bytesOfHex(input));
  const length = input.length / 2;
  if (found.address === BLAKE2F) return length === 213 ? BigInt(`0x${input.slice(0, 8)}`) : 0n;
  const count = Math.floor(length / found.unit);
  switch (found.formula) {
    case "g1":
    case "g2":
      return BigInt(found.per) * BigInt(count) * BigInt(discount(found.formula, count)) / 1000n;
    case "words":
      return BigInt(found.base + found.per * Math.ceil(length / 32));
    default:
      return BigInt(found.base + found.per * count);
  }
}

/** Thousandths of the single price for each of `count` pairs of a multi-scalar multiplication; 0 for no pair. */
export function discount(formula: "g1" | "g2", count: number): number {
  if (count === 0) return 0;
  const table = formula === "g1" ? G1_DISCOUNTS : G2_DISCOUNTS;
  return table[Math.min(count, table.length) - 1]!;
}

const MODEXP = 0x05;
const BLAKE2F = 0x09;

function words(address: number, base: number, per: number): Precompile {
  return { address, formula: "words", base, per, unit: 32 };
}

function units(address: number, base: number, per: number, unit: number): Precompile {
  return { address, formula: "units", base, per, unit };
}

function modexpMinimum(fork: Fork): number {
  return isActive(fork, "osaka") ? 500 : isActive(fork, "berlin") ? 200 : 0;
}

/** EIP-198, from Berlin EIP-2565, from Osaka EIP-7883. */
function modexpPrice(fork: Fork, input: Uint8Array): bigint {
  const [baseLength, exponentLength, modulusLength] = [0, 32, 64].map((at) => slice(input, BigInt(at), 32n)) as [
    bigint,
    bigint,
    bigint,
  ];
  const head = slice(input, 96n + baseLength, exponentLength < 32n ? exponentLength : 32n);
  const headBits = head === 0n ? 0n : BigInt(head.toString(2).length - 1);
  const longest = baseLength > modulusLength ? baseLength : modulusLength;
  const [osaka, berlin] = [isActive(fork, "osaka"), isActive(fork, "berlin")];
  const beyond = exponentLength > 32n ? (osaka ? 16n : 8n) * (exponentLength - 32n) : 0n;
  const iterations = beyond + headBits > 1n ? beyond + headBits : 1n;
  const wordsSquared = ((longest + 7n) / 8n) ** 2n;
  const minimum = BigInt(modexpMinimum(fork));
  if (osaka) return atLeast(minimum, (longest <= 32n ? 16n : 2n * wordsSquared) * iterations);
  if (!berlin) return byzantiumComplexity(longest) * iterations / 20n;
  return baseLength === 0n && modulusLength === 0n ? minimum : atLeast(minimum, wordsSquared * iterations / 3n);
}

function byzantiumComplexity(length: bigint): bigint {
  if (length <= 64n) return length * length;
  if (length <= 1024n) return length * length / 4n + 96n * length - 3072n;
  return length * length / 16n + 480n * length - 199_680n;
}

function atLeast(minimum: bigint, price: bigint): bigint {
  return price > minimum ? price : minimum;
}

/** `length` (at most 32) bytes from `at` as a number; what lies behind the end is zeros. */
function slice(input: Uint8Array, at: bigint, length: bigint): bigint {
  let value = 0n;
  for (let position = at; position < at + length; position++) {
    const byte = position < BigInt(input.length) ? input[Number(position)]! : 0;
    value = value * 256n + BigInt(byte);
  }
  return value;
}

// deno-fmt-ignore
const G1_DISCOUNTS: readonly number[] = [
  1000, 949, 848, 797, 764, 750, 738, 728, 719, 712, 705, 698, 692, 687, 682, 677,
  673, 669, 665, 661, 658, 654, 651, 648, 645, 642, 640, 637, 635, 632, 630, 627,
  625, 623, 621, 619, 617, 615, 613, 611, 609, 608, 606, 604, 603, 601, 599, 598,
  596, 595, 593, 592, 591, 589, 588, 586, 585, 584, 582, 581, 580, 579, 577, 576,
  575, 574, 573, 572, 570, 569, 568, 567, 566, 565, 564, 563, 562, 561, 560, 559,
  558, 557, 556, 555, 554, 553, 552, 551, 550, 549, 548, 547, 547, 546, 545, 544,
  543, 542, 541, 540, 540, 539, 538, 537, 536, 536, 535, 534, 533, 532, 532, 531,
  530, 529, 528, 528, 527, 526, 525, 525, 524, 523, 522, 522, 521, 520, 520, 519,
];
// deno-fmt-ignore
const G2_DISCOUNTS: readonly number[] = [
  1000, 1000, 923, 884, 855, 832, 812, 796, 782, 770, 759, 749, 740, 732, 724, 717,
  711, 704, 699, 693, 688, 683, 679, 674, 670, 666, 663, 659, 655, 652, 649, 646,
  643, 640, 637, 634, 632, 629, 627, 624, 622, 620, 618, 615, 613, 611, 609, 607,
  606, 604, 602, 600, 598, 597, 595, 593, 592, 590, 589, 587, 586, 584, 583, 582,
  580, 579, 578, 576, 575, 574, 573, 571, 570, 569, 568, 567, 566, 565, 563, 562,
  561, 560, 559, 558, 557, 556, 555, 554, 553, 552, 552, 551, 550, 549, 548, 547,
  546, 545, 545, 544, 543, 542, 541, 541, 540, 539, 538, 537, 537, 536, 535, 535,
  534, 533, 532, 532, 531, 530, 530, 529, 528, 528, 527, 526, 526, 525, 524, 524,
];
