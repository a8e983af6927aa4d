/**
 * The reference decoder: a second opinion on what a trace means, in plain TypeScript over `JSON.parse`. It shares no
 * code with `src/` and `wasm/`, knows no streaming, and lives in tests only.
 */
import { getContractAddress, keccak256, recoverAddress, toRlp } from "viem";
import type { JsonObject } from "../../src/stages/decode/port.ts";
import {
  calleeOf,
  execute,
  type Execution,
  type Frame,
  hasOperands,
  item,
  parseResult,
  type Row,
  sendsValue,
  sumOf,
  violate,
  type Violation,
} from "./execution.ts";
import { createBase, forwarded, State } from "./state.ts";
import {
  accessList,
  addressOf,
  authorizations,
  bytesOf,
  CALLS,
  type Client,
  clientOf,
  CREATES,
  ENDS,
  intrinsicGas,
  isPrecompile,
  max,
  min,
  OPCODES,
  precompilePriceOf,
  quantity,
  Rules,
  words,
} from "./rules.ts";

const AUTHORIZATION_REFUND = 12500n;
const WITHOUT_PRICES = new Set(["N1", "N2", "R2", "F3", "F4", "F5", "F6", "P2", "K1"]);
const HALF_ORDER = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0n;

/** One reply and what belongs to it, all of it present. */
export interface ReferenceInput {
  /** `result` of the reply. */
  readonly trace: Uint8Array;
  readonly transaction: JsonObject;
  readonly receipt: JsonObject;
  readonly block: JsonObject;
  /** `web3_clientVersion`. */
  readonly client: string;
  readonly fork: string;
  readonly network: string;
}

/** A cell by its column's name. */
export type ReferenceRow = Readonly<Record<string, bigint | number | string | boolean | null | readonly number[]>>;

export interface ReferenceProof {
  readonly verdict: "proved" | "bounded" | "unproved" | "violated";
  readonly violations: readonly Violation[];
  readonly outcome: string;
  readonly intrinsic_gas: bigint;
  readonly gas_used: bigint;
  readonly refund_applied: bigint | null;
  readonly root_gas: bigint;
  readonly rows: number;
  readonly frames: number;
}

export interface Reading {
  readonly structlog: readonly ReferenceRow[];
  readonly agg: readonly ReferenceRow[];
  readonly proof: ReferenceProof;
}

export async function decodeReference(input: ReferenceInput): Promise<Reading> {
  const { transaction, receipt, block } = input;
  const rules = new Rules(input.fork);
  const client = clientOf(input.client);
  const target = typeof transaction.to === "string" ? transaction.to.toLowerCase() : null;
  const status = receipt.status === undefined ? undefined : quantity(receipt.status) === 1n;
  const execution = execute(
    parseResult(input.trace),
    client,
    status,
    target === null,
    target === null && bytesOf(String(transaction.input)).length === 0,
  );
  const self = target ?? createdAddress(transaction, receipt);
  const list = accessList(transaction);
  const authorities = await Promise.all(authorizations(transaction).map((entry) => authority(entry, transaction)));
  const precompiles = Array.from({ length: 0x101 }, (_, number) => addressOf(BigInt(number)))
    .filter((address) => isPrecompile(address, rules));
  const state = new State(execution, rules, {
    addresses: [
      ...precompiles,
      String(transaction.from).toLowerCase(),
      self,
      ...rules.at("shanghai") ? [String(block.miner).toLowerCase()] : [],
      ...list.map((entry) => entry.address),
      ...rules.at("prague") ? authorities.filter((address) => address !== undefined) : [],
    ],
    slots: list.flatMap(({ address, keys }) => keys.map((key) => [address, key] as const)),
    self,
    credits: rules.at("prague") && target !== null ? 1 : 0,
    accessListKeys: list.reduce((sum, { keys }) => sum + keys.length, 0),
    complete: true,
  });
  checkRows(execution, rules);
  checkFrames(execution, client, status);
  const proof = prove(input, execution, state, rules, client);
  return {
    structlog: execution.rows.map((row) => structlogRow(row, input, execution, rules)),
    agg: aggregateRows(execution, input, proof.intrinsic_gas, proof.refund),
    proof,
  };
}

