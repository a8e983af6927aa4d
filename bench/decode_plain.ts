/**
 * What users of a JSON parser write to get the columns of the structlog table: one object per structlog, read into typed
 * arrays. It knows one client's form, keeps gas as doubles and proves nothing.
 */
import { opcodeNames } from "../src/ethereum/opcodes.ts";

/** A structlog as `JSON.parse` gives it. */
export interface ParsedStructlog {
  readonly pc: number;
  readonly op: string;
  readonly gas: number;
  readonly gasCost: number;
  readonly depth: number;
  readonly stack?: readonly string[];
  readonly refund?: number;
  readonly error?: string;
  readonly returnData?: string;
}

const CALLS = new Set(["CALL", "CALLCODE", "DELEGATECALL", "STATICCALL"]);

/** Columns of one trace. */
export class PlainColumns {
  rows = 0;
  programCounter: Uint32Array;
  operation: Uint16Array;
  gas: Float64Array;
  gasCost: Float64Array;
  gasUsed: Float64Array;
  gasSelf: Float64Array;
  depth: Uint16Array;
  refund: Float64Array;
  callFrameId: Uint32Array;
  callFramePathEnds: Float64Array;
  callFramePath = new Uint32Array(1 << 16);
  readonly returnData: (string | undefined)[] = [];
  readonly error: (string | undefined)[] = [];
  readonly callToAddress: (string | undefined)[] = [];
  #pathValues = 0;
  #frames = 0;
  /** Ids of the open frames, their newest rows, and the gas of what each of those opened. */
  readonly #path: number[] = [];
  readonly #pending: number[] = [];
  readonly #children: number[] = [];

  constructor(capacity: number) {
    this.programCounter = new Uint32Array(capacity);
    this.operation = new Uint16Array(capacity);
    this.gas = new Float64Array(capacity);
    this.gasCost = new Float64Array(capacity);
    this.gasUsed = new Float64Array(capacity);
    this.gasSelf = new Float64Array(capacity);
    this.depth = new Uint16Array(capacity);
    this.refund = new Float64Array(capacity);
    this.callFrameId = new Uint32Array(capacity);
    this.callFramePathEnds = new Float64Array(capacity);
  }

  add(log: ParsedStructlog): void {
    const row = this.rows++;
    if (row === this.gas.length) this.#grow();
    const { depth, gas } = log;
    while (this.#path.length > depth) this.#resolve(this.gasCost[this.#pending.at(-1)!]!, true);
    if (this.#path.length === depth) this.#resolve(this.gas[this.#pending.at(-1)!]! - gas, false);
    else this.#open();
    this.#pending[this.#pending.length - 1] = row;
    this.programCounter[row] = log.pc;
    this.operation[row] = opcodeNames.get(log.op) ?? 256;
    this.gas[row] = gas;
    this.gasCost[row] = log.gasCost;
    this.depth[row] = depth;
    this.refund[row] = log.refund ?? 0;
    this.error.push(log.error);
    this.returnData.push(log.returnData);
    this.callToAddress.push(CALLS.has(log.op) ? address(log.stack!.at(-2)!) : undefined);
    this.callFrameId[row] = this.#path.at(-1)!;
    if (this.#pathValues + this.#path.length > this.callFramePath.length) this.#growPaths();
    for (const id of this.#path) this.callFramePath[this.#pathValues++] = id;
    this.callFramePathEnds[row] = this.#pathValues;
  }

  finish(): void {
    while (this.#path.length > 0) this.#resolve(this.gasCost[this.#pending.at(-1)!]!, true);
  }

  #open(): void {
    this.#path.push(this.#frames++);
    this.#pending.push(0);
    this.#children.push(0);
  }

  /** The newest row of the innermost frame has used this gas; `closes`: the frame ends with it. */
  #resolve(gasUsed: number, closes: boolean): void {
    const row = this.#pending.at(-1)!;
    this.gasUsed[row] = gasUsed;
    this.gasSelf[row] = gasUsed - this.#children.at(-1)!;
    this.#children[this.#children.length - 1] = 0;
    const caller = this.#children.length - 2;
    if (caller >= 0) this.#children[caller]! += gasUsed;
    if (!closes) return;
    this.#path.pop();
    this.#pending.pop();
    this.#children.pop();
  }

  #grow(): void {
    const capacity = 2 * this.gas.length;
    this.programCounter = grown(this.programCounter, new Uint32Array(capacity));
    this.operation = grown(this.operation, new Uint16Array(capacity));
    this.gas = grown(this.gas, new Float64Array(capacity));
    this.gasCost = grown(this.gasCost, new Float64Array(capacity));
    this.gasUsed = grown(this.gasUsed, new Float64Array(capacity));
    this.gasSelf = grown(this.gasSelf, new Float64Array(capacity));
    this.depth = grown(this.depth, new Uint16Array(capacity));
    this.refund = grown(this.refund, new Float64Array(capacity));
    this.callFrameId = grown(this.callFrameId, new Uint32Array(capacity));
    this.callFramePathEnds = grown(this.callFramePathEnds, new Float64Array(capacity));
  }

  #growPaths(): void {
    this.callFramePath = grown(this.callFramePath, new Uint32Array(2 * this.callFramePath.length));
  }
}

function grown<T extends { set(from: T): void }>(from: T, to: T): T {
  to.set(from);
  return to;
}

function address(word: string): string {
  return `0x${word.slice(2).padStart(40, "0").slice(-40)}`;
}
