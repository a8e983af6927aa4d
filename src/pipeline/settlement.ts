/** From what became of a task's transactions to what the queue is told. Pure: every rule of retry and death is here. */
import type { Settlement, Task, TransactionRange } from "../stages/queue/port.ts";
import type { PlainError, TransactionResult } from "./trace_job.ts";

/** How long a task stays away after an outage that was not its fault. */
export const RELEASE_MS = 1_000;
/** Nodes that must agree that a trace violates the proof before it is a dead letter. */
const VIOLATIONS_BEFORE_DEATH = 2;

/** What is known when a task ends. */
export interface TaskEnd {
  readonly task: Task;
  /** Stored or refused; transactions that are missing failed with `error`. */
  readonly results: readonly TransactionResult[];
  readonly error?: PlainError;
  /** The whole range is done: work that has no results per transaction. */
  readonly complete?: boolean;
  /** Node that the reply came from. */
  readonly node?: string;
  /** Nodes whose traces of a refused transaction violate the proof, this one included. Absent: none is refused. */
  readonly violations?: number;
}

/** Says what the queue shall do with the task. */
export function settlementOf(end: TaskEnd): Settlement {
  const { task, results, error } = end;
  const published = results.filter((result) => result.stored.published).map((result) => result.index);
  const refused = results.filter((result) => !result.stored.published);
  if (end.complete === true || published.length === task.last - task.first + 1) return { outcome: "done" };
  if (error === undefined && refused.length === 0) {
    throw new RangeError(
      `Cannot settle task ${task.blockNumber}:${task.first}-${task.last}: transactions are missing without an error`,
    );
  }
  const failure = {
    code: error?.code ?? "violated",
    message: error?.message ?? `${refused[0]!.transactionHash}: ${refused[0]!.identity}: ${refused[0]!.detail}`,
    ...(end.node === undefined || blameless(error) ? {} : { node: end.node }),
  };
  if (published.length > 0) {
    return {
      outcome: "split",
      done: runs(published),
      rest: rest(task, published, refused.map((result) => result.index)),
      failure,
    };
  }
  const single = task.first === task.last;
  if (error === undefined) {
    return single && (end.violations ?? 1) >= VIOLATIONS_BEFORE_DEATH
      ? { outcome: "dead", failure }
      : narrowed(task, failure, refused.length > 1);
  }
  if (error.code === "block_orphaned") return { outcome: "orphaned" };
  if (error.release || passing(error)) return { outcome: "release", delayMs: error.releaseMs ?? RELEASE_MS };
  if (error.disposition === "dead") {
    return single || task.kind === "verify" ? { outcome: "dead", failure } : narrowed(task, failure, true);
  }
  if (error.failure?.action === "split" && !single) return narrowed(task, failure, true);
  return { outcome: "fail", failure };
}

/** The node could not serve now: no fault of the task, no attempt used. */
function passing(error: PlainError): boolean {
  const failure = error.failure;
  if (failure === undefined) return false;
  return failure.connection === true || ["same", "limit", "overload", "missing", "depth"].includes(failure.action);
}

function blameless(error: PlainError | undefined): boolean {
  return error !== undefined && error.failure === undefined;
}

/** One task per transaction where the range as a whole will not do. */
function narrowed(
  task: Task,
  failure: Extract<Settlement, { outcome: "fail" }>["failure"],
  split: boolean,
): Settlement {
  if (task.first === task.last || !split) return { outcome: "fail", failure };
  return { outcome: "split", done: [], rest: singles(task.first, task.last), failure };
}

function singles(first: number, last: number): TransactionRange[] {
  return Array.from({ length: last - first + 1 }, (_, offset) => ({ first: first + offset, last: first + offset }));
}

/** Runs of consecutive indices. */
export function runs(indices: readonly number[]): TransactionRange[] {
  const sorted = [...indices].sort((a, b) => a - b);
  const found: { first: number; last: number }[] = [];
  for (const index of sorted) {
    const run = found.at(-1);
    if (run !== undefined && run.last === index - 1) run.last = index;
    else found.push({ first: index, last: index });
  }
  return found;
}

/** What is not published: refused transactions one by one, the others in runs. */
function rest(task: Task, published: readonly number[], refused: readonly number[]): TransactionRange[] {
  const out = new Set([...published, ...refused]);
  const untouched: number[] = [];
  for (let index = task.first; index <= task.last; index++) if (!out.has(index)) untouched.push(index);
  return [...refused.flatMap((index) => singles(index, index)), ...runs(untouched)].sort((a, b) => a.first - b.first);
}
