/** Routes by which operators have blocks processed: each becomes one request to the leader. */
import { z } from "zod";
import { type ProcessRequest, processRequest } from "../pipeline/requests.ts";
import type { BlockHeader } from "../stages/source/chain.ts";
import type { Result } from "../rpc/port.ts";
import type { OperatedNetwork } from "./port.ts";
import {
  type Answer,
  blockNumberText,
  type Call,
  mixedStatus,
  networkName,
  networkOf,
  Refusal,
  type Route,
  route,
  switchText,
} from "./route.ts";

/** Blocks of one list. */
export const MAX_LIST = 1_000;
/** Blocks of one range. */
export const MAX_RANGE = 100_000;
/** How long an answer of a node is of use. */
const READ_WITHIN_MS = 10_000;

const processor = z.string().min(1).max(200).describe("Name of a processor, several joined by commas, or `all`.");
const query = {
  network: networkName,
  dry_run: switchText.describe("Check, and say what would be done."),
  priority: z.enum(["reprocess", "process"]).default("reprocess").describe(
    "reprocess: before everything else, complete blocks too; process: among new blocks, what is not done.",
  ),
};
const blockNumber = z.int().min(0);

const ANSWERS = {
  200: "Queued, or queued before under the same Idempotency-Key.",
  404: "No such network, processor or block.",
  502: "No node, or not the queue, can be asked now.",
};

/** See the module's comment. */
export const queueRoutes: readonly Route[] = [
  route({
    method: "POST",
    path: "/api/v1/queue/block/{processor}/{block_number}",
    summary: "Process a block.",
    params: { processor, block_number: blockNumberText },
    query,
    answers: ANSWERS,
    run: async ({ params, query }, call) => {
      const network = networkOf(query.network, call);
      const processors = processorsOf(network, params.processor);
      const { status, results, repeated } = await queueBlocks(network, [params.block_number], processors, query, call);
      return { status, body: { network: network.name, processors, repeated, key: call.key, ...results[0] } };
    },
  }),
  route({
    method: "POST",
    path: "/api/v1/queue/blocks/{processor}",
    summary: `Process up to ${MAX_LIST} blocks.`,
    params: { processor },
    query,
    body: { blocks: z.array(blockNumber).min(1) },
    answers: { ...ANSWERS, 207: "Some of the blocks are queued.", 413: `More than ${MAX_LIST} blocks.` },
    run: async ({ params, query, body }, call) => {
      const network = networkOf(query.network, call);
      const processors = processorsOf(network, params.processor);
      if (body.blocks.length > MAX_LIST) {
        throw new Refusal(413, `Cannot queue ${body.blocks.length} blocks at once: the most is ${MAX_LIST}`);
      }
      const numbers = [...new Set(body.blocks)];
      const { status, results, repeated, queued } = await queueBlocks(network, numbers, processors, query, call);
      const summary = { total: numbers.length, queued, failed: numbers.length - queued };
      const error = status < 400 ? {} : { error: `Cannot queue any of ${numbers.length} blocks` };
      return {
        status,
        body: { network: network.name, processors, repeated, key: call.key, ...summary, ...error, results },
      };
    },
  }),
  route({
    method: "POST",
    path: "/api/v1/queue/range/{processor}",
    summary: `Process a range of up to ${MAX_RANGE} blocks, both ends included.`,
    params: { processor },
    query,
    body: { from: blockNumber, to: blockNumber },
    answers: { ...ANSWERS, 413: `More than ${MAX_RANGE} blocks.` },
    run: async ({ params, query, body: { from, to } }, call) => {
      const network = networkOf(query.network, call);
      const processors = processorsOf(network, params.processor);
      const total = to - from + 1;
      if (total < 1) throw new Refusal(400, `Cannot take blocks ${from} to ${to} as a range: it has no block`);
      if (total > MAX_RANGE) throw new Refusal(413, `Cannot queue ${total} blocks at once: the most is ${MAX_RANGE}`);
      const head = await network.chain.headNumber(ask(call.signal));
      if (to > head) throw new Refusal(404, `Cannot queue block ${to}: the head is ${head}`);
      const repeated = !query.dry_run &&
        !await send(network, { blocks: { from, to }, processors, class: query.priority }, call);
      const status = query.dry_run ? "dry_run" : "queued";
      return {
        status: 200,
        body: { network: network.name, processors, repeated, key: call.key, status, from, to, total },
      };
    },
  }),
];

