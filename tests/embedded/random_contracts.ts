/**
 * Contracts and transactions drawn from a seed: calls of all kinds, creations, reverts, exceptional halts, precompiles,
 * access lists and delegations, in whatever order they come. Nothing here is meant to make sense; each program is valid
 * byte for byte, so that every opcode gets its turn and its operands.
 */

/** Forks that the dev chain executes rightly, oldest first. */
export const RANDOM_FORKS = ["london", "paris", "shanghai", "cancun", "prague", "osaka"] as const;
export type RandomFork = typeof RANDOM_FORKS[number];

/** Whole numbers from 0 to below `below`. */
export type Random = (below: number) => number;

/** What a program may meet. */
export interface Surroundings {
  readonly fork: RandomFork;
  /** Addresses with code, or with the delegation of EIP-7702. */
  readonly contracts: readonly string[];
  /** Addresses without code. */
  readonly people: readonly string[];
}

const SLOTS = 6;
/** Bounds what one program costs; the calls of a transaction are bounded by its gas. */
const MAX_STATEMENTS = 14;
/** Of memory that programs touch by offset; expansions beyond come from a few large operands. */
const MEMORY_BYTES = 400;

const OP = {
  STOP: 0x00,
  ADD: 0x01,
  LT: 0x10,
  ISZERO: 0x15,
  KECCAK256: 0x20,
  BALANCE: 0x31,
  CALLDATALOAD: 0x35,
  CALLDATACOPY: 0x37,
  CODECOPY: 0x39,
  EXTCODESIZE: 0x3b,
  EXTCODECOPY: 0x3c,
  RETURNDATASIZE: 0x3d,
  RETURNDATACOPY: 0x3e,
  EXTCODEHASH: 0x3f,
  POP: 0x50,
  MLOAD: 0x51,
  MSTORE: 0x52,
  MSTORE8: 0x53,
  SLOAD: 0x54,
  SSTORE: 0x55,
  JUMP: 0x56,
  JUMPI: 0x57,
  GAS: 0x5a,
  JUMPDEST: 0x5b,
  TLOAD: 0x5c,
  TSTORE: 0x5d,
  MCOPY: 0x5e,
  PUSH0: 0x5f,
  PUSH1: 0x60,
  PUSH2: 0x61,
  DUP1: 0x80,
  SWAP1: 0x90,
  LOG0: 0xa0,
  CREATE: 0xf0,
  CALL: 0xf1,
  CALLCODE: 0xf2,
  RETURN: 0xf3,
  DELEGATECALL: 0xf4,
  CREATE2: 0xf5,
  STATICCALL: 0xfa,
  REVERT: 0xfd,
  INVALID: 0xfe,
  SELFDESTRUCT: 0xff,
} as const;

/** Opcodes of two operands and one result, and of none and one, in every fork. */
const BINARY = [
  0x01,
  0x02,
  0x03,
  0x04,
  0x05,
  0x06,
  0x07,
  0x0a,
  0x0b,
  0x10,
  0x11,
  0x14,
  0x16,
  0x17,
  0x18,
  0x1a,
  0x1b,
  0x1d,
];
const READING = [
  0x30,
  0x32,
  0x33,
  0x34,
  0x36,
  0x38,
  0x3a,
  0x3d,
  0x41,
  0x42,
  0x43,
  0x44,
  0x45,
  0x46,
  0x47,
  0x48,
  0x58,
  0x59,
  0x5a,
];