function createdAddress(transaction: JsonObject, receipt: JsonObject): string {
  if (typeof receipt.contractAddress === "string") return receipt.contractAddress.toLowerCase();
  const from = transaction.from as `0x${string}`;
  return getContractAddress({ from, nonce: quantity(transaction.nonce)! }).toLowerCase();
}

/** Who signed an authorisation of EIP-7702, `undefined` where nobody can have. */
async function authority(entry: JsonObject, transaction: JsonObject): Promise<string | undefined> {
  const [chainId, nonce, s] = [quantity(entry.chainId)!, quantity(entry.nonce)!, quantity(entry.s)!];
  if (chainId !== 0n && chainId !== quantity(transaction.chainId)) return undefined;
  if (nonce >= 2n ** 64n - 1n || s > HALF_ORDER) return undefined;
  const hex = (value: bigint) => value === 0n ? "0x" : `0x${evenHex(value)}` as const;
  const message = toRlp([hex(chainId), entry.address as `0x${string}`, hex(nonce)]);
  const hash = keccak256(`0x05${message.slice(2)}`);
  const pad = (value: unknown) => `0x${quantity(value)!.toString(16).padStart(64, "0")}` as const;
  const yParity = Number(quantity(entry.yParity ?? entry.v));
  try {
    return (await recoverAddress({ hash, signature: { r: pad(entry.r), s: pad(entry.s), yParity } })).toLowerCase();
  } catch {
    return undefined; // no point of the curve fits the signature
  }
}

function evenHex(value: bigint): string {
  const digits = value.toString(16);
  return digits.padStart(digits.length + digits.length % 2, "0");
}

// --- TRACE 8.2: rows

function checkRows(execution: Execution, rules: Rules): void {
  const { violations } = execution;
  for (const frame of execution.frames) {
    if (frame.rows[0] !== undefined && frame.rows[0].pc !== 0) {
      violate(violations, "P2", `frame ${frame.id} starts at pc ${frame.rows[0].pc}`, frame.rows[0]);
    }
    for (const row of frame.rows) {
      if (row.next !== undefined) checkSuccessor(row, row.next, rules, violations);
      checkPrice(row, rules, violations);
    }
    const last = frame.rows.at(-1);
    if (last !== undefined && !last.fails && frame.outcome !== "unknown" && !exists(last, rules)) {
      violate(violations, "S1", `frame ${frame.id} is not halted by ${last.op}`, last);
    }
    if (last?.fails === true && last.stack !== undefined && !canHalt(last, frame, rules)) {
      violate(violations, "H1", `frame ${frame.id} cannot halt at ${last.op} with ${last.gas} gas`, last);
    }
    if (frame.outcome === "deposit" && last !== undefined && hasOperands(last)) {
      const size = item(last, 1)!;
      const fails = 200n * size > last.gas - last.expansion! || size > 24576n || rules.at("london") && size > 0n;
      if (!fails) violate(violations, "H1", `the deposit of ${size} bytes cannot fail`, last);
    }
  }
}

function checkSuccessor(row: Row, next: Row, rules: Rules, violations: Violation[]): void {
  const opcode = OPCODES.get(row.op);
  if (opcode === undefined || !exists(row, rules) || ENDS.has(row.op)) {
    violate(violations, "P2", `${next.op} follows ${row.op} in one frame`, next);
  } else {
    const jumps = row.op === "JUMP" || row.op === "JUMPI" && (item(row, 1) ?? 0n) !== 0n;
    const expected = jumps ? item(row, 0) : BigInt(row.pc + 1 + opcode.immediate);
    if (expected !== undefined && hasOperands(row) && BigInt(next.pc) !== expected) {
      violate(violations, "P2", `pc ${next.pc} follows ${row.op} at pc ${row.pc}`, next);
    }
    if (row.stack !== undefined && next.stack !== undefined) {
      const height = row.stack.length - opcode.pops + opcode.pushes;
      if (next.stack.length !== height) {
        violate(violations, "K1", `stack height ${next.stack.length} after ${row.op}, expected ${height}`, next);
      }
    }
  }
}

