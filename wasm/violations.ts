/** Identities that do not hold: the first case of each, how often, and in which order they were found. */
import { RESULT } from "./layout";
import {
  RESULT_FIRST,
  RESULT_VIOLATIONS,
  VIOLATION_A,
  VIOLATION_B,
  VIOLATION_BYTES,
  VIOLATION_COUNT,
  VIOLATION_DETAIL,
  VIOLATION_INDEX,
} from "./facts";
import { IDENTITIES } from "./identities";

export function resetViolations(): void {
  store<u32>(RESULT + RESULT_VIOLATIONS, 0);
  memory.fill(RESULT + RESULT_FIRST, 0, IDENTITIES * VIOLATION_BYTES);
}

/** Notes that `identity` does not hold at structlog `index`: `found` where there should be `expected`. */
export function violate(identity: u32, detail: u32, index: u32, found: u64, expected: u64): void {
  const entry = RESULT + RESULT_FIRST + identity * VIOLATION_BYTES;
  const count = load<u32>(entry, VIOLATION_COUNT);
  store<u32>(entry, count + 1, VIOLATION_COUNT);
  if (count != 0) return;
  store<u32>(entry, index, VIOLATION_INDEX);
  store<u32>(entry, detail, VIOLATION_DETAIL);
  store<u64>(entry, found, VIOLATION_A);
  store<u64>(entry, expected, VIOLATION_B);
  const order = load<u32>(RESULT + RESULT_VIOLATIONS);
  store<u32>(RESULT + RESULT_VIOLATIONS + 4 + (order << 2), identity);
  store<u32>(RESULT + RESULT_VIOLATIONS, order + 1);
}

export function violations(): u32 {
  return load<u32>(RESULT + RESULT_VIOLATIONS);
}
