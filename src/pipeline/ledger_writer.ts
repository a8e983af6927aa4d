/** The ledger writer: tells the ledger of every block whose last transaction was settled, exactly once in effect. */
import type { Observable } from "rxjs";
import { abortable } from "../flow/abortable.ts";
import { pause } from "../flow/pause.ts";
import { advanced, type BlockRecords, type Ledger, type LedgerRow } from "../stages/gate/ledger.ts";
import type { Completion, WorkQueue } from "../stages/queue/port.ts";
import { emit } from "../telemetry/emit.ts";
import type { Processors } from "./intake.ts";
import type { Prediction } from "./plan.ts";
import { tellUnlessFatal } from "./tell_failure.ts";

/** What it needs of a network. */
export interface LedgerWriterNetwork {
  readonly name: string;
  readonly queue: WorkQueue;
  readonly ledger: Ledger;
  readonly processors: Processors;
  readonly prediction: Prediction;
}

const MAX_COMPLETIONS = 100;
const FAILED_PAUSE_MS = 1_000;

/** Rows that a completion changes: one per processor of its kind. */
type Completed = { readonly completion: Completion; readonly rows: readonly LedgerRow[] };

/** Runs until unsubscribed; emits each block once its rows are durable. */
export function writeLedger(network: LedgerWriterNetwork): Observable<Completion> {
  const { queue, name } = network;
  return abortable<Completion>(async (signal, tell) => {
    let completions: readonly Completion[] = [];
    while (!signal.aborted) {
      try {
        if (completions.length === 0) completions = await queue.completions(MAX_COMPLETIONS, signal);
        await record(network, completions);
        await queue.confirm(completions);
        for (const completion of completions) tell(completion);
        completions = [];
      } catch (error) {
        if (signal.aborted) return;
        tellUnlessFatal(name, "ledger", error);
        await pause(FAILED_PAUSE_MS, signal);
      }
    }
  });
}

async function record(network: LedgerWriterNetwork, completions: readonly Completion[]): Promise<void> {
  const { ledger, processors, name } = network;
  const found = new Map<string, BlockRecords>();
  const traced = completions.filter((completion) => completion.kind === "trace");
  for (const records of await ledger.records(traced)) found.set(records.blockHash, records);
  const nowMs = Date.now();
  const done: Completed[] = [];
  for (const group of neighbours(completions)) {
    const known = await ledger.between(group[0]!.blockNumber, group.at(-1)!.blockNumber);
    for (const completion of group) {
      const names = completion.kind === "verify" ? [] : processors[completion.kind] ?? [];
      const rows = known.filter((row) => row.blockHash === completion.blockHash && names.includes(row.processor));
      done.push({
        completion,
        rows: rows.flatMap((row) => {
          const records = completion.kind === "trace" ? found.get(row.blockHash) : undefined;
          return finished(row, completion, records, nowMs) ?? [];
        }),
      });
    }
  }
  await ledger.write(done.flatMap(({ rows }) => rows));
  for (const { blockHash, structlogRows } of found.values()) network.prediction.stored(blockHash, structlogRows);
  for (const { completion, rows } of done) {
    const [row] = rows;
    if (row === undefined) continue;
    emit({
      kind: "block_finished",
      network: name,
      direction: row.direction,
      blockNumber: completion.blockNumber,
      state: completion.state,
      transactions: completion.total,
      seconds: Math.max(0, (nowMs - row.acceptedMs) / 1000),
    });
  }
}

function finished(
  row: LedgerRow,
  completion: Completion,
  records: BlockRecords | undefined,
  nowMs: number,
): LedgerRow | undefined {
  const stored = row.processor === "transaction_structlog_agg" ? records?.aggregateRows : records?.structlogRows;
  const facts = {
    expectedRows: stored ?? (completion.kind === "simple" ? completion.total : 0),
    violated: records?.violated ?? 0,
    dead: completion.state === "stuck" ? completion.total - (records?.transactions ?? 0) + (records?.violated ?? 0) : 0,
  };
  const told = row.state === completion.state && row.expectedRows === facts.expectedRows &&
    row.violated === facts.violated && row.dead === facts.dead;
  if (told) return undefined;
  // A block without transactions has nothing to be verified.
  const verified = completion.total === 0 ? { verifiedMs: nowMs } : {};
  return advanced(row, completion.state, { ...facts, ...verified }, nowMs);
}

/** Groups whose numbers lie close together: each is one look-up by range. */
function neighbours(completions: readonly Completion[]): Completion[][] {
  const sorted = completions.toSorted((a, b) => a.blockNumber - b.blockNumber);
  const groups: Completion[][] = [];
  for (const completion of sorted) {
    const group = groups.at(-1);
    if (group !== undefined && completion.blockNumber - group.at(-1)!.blockNumber <= MAX_COMPLETIONS) {
      group.push(completion);
    } else groups.push([completion]);
  }
  return groups;
}
