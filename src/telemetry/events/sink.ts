/** Events of `sink`, the metrics made of them and their log lines. */
import type { LogTable, Metric } from "../metric.ts";

/** What the sink tells. Tables are names from the closed set of tables, endpoints are names from the configuration. */
export type SinkEvent =
  /** One insert is durable. `seconds`: from its first try. */
  | {
    readonly kind: "rows_inserted";
    readonly table: string;
    readonly rows: number;
    readonly bytes: number;
    readonly seconds: number;
    readonly reason: "rows" | "bytes" | "linger" | "idle" | "drain" | "overflow" | "replay";
  }
  /** One try of an operation failed. `repeated`: another follows. */
  | {
    readonly kind: "storage_failed";
    readonly endpoint: string;
    readonly code: string;
    readonly disposition: "retry" | "dead" | "fatal";
    readonly repeated: boolean;
    readonly error: string;
  }
  /** Also told, closed as it had been, when an isolate begins. */
  | {
    readonly kind: "storage_breaker_changed";
    readonly endpoint: string;
    readonly isolate: string;
    readonly state: "closed" | "open" | "half_open";
    /** It had been closed before. */
    readonly wasClosed: boolean;
  }
  /** A trace outgrew the hold: its rows enter the table before its verdict. */
  | { readonly kind: "attempt_streamed"; readonly network: string; readonly transactionHash: string }
  /** The record of an attempt is durable. */
  | {
    readonly kind: "attempt_stored";
    readonly network: string;
    readonly verdict: string;
    readonly published: boolean;
    readonly rows: number;
  }
  /** Streamed rows of an attempt were removed by version. */
  | {
    readonly kind: "attempt_deleted";
    readonly network: string;
    readonly transactionHash: string;
    readonly reason: "violated" | "aborted" | "superseded";
  }
  /** Rows that older attempts had more than the newest one were removed. */
  | { readonly kind: "surplus_deleted"; readonly table: string; readonly attempts: number; readonly rows: number }
  /** What one isolate holds, and the bounds of it. */
  | {
    readonly kind: "sink_in_hand";
    readonly isolate: string;
    readonly acceptedBytes: number;
    readonly memoryBytes: number;
    readonly heldBytes: number;
    readonly spareBytes: number;
    readonly insertsInFlight: number;
  }
  | { readonly kind: "spill_appended"; readonly operation: string; readonly bytes: number; readonly seconds: number }
  /** Bytes on disk that are not replayed yet, and the bound. */
  | { readonly kind: "spill_backlog"; readonly bytes: number; readonly maxBytes: number }
  /** The replay cannot go on, for the disk's sake: it is tried again. */
  | { readonly kind: "spill_stuck"; readonly error: string }
  | { readonly kind: "spill_full"; readonly bytes: number; readonly error: string }
  | { readonly kind: "spill_has_room"; readonly bytes: number }
  | { readonly kind: "spill_replayed"; readonly operation: string; readonly bytes: number }
  /** Attempts of an operation that are not replayed: orphaned block, newer record, or some of their rows were refused. */
  | {
    readonly kind: "spill_skipped";
    readonly operation: string;
    readonly reason: "orphaned" | "superseded" | "closed" | "refused";
    readonly attempts: number;
  }
  /** A segment ended in the middle of a record, as after a crash: the rest was cut off. */
  | { readonly kind: "spill_tail_cut"; readonly segment: string; readonly bytes: number }
  /** A record did not have its checksum, or was refused for its data: it is kept beside, and no longer replayed. */
  | {
    readonly kind: "spill_quarantined";
    readonly segment: string;
    readonly offset: number;
    readonly bytes: number;
    readonly error: string;
  }
  | { readonly kind: "migration_applied"; readonly version: number; readonly name: string }
  | { readonly kind: "schema_warning"; readonly table: string; readonly text: string };

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30] as const;
const BREAKER_STATES = { closed: 0, half_open: 1, open: 2 } as const;

