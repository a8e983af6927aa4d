/**
 * Traces of any size, made up as an EVM would print them, that the gas-closure proof accepts. A small emitter keeps stack,
 * memory, pc and gas of each frame by the rules of Cancun; a script of opcodes is one turn of an endless loop. From the
 * second turn on nothing changes but the gas of the root frame and one storage key, so that a turn is one text whose digits
 * are replaced: a stream of 20 GB costs its maker next to nothing.
 */
import { clientFlags } from "../src/ethereum/clients.ts";
import type { JsonObject, ReplyContext } from "../src/stages/decode/port.ts";

/** How a client prints a reply. */
export interface Shape {
  /** As `web3_clientVersion` answers. */
  readonly client: string;
  readonly open: string;
  readonly close: (gasUsed: number) => string;
  readonly row: (row: Row) => string;
}

/** One structlog. */
export interface Row {
  readonly pc: number;
  readonly op: string;
  /** Digits; in the root frame {@linkcode GAS_MARK} and what the turn has used. */
  readonly gas: string;
  readonly gasCost: number;
  readonly depth: number;
  readonly stack: readonly string[];
}

/** Begins the place of a number that differs from turn to turn. */
const GAS_MARK = "@";
/** Digits of gas in a large trace, beyond those of a mark. */
const GAS_DIGITS = 6;
const INTRINSIC = 21_000;
const ROOT = "0x00000000000000000000000000000000000000aa";
const SENDER = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266";
const FIRST_SLOT = 0x10000000;
/** Storage keys that a turn may use for the first time; its n-th is written as two digits behind six marks. */
const SLOTS_PER_TURN = 100;

const plainRow = ({ pc, op, gas, gasCost, depth, stack }: Row) =>
  `{"pc":${pc},"op":"${op}","gas":${gas},"gasCost":${gasCost},"depth":${depth},"stack":[${words(stack)}]}`;
const revmRow = (row: Row) => plainRow(row).slice(0, -1) + ',"refund":0}';
const EMPTY = '"failed":false,"returnValue":"0x"';

/** The clients by the names that the figures have. */
export const SHAPES: Readonly<Record<"geth" | "erigon" | "nethermind" | "besu" | "revm", Shape>> = {
  geth: {
    client: "Geth/v1.17.10-stable/linux-amd64/go1.26",
    open: `{"gas":@GAS,${EMPTY},"structLogs":[`,
    close: () => "]}",
    row: plainRow,
  },
  erigon: {
    client: "erigon/3.5.0/linux-amd64/go1.25",
    open: '{"structLogs":[',
    close: (gasUsed) => `],"gas":${gasUsed},${EMPTY}}`,
    row: plainRow,
  },
  nethermind: {
    client: "Nethermind/v1.38.0/linux-x64/dotnet10",
    open: '{"structLogs":[',
    close: (gasUsed) => `],"gas":${gasUsed},${EMPTY}}`,
    row: plainRow,
  },
  besu: {
    client: "besu/v26.8.0/linux-x86_64/openjdk-java-21",
    open: `{"gas":@GAS,${EMPTY},"structLogs":[`,
    close: () => "]}",
    row: plainRow,
  },
  revm: {
    client: "reth/v1.9.0/x86_64-unknown-linux-gnu",
    open: `{"failed":false,"gas":@GAS,"returnValue":"0x","structLogs":[`,
    close: () => "]}",
    row: revmRow,
  },
};

export type Client = keyof typeof SHAPES;

function words(stack: readonly string[]): string {
  return stack.length === 0 ? "" : `"${stack.join('","')}"`;
}

/** What a turn of the loop does. */
export interface Script {
  /** First digits of the addresses that it calls: each script has its own. */
  readonly addresses: string;
  /** Stack items that lie below everything in each of its frames; the root has those of the first script. */
  readonly base: readonly string[];
  /** Snippets of plain opcodes in the root frame. */
  readonly snippets: number;
  /** Storage slots that each turn reads and writes for the first time. */
  readonly slots: number;
  /** Length of the chain of calls, and snippets in each of its frames. */
  readonly calls: number;
  readonly snippetsPerCall: number;
}

const WORD = `0x${"7f3a".repeat(16)}`;
const ADDRESS = "0x5fbdb2315678afecb367f032d93f642f64180aa3";

