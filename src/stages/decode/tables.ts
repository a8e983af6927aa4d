/** The tables by opcode and by precompile that the semantics read, for the rules of one fork, as bytes. */
import * as F from "../../../wasm/facts.ts";
import * as K from "../../../wasm/kinds.ts";
import { OPCODE_BYTES } from "../../../wasm/layout.ts";
import { type Fork, isActive } from "../../ethereum/forks.ts";
import { type MemoryArea, type Opcode, type OpcodeGroup, OPCODES, storedName } from "../../ethereum/opcodes.ts";
import { discount, precompiles, type PriceFormula } from "../../ethereum/precompiles.ts";
import { type GasSchedule, gasSchedule } from "../../ethereum/prices.ts";

/** Everything of a fork that does not change from transaction to transaction. */
export interface ForkTables {
  readonly schedule: GasSchedule;
  /** 256 entries of OPCODE_BYTES. */
  readonly opcodes: Uint8Array;
  /** From FACT_PRECOMPILES on. */
  readonly precompiles: Uint8Array;
  /** Addresses of the precompiles, which are warm from the start: words of 32 bytes, least significant byte first. */
  readonly precompileWords: Uint8Array;
  /** IS_* bits of the fork. */
  readonly flags: number;
}

const KINDS: Readonly<Record<OpcodeGroup, number>> = {
  plain: K.KIND_PLAIN,
  jumpdest: K.KIND_JUMPDEST,
  jump: K.KIND_JUMP,
  jumpi: K.KIND_JUMPI,
  memory: K.KIND_MEMORY,
  exp: K.KIND_EXP,
  sload: K.KIND_SLOAD,
  sstore: K.KIND_SSTORE,
  account: K.KIND_ACCOUNT,
  extcodecopy: K.KIND_EXTCODECOPY,
  call: K.KIND_CALL,
  create: K.KIND_CREATE,
  stop: K.KIND_STOP,
  return: K.KIND_RETURN,
  selfdestruct: K.KIND_SELFDESTRUCT,
};

const FORMULAS: Readonly<Record<PriceFormula, number>> = {
  words: F.FORMULA_WORDS,
  units: F.FORMULA_UNITS,
  g1: F.FORMULA_G1,
  g2: F.FORMULA_G2,
  atLeast: F.FORMULA_AT_LEAST,
};

const made = new Map<Fork, ForkTables>();

/** Tables for the rules of `fork`, made once. */
export function forkTables(fork: Fork): ForkTables {
  let tables = made.get(fork);
  if (tables === undefined) made.set(fork, tables = makeTables(fork));
  return tables;
}

/** Stored names by EVM byte, then the empty text and the type of a frame that nothing opened. */
export const OPERATIONS: readonly string[] = operationNames();

function operationNames(): string[] {
  const names = new Array<string>(K.OPERATION_NAMES).fill("");
  for (const opcode of OPCODES) names[opcode.byte] = storedName(opcode);
  names[K.OPERATION_UNKNOWN] = "UNKNOWN";
  return names;
}

function makeTables(fork: Fork): ForkTables {
  const schedule = gasSchedule(fork);
  const opcodes = new Uint8Array(256 * OPCODE_BYTES);
  for (let byte = 0; byte < 256; byte++) opcodes[byte * OPCODE_BYTES + K.OPCODE_KIND] = K.KIND_UNDEFINED;
  for (const opcode of OPCODES) writeOpcode(opcodes, opcode, fork, schedule);
  const known = precompiles(fork);
  return {
    schedule,
    opcodes,
    precompiles: precompileTable(fork),
    precompileWords: addressWords(known.map(({ address }) => address)),
    flags: FLAGS.reduce((flags, [since, bit]) => flags | (isActive(fork, since) ? bit : 0), 0),
  };
}

const FLAGS: readonly (readonly [since: Fork, bit: number])[] = [
  ["istanbul", F.IS_ISTANBUL],
  ["berlin", F.IS_BERLIN],
  ["london", F.IS_LONDON],
  ["shanghai", F.IS_SHANGHAI],
  ["prague", F.IS_PRAGUE],
];

