/**
 * The reference decoder's second half: what is warm (TRACE 5), what calls and creates cost (6), and what the slots hold
 * (8.4), found by walking the rows in their order with an undo list.
 */
import {
  calleeOf,
  type Execution,
  type Frame,
  hasOperands,
  item,
  type Row,
  sendsValue,
  violate,
  type Violation,
} from "./execution.ts";
import { addressOf, CALLS, CREATES, isPrecompile, max, min, precompilePrice, type Rules, words } from "./rules.ts";

const TOUCHES_SLOT = new Set(["SLOAD", "SSTORE"]);
const TOUCHES_ADDRESS = new Set(["BALANCE", "EXTCODESIZE", "EXTCODEHASH", "EXTCODECOPY", "SELFDESTRUCT"]);

/** Value of a slot: a word, known only not to be zero, or unknown. */
type Value = bigint | "nonzero" | undefined;
interface Slot {
  original: Value;
  current: Value;
}

/** What is warm before the first opcode. */
export interface InitialAccess {
  readonly addresses: Iterable<string>;
  readonly slots: Iterable<readonly [address: string, slot: bigint]>;
  /** Identity of the root frame's storage. */
  readonly self: string;
  readonly credits: number;
  readonly accessListKeys: number;
  /** Whether transaction and block are known: otherwise a wrong guess proves nothing. */
  readonly complete: boolean;
}

/** Bounds of the refund counter. */
export interface Interval {
  readonly lo: bigint;
  readonly hi: bigint;
}

export class State {
  refund: Interval = { lo: 0n, hi: 0n };
  /** SELFDESTRUCT rows that were the first of their account. */
  readonly firstDestructions = new Set<Row>();

  readonly #destroyed = new Set<string>();
  readonly #rules: Rules;
  readonly #violations: Violation[];
  readonly #addresses: Set<string>;
  readonly #slots: Set<string>;
  readonly #values = new Map<string, Slot>();
  readonly #aliases = new Map<string, string>();
  readonly #self = new Map<Frame, string>();
  /** Undoes additions since the mark of each open frame. */
  readonly #journal: (() => void)[] = [];
  readonly #chargedWarm = { addresses: new Set<string>(), slots: new Set<bigint>() };
  #chargedCold = 0;
  #credits: number;
  #creates = false;
  readonly #initial: InitialAccess;

  constructor(execution: Execution, rules: Rules, initial: InitialAccess) {
    this.#rules = rules;
    this.#violations = execution.violations;
    this.#initial = initial;
    this.#credits = initial.credits;
    this.#addresses = new Set(initial.addresses);
    this.#slots = new Set([...initial.slots].map(([address, slot]) => slotKey(address, slot)));
    this.#walk(execution);
    this.#checkAccess();
  }

  /** Identity of the storage of a frame (TRACE 3.3). */
  selfOf(frame: Frame): string {
    return this.#self.get(frame)!;
  }

  #walk(execution: Execution): void {
    const marks: { frame: Frame; mark: number }[] = [];
    const root = execution.frames[0]!;
    this.#self.set(root, this.#initial.self);
    marks.push({ frame: root, mark: 0 });
    for (const row of execution.rows) {
      while (marks.at(-1)!.frame !== row.frame && !isWithin(row.frame, marks.at(-1)!.frame)) {
        const { frame, mark } = marks.pop()!;
        this.#leave(frame, mark);
      }
      if (marks.at(-1)!.frame !== row.frame) {
        this.#enter(row.frame);
        marks.push({ frame: row.frame, mark: this.#journal.length });
      }
      this.#row(row);
    }
    for (const { frame, mark } of marks.toReversed()) this.#leave(frame, mark);
  }

  #enter(frame: Frame): void {
    const parentSelf = this.selfOf(frame.parent!);
    if (CREATES.has(frame.kind)) {
      const token = `created by frame ${frame.id}`;
      this.#credits++;
      // Added before the frame's mark: it stays when the creation fails.
      this.#add(this.#addresses, token);
      this.#self.set(frame, token);
    } else if (frame.kind === "CALLCODE" || frame.kind === "DELEGATECALL" || frame.opener === undefined) {
      this.#self.set(frame, parentSelf);
    } else {
      this.#self.set(frame, this.#identity(calleeOf(frame.opener) ?? "unknown"));
    }
  }