/** S1: every opcode but calls and creates, unless it failed. */
function checkPrice(row: Row, rules: Rules, violations: Violation[]): void {
  if (row.fails || !exists(row, rules) || CALLS.has(row.op) || CREATES.has(row.op) || !hasOperands(row)) return;
  const price = row.next === undefined ? row.costRaw : row.gasUsed;
  if (row.next === undefined && (price < 0n || price >= 2n ** 63n)) return;
  const prices = admissible(row, rules);
  if (prices === undefined || !prices.includes(price)) {
    violate(violations, "S1", `${row.op} costs ${price}, expected ${prices}`, row);
  }
}

function exists(row: Row, rules: Rules): boolean {
  const opcode = OPCODES.get(row.op);
  return opcode !== undefined && rules.at(opcode.since);
}

/** TRACE A.2: what an opcode that exists may cost; `undefined` when nobody can pay it. */
function admissible(row: Row, rules: Rules): readonly bigint[] | undefined {
  const opcode = OPCODES.get(row.op)!;
  const { expansion } = row;
  if (expansion === undefined) return undefined;
  if (opcode.price !== undefined) return [opcode.price];
  const berlin = rules.at("berlin");
  const access = (istanbul: bigint, before: bigint, cold = 2600n) =>
    berlin ? [100n, cold] : rules.at("istanbul") ? [istanbul] : [before];
  switch (row.op) {
    case "STOP":
      return [0n];
    case "RETURN":
    case "REVERT":
      return [expansion];
    case "MLOAD":
    case "MSTORE":
    case "MSTORE8":
      return [3n + expansion];
    case "KECCAK256":
      return [30n + 6n * words(item(row, 1)!) + expansion];
    case "CALLDATACOPY":
    case "CODECOPY":
    case "RETURNDATACOPY":
    case "MCOPY":
      return [3n + 3n * words(item(row, 2)!) + expansion];
    case "EXP": {
      const exponent = item(row, 1)!;
      return [10n + (exponent === 0n ? 0n : 50n * BigInt(evenHex(exponent).length / 2))];
    }
    case "LOG0":
    case "LOG1":
    case "LOG2":
    case "LOG3":
    case "LOG4":
      return [375n * BigInt(Number(row.op.slice(3)) + 1) + 8n * item(row, 1)! + expansion];
    case "SLOAD":
      return access(800n, 200n, 2100n);
    case "BALANCE":
    case "EXTCODEHASH":
      return access(700n, 400n);
    case "EXTCODESIZE":
      return access(700n, 700n);
    case "EXTCODECOPY":
      return access(700n, 700n).map((price) => price + 3n * words(item(row, 3)!) + expansion);
    case "SSTORE":
      if (berlin) return [100n, 2900n, 20000n, 2200n, 5000n, 22100n];
      return rules.at("istanbul") ? [800n, 5000n, 20000n] : [5000n, 20000n];
    case "SELFDESTRUCT":
      return berlin ? [5000n, 30000n, 7600n, 32600n] : [5000n, 30000n];
    default:
      throw new Error(`Cannot price ${row.op}`);
  }
}

