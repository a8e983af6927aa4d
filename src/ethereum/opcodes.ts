/**
 * The opcodes of the EVM: the one definition of their names, bytes, stack effect, constant price and first fork. The
 * WebAssembly module gets its tables from here, once per fork.
 *
 * @see Yellow Paper, appendix H; the EIPs that added opcodes later.
 */
import type { Fork } from "./forks.ts";

/** How an opcode must be treated beyond its constant price. */
export type OpcodeGroup =
  | "plain"
  | "jumpdest"
  | "jump"
  | "jumpi"
  | "memory"
  | "exp"
  | "sload"
  | "sstore"
  | "account"
  | "extcodecopy"
  | "call"
  | "create"
  | "stop"
  | "return"
  | "selfdestruct";

/** Where an area of memory is found: stack positions (0 is the top) of offset and size, or a constant size in bytes. */
export type MemoryArea =
  | { readonly offset: number; readonly size: number }
  | { readonly offset: number; readonly bytes: 1 | 32 };

/** One opcode. */
export interface Opcode {
  /** How code says it. */
  readonly byte: number;
  /** Canonical mnemonic. */
  readonly name: string;
  /** Items taken from the stack. */
  readonly pops: number;
  /** Items put on the stack. */
  readonly pushes: number;
  /** Bytes of code that follow the opcode as its operand. */
  readonly immediate: number;
  /** Constant part of the price, gas. Where it depends on the fork: see `prices.ts`. */
  readonly gas: number;
  /** Gas per word of the first area. */
  readonly gasPerWord: number;
  /** Gas per byte of the first area. */
  readonly gasPerByte: number;
  /** How it must be treated. */
  readonly group: OpcodeGroup;
  /** Areas of memory that it reads or writes, and thereby pays for. */
  readonly memory: readonly MemoryArea[];
  /** Changes state: halts in a static frame. A call does only when it carries value. */
  readonly writes: boolean;
  /** Undefined in earlier forks. */
  readonly since: Fork;
}

type Detail = Partial<Omit<Opcode, "byte" | "name" | "pops" | "pushes">>;

function opcode(byte: number, name: string, pops: number, pushes: number, gas: number, detail: Detail = {}): Opcode {
  return {
    byte,
    name,
    pops,
    pushes,
    gas,
    immediate: 0,
    gasPerWord: 0,
    gasPerByte: 0,
    group: "plain",
    memory: [],
    writes: false,
    since: "frontier",
    ...detail,
  };
}

function area(offset: number, size: number): MemoryArea {
  return { offset, size };
}

const COPY: Detail = { group: "memory", gasPerWord: 3, memory: [area(0, 2)] };
const ACCOUNT: Detail = { group: "account" };

