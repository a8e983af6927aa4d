/** Routes to the dead letters: tasks that will not be tried again by themselves. */
import { z } from "zod";
import { type DeadLetter, taskId } from "../stages/queue/port.ts";
import type { OperatedNetwork } from "./port.ts";
import {
  type Answer,
  type Call,
  mixedStatus,
  networkName,
  networkOf,
  Refusal,
  type Route,
  route,
  switchText,
} from "./route.ts";

/** Letters of one answer, ids of one call. */
const MAX_LETTERS = 1_000;

const letterId = z.string().regex(/^\d{1,16}-\d{1,16}$/, "expected the id of a dead letter, such as 1700000000000-0");
const query = { network: networkName, dry_run: switchText };
const ids = z.array(letterId).min(1);

/** See the module's comment. */
export const deadLetterRoutes: readonly Route[] = [
  route({
    method: "GET",
    path: "/api/v1/dead",
    summary: "Dead letters, oldest first.",
    query: {
      network: networkName,
      after: letterId.optional().describe("Only those after this one."),
      limit: z.string().regex(/^\d{1,4}$/, `expected 1 to ${MAX_LETTERS}`).default("100").transform(Number)
        .refine((limit) => limit >= 1 && limit <= MAX_LETTERS, `expected 1 to ${MAX_LETTERS}`),
    },
    answers: { 200: "The letters; `next` is the `after` of the next page.", 404: "No such network." },
    run: async ({ query: { network: name, after, limit } }, call) => {
      const network = networkOf(name, call);
      const letters = await network.queue.deadLetters(limit, after);
      const next = letters.length === limit ? letters.at(-1)!.id : null;
      return { status: 200, body: { network: network.name, dead_letters: letters.map(letterAnswer), next } };
    },
  }),
  route({
    method: "GET",
    path: "/api/v1/dead/{id}",
    summary: "A dead letter.",
    params: { id: letterId },
    query: { network: networkName },
    answers: { 200: "The letter.", 404: "There is none of this id." },
    run: async ({ params: { id }, query }, call) => {
      const network = networkOf(query.network, call);
      const letter = await network.queue.deadLetter(id);
      if (letter === undefined) throw new Refusal(404, `Cannot find dead letter ${id} of ${network.name}`);
      return { status: 200, body: { network: network.name, ...letterAnswer(letter) } };
    },
  }),
  route({
    method: "POST",
    path: "/api/v1/dead/replay",
    summary: "Try dead letters again, with fresh attempts; their blocks are open again.",
    query,
    body: { ids },
    answers: answersOf("replayed"),
    run: ({ query, body }, call) => onLetters(body.ids, query, "replay", "replayed", call),
  }),
  route({
    method: "POST",
    path: "/api/v1/dead/drop",
    summary: "Forget dead letters; their blocks stay stuck.",
    query,
    body: { ids },
    answers: answersOf("dropped"),
    run: ({ query, body }, call) => onLetters(body.ids, query, "drop", "dropped", call),
  }),
];

function answersOf(done: string): Route["answers"] {
  return {
    200: `All are ${done}.`,
    207: `Some are ${done}.`,
    404: "There is none of these ids.",
    413: `More than ${MAX_LETTERS} ids.`,
  };
}

async function onLetters(
  given: readonly string[],
  query: { readonly network?: string | undefined; readonly dry_run: boolean },
  verb: "replay" | "drop",
  done: string,
  call: Call,
): Promise<Answer> {
  const network: OperatedNetwork = networkOf(query.network, call);
  if (given.length > MAX_LETTERS) {
    throw new Refusal(413, `Cannot ${verb} ${given.length} dead letters at once: the most is ${MAX_LETTERS}`);
  }
  const wanted = [...new Set(given)];
  const letters = await Promise.all(wanted.map((id) => network.queue.deadLetter(id)));
  const found = wanted.filter((_, at) => letters[at] !== undefined);
  const count = query.dry_run || found.length === 0 ? 0 : await network.queue[verb](found);
  return {
    status: mixedStatus(found.length, wanted.length - found.length, 0),
    body: {
      network: network.name,
      ...(found.length > 0 ? {} : { error: `Cannot find any of ${wanted.length} dead letters` }),
      [done]: count,
      results: wanted.map((id, at) => ({
        id,
        status: letters[at] === undefined ? "not_found" : query.dry_run ? "dry_run" : done,
      })),
    },
  };
}

function letterAnswer({ id, task, failure, diedMs }: DeadLetter) {
  return {
    id,
    task: taskId(task),
    kind: task.kind,
    class: task.class,
    block_number: task.blockNumber,
    block_hash: task.blockHash,
    first: task.first,
    last: task.last,
    attempts: task.attempts,
    recoveries: task.recoveries,
    failed_nodes: task.failedNodes,
    code: failure.code,
    message: failure.message,
    first_enqueued_at: new Date(task.firstEnqueuedMs).toISOString(),
    died_at: new Date(diedMs).toISOString(),
  };
}