const ITEMS = [
  "0x4b",
  "0xde0b6b3a7640000",
  ADDRESS,
  "0x0",
  "0x360c2789aae8740000",
  "0x7a",
  "0x3e8",
  WORD,
  "0x80",
  "0x1f4",
  "0xbeef0001",
  "0x2",
];

/** About 300 bytes and 13 items a structlog, depth 1 to 12. */
export const WIDE: Script = { addresses: "0x1", base: ITEMS, snippets: 30, slots: 1, calls: 11, snippetsPerCall: 6 };

/** The same in a trace of about 1,000 structlogs. */
export const SMALL: Script = { addresses: "0x1", base: ITEMS, snippets: 18, slots: 1, calls: 4, snippetsPerCall: 6 };

/** About 90 bytes a structlog. */
export const NARROW: Script = { addresses: "0x1", base: [], snippets: 60, slots: 1, calls: 1, snippetsPerCall: 20 };

/** {@linkcode WIDE} with many fresh slots. */
export const WIDE_STORAGE: Script = { ...WIDE, slots: 40 };

/** Calls down to depth 1,024. */
export const DEEP: Script = {
  addresses: "0x2",
  base: ["0x1"],
  snippets: 40,
  slots: 1,
  calls: 1_023,
  snippetsPerCall: 0,
};

class Frame {
  readonly stack: string[] = [];
  readonly depth: number;
  pc = 0;
  memoryWords = 0;

  constructor(depth: number) {
    this.depth = depth;
  }
}

/** Emits the rows of one turn. */
class Emitter {
  readonly rows: Row[] = [];
  readonly #frames: Frame[] = [];
  /** Gas used since the turn began; children count what they used. */
  used = 0;
  /** Absolute gas of the present child frame; the root's is a mark. */
  #childGas: number[] = [];

  enter(frame: Frame, gas?: number): void {
    this.#frames.push(frame);
    if (gas !== undefined) this.#childGas.push(gas);
  }

  /** Leaves a child frame: what it was given and did not use. */
  leave(): number {
    this.#frames.pop();
    return this.#childGas.pop()!;
  }

  get frame(): Frame {
    return this.#frames.at(-1)!;
  }

  /** A row, and what it charges: the printed cost, or for a call the part that the caller itself pays. */
  emit(op: string, gasCost: number, bytes = 1, charged = gasCost): void {
    const frame = this.frame;
    const gas = this.#childGas.length > 0 ? String(this.#childGas.at(-1)!) : GAS_MARK + this.used;
    this.rows.push({ pc: frame.pc, op, gas, gasCost, depth: frame.depth, stack: [...frame.stack] });
    frame.pc += bytes;
    this.charge(charged);
  }