/** H1: whether an exceptional halt at this row has a reason. */
function canHalt(row: Row, frame: Frame, rules: Rules): boolean {
  if (row.error !== null || row.costRaw > row.gas) return true;
  const opcode = OPCODES.get(row.op);
  if (opcode === undefined || !rules.at(opcode.since)) return true;
  const height = row.stack!.length;
  if (height < opcode.pops || height - opcode.pops + opcode.pushes > 1024) return true;
  if (row.op === "JUMP" || row.op === "JUMPI" && item(row, 1) !== 0n) {
    const known = frame.rows.some((other) => other.op === "JUMPDEST" && BigInt(other.pc) === item(row, 0));
    if (frame.parent !== undefined || !known) return true;
  }
  if (row.op === "RETURNDATACOPY") return true;
  const writes = /^(SSTORE|TSTORE|LOG\d|CREATE2?|SELFDESTRUCT)$/.test(row.op) || row.op === "CALL" && sendsValue(row);
  if (frame.isStatic && writes) return true;
  if (row.op === "SSTORE" && rules.at("istanbul") && row.gas <= 2300n) return true;
  if (CREATES.has(row.op) && rules.at("shanghai") && item(row, 2)! > 49152n) return true;
  return dearest(row, rules) > row.gas;
}

/** The most that the opcode may cost. */
function dearest(row: Row, rules: Rules): bigint {
  const expansion = row.wanted;
  if (expansion === undefined) return row.gas + 1n;
  if (CREATES.has(row.op)) return createBase({ ...row, expansion }, rules)!;
  if (CALLS.has(row.op)) {
    const access = rules.at("berlin") ? 2600n : 700n;
    return access + expansion + (sendsValue(row) ? 34000n : 0n) + (rules.at("prague") ? 2600n : 0n);
  }
  return admissible({ ...row, expansion }, rules)!.reduce(max);
}

// --- TRACE 8.1 and 8.2: frames

function checkFrames(execution: Execution, client: Client, status: boolean | undefined): void {
  const { violations, failed } = execution;
  if (status !== undefined && failed !== undefined && failed === status) {
    violate(violations, "R2", `failed is ${failed}, the receipt's status ${status ? 1 : 0}`);
  }
  for (const frame of execution.frames) {
    const last = frame.rows.at(-1);
    if (last === undefined) continue;
    const fits = frame.flag === 1
      ? frame.outcome === "success" && (ENDS.has(last.op) || !client.stopRow)
      : frame.outcome !== "unknown" || last.stack === undefined;
    if (!fits) {
      violate(violations, frame.parent === undefined ? "R2" : "F4", `frame ${frame.id} ends with ${last.op}`, last);
    }
  }
}

// --- TRACE 8.3 to 8.6

