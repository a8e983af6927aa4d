/**
 * The reference decoder's first half: a reply read with `JSON.parse`, its rows normalised, its frames, outcomes, memory
 * words and gas. The whole trace is in memory and every step is a loop of its own: plain, not fast.
 */
import type { JsonObject } from "../../src/stages/decode/port.ts";
import {
  addressOf,
  CALLS,
  canonicalName,
  type Client,
  CREATES,
  max,
  MEMORY_OPERANDS,
  memoryCost,
  min,
  OPCODES,
  words,
} from "./rules.ts";

const TWO_64 = 1n << 64n;
/** An offset or size above this cannot be paid for. */
const LARGEST_OFFSET = (1n << 53n) - 1n;

/** One structlog, normalised, and what follows from its neighbours. */
export interface Row {
  readonly index: number;
  readonly pc: number;
  readonly op: string;
  readonly gas: bigint;
  readonly costRaw: bigint;
  /** The printed cost made sane. */
  readonly cost: bigint;
  readonly depth: number;
  /** Bottom first. */
  readonly stack: readonly bigint[] | undefined;
  readonly returnData: string | null;
  readonly refundRaw: bigint | undefined;
  readonly error: string | null;
  frame: Frame;
  next?: Row;
  /** Frame with rows that this call or create opened. */
  child?: Frame;
  /** Frame without rows that this call opened. */
  codeless?: Codeless;
  fails: boolean;
  wordsBefore: bigint;
  wordsAfter: bigint;
  /** Price of the growth of memory; `undefined` where nobody can pay it. */
  expansion: bigint | undefined;
  /** The same if the row had not failed. */
  wanted: bigint | undefined;
  gasUsed: bigint;
  gasSelf: bigint;
  refund: bigint | undefined;
  setCold: boolean;
  cold: number;
}

/** A call that executed no opcode: it has an id, and no rows. */
export interface Codeless {
  readonly id: number;
  readonly path: readonly number[];
  outcome: "codeless" | "not_entered" | "precompile" | "failed_precompile";
  share: bigint;
}

export type Outcome = "success" | "revert" | "halt" | "deposit" | "unknown";

export interface Frame {
  readonly id: number;
  readonly path: readonly number[];
  readonly parent: Frame | undefined;
  readonly kind: string;
  readonly depth: number;
  /** The row that opened it. */
  readonly opener: Row | undefined;
  readonly isStatic: boolean;
  readonly creates: boolean;
  readonly rows: Row[];
  /** First row of the parent after it. */
  resumed?: Row;
  /** 0 or 1 as the caller sees it, null where nothing tells. */
  flag: 0 | 1 | null;
  outcome: Outcome;
  refundBase: bigint | undefined;
}

export interface Violation {
  readonly identity: string;
  readonly detail: string;
  readonly index?: number;
}

/** A reply as far as it can be understood without transaction, receipt and fork. */
export interface Execution {
  readonly failed: boolean | undefined;
  readonly gas: bigint | undefined;
  readonly returnValue: string | null;
  readonly rows: readonly Row[];
  readonly frames: readonly Frame[];
  readonly violations: Violation[];
}