  charge(gas: number): void {
    if (this.#childGas.length > 0) this.#childGas[this.#childGas.length - 1]! -= gas;
    else this.used += gas;
  }

  push(word: string): void {
    const bytes = word.includes("#") ? 4 : Math.max(1, Math.ceil((word.length - 2) / 2));
    this.emit(`PUSH${bytes}`, 3, 1 + bytes);
    this.frame.stack.push(word);
  }

  dup(position: number): void {
    this.emit(`DUP${position}`, 3);
    this.frame.stack.push(this.frame.stack.at(-position)!);
  }

  swap(position: number): void {
    this.emit(`SWAP${position}`, 3);
    const { stack } = this.frame;
    const [top, other] = [stack.length - 1, stack.length - 1 - position];
    [stack[top], stack[other]] = [stack[other]!, stack[top]!];
  }

  /** An opcode that takes `pops` items and leaves `result`. */
  plain(op: string, gas: number, pops: number, result?: string): void {
    this.emit(op, gas);
    this.frame.stack.length -= pops;
    if (result !== undefined) this.frame.stack.push(result);
  }

  /** MSTORE or MLOAD at `offset`, which is on top. */
  memory(op: "MSTORE" | "MLOAD", offset: number, result?: string): void {
    const before = this.frame.memoryWords;
    const after = Math.max(before, Math.ceil((offset + 32) / 32));
    this.frame.memoryWords = after;
    this.plain(op, 3 + cost(after) - cost(before), op === "MSTORE" ? 2 : 1, result);
  }
}

function cost(words: number): number {
  return 3 * words + Math.floor(words * words / 512);
}

/** 22 plain opcodes: arithmetic, comparison, a jump, memory. */
function snippet(emitter: Emitter, turn: number): void {
  emitter.push(`0x${(turn + 1).toString(16)}`);
  emitter.dup(1);
  emitter.plain("ADD", 3, 2, "0x21e19e0c9bab2400000");
  emitter.dup(1);
  emitter.push("0x20");
  emitter.plain("MUL", 5, 2, "0x43c33c193756480000");
  emitter.swap(1);
  emitter.plain("LT", 3, 2, "0x0");
  emitter.plain("ISZERO", 3, 1, "0x1");
  jump(emitter, "JUMPI", 10, emitter.frame.pc + 5);
  emitter.emit("JUMPDEST", 1);
  emitter.push(WORD);
  emitter.push("0x40");
  emitter.memory("MSTORE", 0x40);
  emitter.push("0x40");
  emitter.memory("MLOAD", 0x40, WORD);
  emitter.push(`0x${"f".repeat(40)}`);
  emitter.plain("AND", 3, 2, ADDRESS);
  emitter.plain("POP", 2, 1);
  emitter.plain("CALLER", 2, 0, SENDER);
  emitter.plain("POP", 2, 1);
}

/** PUSH2 of the destination and the jump there; a JUMPI finds a true condition below. */
function jump(emitter: Emitter, op: "JUMP" | "JUMPI", gas: number, destination: number): void {
  const { frame } = emitter;
  emitter.emit("PUSH2", 3, 3);
  frame.stack.push(`0x${destination.toString(16)}`);
  emitter.plain(op, gas, op === "JUMP" ? 1 : 2);
  frame.pc = destination;
}

/** The levels of a chain from this one on lie inside a frame that reverts, which makes their addresses cold again. */
const REVERTING_LEVEL = 5;

function isReverting(level: number): boolean {
  return level % 8 === REVERTING_LEVEL;
}

/** The gas that is handed to each frame of a chain of calls, the outermost first: each keeps a 64th. */
function chainGas({ calls, base, snippetsPerCall }: Script): number[] {
  const own = 6_000 + base.length * 3 + snippetsPerCall * 120;
  const gas: number[] = [];
  for (let given = own, left = calls; left > 0; left--, given = Math.ceil((given + own) * 64 / 63)) gas.unshift(given);
  return gas;
}

/** A call and the frames that it opens. */
function call(emitter: Emitter, script: Script, gas: readonly number[], level: number, isFirst: boolean): void {
  const given = gas[level]!;
  for (const argument of ["0x0", "0x0", "0x0", "0x0", "0x0"]) emitter.push(argument);
  emitter.push(script.addresses + (level + 0x1000).toString(16));
  emitter.push(`0x${given.toString(16)}`);
  const access = isFirst || level > REVERTING_LEVEL ? 2_600 : 100;
  emitter.emit("CALL", access + given, 1, access);
  const { stack } = emitter.frame;
  stack.length -= 7;
  emitter.enter(new Frame(level + 2), given);
  callee(emitter, script, gas, level, isFirst);
  emitter.charge(given - emitter.leave());
  stack.push(isReverting(level) ? "0x0" : "0x1");
  emitter.plain("POP", 2, 1);
}

function callee(emitter: Emitter, script: Script, gas: readonly number[], level: number, isFirst: boolean): void {
  for (const word of script.base) emitter.push(word);
  for (let index = 0; index < script.snippetsPerCall; index++) snippet(emitter, index);
  if (level + 1 < script.calls) call(emitter, script, gas, level + 1, isFirst);
  if (!isReverting(level)) return emitter.emit("STOP", 0);
  // A slot that is cold again in each turn, since its frame reverts.
  emitter.push("0x7");
  emitter.plain("SLOAD", 2_100, 1, "0x5");
  emitter.plain("POP", 2, 1);
  emitter.push("0x0");
  emitter.push("0x0");
  emitter.emit("REVERT", 0);
}

/** One turn in the root frame, which ends where it began. */
function turn(emitter: Emitter, script: Script, isFirst: boolean): void {
  const begin = emitter.frame.pc;
  emitter.emit("JUMPDEST", 1);
  for (let index = 0; index < script.snippets; index++) snippet(emitter, index);
  for (let slot = 0; slot < script.slots; slot++) {
    const mark = `0x######${String(slot).padStart(2, "0")}`;
    emitter.push(mark);
    emitter.plain("SLOAD", 2_100, 1, "0xde0b6b3a7640000");
    emitter.push("0x5");
    emitter.plain("ADD", 3, 2, "0xde0b6b3a7640005");
    emitter.push(mark);
    emitter.plain("SSTORE", 2_900, 2);
  }
  call(emitter, script, chainGas(script), 0, isFirst);
  jump(emitter, "JUMP", 8, begin);
}

/** The rows of a part of a trace, and the gas that it uses. */
interface Part {
  readonly rows: readonly Row[];
  readonly used: number;
}

function part(root: Frame, script: (emitter: Emitter) => void): Part {
  const emitter = new Emitter();
  emitter.enter(root);
  script(emitter);
  return { rows: emitter.rows, used: emitter.used };
}

/** The text of a part, with places for what differs from turn to turn. */
class Template {
  readonly bytes: Uint8Array;
  readonly #gasDigits: number;
  readonly #gasAt: number[] = [];
  readonly #gasUsed: number[] = [];
  readonly #slotAt: number[] = [];
  readonly #slots: number[] = [];

