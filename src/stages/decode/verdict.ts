/** The proof record (TRACE 8.6) from what the semantics left in the module's memory. */
import * as F from "../../../wasm/facts.ts";
import * as I from "../../../wasm/identities.ts";
import { RESULT } from "../../../wasm/layout.ts";
import type { TransactionFacts } from "./facts.ts";
import type { ResultFacts } from "./meaning.ts";
import type { ProofRecord, Verdict, Violation } from "./port.ts";

const OUTCOMES = ["success", "revert", "halt", "deposit", "unknown", "empty"] as const;
const SOURCES = ["node", "operands", "interval"] as const;
const IDENTITIES = [
  ...["N1", "N2", "R1", "R2", "R3", "R4", "R5", "R6", "F1", "F2", "F3", "F4", "F5", "F6"],
  ...["P1", "P2", "K1", "S1", "A1", "H1", "V1"],
];

/** The record of a transaction that has just ended. */
export function proofRecord(
  memory: DataView,
  facts: TransactionFacts,
  result: ResultFacts,
  operations: readonly string[],
): ProofRecord {
  const u32 = (field: number) => memory.getUint32(RESULT + field, true);
  const u64 = (field: number) => memory.getBigUint64(RESULT + field, true);
  const flags = u32(F.RESULT_FLAGS);
  const rows = u32(F.RESULT_ROWS);
  const violations = readViolations(memory, result, operations);
  const { verdict, detail } = judge(u32(F.RESULT_VERDICT), flags, facts, violations[0]);
  return {
    verdict,
    identity: violations[0]?.identity ?? "",
    detail,
    violations,
    outcome: OUTCOMES[u32(F.RESULT_OUTCOME)]!,
    intrinsicGas: facts.intrinsicGas,
    floorGas: facts.floorGas,
    rootGas: exact(u64(F.RESULT_ROOT_GAS)),
    codeDepositGas: exact(u64(F.RESULT_CODE_DEPOSIT)),
    ...((flags & F.HAS_REFUND_COUNTER) !== 0 && { refundCounter: exact(u64(F.RESULT_REFUND_COUNTER)) }),
    refundSource: SOURCES[u32(F.RESULT_REFUND_SOURCE)]!,
    refundApplied: exact(u64(F.RESULT_REFUND_APPLIED)),
    gasUsed: exact(facts.hasReceipt ? facts.gasUsed : result.gas ?? 0n),
    rows,
    frames: u32(F.RESULT_FRAMES),
    accessMismatch: {
      setColdGasWarmAccounts: u32(F.RESULT_WARM_ACCOUNTS),
      setColdGasWarmSlots: u32(F.RESULT_WARM_SLOTS),
      setWarmGasCold: u32(F.RESULT_COLD),
      credits: u32(F.RESULT_CREDITS),
      slotCredits: u32(F.RESULT_SLOT_CREDITS),
    },
    notes: notesOf(flags, u32(F.RESULT_MADE_UP), u32(F.RESULT_IMPOSSIBLE_COSTS)),
    ...(result.returnValue !== undefined && { returnValue: result.returnValue }),
    ...(result.failed !== undefined && { failed: result.failed }),
    ...(result.executionGasUsed !== undefined && { executionGasUsed: exact(result.executionGasUsed) }),
    ...(result.stateGasUsed !== undefined && { stateGasUsed: exact(result.stateGasUsed) }),
    ...(result.finalRefund !== undefined && { finalRefund: exact(result.finalRefund) }),
    aggregateRows: u32(F.RESULT_AGGREGATE_ROWS),
    structlogChecksum: u64(F.RESULT_CHECKSUM),
    aggregateChecksum: u64(F.RESULT_AGGREGATE_CHECKSUM),
    offset: result.offset,
    bytes: result.bytes,
    ...(result.transactionHash !== undefined && { transactionHash: result.transactionHash }),
  };
}

function judge(
  found: number,
  flags: number,
  facts: TransactionFacts,
  violation: Violation | undefined,
): { verdict: Verdict; detail: string } {
  if (violation !== undefined) return { verdict: "violated", detail: violation.detail };
  const missing = [...facts.missing];
  if ((flags & F.SAW_NO_STACK) !== 0) missing.push("rows without stack");
  if (found === F.VERDICT_UNPROVED) missing.push("refund counter neither printed nor recomputed");
  if (missing.length > 0) return { verdict: "unproved", detail: missing.join(", ") };
  if (found !== F.VERDICT_BOUNDED) return { verdict: "proved", detail: "" };
  return { verdict: "bounded", detail: (flags & F.BOUNDED_BY_FLOOR) !== 0 ? "floor" : "refund interval" };
}

function notesOf(flags: number, madeUp: number, impossibleCosts: number): string[] {
  const notes: string[] = [];
  if (madeUp > 0) notes.push(`made-up STOP structlogs dropped: ${madeUp}`);
  if (impossibleCosts > 0) notes.push(`impossible costs ignored: ${impossibleCosts}`);
  if ((flags & F.SAW_CAPPED_SETS) !== 0) notes.push("access sets capped");
  if ((flags & F.SAW_CAPPED_VALUES) !== 0) notes.push("slot values capped");
  return notes;
}