export const sinkMetrics: readonly Metric<SinkEvent>[] = [
  {
    name: "sink_inserted_rows_total",
    help: "Rows durable in ClickHouse",
    type: "counter",
    labels: ["table"],
    read: { rows_inserted: (event) => [[event.table], event.rows] },
  },
  {
    name: "sink_inserted_bytes_total",
    help: "Bytes of Native blocks that are durable",
    type: "counter",
    labels: ["table"],
    read: { rows_inserted: (event) => [[event.table], event.bytes] },
  },
  {
    name: "sink_inserts_total",
    help: "Inserts that are durable, by what closed the batch",
    type: "counter",
    labels: ["table", "reason"],
    read: { rows_inserted: (event) => [[event.table, event.reason], 1] },
  },
  {
    name: "sink_insert_seconds",
    help: "Time of an insert, repetitions included",
    type: "histogram",
    labels: ["table"],
    buckets: SECONDS,
    read: { rows_inserted: (event) => [[event.table], event.seconds] },
  },
  {
    name: "sink_failed_total",
    help: "Failed tries of storage operations",
    type: "counter",
    labels: ["endpoint", "code", "disposition"],
    read: { storage_failed: (event) => [[event.endpoint, event.code, event.disposition], 1] },
  },
  {
    name: "sink_breaker_state",
    help: "Circuit breaker of the endpoint: 0 closed, 1 half open, 2 open",
    type: "gauge",
    labels: ["endpoint", "isolate"],
    read: { storage_breaker_changed: (event) => [[event.endpoint, event.isolate], BREAKER_STATES[event.state]] },
  },
  {
    name: "sink_attempts_total",
    help: "Records written, by verdict",
    type: "counter",
    labels: ["network", "verdict", "published"],
    read: { attempt_stored: (event) => [[event.network, event.verdict, String(event.published)], 1] },
  },
  {
    name: "sink_attempts_streamed_total",
    help: "Traces that outgrew the hold",
    type: "counter",
    labels: ["network"],
    read: { attempt_streamed: (event) => [[event.network], 1] },
  },
  {
    name: "sink_attempts_deleted_total",
    help: "Attempts whose streamed rows were removed",
    type: "counter",
    labels: ["network", "reason"],
    read: { attempt_deleted: (event) => [[event.network, event.reason], 1] },
  },
  {
    name: "sink_surplus_rows_total",
    help: "Rows of older attempts that were removed",
    type: "counter",
    labels: ["table"],
    read: { surplus_deleted: (event) => [[event.table], event.rows] },
  },
  {
    name: "sink_accepted_bytes",
    help: "Bytes accepted and not durable",
    type: "gauge",
    labels: ["isolate"],
    read: { sink_in_hand: (event) => [[event.isolate], event.acceptedBytes] },
  },
  {
    name: "sink_accepted_limit_bytes",
    help: "Bound of the bytes accepted and not durable",
    type: "gauge",
    labels: ["isolate"],
    read: { sink_in_hand: (event) => [[event.isolate], event.memoryBytes] },
  },
  {
    name: "sink_held_bytes",
    help: "Bytes of rows that wait for their verdict",
    type: "gauge",
    labels: ["isolate"],
    read: { sink_in_hand: (event) => [[event.isolate], event.heldBytes] },
  },
  {
    name: "sink_spare_bytes",
    help: "Bytes of written segments and blocks, kept for the next ones",
    type: "gauge",
    labels: ["isolate"],
    read: { sink_in_hand: (event) => [[event.isolate], event.spareBytes] },
  },
  {
    name: "sink_inserts_in_flight",
    help: "Inserts in flight",
    type: "gauge",
    labels: ["isolate"],
    read: { sink_in_hand: (event) => [[event.isolate], event.insertsInFlight] },
  },
  {
    name: "sink_spill_appended_bytes_total",
    help: "Bytes written to the spill",
    type: "counter",
    labels: ["operation"],
    read: { spill_appended: (event) => [[event.operation], event.bytes] },
  },
  {
    name: "sink_spill_append_seconds",
    help: "Time of an append, fsync included",
    type: "histogram",
    labels: [],
    buckets: SECONDS,
    read: { spill_appended: (event) => [[], event.seconds] },
  },
  {
    name: "sink_spill_replayed_bytes_total",
    help: "Bytes replayed from the spill",
    type: "counter",
    labels: ["operation"],
    read: { spill_replayed: (event) => [[event.operation], event.bytes] },
  },
  {
    name: "sink_spill_skipped_attempts_total",
    help: "Attempts that the replay left out",
    type: "counter",
    labels: ["operation", "reason"],
    read: { spill_skipped: (event) => [[event.operation, event.reason], event.attempts] },
  },
  {
    name: "sink_spill_backlog_bytes",
    help: "Bytes on disk that are not replayed yet",
    type: "gauge",
    labels: [],
    read: { spill_backlog: (event) => [[], event.bytes] },
  },
  {
    name: "sink_spill_limit_bytes",
    help: "Bound of the spill",
    type: "gauge",
    labels: [],
    read: { spill_backlog: (event) => [[], event.maxBytes] },
  },
  {
    name: "sink_spill_quarantined_total",
    help: "Spill records that could not be replayed",
    type: "counter",
    labels: [],
    read: { spill_quarantined: () => [[], 1] },
  },
];

export const sinkLogs: LogTable<SinkEvent> = {
  rows_inserted: () => ["debug", "rows inserted"],
  storage_failed: (event) => {
    if (event.disposition === "retry") return [event.repeated ? "debug" : "warn", "storage failed"];
    return ["error", "storage refused"];
  },
  storage_breaker_changed: (event) => {
    if (event.state === "open" && event.wasClosed) return ["warn", "storage is away"];
    if (event.state === "closed" && !event.wasClosed) return ["info", "storage is back"];
    return ["debug", `storage breaker ${event.state}`];
  },
  attempt_streamed: () => ["debug", "trace outgrew the hold"],
  attempt_deleted: () => ["debug", "rows of a refused attempt removed"],
  surplus_deleted: () => ["debug", "surplus of older attempts removed"],
  spill_stuck: () => ["error", "spill cannot be replayed"],
  spill_full: () => ["error", "spill is full: claiming stops"],
  spill_has_room: () => ["info", "spill has room again"],
  spill_skipped: () => ["info", "spill attempts left out"],
  spill_tail_cut: () => ["warn", "spill segment ended in the middle of a record"],
  spill_quarantined: () => ["error", "spill record quarantined"],
  migration_applied: () => ["info", "migration applied"],
  schema_warning: () => ["warn", "schema differs"],
};