/** Reads the `result` of a reply; a number that a double cannot hold becomes a `bigint`. */
export function parseResult(trace: Uint8Array): JsonObject {
  const text = new TextDecoder().decode(trace);
  const large = /[:,[]\s*-?\d{16,}/.test(text);
  if (!large) return JSON.parse(text);
  const exact = (_key: string, value: unknown, { source }: { source?: string }) =>
    typeof value === "number" && !Number.isSafeInteger(value) && source !== undefined ? BigInt(source) : value;
  return JSON.parse(text, exact as (key: string, value: unknown) => unknown);
}

/** @param isEmptyCreation whether the transaction creates a contract from no code at all, `undefined` when it is unknown. */
export function execute(
  result: JsonObject,
  client: Client,
  succeeded: boolean | undefined,
  isCreation: boolean,
  isEmptyCreation: boolean,
): Execution {
  const violations: Violation[] = [];
  if ("error" in result && result.error !== null) violate(violations, "N1", `error inside result: ${result.error}`);
  if (!Array.isArray(result.structLogs)) violate(violations, "N2", "structLogs is missing");
  const printed = (result.structLogs ?? []) as JsonObject[];
  const rows = withoutMadeUp(printed.filter((log) => (log.op ?? "") !== "").map(normalise), client, isEmptyCreation)
    .map((row, index): Row => ({ ...row, index }));
  const failed = typeof result.failed === "boolean" ? result.failed : undefined;
  const frames = openFrames(rows, isCreation, violations);
  const root = frames[0]!;
  const success = succeeded ?? (failed === undefined ? undefined : !failed);
  root.flag = success === undefined ? null : success ? 1 : 0;
  for (const frame of frames) {
    countWords(frame);
    frame.outcome = outcomeOf(frame);
    const last = frame.rows.at(-1);
    if (last === undefined) continue;
    last.fails = frame.outcome === "halt";
    if (last.fails) [last.wordsAfter, last.expansion] = [last.wordsBefore, 0n];
  }
  countRefunds(rows, client);
  // A child's id is larger than its parent's: children first.
  for (const frame of frames.toReversed()) countGas(frame, violations);
  return { failed, gas: integer(result.gas), returnValue: hexText(result.returnValue), rows, frames, violations };
}

export function violate(violations: Violation[], identity: string, detail: string, row?: Row): void {
  violations.push({ identity, detail, ...row === undefined ? {} : { index: row.index } });
}

/** The item at `position` from the top. */
export function item(row: Row, position: number): bigint | undefined {
  return row.stack?.at(-1 - position);
}

/** Whether all operands of the opcode are on the stack. */
export function hasOperands(row: Row): boolean {
  return row.stack !== undefined && row.stack.length >= (OPCODES.get(row.op)?.pops ?? 0);
}

export function calleeOf(row: Row): string | null {
  const word = item(row, 1);
  return word === undefined ? null : addressOf(word);
}

/** Whether a call row sends value. */
export function sendsValue(row: Row): boolean {
  return (row.op === "CALL" || row.op === "CALLCODE") && (item(row, 2) ?? 0n) !== 0n;
}

function integer(value: unknown): bigint | undefined {
  if (value === undefined || value === null) return undefined;
  return BigInt(value as string | number | bigint);
}

function hexText(value: unknown): string | null {
  const text = String(value ?? "").toLowerCase().replace(/^0x/, "");
  return text === "" ? null : text;
}

function errorText(value: unknown): string | null {
  if (value === undefined || value === null) return null;
  if (Array.isArray(value)) return value.map(errorText).filter((text) => text !== null).join(",") || null;
  if (typeof value === "object") return Object.keys(value).length === 0 ? null : JSON.stringify(value);
  return String(value).replace(/^Some\((.*)\)$/s, "$1") || null;
}

function normalise(log: JsonObject): Omit<Row, "index"> {
  const [pc, gas, depth] = [integer(log.pc), integer(log.gas), integer(log.depth)];
  if (pc === undefined || gas === undefined || depth === undefined) throw new Error("A row lacks pc, gas or depth");
  const costRaw = integer(log.gasCost) ?? 0n;
  const stack = log.stack as readonly string[] | null | undefined;
  return {
    pc: Number(pc),
    op: canonicalName(String(log.op)),
    gas,
    costRaw,
    cost: costRaw < 0n ? 0n : min(costRaw, gas),
    depth: Number(depth),
    stack: stack?.map((word) => BigInt(word.startsWith("0x") ? word : `0x${word}`)),
    returnData: hexText(log.returnData),
    refundRaw: integer(log.refund),
    error: errorText(log.error),
    // Known once the frames are:
    frame: undefined as unknown as Frame,
    fails: false,
    wordsBefore: 0n,
    wordsAfter: 0n,
    expansion: 0n,
    wanted: 0n,
    gasUsed: 0n,
    gasSelf: 0n,
    refund: undefined,
    setCold: false,
    cold: 0,
  };
}

/** TRACE 1.6. */
function withoutMadeUp<R extends Omit<Row, "index">>(
  rows: readonly R[],
  client: Client,
  isEmptyCreation: boolean,
): R[] {
  const isMadeUp = (row: R, at: number) => {
    if (row.op !== "STOP" || row.pc !== 0 || client.madeUpStop === "none") return false;
    if (rows.length === 1) return client.madeUpStop === "call" || isEmptyCreation;
    const opener = rows[at - 1];
    if (opener === undefined || row.depth !== opener.depth + 1) return false;
    const returns = (rows[at + 1]?.depth ?? 0) <= opener.depth;
    if (client.madeUpStop === "call" && CALLS.has(opener.op)) return returns;
    return CREATES.has(opener.op) && opener.stack?.at(-3) === 0n && returns;
  };
  return rows.filter((row, at) => !isMadeUp(row, at));
}

/** TRACE 2.2 and 3: the tree of frames; gives each row its frame and its successor. */
function openFrames(rows: readonly Row[], isCreation: boolean, violations: Violation[]): Frame[] {
  const first = rows[0];
  const shift = first?.depth === 0 ? 1 : 0;
  let nextId = 0;
  const frames: Frame[] = [];
  const open = (kind: string, depth: number, parent?: Frame, opener?: Row): Frame => {
    const id = nextId++;
    const frame: Frame = {
      id,
      path: [...parent?.path ?? [], id],
      parent,
      kind,
      depth,
      opener,
      isStatic: kind === "STATICCALL" || (parent?.isStatic ?? false),
      creates: CREATES.has(kind) || parent === undefined && isCreation,
      rows: [],
      flag: null,
      outcome: "unknown",
      refundBase: undefined,
    };
    frames.push(frame);
    return frame;
  };
  let innermost = open("", (first?.depth ?? 1) + shift);
  if (innermost.depth !== 1) violate(violations, "F5", `the root frame is at depth ${innermost.depth}`, first);
  rows.forEach((row, at) => {
    const depth = row.depth + shift;
    Object.assign(row, { depth });
    const previous = rows[at - 1];
    while (innermost.depth > depth && innermost.parent !== undefined) {
      const closed = innermost;
      innermost = innermost.parent;
      if (innermost.depth !== depth) continue;
      closed.resumed = row;
      const top = item(row, 0);
      closed.flag = top === undefined ? null : top === 0n ? 0 : 1;
    }
    const pending = innermost.rows.at(-1);
    if (depth < innermost.depth) violate(violations, "F5", `depth ${depth} is above the root's`, row);
    if (depth > innermost.depth) {
      const opens = pending !== undefined && (CALLS.has(pending.op) || CREATES.has(pending.op));
      if (!opens || depth !== innermost.depth + 1 || pending !== previous) {
        violate(violations, "F5", `depth ${innermost.depth} -> ${depth} after ${pending?.op}`, row);
      }
      innermost = open(opens && pending === previous ? pending.op : "UNKNOWN", depth, innermost, pending);
      if (pending !== undefined) pending.child = innermost;
    } else if (pending !== undefined) {
      pending.next = row;
      if (CALLS.has(pending.op) && pending === previous) {
        const id = nextId++;
        pending.codeless = { id, path: [...innermost.path, id], outcome: "codeless", share: 0n };
      }
    }
    row.frame = innermost;
    innermost.rows.push(row);
  });
  const last = rows.at(-1);
  if (last !== undefined && last.depth !== 1) violate(violations, "F6", `the trace ends at depth ${last.depth}`, last);
  return frames;
}

/** TRACE 4.2. */
function countWords(frame: Frame): void {
  let count = 0n;
  for (const row of frame.rows) {
    row.wordsBefore = row.wordsAfter = count;
    if (!hasOperands(row)) continue;
    const end = memoryEnd(row);
    if (end === undefined) {
      row.expansion = row.wanted = undefined;
      continue;
    }
    row.wordsAfter = max(count, words(end));
    row.expansion = row.wanted = memoryCost(row.wordsAfter) - memoryCost(count);
    count = row.wordsAfter;
  }
}

/** First byte behind what the operands touch; `undefined` when nobody can pay for it. */
function memoryEnd(row: Row): bigint | undefined {
  let end = 0n;
  for (const [offsetAt, sizeAt] of MEMORY_OPERANDS[row.op] ?? []) {
    const offset = item(row, offsetAt)!;
    const size = sizeAt < 0 ? BigInt(-sizeAt) : item(row, sizeAt)!;
    if (size === 0n) continue;
    if (offset > LARGEST_OFFSET || size > LARGEST_OFFSET) return undefined;
    end = max(end, offset + size);
  }
  return end;
}

/** TRACE 3.4. */
function outcomeOf(frame: Frame): Outcome {
  const last = frame.rows.at(-1);
  if (last === undefined) return "unknown";
  const { flag } = frame;
  const returns = last.op === "RETURN" || last.op === "REVERT";
  if (returns && last.stack !== undefined) {
    if (last.stack.length < 2 || last.expansion === undefined || last.expansion > last.gas) return "halt";
  }
  switch (last.op) {
    case "REVERT":
      return "revert";
    case "STOP":
    case "RETURN":
    case "SELFDESTRUCT":
      if (flag === 0) return last.op === "RETURN" && frame.creates ? "deposit" : "halt";
      return flag === null && last.error !== null ? "halt" : "success";
    default:
      if (flag !== null) return flag === 1 ? "success" : "halt";
      return last.error === null ? "unknown" : "halt";
  }
}

/** TRACE 1.5. */
function countRefunds(rows: readonly Row[], client: Client): void {
  const known = client.refundPrinted === "nonzero" ||
    client.refundPrinted === "always" && rows[0]?.refundRaw !== undefined;
  if (!known) return;
  const signed = (row: Row) => {
    const raw = row.refundRaw ?? 0n;
    return raw >= TWO_64 / 2n ? raw - TWO_64 : raw;
  };
  for (const row of rows) {
    const { frame } = row;
    if (row === frame.rows[0]) {
      const opener = frame.opener;
      frame.refundBase = client.refundPerFrame && opener !== undefined ? opener.frame.refundBase! + signed(opener) : 0n;
    }
    row.refund = frame.refundBase! + signed(row);
  }
  if (client.refundPoint !== "before") return;
  for (const row of rows) {
    if (row.op === "SSTORE" && row.next !== undefined) row.refund = row.next.refund;
  }
}

/** TRACE 2.1. */
function countGas(frame: Frame, violations: Violation[]): void {
  for (const row of frame.rows) {
    const inside = row.child === undefined ? 0n : sumOf(row.child.rows, (inner) => inner.gasUsed);
    row.gasUsed = gasUsed(row, inside, violations);
    row.gasSelf = row.gasUsed - inside;
    if (row.gasSelf < 0n) {
      violate(violations, "F1", `the child of ${row.op} used ${inside} of ${row.gasUsed} gas`, row);
      row.gasSelf = 0n;
    }
  }
}

function gasUsed(row: Row, inside: bigint, violations: Violation[]): bigint {
  if (row.next !== undefined) {
    if (row.next.gas <= row.gas) return row.gas - row.next.gas;
    violate(violations, "F3", `gas rises from ${row.gas} to ${row.next.gas}`, row);
    return row.cost;
  }
  if (row.fails) return row.gas;
  if (row.op === "STOP") return 0n;
  if ((row.op === "RETURN" || row.op === "REVERT") && row.expansion !== undefined && hasOperands(row)) {
    return min(row.expansion, row.gas);
  }
  if (row.child !== undefined) {
    const stipend = sendsValue(row) ? 2300n : 0n;
    const forwarded = row.child.rows[0]!.gas - stipend;
    const base = row.cost >= forwarded ? row.cost - forwarded : row.cost;
    return max(0n, base - stipend) + inside;
  }
  return row.cost;
}

export function sumOf<T>(values: Iterable<T>, pick: (value: T) => bigint): bigint {
  let sum = 0n;
  for (const value of values) sum += pick(value);
  return sum;
}