  constructor({ rows }: Part, shape: Shape, gasDigits: number) {
    this.#gasDigits = gasDigits;
    let text = "";
    for (const row of rows) {
      const isMarked = row.gas.startsWith(GAS_MARK);
      const gas = isMarked ? GAS_MARK.padEnd(gasDigits) : row.gas;
      const written = shape.row({ ...row, gas });
      if (isMarked) {
        this.#gasAt.push(text.length + written.indexOf(GAS_MARK));
        this.#gasUsed.push(Number(row.gas.slice(1)));
      }
      text += `${written},`;
    }
    this.bytes = new TextEncoder().encode(text);
    for (const { index, 1: slot } of text.matchAll(/######(\d\d)/g)) {
      this.#slotAt.push(index);
      this.#slots.push(Number(slot));
    }
  }

  /** The text where the root has `gas` left and storage keys begin at `slot`: the same bytes each time. */
  fill(gas: number, slot: number): Uint8Array {
    for (let mark = 0; mark < this.#gasAt.length; mark++) {
      digits(this.bytes, this.#gasAt[mark]!, this.#gasDigits, 10, gas - this.#gasUsed[mark]!);
    }
    for (let mark = 0; mark < this.#slotAt.length; mark++) {
      digits(this.bytes, this.#slotAt[mark]!, 8, 16, slot + this.#slots[mark]!);
    }
    return this.bytes;
  }
}

const DIGITS = new TextEncoder().encode("0123456789abcdef");

function digits(bytes: Uint8Array, at: number, count: number, base: number, value: number): void {
  for (let index = at + count - 1; index >= at; index--) {
    const rest = Math.floor(value / base);
    bytes[index] = DIGITS[value - rest * base]!;
    value = rest;
  }
}

/** A turn of a script, ready to be written. */
interface Made {
  readonly template: Template;
  readonly used: number;
}

/** A reply with the trace of one transaction: the scripts once, again in turns, and the end. */
export class SyntheticTrace {
  /** What the decoder is told of it, with a receipt that the proof accepts. */
  readonly context: ReplyContext;
  readonly structlogs: number;
  /** Storage slots of the root, each of them read and written once. */
  readonly slots: number;
  readonly #shape: Shape;
  readonly #first: readonly Made[];
  readonly #again: readonly Made[];
  readonly #end: Part;
  readonly #rounds: number;
  readonly #gasLimit: number;
  readonly #gasUsed: number;

  /** A trace of about `bytes` bytes; at least each script once. */
  constructor(client: Client, scripts: readonly Script[], bytes: number) {
    this.#shape = SHAPES[client];
    const root = new Frame(1);
    const distinct = [...new Set(scripts)];
    const first = distinct.map((script, index) =>
      part(root, (emitter) => {
        if (index === 0) { for (const word of script.base) emitter.push(word); }
        turn(emitter, script, true);
      })
    );
    const parts = new Map(distinct.map((script) => [script, part(root, (emitter) => turn(emitter, script, false))]));
    const again = scripts.map((script) => parts.get(script)!);
    this.#end = part(root, (emitter) => {
      emitter.emit("JUMPDEST", 1);
      emitter.emit("STOP", 0);
    });
    const once = total(first);
    const round = total(again);
    const sizes = new Map(distinct.map((script) => [script, textBytes(parts.get(script)!, this.#shape)]));
    const [onceBytes, roundBytes] = [distinct, scripts].map((each) =>
      each.reduce((sum, script) => sum + sizes.get(script)!, 0)
    ) as [number, number];
    this.#rounds = Math.max(0, Math.round((bytes - onceBytes) / roundBytes));
    const slotsOf = (each: readonly Script[]) => each.reduce((sum, { slots }) => sum + slots, 0);
    this.slots = slotsOf(distinct) + this.#rounds * slotsOf(scripts);
    this.structlogs = once.rows + this.#rounds * round.rows + this.#end.rows.length;
    this.#gasUsed = INTRINSIC + once.used + this.#rounds * round.used + this.#end.used;
    const gasDigits = digitsFor(this.#gasUsed + 2 * Math.max(...scripts.map((script) => chainGas(script)[0]!)));
    this.#gasLimit = 10 ** gasDigits - 1;
    const templates = new Map(
      [...first, ...parts.values()].map((each) => [each, new Template(each, this.#shape, gasDigits)]),
    );
    const made = (each: Part) => ({ template: templates.get(each)!, used: each.used });
    this.#first = first.map(made);
    this.#again = again.map(made);
    this.context = contextOf(this.#shape, this.#gasLimit, this.#gasUsed);
  }

  /** The reply in pieces. A piece is valid until the next is asked for. */
  *pieces(): Generator<Uint8Array<ArrayBufferLike>> {
    const encoder = new TextEncoder();
    yield encoder.encode(this.#shape.open.replace("@GAS", String(this.#gasUsed)));
    let gas = this.#gasLimit - INTRINSIC;
    let slot = FIRST_SLOT;
    for (const { template, used } of this.#turns()) {
      yield template.fill(gas, slot);
      gas -= used;
      slot += SLOTS_PER_TURN;
    }
    const rows = this.#end.rows.map((row) => this.#shape.row({ ...row, gas: String(gas - Number(row.gas.slice(1))) }));
    yield encoder.encode(rows.join(",") + this.#shape.close(this.#gasUsed));
  }

  *#turns(): Generator<Made> {
    yield* this.#first;
    for (let round = 0; round < this.#rounds; round++) yield* this.#again;
  }

  /** The whole reply in one piece. */
  bytes(): Uint8Array<ArrayBuffer> {
    let length = 0;
    for (const piece of this.pieces()) length += piece.length;
    const whole = new Uint8Array(length);
    let at = 0;
    for (const piece of this.pieces()) {
      whole.set(piece, at);
      at += piece.length;
    }
    return whole;
  }
}

/** Bytes of a part's text, but for the length of its gas. */
function textBytes({ rows }: Part, shape: Shape): number {
  return rows.reduce((sum, row) => sum + shape.row(row).length + GAS_DIGITS, 0);
}

function total(parts: readonly Part[]): { readonly rows: number; readonly used: number } {
  return {
    rows: parts.reduce((sum, { rows }) => sum + rows.length, 0),
    used: parts.reduce((sum, { used }) => sum + used, 0),
  };
}

/** Digits of a gas limit of nines from which `used` can be taken without losing one. */
function digitsFor(used: number): number {
  let count = 1;
  while (10 ** count - 1 - used < 10 ** (count - 1)) count++;
  return count;
}

function contextOf(shape: Shape, gasLimit: number, gasUsed: number): ReplyContext {
  const hex = (value: number) => `0x${value.toString(16)}`;
  const blockHash = `0x${"b1".repeat(32)}`;
  const hash = `0x${"7a".repeat(32)}`;
  const shared = { blockHash, blockNumber: "0x10", transactionIndex: "0x0", from: SENDER, to: ROOT };
  const transaction: JsonObject = {
    ...shared,
    hash,
    type: "0x2",
    chainId: "0x1",
    nonce: "0x0",
    gas: hex(gasLimit),
    value: "0x0",
    input: "0x",
    accessList: [],
  };
  const receipt: JsonObject = {
    ...shared,
    transactionHash: hash,
    status: "0x1",
    gasUsed: hex(gasUsed),
    contractAddress: null,
    logs: [],
  };
  return {
    shape: "transaction",
    flags: clientFlags(shape.client),
    fork: "cancun",
    chainId: 1,
    block: { number: "0x10", hash: blockHash, timestamp: "0x0", miner: `0x${"c0".repeat(20)}` },
    transactions: [{ transaction, receipt }],
  };
}