/** All opcodes up to Amsterdam, by byte. */
export const OPCODES: readonly Opcode[] = [
  opcode(0x00, "STOP", 0, 0, 0, { group: "stop" }),
  opcode(0x01, "ADD", 2, 1, 3),
  opcode(0x02, "MUL", 2, 1, 5),
  opcode(0x03, "SUB", 2, 1, 3),
  opcode(0x04, "DIV", 2, 1, 5),
  opcode(0x05, "SDIV", 2, 1, 5),
  opcode(0x06, "MOD", 2, 1, 5),
  opcode(0x07, "SMOD", 2, 1, 5),
  opcode(0x08, "ADDMOD", 3, 1, 8),
  opcode(0x09, "MULMOD", 3, 1, 8),
  opcode(0x0a, "EXP", 2, 1, 10, { group: "exp" }),
  opcode(0x0b, "SIGNEXTEND", 2, 1, 5),
  opcode(0x10, "LT", 2, 1, 3),
  opcode(0x11, "GT", 2, 1, 3),
  opcode(0x12, "SLT", 2, 1, 3),
  opcode(0x13, "SGT", 2, 1, 3),
  opcode(0x14, "EQ", 2, 1, 3),
  opcode(0x15, "ISZERO", 1, 1, 3),
  opcode(0x16, "AND", 2, 1, 3),
  opcode(0x17, "OR", 2, 1, 3),
  opcode(0x18, "XOR", 2, 1, 3),
  opcode(0x19, "NOT", 1, 1, 3),
  opcode(0x1a, "BYTE", 2, 1, 3),
  opcode(0x1b, "SHL", 2, 1, 3, { since: "petersburg" }),
  opcode(0x1c, "SHR", 2, 1, 3, { since: "petersburg" }),
  opcode(0x1d, "SAR", 2, 1, 3, { since: "petersburg" }),
  opcode(0x1e, "CLZ", 1, 1, 5, { since: "osaka" }),
  opcode(0x20, "KECCAK256", 2, 1, 30, { group: "memory", gasPerWord: 6, memory: [area(0, 1)] }),
  opcode(0x30, "ADDRESS", 0, 1, 2),
  opcode(0x31, "BALANCE", 1, 1, 0, ACCOUNT),
  opcode(0x32, "ORIGIN", 0, 1, 2),
  opcode(0x33, "CALLER", 0, 1, 2),
  opcode(0x34, "CALLVALUE", 0, 1, 2),
  opcode(0x35, "CALLDATALOAD", 1, 1, 3),
  opcode(0x36, "CALLDATASIZE", 0, 1, 2),
  opcode(0x37, "CALLDATACOPY", 3, 0, 3, COPY),
  opcode(0x38, "CODESIZE", 0, 1, 2),
  opcode(0x39, "CODECOPY", 3, 0, 3, COPY),
  opcode(0x3a, "GASPRICE", 0, 1, 2),
  opcode(0x3b, "EXTCODESIZE", 1, 1, 0, ACCOUNT),
  opcode(0x3c, "EXTCODECOPY", 4, 0, 0, { group: "extcodecopy", gasPerWord: 3, memory: [area(1, 3)] }),
  opcode(0x3d, "RETURNDATASIZE", 0, 1, 2, { since: "byzantium" }),
  opcode(0x3e, "RETURNDATACOPY", 3, 0, 3, { ...COPY, since: "byzantium" }),
  opcode(0x3f, "EXTCODEHASH", 1, 1, 0, { ...ACCOUNT, since: "petersburg" }),
  opcode(0x40, "BLOCKHASH", 1, 1, 20),
  opcode(0x41, "COINBASE", 0, 1, 2),
  opcode(0x42, "TIMESTAMP", 0, 1, 2),
  opcode(0x43, "NUMBER", 0, 1, 2),
  opcode(0x44, "PREVRANDAO", 0, 1, 2),
  opcode(0x45, "GASLIMIT", 0, 1, 2),
  opcode(0x46, "CHAINID", 0, 1, 2, { since: "istanbul" }),
  opcode(0x47, "SELFBALANCE", 0, 1, 5, { since: "istanbul" }),
  opcode(0x48, "BASEFEE", 0, 1, 2, { since: "london" }),
  opcode(0x49, "BLOBHASH", 1, 1, 3, { since: "cancun" }),
  opcode(0x4a, "BLOBBASEFEE", 0, 1, 2, { since: "cancun" }),
  opcode(0x4b, "SLOTNUM", 0, 1, 2, { since: "amsterdam" }),
  opcode(0x50, "POP", 1, 0, 2),
  opcode(0x51, "MLOAD", 1, 1, 3, { group: "memory", memory: [{ offset: 0, bytes: 32 }] }),
  opcode(0x52, "MSTORE", 2, 0, 3, { group: "memory", memory: [{ offset: 0, bytes: 32 }] }),
  opcode(0x53, "MSTORE8", 2, 0, 3, { group: "memory", memory: [{ offset: 0, bytes: 1 }] }),
  opcode(0x54, "SLOAD", 1, 1, 0, { group: "sload" }),
  opcode(0x55, "SSTORE", 2, 0, 0, { group: "sstore", writes: true }),
  opcode(0x56, "JUMP", 1, 0, 8, { group: "jump" }),
  opcode(0x57, "JUMPI", 2, 0, 10, { group: "jumpi" }),
  opcode(0x58, "PC", 0, 1, 2),
  opcode(0x59, "MSIZE", 0, 1, 2),
  opcode(0x5a, "GAS", 0, 1, 2),
  opcode(0x5b, "JUMPDEST", 0, 0, 1, { group: "jumpdest" }),
  opcode(0x5c, "TLOAD", 1, 1, 100, { since: "cancun" }),
  opcode(0x5d, "TSTORE", 2, 0, 100, { writes: true, since: "cancun" }),
  opcode(0x5e, "MCOPY", 3, 0, 3, {
    group: "memory",
    gasPerWord: 3,
    memory: [area(0, 2), area(1, 2)],
    since: "cancun",
  }),
  opcode(0x5f, "PUSH0", 0, 1, 2, { since: "shanghai" }),
  ...range(1, 32).map((n) => opcode(0x5f + n, `PUSH${n}`, 0, 1, 3, { immediate: n })),
  ...range(1, 16).map((n) => opcode(0x7f + n, `DUP${n}`, n, n + 1, 3)),
  ...range(1, 16).map((n) => opcode(0x8f + n, `SWAP${n}`, n + 1, n + 1, 3)),
  ...range(0, 4).map((n) =>
    opcode(0xa0 + n, `LOG${n}`, n + 2, 0, 375 * (n + 1), {
      group: "memory",
      gasPerByte: 8,
      memory: [area(0, 1)],
      writes: true,
    })
  ),
  opcode(0xf0, "CREATE", 3, 1, 32_000, { group: "create", memory: [area(1, 2)], writes: true }),
  opcode(0xf1, "CALL", 7, 1, 0, { group: "call", memory: [area(3, 4), area(5, 6)] }),
  opcode(0xf2, "CALLCODE", 7, 1, 0, { group: "call", memory: [area(3, 4), area(5, 6)] }),
  opcode(0xf3, "RETURN", 2, 0, 0, { group: "return", memory: [area(0, 1)] }),
  opcode(0xf4, "DELEGATECALL", 6, 1, 0, { group: "call", memory: [area(2, 3), area(4, 5)] }),
  opcode(0xf5, "CREATE2", 4, 1, 32_000, {
    group: "create",
    memory: [area(1, 2)],
    writes: true,
    since: "petersburg",
  }),
  opcode(0xfa, "STATICCALL", 6, 1, 0, { group: "call", memory: [area(2, 3), area(4, 5)], since: "byzantium" }),
  opcode(0xfd, "REVERT", 2, 0, 0, { group: "return", memory: [area(0, 1)], since: "byzantium" }),
  opcode(0xff, "SELFDESTRUCT", 1, 0, 0, { group: "selfdestruct", writes: true }),
];

/** Names that clients print besides the canonical one. */
const ALIASES: Readonly<Record<string, string>> = {
  SHA3: "KECCAK256",
  SUICIDE: "SELFDESTRUCT",
  DIFFICULTY: "PREVRANDAO",
  RANDOM: "PREVRANDAO",
  PREVRANDOM: "PREVRANDAO",
};

/** Byte of every name that a client may print for a defined opcode, canonical or not. */
export const opcodeNames: ReadonlyMap<string, number> = namesToBytes();

/**
 * The name under which an opcode is stored: the canonical one, but `DIFFICULTY` for PREVRANDAO, as geth and Erigon print
 * it and existing tables hold it.
 */
export function storedName(opcode: Opcode): string {
  return opcode.name === "PREVRANDAO" ? "DIFFICULTY" : opcode.name;
}

function namesToBytes(): Map<string, number> {
  const bytes = new Map(OPCODES.map(({ name, byte }) => [name, byte]));
  for (const [alias, name] of Object.entries(ALIASES)) {
    const byte = bytes.get(name);
    if (byte !== undefined) bytes.set(alias, byte);
  }
  return bytes;
}

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, position) => first + position);
}