function prove(
  input: ReferenceInput,
  execution: Execution,
  state: State,
  rules: Rules,
  client: Client,
): ReferenceProof & { refund: bigint | null } {
  const { transaction, receipt } = input;
  const { rows } = execution;
  // The prices of Amsterdam are not known here: what depends on a price proves nothing.
  const violations = rules.name === "amsterdam"
    ? execution.violations.filter(({ identity }) => WITHOUT_PRICES.has(identity))
    : execution.violations;
  const root = execution.frames[0]!;
  const { intrinsic, floor } = intrinsicGas(transaction, rules);
  const limit = quantity(transaction.gas)!;
  const used = quantity(receipt.gasUsed)!;
  const rootGas = sumOf(root.rows, (row) => row.gasUsed);
  const amsterdam = rules.name === "amsterdam";
  let verdict: ReferenceProof["verdict"] = "proved";
  let applied: bigint | null = 0n;
  let refund: bigint | null = 0n;
  const settle = (gas: bigint, counter: bigint) =>
    max(gas - min(max(counter, 0n), gas / (rules.at("london") ? 5n : 2n)), floor);
  const count = BigInt(authorizations(transaction).length);
  const anyAuth = Array.from({ length: Number(count) + 1 }, (_, k) => AUTHORIZATION_REFUND * BigInt(k));

  const printable = [used, ...client.topGasCumulative ? [quantity(receipt.cumulativeGasUsed)] : []];
  if (client.topGasTrusted && execution.gas !== undefined && !printable.includes(execution.gas) && !amsterdam) {
    violate(violations, "R4", `the trace says ${execution.gas} gas, the receipt ${used}`);
  }
  const last = root.rows.at(-1);
  if (last === undefined && !amsterdam) {
    const spent = emptyGas(input, rules, intrinsic, limit, execution);
    if (spent === undefined) violate(violations, "R6", "nothing was executed, yet something must have been");
    else {
      const fitting = anyAuth.find((auth) => settle(spent, auth) === used);
      if (fitting === undefined) violate(violations, "R6", `an empty trace, ${used} gas`);
      refund = fitting ?? 0n;
      applied = min(refund, spent / (rules.at("london") ? 5n : 2n));
    }
    const precompile = typeof transaction.to === "string" && isPrecompile(transaction.to, rules);
    if (!precompile && typeof transaction.to === "string" && floor > intrinsic) verdict = "bounded";
  } else if (last !== undefined && !amsterdam) {
    if (rows[0]!.gas !== limit - intrinsic) {
      violate(violations, "R1", `starts with ${rows[0]!.gas} gas, not ${limit - intrinsic}`);
    }
    const succeeds = root.outcome === "success";
    const spent = root.outcome === "halt" || root.outcome === "deposit"
      ? limit
      : intrinsic + rootGas + (succeeds && root.creates && last.op === "RETURN" ? 200n * (item(last, 1) ?? 0n) : 0n);
    const counter = succeeds ? finalCounter(last, state, rules, client) : 0n;
    const first = rows[0]!.refund;
    const inCounter = first !== undefined && first > 0n || client.family === "geth" || client.family === "erigon";
    const auth = inCounter && first !== undefined ? first : undefined;
    if (auth !== undefined && (auth % AUTHORIZATION_REFUND !== 0n || auth > AUTHORIZATION_REFUND * count)) {
      violate(violations, "R5", `the first counter is ${auth}, with ${count} authorisations`);
    }
    const auths = auth === undefined ? anyAuth : [auth];
    const { lo, hi } = state.refund;
    const stackless = rows.some((row) => row.stack === undefined);
    if (counter === undefined && stackless) {
      refund = applied = null; // neither the node nor the operands tell
    } else if (counter === undefined && lo !== hi) {
      refund = applied = null;
      verdict = "bounded";
      const most = settle(spent, lo);
      if (used > most || used < settle(spent, hi + AUTHORIZATION_REFUND * count)) {
        violate(violations, "R3", `the receipt says ${used} gas, the trace at most ${most}`);
      }
    } else {
      // Where the auth part is in the counter, `auth` is what a failed root keeps of it.
      const own = succeeds ? (counter ?? lo) - (counter !== undefined && auth !== undefined ? auth : 0n) : 0n;
      const fitting = auths.find((part) => settle(spent, own + part) === used);
      refund = own + (fitting ?? auths[0]!);
      applied = min(max(refund, 0n), spent / (rules.at("london") ? 5n : 2n));
      if (fitting === undefined) {
        violate(violations, "R3", `the receipt says ${used} gas, the trace ${settle(spent, refund)}`);
      }
      if (succeeds && counter !== undefined && last.stack !== undefined && (own < lo || own > hi)) {
        violate(violations, "R5", `the printed counter is ${own}, the operands give ${lo} to ${hi}`);
      }
    }
  }
  const stackless = rows.some((row) => row.stack === undefined);
  if (stackless || amsterdam || transaction.type === "0x7e") verdict = "unproved";
  if (violations.length > 0) verdict = "violated";
  const codeless = rows.filter((row) => row.codeless !== undefined).length;
  return {
    verdict,
    violations,
    outcome: last === undefined ? "empty" : root.outcome,
    intrinsic_gas: intrinsic,
    gas_used: used,
    refund_applied: applied,
    root_gas: rootGas,
    rows: rows.length,
    frames: execution.frames.length + codeless,
    refund,
  };
}