function addressWords(addresses: readonly number[]): Uint8Array {
  const words = new Uint8Array(32 * addresses.length);
  const view = new DataView(words.buffer);
  addresses.forEach((address, at) => view.setUint16(32 * at, address, true));
  return words;
}

function writeOpcode(table: Uint8Array, opcode: Opcode, fork: Fork, schedule: GasSchedule): void {
  const entry = new DataView(table.buffer, opcode.byte * OPCODE_BYTES, OPCODE_BYTES);
  const isKnown = isActive(fork, opcode.since);
  entry.setUint8(K.OPCODE_KIND, isKnown ? KINDS[opcode.group] : K.KIND_UNDEFINED);
  entry.setUint8(K.OPCODE_POPS, opcode.pops);
  entry.setUint8(K.OPCODE_PUSHES, opcode.pushes);
  entry.setUint8(K.OPCODE_STEP, 1 + opcode.immediate);
  entry.setUint32(K.OPCODE_PRICE, priceOf(opcode, schedule), true);
  const [first, second] = opcode.memory.map(positions);
  entry.setUint8(K.OPCODE_OFFSET, first?.[0] ?? K.NO_AREA);
  entry.setUint8(K.OPCODE_SIZE, first?.[1] ?? K.NO_AREA);
  entry.setUint8(K.OPCODE_OFFSET_2, second?.[0] ?? K.NO_AREA);
  entry.setUint8(K.OPCODE_SIZE_2, second?.[1] ?? K.NO_AREA);
  entry.setUint8(K.OPCODE_PER_WORD, opcode.gasPerWord);
  entry.setUint8(K.OPCODE_PER_BYTE, opcode.gasPerByte);
  entry.setUint8(K.OPCODE_OPERANDS, isKnown ? operandsOf(opcode) : 0);
  entry.setUint8(K.OPCODE_WRITES, opcode.writes ? 1 : 0);
}

function priceOf(opcode: Opcode, schedule: GasSchedule): number {
  if (opcode.group === "call") return schedule.access.CALL;
  const prices: Readonly<Record<string, number>> = schedule.access;
  return prices[opcode.name] ?? opcode.gas;
}

function positions(area: MemoryArea): readonly [number, number] {
  if ("size" in area) return [area.offset, area.size];
  return [area.offset, area.bytes === 32 ? K.SIZE_32 : K.SIZE_1];
}

/** Words to be read: down to the deepest operand that means something. */
function operandsOf(opcode: Opcode): number {
  switch (opcode.group) {
    case "plain":
    case "jumpdest":
    case "stop":
      return 0;
    case "sload":
    case "jump":
    case "account":
    case "selfdestruct":
      return 1;
    case "memory":
      return 1 +
        Math.max(...opcode.memory.flatMap((area) => "size" in area ? [area.offset, area.size] : [area.offset]));
    default:
      return opcode.pops;
  }
}

function precompileTable(fork: Fork): Uint8Array {
  const table = new Uint8Array(F.FACT_G2_DISCOUNTS + 2 * 129 - F.FACT_PRECOMPILES);
  const view = new DataView(table.buffer);
  for (const { address, formula, base, per, unit } of precompiles(fork)) {
    const at = (address === 0x100 ? F.PRECOMPILE_P256 : address) * F.PRECOMPILE_BYTES;
    view.setUint32(at, FORMULAS[formula], true);
    view.setUint32(at + 4, base, true);
    view.setUint32(at + 8, per, true);
    view.setUint32(at + 12, unit, true);
  }
  for (let count = 0; count <= 128; count++) {
    view.setUint16(F.FACT_G1_DISCOUNTS - F.FACT_PRECOMPILES + 2 * count, discount("g1", count), true);
    view.setUint16(F.FACT_G2_DISCOUNTS - F.FACT_PRECOMPILES + 2 * count, discount("g2", count), true);
  }
  return table;
}