  #leave(frame: Frame, mark: number): void {
    if (frame.outcome !== "success" && frame.outcome !== "unknown") {
      while (this.#journal.length > mark) this.#journal.pop()!();
    } else if (CREATES.has(frame.kind) && frame.resumed !== undefined) {
      const word = item(frame.resumed, 0) ?? 0n;
      if (word === 0n) return;
      const [address, token] = [addressOf(word), this.selfOf(frame)];
      for (const key of [...this.#slots]) {
        if (key.startsWith(`${address}/`)) this.#add(this.#slots, `${token}/${key.slice(address.length + 1)}`);
      }
      this.#aliases.set(address, token);
    }
  }

  #row(row: Row): void {
    if (CREATES.has(row.op)) this.#creates = true;
    if (hasOperands(row)) this.#touch(row);
    if (CALLS.has(row.op)) this.#call(row);
    else if (CREATES.has(row.op)) this.#create(row);
    else row.cold = this.#counted(row, row.fails ? undefined : this.#coldByGas(row));
    if (!row.fails && hasOperands(row)) this.#slotValues(row);
  }

  // --- access sets

  #identity(address: string): string {
    return this.#aliases.get(address) ?? address;
  }

  #add<T>(set: Set<T>, entry: T): boolean {
    if (set.has(entry)) return false;
    set.add(entry);
    this.#journal.push(() => void set.delete(entry));
    return true;
  }

  #touch(row: Row): void {
    if (!this.#rules.at("berlin")) return;
    if (TOUCHES_SLOT.has(row.op)) {
      row.setCold = this.#add(this.#slots, slotKey(this.selfOf(row.frame), item(row, 0)!));
    } else if (TOUCHES_ADDRESS.has(row.op) || CALLS.has(row.op)) {
      const word = item(row, CALLS.has(row.op) ? 1 : 0)!;
      row.setCold = this.#add(this.#addresses, this.#identity(addressOf(word)));
    }
  }

  /** TRACE 5.4 for all but calls. */
  #coldByGas(row: Row): 0 | 1 | undefined {
    const used = row.gasUsed;
    const pick = (value: bigint, warm: readonly bigint[], cold: readonly bigint[]) =>
      warm.includes(value) ? 0 : cold.includes(value) ? 1 : undefined;
    if (!hasOperands(row)) return undefined;
    switch (row.op) {
      case "SLOAD":
        return pick(used, [100n], [2100n]);
      case "SSTORE":
        return pick(used, [100n, 2900n, 20000n], [2200n, 5000n, 22100n]);
      case "BALANCE":
      case "EXTCODESIZE":
      case "EXTCODEHASH":
        return pick(used, [100n], [2600n]);
      case "EXTCODECOPY":
        return row.expansion === undefined
          ? undefined
          : pick(used - row.expansion - 3n * words(item(row, 3)!), [100n], [2600n]);
      case "SELFDESTRUCT":
        return pick(row.cost, [5000n, 30000n], [7600n, 32600n]);
      default:
        return undefined;
    }
  }

  /** TRACE 5.5. */
  #counted(row: Row, byGas: 0 | 1 | undefined, total: number = byGas ?? 0): number {
    if (!this.#rules.at("berlin")) return 0;
    const bySet = row.setCold ? 1 : 0;
    if (byGas === undefined) return bySet;
    if (byGas === bySet) return total;
    if (byGas === 1) {
      this.#chargedCold++;
      return 0;
    }
    if (TOUCHES_SLOT.has(row.op)) this.#chargedWarm.slots.add(item(row, 0)!);
    else this.#chargedWarm.addresses.add(addressOf(item(row, CALLS.has(row.op) ? 1 : 0)!));
    return total;
  }

  #checkAccess(): void {
    if (!this.#initial.complete) return;
    const { addresses, slots } = this.#chargedWarm;
    const slotCredits = this.#creates ? this.#initial.accessListKeys : 0;
    if (this.#chargedCold > 0) {
      violate(this.#violations, "A1", `${this.#chargedCold} warm accesses were charged as cold`);
    }
    if (addresses.size > this.#credits) {
      violate(this.#violations, "A1", `${addresses.size} cold addresses charged as warm`);
    }
    if (slots.size > slotCredits) violate(this.#violations, "A1", `${slots.size} cold slots were charged as warm`);
  }

  // --- calls and creates

  #call(row: Row): void {
    const { next, codeless } = row;
    const callee = calleeOf(row);
    const precompile = callee !== null && isPrecompile(callee, this.#rules);
    const flag = next === undefined ? undefined : item(next, 0);
    if (codeless !== undefined && flag === 0n) codeless.outcome = "not_entered";
    if (row.fails || next === undefined || !hasOperands(row) || row.expansion === undefined) {
      row.cold = this.#counted(row, undefined);
      return;
    }
    const stipend = sendsValue(row) ? 2300n : 0n;
    if (codeless !== undefined && precompile && flag !== undefined) {
      row.cold = this.#rules.at("berlin") ? this.#counted(row, 0) : 0;
      this.#precompile(row, callee, flag !== 0n);
      return;
    }
    let rest = row.gasSelf - row.expansion - (sendsValue(row) ? 6700n : 0n);
    const mayBeNew = row.op === "CALL" && sendsValue(row) && row.child === undefined;
    if (mayBeNew && rest >= 25100n) rest -= 25000n;
    const decoded = this.#accessPart(rest, row.setCold);
    if (decoded === undefined) {
      violate(this.#violations, "F2", `${row.op} keeps ${row.gasSelf} gas`, row);
      row.cold = this.#counted(row, undefined);
    } else {
      row.cold = this.#counted(row, decoded.first, decoded.total);
      if (decoded.total > decoded.first) this.#credits++;
    }
    if (row.child !== undefined) {
      const entry = row.child.rows[0]!.gas;
      const expected = forwarded(row, row.gasSelf + stipend) + stipend;
      if (entry !== expected) {
        violate(this.#violations, "F1", `child entered with ${entry}, not ${expected}`, row.child.rows[0]);
      }
    }
  }

  #accessPart(rest: bigint, setCold: boolean): { first: 0 | 1; total: number } | undefined {
    if (!this.#rules.at("berlin")) return rest === 700n ? { first: 0, total: 0 } : undefined;
    for (const first of setCold ? [1, 0] as const : [0, 1] as const) {
      const delegation = rest - (first === 1 ? 2600n : 100n);
      const fits = delegation === 0n || this.#rules.at("prague") && (delegation === 100n || delegation === 2600n);
      if (fits) return { first, total: first + (delegation === 2600n ? 1 : 0) };
    }
    return undefined;
  }

  /** TRACE 6.3. */
  #precompile(row: Row, callee: string, flag: boolean): void {
    const codeless = row.codeless!;
    const inputSize = item(row, row.op === "CALL" || row.op === "CALLCODE" ? 4 : 3)!;
    const { price, exact } = precompilePrice(callee, inputSize, this.#rules);
    const stipend = sendsValue(row) ? 2300n : 0n;
    const access = (this.#rules.at("berlin") ? 100n : 700n) + row.expansion! + (sendsValue(row) ? 9000n : 0n);
    for (const base of row.op === "CALL" && sendsValue(row) ? [access, access + 25000n] : [access]) {
      const share = row.gasSelf - (base - stipend);
      const given = forwarded(row, base) + stipend;
      let outcome: typeof codeless.outcome | undefined;
      if (flag) {
        if (exact ? share === price : price <= share && share <= given) outcome = "precompile";
      } else if (share === given && share > 0n) outcome = "failed_precompile";
      else if (share === 0n) outcome = given > 0n ? "not_entered" : "failed_precompile";
      if (outcome === undefined) continue;
      Object.assign(codeless, { outcome, share });
      return;
    }
    violate(this.#violations, "P1", `the share of precompile ${callee} does not fit its price ${price}`, row);
    codeless.outcome = flag ? "precompile" : "failed_precompile";
    codeless.share = max(0n, row.gasSelf - (access - stipend));
  }

  /** TRACE 6.4, F1 and F2. */
  #create(row: Row): void {
    const { child, next } = row;
    const base = createBase(row, this.#rules);
    if (row.fails || base === undefined) return;
    if (child === undefined) {
      if (next === undefined) return;
      const result = item(next, 0) ?? 0n;
      if (result !== 0n) {
        if (item(row, 2)! > 0n) violate(this.#violations, "F2", `${row.op} succeeded without rows`, row);
        this.#add(this.#addresses, this.#identity(addressOf(result)));
      } else {
        this.#credits++;
      }
      const collision = base + forwarded(row, base);
      if (row.gasSelf !== base && (result !== 0n || row.gasSelf !== collision)) {
        violate(this.#violations, "F2", `${row.op} keeps ${row.gasSelf} gas, not ${base}`, row);
      }
      return;
    }
    const entry = child.rows[0]!.gas;
    const available = forwarded(row, base);
    if (entry !== available) {
      violate(this.#violations, "F1", `child entered with ${entry}, not ${available}`, child.rows[0]);
    }
    const last = child.rows.at(-1)!;
    let expected = base;
    if (child.outcome === "success" && last.op === "RETURN") expected += 200n * (item(last, 1) ?? 0n);
    if (child.outcome === "deposit") expected += entry - child.rows.reduce((sum, inner) => sum + inner.gasUsed, 0n);
    if (next !== undefined && row.gasSelf !== expected) {
      violate(this.#violations, "F2", `${row.op} keeps ${row.gasSelf} gas, not ${expected}`, row);
    }
  }

  // --- slot values

  /** TRACE 8.4. */
  #slotValues(row: Row): void {
    const self = this.selfOf(row.frame);
    if (row.op === "SELFDESTRUCT" && !this.#rules.at("london")) {
      if (this.#add(this.#destroyed, self)) {
        this.firstDestructions.add(row);
        this.#addRefund(24000n, 24000n);
      }
    }
    if (!TOUCHES_SLOT.has(row.op)) return;
    const key = slotKey(self, item(row, 0)!);
    let slot = this.#values.get(key);
    if (slot === undefined) this.#values.set(key, slot = { original: undefined, current: undefined });
    if (row.op === "SLOAD") {
      const value = row.next === undefined ? undefined : item(row.next, 0);
      if (value === undefined) return;
      if (!agree(slot.current, value)) {
        violate(this.#violations, "V1", `SLOAD gives ${value}, not ${slot.current}`, row);
      }
      // What a slot holds while it was never written is also its original value.
      const unwritten = slot.current === undefined || slot.current === "nonzero" && slot.original === "nonzero";
      if (unwritten && typeof slot.original !== "bigint") slot.original = value;
      slot.current = value;
    } else {
      this.#store(row, slot, item(row, 1)!);
    }
  }

  #store(row: Row, slot: Slot, value: bigint): void {
    const rules = this.#rules;
    const cost = rules.at("berlin") && this.#coldByGas(row) === 1 ? row.gasUsed - 2100n : row.gasUsed;
    if (!rules.at("istanbul")) {
      const wrong = cost === 20000n ? !agree(slot.current, 0n) || value === 0n : slot.current === 0n && value !== 0n;
      if (wrong) violate(this.#violations, "V1", `SSTORE of ${value} over ${slot.current} costs ${cost}`, row);
      if (cost === 5000n && value === 0n && slot.current !== 0n) {
        this.#addRefund(slot.current === undefined ? 0n : 15000n, 15000n);
      }
    } else {
      const [noop, reset] = rules.at("berlin") ? [100n, 2900n] : [800n, 5000n];
      if (cost === 20000n) this.#storeFresh(row, slot);
      else if (cost === reset) this.#storeFirst(row, slot, value);
      else if (cost === noop) this.#storeAgain(row, slot, value, noop);
    }
    const before = slot.current;
    this.#journal.push(() => void (slot.current = before));
    slot.current = value;
  }

  #storeFresh(row: Row, slot: Slot): void {
    if (!agree(slot.original, 0n) || !agree(slot.current, 0n)) {
      violate(this.#violations, "V1", "SSTORE pays for an empty slot", row);
    }
    slot.original = slot.current = 0n;
  }

  #storeFirst(row: Row, slot: Slot, value: bigint): void {
    const { original, current } = slot;
    const differ = typeof original === "bigint" && typeof current === "bigint" && original !== current;
    if (original === 0n || current === 0n || differ) {
      violate(this.#violations, "V1", "SSTORE pays for a clean full slot", row);
    }
    const known = typeof original === "bigint" ? original : typeof current === "bigint" ? current : "nonzero";
    slot.original = slot.current = known;
    if (value === 0n) this.#addRefund(this.#clear, this.#clear);
  }

  #storeAgain(row: Row, slot: Slot, value: bigint, noop: bigint): void {
    const { original, current } = slot;
    if (current === undefined || original === "nonzero" && current === "nonzero") {
      if (!agree(original, value)) violate(this.#violations, "V1", "SSTORE of a clean slot pays for no change", row);
      slot.original = slot.current = value;
      return;
    }
    if (current === value) return;
    if (typeof original === "bigint" && original === current) {
      violate(this.#violations, "V1", "SSTORE of a clean slot pays for no change", row);
    }
    let change = 0n;
    if (original !== 0n && current === 0n) change -= this.#clear;
    if (original !== 0n && current !== 0n && value === 0n) change += this.#clear;
    const restored = original === 0n ? 20000n - noop : this.#rules.at("berlin") ? 2800n : 4200n;
    if (original === value) change += restored;
    this.#addRefund(change, original === "nonzero" && value !== 0n ? change + restored : change);
  }

  get #clear(): bigint {
    return this.#rules.at("london") ? 4800n : 15000n;
  }

  #addRefund(lo: bigint, hi: bigint): void {
    const before = this.refund;
    this.#journal.push(() => void (this.refund = before));
    this.refund = { lo: before.lo + lo, hi: before.hi + hi };
  }
}

/** Gas a call row hands on when it pays `base` itself. */
export function forwarded(row: Row, base: bigint): bigint {
  const available = max(0n, row.gas - base);
  const most = available - available / 64n;
  return CREATES.has(row.op) ? most : min(item(row, 0)!, most);
}

/** TRACE 6.4, `undefined` without operands or where nobody can pay it. */
export function createBase(row: Row, rules: Rules): bigint | undefined {
  if (!hasOperands(row) || row.expansion === undefined) return undefined;
  const perWord = (rules.at("shanghai") ? 2n : 0n) + (row.op === "CREATE2" ? 6n : 0n);
  return 32000n + row.expansion + perWord * words(item(row, 2)!);
}

function slotKey(identity: string, slot: bigint): string {
  return `${identity}/${slot}`;
}

/** Whether a slot that is known as `known` can hold `value`. */
function agree(known: Value, value: bigint): boolean {
  return known === undefined || (known === "nonzero" ? value !== 0n : known === value);
}

function isWithin(frame: Frame, ancestor: Frame): boolean {
  return frame.path[ancestor.path.length - 1] === ancestor.id;
}