/** Counter after the last opcode of the root, `undefined` when the node does not print one. */
function finalCounter(last: Row, state: State, rules: Rules, client: Client): bigint | undefined {
  if (last.refund === undefined) return undefined;
  // Without a row for the implicit STOP nothing shows what the last opcode did to the counter.
  const hides = last.op === "SSTORE" ? client.refundPoint === "before" : last.child !== undefined;
  if (hides) return undefined;
  const adds = last.op === "SELFDESTRUCT" && !rules.at("london") && client.refundPoint !== "after";
  return last.refund + (adds && state.firstDestructions.has(last) ? 24000n : 0n);
}

/** TRACE 8.5: what a transaction that executed nothing pays before refunds, `undefined` when that cannot be. */
function emptyGas(
  { transaction, receipt }: ReferenceInput,
  rules: Rules,
  intrinsic: bigint,
  limit: bigint,
  execution: Execution,
): bigint | undefined {
  const failed = receipt.status === undefined ? execution.failed === true : quantity(receipt.status) === 0n;
  const input = bytesOf(String(transaction.input));
  if (typeof transaction.to === "string" && isPrecompile(transaction.to, rules)) {
    return failed ? limit : intrinsic + precompilePriceOf(transaction.to, input, rules);
  }
  const creates = typeof transaction.to !== "string" && input.length > 0;
  return failed || creates ? undefined : intrinsic;
}

// --- TRACE 9 and 10

/** TRACE 1.4.2. */
function canonicalCost(row: Row, rules: Rules): bigint {
  if (row.fails || !hasOperands(row)) return row.cost;
  if (row.op === "STOP") return 0n;
  if (row.op === "RETURN" || row.op === "REVERT") {
    return row.expansion === undefined ? row.cost : min(row.expansion, row.gas);
  }
  if (CREATES.has(row.op)) return createBase(row, rules) ?? row.cost;
  if (CALLS.has(row.op)) {
    if (row.next === undefined && row.child === undefined) return row.cost;
    const base = row.gasSelf + (sendsValue(row) ? 2300n : 0n) - (row.codeless?.share ?? 0n);
    return base + forwarded(row, base);
  }
  return row.next !== undefined && row.next.gas <= row.gas ? row.gas - row.next.gas : row.cost;
}

function structlogRow(row: Row, input: ReferenceInput, execution: Execution, rules: Rules): ReferenceRow {
  const { receipt } = input;
  const gasUsed = quantity(receipt.gasUsed)!;
  const failed = receipt.status === undefined
    ? execution.failed ?? gasUsed === quantity(input.transaction.gas)
    : quantity(receipt.status) === 0n;
  const created = () => row.next === undefined ? null : addressOf(item(row.next, 0) ?? 0n);
  return {
    block_number: quantity(receipt.blockNumber)!,
    transaction_hash: String(receipt.transactionHash),
    transaction_index: quantity(receipt.transactionIndex)!,
    transaction_gas: gasUsed,
    transaction_failed: failed,
    transaction_return_value: execution.returnValue,
    index: row.index,
    operation: row.op,
    gas: row.gas,
    gas_cost: canonicalCost(row, rules),
    gas_used: row.gasUsed,
    gas_self: row.gasSelf,
    depth: row.depth,
    return_data: row.returnData,
    refund: row.refund === undefined ? null : max(row.refund, 0n),
    error: row.error,
    call_to_address: CALLS.has(row.op)
      ? calleeOf(row)
      : CREATES.has(row.op) && row.stack !== undefined
      ? created()
      : null,
    call_frame_id: row.frame.id,
    call_frame_path: row.frame.path,
    meta_network_name: input.network,
    program_counter: row.pc,
    block_hash: String(receipt.blockHash),
  };
}

const SUMS = [
  "opcode_count",
  "error_count",
  "gas",
  "gas_cumulative",
  "memory_words_sum_before",
  "memory_words_sum_after",
  "memory_words_sq_sum_before",
  "memory_words_sq_sum_after",
  "memory_expansion_gas",
  "cold_access_count",
] as const;
type Sums = Record<typeof SUMS[number], bigint>;