/** Numbers from a seed (mulberry32). */
export function randomFrom(seed: number): Random {
  let state = seed | 0;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor(((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32 * below);
  };
}

/** One of `choices`. */
export function pick<Choice>(random: Random, choices: readonly Choice[]): Choice {
  return choices[random(choices.length)]!;
}

/** Code of a contract, hex with 0x. */
export function randomCode(random: Random, surroundings: Surroundings): string {
  return hex(new Program(random, surroundings).body().bytes);
}

/** Code that a creation executes, hex with 0x: a program, or one that returns code. */
export function randomInitCode(random: Random, surroundings: Surroundings): string {
  if (random(3) === 0) return randomCode(random, surroundings);
  return hex([...new Program(random, surroundings).statements(random(5)).bytes, ...shortInitCode(random)]);
}

/** Data of a call, hex with 0x. */
export function randomData(random: Random): string {
  return hex(Array.from({ length: random(3) === 0 ? 0 : random(100) }, () => random(3) === 0 ? 0 : random(256)));
}

/** Addresses of precompiles, some of them of later forks. */
export function precompileAddress(random: Random): string {
  const number = random(8) === 0 ? 0x100 : 1 + random(0x12);
  return `0x${number.toString(16).padStart(40, "0")}`;
}

/** An entry of an access list. */
export function randomAccess(random: Random, { contracts, people }: Surroundings) {
  return {
    address: pick(random, [...contracts, ...people]),
    storageKeys: Array.from({ length: random(4) }, () => `0x${random(SLOTS).toString(16).padStart(64, "0")}` as const),
  };
}

function hex(bytes: readonly number[]): string {
  return `0x${bytes.map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/** Init code of at most 32 bytes: returns code of some kind, or ends otherwise. */
function shortInitCode(random: Random): number[] {
  const program = new Program(random, { fork: "london", contracts: [], people: [] });
  switch (random(8)) {
    case 0:
      return program.push(0).push(0).op(OP.REVERT).bytes;
    case 1:
      return [OP.INVALID];
    case 2:
      return [OP.STOP];
    case 3:
      return program.push(0).op(OP.SELFDESTRUCT).bytes;
    case 4: // as large as the deposit allows, or larger
      return program.push(pick(random, [100, 5_000, 24_576, 24_577])).push(0).op(OP.RETURN).bytes;
    case 5: // begins with EF
      return program.push(0xef).push(0).op(OP.MSTORE8).push(1).push(0).op(OP.RETURN).bytes;
    default: {
      const code = pick(random, [[OP.STOP], [0x60, 1, 0x60, 2, OP.SSTORE], [0x33, OP.SELFDESTRUCT], [OP.INVALID]]);
      return program.pushBytes(code).push(0).op(OP.MSTORE).push(code.length).push(32 - code.length).op(OP.RETURN).bytes;
    }
  }
}

/** Writes a program, statement by statement; each leaves the stack as it found it. */
class Program {
  readonly bytes: number[] = [];
  readonly #random: Random;
  readonly #surroundings: Surroundings;
  readonly #fork: number;

  constructor(random: Random, surroundings: Surroundings) {
    this.#random = random;
    this.#surroundings = surroundings;
    this.#fork = RANDOM_FORKS.indexOf(surroundings.fork);
  }

  op(...opcodes: number[]): this {
    this.bytes.push(...opcodes);
    return this;
  }

  push(value: number | bigint): this {
    const digits = value.toString(16);
    if (value === 0 && this.#has("shanghai") && this.#random(2) === 0) return this.op(OP.PUSH0);
    return this.pushBytes(
      digits.padStart(digits.length + digits.length % 2, "0").match(/../g)!.map((pair) => parseInt(pair, 16)),
    );
  }

  pushBytes(value: readonly number[]): this {
    return this.op(OP.PUSH1 - 1 + value.length, ...value);
  }

  /** Statements and an end. */
  body(): this {
    return this.statements(1 + this.#random(MAX_STATEMENTS)).#end();
  }

  statements(count: number): this {
    for (let nth = 0; nth < count; nth++) this.#statement();
    return this;
  }

  #has(fork: RandomFork): boolean {
    return this.#fork >= RANDOM_FORKS.indexOf(fork);
  }

  #statement(): void {
    const random = this.#random;
    switch (random(20)) {
      case 0:
      case 1:
        this.push(this.#word()).push(this.#word()).op(pick(random, BINARY), OP.POP);
        break;
      case 2:
        this.op(pick(random, READING)).op(OP.DUP1, OP.SWAP1, OP.POP, OP.POP);
        break;
      case 3:
      case 4:
        this.push(random(3)).push(random(SLOTS)).op(OP.SSTORE);
        break;
      case 5:
        this.push(random(SLOTS)).op(OP.SLOAD, OP.POP);
        break;
      case 6:
        this.push(this.#word()).push(this.#offset()).op(pick(random, [OP.MSTORE, OP.MSTORE, OP.MSTORE8]));
        break;
      case 7:
        this.push(this.#offset()).op(OP.MLOAD, OP.POP);
        break;
      case 8:
        this.push(random(200)).push(this.#offset()).op(OP.KECCAK256, OP.POP);
        break;
      case 9:
        this.#copy();
        break;
      case 10:
        this.push(this.#address()).op(pick(random, [OP.BALANCE, OP.EXTCODESIZE, OP.EXTCODEHASH]), OP.POP);
        break;
      case 11:
        this.#log();
        break;
      case 12:
      case 13:
      case 14:
      case 15:
        this.#call();
        break;
      case 16:
        this.#create();
        break;
      case 17:
        this.#loop();
        break;
      case 18:
        this.#branch();
        break;
      default:
        if (this.#has("cancun")) {
          this.push(random(3)).push(random(SLOTS)).op(OP.TSTORE).push(random(SLOTS)).op(OP.TLOAD, OP.POP);
        }
    }
  }

  #word(): bigint {
    const random = this.#random;
    return pick(random, [
      0n,
      1n,
      BigInt(random(256)),
      BigInt(random(2 ** 31)),
      2n ** 256n - 1n,
      2n ** 255n,
      1n << BigInt(random(256)),
    ]);
  }

  /** Mostly near; now and then so far that the expansion is dear or cannot be paid. */
  #offset(): number | bigint {
    const random = this.#random;
    if (random(40) === 0) return pick(random, [20_000, 200_000, 2 ** 40, 2n ** 200n]);
    return random(MEMORY_BYTES);
  }

  #address(): bigint {
    const random = this.#random;
    const { contracts, people } = this.#surroundings;
    switch (random(6)) {
      case 0:
        return BigInt(precompileAddress(random));
      case 1:
        return BigInt(`0x${"fe".repeat(18)}${(random(2 ** 16)).toString(16).padStart(4, "0")}`); // nobody
      case 2:
        return people.length === 0 ? 0n : BigInt(pick(random, people));
      default:
        return contracts.length === 0 ? 0n : BigInt(pick(random, contracts));
    }
  }

  #copy(): void {
    const random = this.#random;
    const sizeThenOffsets = () => this.push(random(4) === 0 ? 0 : random(100)).push(random(100)).push(this.#offset());
    switch (random(5)) {
      case 0:
        sizeThenOffsets().op(OP.CALLDATACOPY);
        break;
      case 1:
        sizeThenOffsets().op(OP.CODECOPY);
        break;
      case 2:
        sizeThenOffsets().push(this.#address()).op(OP.EXTCODECOPY);
        break;
      case 3:
        if (random(10) === 0) this.push(1).op(OP.RETURNDATASIZE).push(0).op(OP.RETURNDATACOPY); // one byte too far
        else this.op(OP.RETURNDATASIZE).push(0).push(this.#offset()).op(OP.RETURNDATACOPY);
        break;
      default:
        if (this.#has("cancun")) sizeThenOffsets().op(OP.MCOPY);
    }
  }

  #log(): void {
    const topics = this.#random(5);
    for (let nth = 0; nth < topics; nth++) this.push(this.#word());
    this.push(this.#random(64)).push(this.#offset()).op(OP.LOG0 + topics);
  }

  #call(): void {
    const random = this.#random;
    const kind = pick(random, [OP.CALL, OP.CALL, OP.CALL, OP.CALLCODE, OP.DELEGATECALL, OP.STATICCALL]);
    const inputSizes = [0, 0, 32, 64, 96, 128, 160, 192, 213, 256, 288, 384];
    this.push(random(64)).push(random(MEMORY_BYTES)).push(pick(random, inputSizes)).push(random(64));
    if (kind === OP.CALL || kind === OP.CALLCODE) this.push(random(3) === 0 ? pick(random, [1, 5, 2n ** 100n]) : 0);
    this.push(this.#address());
    if (random(3) === 0) this.op(OP.GAS);
    else this.push(pick(random, [0, 100, 2_300, 5_000, 30_000, 100_000, 2n ** 64n, 2n ** 256n - 1n]));
    this.op(kind, OP.POP);
  }

  #create(): void {
    const random = this.#random;
    const code = random(6) === 0 ? [] : shortInitCode(random);
    if (code.length > 0) this.pushBytes(code).push(0).op(OP.MSTORE);
    const salted = random(2) === 0;
    if (salted) this.push(random(2)); // few salts: some meet what is there already
    this.push(code.length).push(32 - code.length).push(random(4) === 0 ? pick(random, [1, 2n ** 100n]) : 0);
    this.op(salted ? OP.CREATE2 : OP.CREATE);
    if (random(2) === 0) this.op(OP.POP);
    else { // and calls what was made, if anything was
      this.push(0).push(0).push(0).push(0).push(0).op(0x85).push(30_000).op(OP.CALL, OP.POP, OP.POP);
    }
  }

  /** Counts down from a few. */
  #loop(): void {
    this.push(1 + this.#random(12));
    const start = this.bytes.length;
    this.op(OP.JUMPDEST).push(1).op(OP.SWAP1, 0x03, OP.DUP1, OP.PUSH2, start >> 8, start & 0xff, OP.JUMPI, OP.POP);
  }

  /** Skips a statement, or does not. */
  #branch(): void {
    this.push(this.#random(64)).op(OP.CALLDATALOAD).push(this.#random(2)).op(OP.LT, OP.PUSH2, 0, 0, OP.JUMPI);
    const patch = this.bytes.length - 3;
    this.#statement();
    this.bytes[patch] = this.bytes.length >> 8;
    this.bytes[patch + 1] = this.bytes.length & 0xff;
    this.op(OP.JUMPDEST);
  }

  #end(): this {
    const random = this.#random;
    switch (random(16)) {
      case 0:
        return this.op(OP.INVALID);
      case 1:
        return this.op(pick(random, [0x0c, 0x21, 0x4f, 0xb0, 0xef, OP.PUSH0, OP.TLOAD, 0x49])); // some are defined later
      case 2:
        return this.op(OP.ADD); // on an empty stack
      case 3:
        return this.push(1).op(OP.JUMP); // no destination there
      case 4: {
        const start = this.bytes.length; // until the gas is gone
        return this.op(OP.JUMPDEST).push(random(SLOTS)).op(
          OP.SLOAD,
          OP.POP,
          OP.PUSH2,
          start >> 8,
          start & 0xff,
          OP.JUMP,
        );
      }
      case 5:
        return this.push(this.#address()).op(OP.SELFDESTRUCT);
      case 6:
      case 7:
        return this.push(random(100)).push(this.#offset()).op(OP.REVERT);
      case 8:
      case 9:
      case 10:
        return this.push(random(100)).push(this.#offset()).op(OP.RETURN);
      case 11:
        return this.op(OP.STOP);
      default:
        return this; // the implicit STOP
    }
  }
}
