/** Writes one trace in the many ways in which JSON, and clients, may say it. */

/** Deterministic numbers in [0, 1): mulberry32. */
export function random(seed: number): () => number {
  return () => {
    seed = seed + 0x6d2b79f5 | 0;
    let mixed = Math.imul(seed ^ seed >>> 15, 1 | seed);
    mixed = mixed + Math.imul(mixed ^ mixed >>> 7, 61 | mixed) ^ mixed;
    return ((mixed ^ mixed >>> 14) >>> 0) / 4294967296;
  };
}

/** A structlog to be written. Numbers are text of decimal digits, words hex digits without 0x. */
export interface WrittenStructlog {
  readonly pc: string;
  readonly op: string | null;
  readonly gas: string;
  readonly gasCost: string | null;
  readonly depth: string;
  readonly stack: readonly string[] | null;
  readonly refund: string | null;
  readonly error: string | null;
  readonly returnData: string | null;
}

/** A result to be written. */
export interface WrittenResult {
  readonly structLogs: readonly WrittenStructlog[];
  readonly gas: string;
  readonly failed: boolean;
  readonly returnValue: string;
}

/** How much of what JSON allows is used: 0 is what clients print. */
export interface Wildness {
  readonly blanks: number;
  readonly escapes: number;
  readonly junk: number;
  readonly textNumbers: number;
  readonly order: number;
}

/** Serialises with choices from a random source. */
export class Serialiser {
  readonly #next: () => number;
  readonly #wild: Wildness;

  constructor(next: () => number, wild: Wildness) {
    this.#next = next;
    this.#wild = wild;
  }

  reply(result: WrittenResult): string {
    const body = this.result(result);
    if (!this.#chance(0.5)) return this.#blank() + body + this.#blank();
    return this.#blank() +
      this.#object([["jsonrpc", '"2.0"'], ["id", this.#chance(0.5) ? "1" : '"a"'], ["result", body]]) + this.#blank();
  }

  result({ structLogs, gas, failed, returnValue }: WrittenResult): string {
    return this.#object([
      ["gas", this.#number(gas)],
      ["failed", String(failed)],
      ["returnValue", this.#text(this.#hex(returnValue))],
      ["structLogs", this.#array(structLogs.map((structlog) => this.#structlog(structlog)))],
    ]);
  }

  #structlog(structlog: WrittenStructlog): string {
    const { pc, op, gas, gasCost, depth, stack, refund, error, returnData } = structlog;
    const members: [string, string][] = [
      ["pc", this.#number(pc)],
      ["op", op === null ? "null" : this.#text(op)],
      ["gas", this.#number(gas)],
    ];
    if (gasCost !== null) members.push(["gasCost", this.#number(gasCost)]);
    members.push(["depth", this.#number(depth)]);
    if (error !== null) members.push(["error", this.#error(error)]);
    if (stack !== null) members.push(["stack", this.#array(stack.map((word) => this.#text(this.#hex(word))))]);
    if (refund !== null) members.push(["refund", this.#number(refund)]);
    if (returnData !== null) members.push(["returnData", this.#text(this.#hex(returnData))]);
    if (op === null && this.#chance(0.5)) members.shift();
    return this.#object(members);
  }

  #error(error: string): string {
    if (error === "") return this.#pick(["null", '""', "{}", "[]", "{ }", '[""]', '"Some()"']);
    const some = `Some(${error})`;
    return this.#pick([
      this.#text(error),
      this.#text(error),
      this.#text(some),
      this.#array([this.#text(error)]),
      this.#array(['""', this.#text(some), "null"]),
    ]);
  }

  #hex(digits: string): string {
    const cased = this.#chance(0.1) ? digits.toUpperCase() : digits;
    return this.#chance(0.8) ? `0x${cased}` : cased;
  }

  #number(digits: string): string {
    if (!this.#hits(this.#wild.textNumbers)) return digits;
    if (this.#chance(0.4)) return this.#text(digits);
    const negative = digits.startsWith("-");
    const magnitude = BigInt(negative ? digits.slice(1) : digits).toString(16);
    return this.#text(`${negative ? "-" : ""}0x${this.#chance(0.2) ? "000" : ""}${magnitude}`);
  }

  #object(members: readonly (readonly [string, string])[]): string {
    const all = [...members];
    while (this.#hits(this.#wild.junk)) all.splice(this.#below(all.length + 1), 0, [this.#junkName(), this.#junk(3)]);
    if (this.#hits(this.#wild.order)) all.sort(() => this.#next() - 0.5);
    const parts = all.map(([name, value]) =>
      `${this.#blank()}${this.#text(name)}${this.#blank()}:${this.#blank()}${value}${this.#blank()}`
    );
    return `{${parts.length === 0 ? this.#blank() : parts.join(",")}}`;
  }

  #array(items: readonly string[]): string {
    if (items.length === 0) return `[${this.#blank()}]`;
    return `[${items.map((item) => `${this.#blank()}${item}${this.#blank()}`).join(",")}]`;
  }

  #junkName(): string {
    return this.#pick([
      "memory",
      "storage",
      "memSize",
      "opName",
      "reason",
      "x".repeat(80),
      "",
      "stackk",
      "ga",
      "ünïcode",
    ]);
  }

  #junk(depth: number): string {
    const choice = this.#below(depth === 0 ? 6 : 8);
    switch (choice) {
      case 0:
        return this.#pick(["0", "-1", "1.5", "2e10", "-0.1E-7", "123456789012345678901234567890"]);
      case 1:
        return this.#pick(["true", "false", "null"]);
      case 2:
        return this.#pick(["[]", "{}", '""']);
      case 3:
        return this.#text(this.#pick(["}", "]},{", '"structLogs":[', "\\", "0x00", "\u{1f600}", "é", "\n"]));
      case 4:
        return this.#array(Array.from({ length: this.#below(4) }, () => this.#text("00".repeat(32))));
      case 5:
        return `"${"a".repeat(this.#below(200))}"`;
      case 6:
        return this.#array(Array.from({ length: this.#below(3) }, () => this.#junk(depth - 1)));
      default:
        return this.#object(Array.from({ length: this.#below(3) }, () => ["pc", this.#junk(depth - 1)] as const));
    }
  }

  #text(text: string): string {
    let written = '"';
    for (const point of text) {
      if (this.#hits(this.#wild.escapes)) written += escaped(point);
      else written += JSON.stringify(point).slice(1, -1);
    }
    return `${written}"`;
  }

  #blank(): string {
    return this.#hits(this.#wild.blanks) ? this.#pick([" ", "\n", "\t", "\r\n", "   ", " \t\n "]) : "";
  }

  /** Whether a kind of wildness shows here. */
  #hits(wildness: number): boolean {
    return wildness > 0 && this.#next() < wildness;
  }

  #chance(probability: number): boolean {
    return this.#next() < probability;
  }

  #below(count: number): number {
    return Math.floor(this.#next() * count);
  }

  #pick<T>(choices: readonly T[]): T {
    return choices[this.#below(choices.length)]!;
  }
}

function escaped(point: string): string {
  const units = Array.from({ length: point.length }, (_, index) => point.charCodeAt(index));
  return units.map((unit) => `\\u${unit.toString(16).padStart(4, "0")}`).join("");
}