function noSums(): Sums {
  return Object.fromEntries(SUMS.map((name) => [name, 0n])) as Sums;
}

function sumsOf(row: Row): Sums {
  return {
    opcode_count: 1n,
    error_count: row.fails ? 1n : 0n,
    gas: row.gasSelf - (row.codeless?.share ?? 0n),
    gas_cumulative: row.gasUsed,
    memory_words_sum_before: row.wordsBefore,
    memory_words_sum_after: row.wordsAfter,
    memory_words_sq_sum_before: row.wordsBefore * row.wordsBefore,
    memory_words_sq_sum_after: row.wordsAfter * row.wordsAfter,
    memory_expansion_gas: row.expansion ?? 0n,
    cold_access_count: BigInt(row.cold),
  };
}

function aggregateRows(
  execution: Execution,
  input: ReferenceInput,
  intrinsic: bigint,
  refund: bigint | null,
): ReferenceRow[] {
  const { receipt, transaction } = input;
  const common = {
    block_number: quantity(receipt.blockNumber)!,
    transaction_hash: String(receipt.transactionHash),
    transaction_index: quantity(receipt.transactionIndex)!,
    meta_network_name: input.network,
    block_hash: String(receipt.blockHash),
  };
  const result: ReferenceRow[] = [];
  for (const frame of execution.frames) {
    const isRoot = frame.parent === undefined;
    const own = {
      ...common,
      call_frame_id: frame.id,
      parent_call_frame_id: frame.parent?.id ?? null,
      call_frame_path: frame.path,
      depth: frame.path.length - 1,
      target_address: isRoot ? (transaction.to as string | null)?.toLowerCase() ?? null : targetOf(frame),
      call_type: frame.kind,
    };
    const byOperation = new Map<string, { sums: Sums; minDepth: number; maxDepth: number }>();
    const total = noSums();
    for (const row of frame.rows) {
      let entry = byOperation.get(row.op);
      if (entry === undefined) {
        byOperation.set(row.op, entry = { sums: noSums(), minDepth: row.depth, maxDepth: row.depth });
      }
      const sums = sumsOf(row);
      for (const name of SUMS) {
        entry.sums[name] += sums[name];
        total[name] += sums[name];
      }
    }
    const transactionFailed = receipt.status === undefined
      ? execution.failed === true
      : quantity(receipt.status) === 0n;
    if (isRoot && transactionFailed && total.error_count === 0n) total.error_count = 1n;
    result.push({
      ...own,
      operation: "",
      ...total,
      min_depth: own.depth,
      max_depth: own.depth,
      gas_refund: isRoot ? refund : 0n,
      intrinsic_gas: isRoot ? intrinsic : null,
    });
    for (const [operation, { sums, minDepth, maxDepth }] of byOperation) {
      result.push({
        ...own,
        operation,
        ...sums,
        min_depth: minDepth,
        max_depth: maxDepth,
        gas_refund: 0n,
        intrinsic_gas: null,
      });
    }
  }
  for (const row of execution.rows) {
    if (row.codeless === undefined) continue;
    const { id, path, outcome, share } = row.codeless;
    const failed = outcome === "failed_precompile" || outcome === "not_entered";
    result.push({
      ...common,
      call_frame_id: id,
      parent_call_frame_id: row.frame.id,
      call_frame_path: path,
      depth: path.length - 1,
      target_address: calleeOf(row),
      call_type: row.op,
      operation: "",
      ...noSums(),
      error_count: failed ? 1n : 0n,
      gas: share,
      gas_cumulative: share,
      min_depth: path.length - 1,
      max_depth: path.length - 1,
      gas_refund: 0n,
      intrinsic_gas: null,
    });
  }
  return result;
}

function targetOf(frame: Frame): string | null {
  if (CALLS.has(frame.kind)) return calleeOf(frame.opener!);
  if (!CREATES.has(frame.kind) || frame.resumed === undefined) return null;
  const word = item(frame.resumed, 0);
  return word === undefined ? null : addressOf(word);
}
