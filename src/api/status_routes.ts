/** Routes that say where a network, a block, a range or a transaction stands. */
import { z } from "zod";
import { certify } from "../pipeline/certificate.ts";
import type { LedgerRow } from "../stages/gate/ledger.ts";
import transactionRecordSql from "../stages/gate/sql/transaction_record.sql" with { type: "text" };
import { type QueueStats, TASK_CLASSES } from "../stages/queue/port.ts";
import type { OperatedNetwork } from "./port.ts";
import { blockNumberText, networkName, networkOf, Refusal, type Route, route } from "./route.ts";

/** Ranges of one processor in an answer. */
const MAX_RANGES = 1_000;
/** How long an answer of a node is of use. */
const READ_WITHIN_MS = 10_000;

/** See the module's comment. */
export const statusRoutes: readonly Route[] = [
  route({
    method: "GET",
    path: "/api/v1/status",
    summary: "Every network: what is stored, and what waits in the queue.",
    query: { network: networkName },
    answers: { 200: "The networks.", 404: "No such network." },
    run: async ({ query }, call) => {
      const wanted = query.network === undefined ? call.networks : [networkOf(query.network, call)];
      return { status: 200, body: { networks: await Promise.all(wanted.map(overview)) } };
    },
  }),
  route({
    method: "GET",
    path: "/api/v1/status/block/{block_number}",
    summary: "A block in the ledger: one entry per processor and hash, orphaned ones included.",
    params: { block_number: blockNumberText },
    query: { network: networkName },
    answers: { 200: "The entries.", 404: "The block is not in the ledger." },
    run: async ({ params: { block_number }, query }, call) => {
      const network = networkOf(query.network, call);
      const rows = await network.ledger.between(block_number, block_number);
      if (rows.length === 0) {
        throw new Refusal(404, `Cannot find block ${block_number} in the ledger of ${network.name}`);
      }
      return { status: 200, body: { network: network.name, block_number, entries: rows.map(entry) } };
    },
  }),
  route({
    method: "GET",
    path: "/api/v1/status/range",
    summary: "The completeness certificate of a range, both ends included.",
    query: { network: networkName, from: blockNumberText, to: blockNumberText },
    answers: { 200: `The certificate, at most ${MAX_RANGES} ranges of a processor.`, 404: "No such network." },
    run: async ({ query: { network: name, from, to } }, call) => {
      const { name: network, processors, verified, database } = networkOf(name, call);
      if (from > to) throw new Refusal(400, `Cannot take blocks ${from} to ${to} as a range: it has no block`);
      const certificate = await certify({ network, processors, from, to, verified }, database);
      return {
        status: 200,
        body: {
          network,
          from,
          to,
          ok: certificate.ok,
          processors: certificate.processors.map(({ processor, blocks, ranges }) => ({
            processor,
            blocks,
            ranges: ranges.slice(0, MAX_RANGES).map((range) => ({
              from: range.from,
              to: range.to,
              condition: range.condition,
              transactions: range.transactions,
              expected_rows: range.expectedRows,
              stored_rows: range.storedRows,
              dead: range.dead,
              violated: range.violated,
            })),
            more_ranges: Math.max(0, ranges.length - MAX_RANGES),
          })),
        },
      };
    },
  }),
  route({
    method: "GET",
    path: "/api/v1/status/transaction/{hash}",
    summary: "The record of a transaction's trace.",
    params: { hash: z.string().regex(/^0x[0-9a-fA-F]{64}$/, "expected 0x and 64 hex digits").toLowerCase() },
    query: {
      network: networkName,
      block: blockNumberText.optional().describe("Number of its block; absent: a node is asked for it."),
    },
    answers: {
      200: "The record, or that there is none yet.",
      404: "No node knows the transaction.",
      502: "No node can be asked now.",
    },
    run: async ({ params: { hash }, query }, call) => {
      const network = networkOf(query.network, call);
      const number = query.block ??
        await network.chain.blockOfTransaction(hash, {
          priority: "process",
          withinMs: READ_WITHIN_MS,
          signal: call.signal,
        });
      if (number === undefined) throw new Refusal(404, `Cannot find transaction ${hash} in a block of ${network.name}`);
      const [record] = await network.database.query<object>(transactionRecordSql, {
        network: network.name,
        number,
        hash,
      });
      const known = { network: network.name, transaction_hash: hash, block_number: number };
      return { status: 200, body: { ...known, stored: record !== undefined, record: record ?? null } };
    },
  }),
];

async function overview({ name, processors, ledger, queue }: OperatedNetwork) {
  const [bounds, stats] = await Promise.all([ledger.bounds(), queue.stats()]);
  return {
    name,
    processors,
    lowest_block: bounds?.lowest ?? null,
    highest_block: bounds?.highest ?? null,
    queue: queueAnswer(stats),
  };
}

function queueAnswer({ classes, delayed, dead, open, stuck, completions, requests, counters }: QueueStats) {
  return {
    classes: Object.fromEntries(TASK_CLASSES.map((name) => {
      const { waiting, inFlight, oldestWaitMs, paused } = classes[name];
      return [name, { waiting, in_flight: inFlight, oldest_wait_ms: oldestWaitMs, paused }];
    })),
    delayed,
    dead,
    open_blocks: open,
    stuck_blocks: stuck,
    completions,
    requests,
    counters,
  };
}

function entry(row: LedgerRow) {
  const time = (ms: number | undefined) => ms === undefined ? null : new Date(ms).toISOString();
  return {
    processor: row.processor,
    block_hash: row.blockHash,
    parent_hash: row.parentHash,
    state: row.state,
    direction: row.direction,
    transactions: row.transactions,
    expected_rows: row.expectedRows,
    stored_rows: row.storedRows,
    dead: row.dead,
    violated: row.violated,
    accepted_at: time(row.acceptedMs),
    completed_at: time(row.completedMs),
    verified_at: time(row.verifiedMs),
  };
}