function readViolations(memory: DataView, result: ResultFacts, operations: readonly string[]): Violation[] {
  const count = memory.getUint32(RESULT + F.RESULT_VIOLATIONS, true);
  const violations: Violation[] = [];
  for (let order = 0; order < count; order++) {
    const number = memory.getUint32(RESULT + F.RESULT_VIOLATIONS + 4 + 4 * order, true);
    const at = RESULT + F.RESULT_FIRST + number * F.VIOLATION_BYTES;
    const index = memory.getUint32(at + F.VIOLATION_INDEX, true);
    const times = memory.getUint32(at + F.VIOLATION_COUNT, true);
    const first = describe(
      memory.getUint32(at + F.VIOLATION_DETAIL, true),
      memory.getBigUint64(at + F.VIOLATION_A, true),
      memory.getBigUint64(at + F.VIOLATION_B, true),
      result,
      operations,
    );
    violations.push({
      identity: IDENTITIES[number]!,
      detail: times === 1 ? first : `${first} (first of ${times})`,
      ...(index !== I.NO_INDEX && { index }),
    });
  }
  return violations;
}

/** A violation in words: `found` where there should be `expected`. */
function describe(
  detail: number,
  found: bigint,
  expected: bigint,
  result: ResultFacts,
  operations: readonly string[],
): string {
  const name = operations[Number(found)] || "an undefined opcode";
  switch (detail) {
    case I.D_ERROR_MEMBER:
      return `error member inside result: '${result.error ?? result.errorCode ?? ""}'`;
    case I.D_NO_STRUCTLOGS:
      return "no structLogs inside result";
    case I.D_FIRST_GAS:
      return `first gas is ${found}, gas limit without intrinsic gas ${BigInt.asIntN(64, expected)}`;
    case I.D_FAILED_FLAG:
      return `trace failed=${found === 1n}, receipt status=${expected}`;
    case I.D_LAST_OPCODE:
      return `root frame ends with ${name} but succeeded`;
    case I.D_GAS_USED:
      return `gas by the trace ${found}, receipt ${expected}`;
    case I.D_TOP_GAS:
      return `trace gas ${found}, receipt ${expected}`;
    case I.D_REFUND_COUNTER:
      return `refund counter ${BigInt.asIntN(64, found)}, recomputed bound ${BigInt.asIntN(64, expected)}`;
    case I.D_EMPTY_TRACE:
      return `empty trace of ${found} gas, receipt ${expected}`;
    case I.D_ENTRY_GAS:
      return `frame enters with ${found} gas, its caller gave ${expected}`;
    case I.D_CHILDREN_GAS:
      return `frame uses ${found} gas, its call ${expected}`;
    case I.D_CALL_GAS:
      return `call keeps ${BigInt.asIntN(64, found)} gas, which no price explains`;
    case I.D_CREATE_GAS:
      return `create keeps ${found} gas, expected ${expected}`;
    case I.D_CREATE_WITHOUT_ROWS:
      return `create of ${found} bytes of init code succeeded without structlogs`;
    case I.D_GAS_RISES:
      return `gas rises from ${expected} to ${found}`;
    case I.D_FRAME_FLAG:
      return `frame ends with ${name} but succeeded`;
    case I.D_DEPTH:
      return `depth ${found}, expected ${expected}`;
    case I.D_OPENING:
      return `${name} opened a frame`;
    case I.D_END_DEPTH:
      return `trace ends at depth ${found}`;
    case I.D_PRECOMPILE:
      return `call of a precompile keeps ${found} gas, its price is ${expected}`;
    case I.D_FIRST_PC:
      return `frame begins at pc ${found}`;
    case I.D_NEXT_PC:
      return `pc ${found}, expected ${expected}`;
    case I.D_NOTHING_FOLLOWS:
      return `pc ${found} follows an opcode that nothing can follow`;
    case I.D_STACK:
      return `stack height ${found}, expected ${BigInt.asIntN(64, expected)}`;
    case I.D_PRICE:
      return `cost ${found}, expected ${expected} or another price of the opcode`;
    case I.D_CHARGED_COLD:
      return `${found} accesses are warm by the sets but were charged as cold`;
    case I.D_CHARGED_WARM_ACCOUNTS:
      return `${found} accounts are cold by the sets but were charged as warm (${expected} explainable)`;
    case I.D_CHARGED_WARM_SLOTS:
      return `${found} slots are cold by the sets but were charged as warm (${expected} explainable)`;
    case I.D_NO_REASON:
      return `frame cannot halt at ${name} with ${expected} gas`;
    case I.D_NO_DEPOSIT_REASON:
      return `deposit of ${found} bytes cannot fail with ${expected} gas`;
    case I.D_LOADED_VALUE:
      return "SLOAD returns another value than the slot holds";
    case I.D_STORE_CLASS:
      return `SSTORE cost class ${found} does not fit the values of the slot`;
    case I.D_NOTHING_EXECUTED:
      return `empty trace but the receipt says ${found} (intrinsic ${expected})`;
    case I.D_DEPTH_LIMIT:
      return `depth ${found} is beyond ${expected} open frames`;
    case I.D_UNDEFINED:
      return `${name} does not exist in this fork but did not halt its frame`;
    default:
      throw new Error(`Cannot describe a violation: current value is ${detail}`);
  }
}

function exact(value: bigint): number | bigint {
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
}