function ask(signal: AbortSignal) {
  return { priority: "process", withinMs: READ_WITHIN_MS, signal } as const;
}

function processorsOf({ name, processors }: OperatedNetwork, text: string): readonly string[] {
  if (text === "all") return processors;
  const wanted = [...new Set(text.split(","))];
  const unknown = wanted.find((processor) => !processors.includes(processor));
  if (unknown !== undefined) {
    throw new Refusal(404, `Cannot find processor ${unknown} on ${name}: there are ${processors.join(", ")}`);
  }
  return wanted;
}

/** @returns `false`: a request of this key was taken within a day. */
function send(network: OperatedNetwork, request: ProcessRequest, call: Call): Promise<boolean> {
  return network.queue.request(processRequest(`api:${call.key}`, request));
}

interface BlockResult {
  readonly block_number: number;
  readonly status: "queued" | "dry_run" | "not_found" | "unavailable";
  readonly block_hash?: string;
  readonly transactions?: number;
  /** State in the ledger by processor, before this. */
  readonly states?: Readonly<Record<string, string>>;
  readonly error?: string;
}

/** Queues those of the blocks that the chain has. */
async function queueBlocks(
  network: OperatedNetwork,
  numbers: readonly number[],
  processors: readonly string[],
  query: { readonly dry_run: boolean; readonly priority: ProcessRequest["class"] },
  call: Call,
): Promise<{
  readonly status: Answer["status"];
  readonly results: readonly BlockResult[];
  readonly repeated: boolean;
  readonly queued: number;
}> {
  const head = await network.chain.headNumber(ask(call.signal));
  // Who asks a pool for a block that no node has waits for a node that has it.
  const { results: headers } = await network.pool.each(
    numbers,
    { mode: "collect", signal: call.signal },
    (number, signal) => number > head ? Promise.resolve(undefined) : network.chain.headerByNumber(number, ask(signal)),
  );
  const results: BlockResult[] = [];
  for (const [at, number] of numbers.entries()) {
    const result = blockResult(number, headers[at]!, query.dry_run ? "dry_run" : "queued");
    results.push(
      query.dry_run && result.status === "dry_run" ? { ...result, states: await statesOf(network, number) } : result,
    );
  }
  const found = results.filter(({ status }) => status === "queued").map(({ block_number }) => block_number);
  const repeated = found.length > 0 &&
    !await send(network, { blocks: found, processors, class: query.priority }, call);
  const count = (status: BlockResult["status"]) => results.filter((result) => result.status === status).length;
  const done = count("queued") + count("dry_run");
  return { status: mixedStatus(done, count("not_found"), count("unavailable")), results, repeated, queued: done };
}

function blockResult(
  number: number,
  header: Result<BlockHeader | undefined>,
  status: "queued" | "dry_run",
): BlockResult {
  if (!header.ok) return { block_number: number, status: "unavailable", error: header.error.message };
  if (header.value === undefined) {
    return { block_number: number, status: "not_found", error: `Cannot find block ${number}: no node has it` };
  }
  return { block_number: number, status, block_hash: header.value.hash, transactions: header.value.transactions };
}

async function statesOf({ ledger }: OperatedNetwork, number: number): Promise<Record<string, string>> {
  const rows = await ledger.between(number, number);
  return Object.fromEntries(
    rows.filter(({ state }) => state !== "orphaned").map(({ processor, state }) => [processor, state]),
  );
}
