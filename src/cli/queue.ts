/** `queue`: looks into the queue between processes, and does what operators have to do there. */
import { loadConfig } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
import { classified, PipelineError } from "../errors.ts";
import { queueOptions, queueTarget } from "../pipeline/options.ts";
import { MEMORY_URL, openWorkQueues } from "../stages/queue/open.ts";
import {
  type DeadLetter,
  type QueueStats,
  TASK_CLASSES,
  type TaskClass,
  taskId,
  type WorkQueue,
} from "../stages/queue/port.ts";
import { subscribe } from "../telemetry/emit.ts";
import { type Command, type CommandIo, printText, readFlags, UsageError } from "./command.ts";
import { duration, grouped, textTable } from "./text_table.ts";

const HELP = `Usage: main.ts queue stats|pause|resume|dead ls|dead show|dead replay|dead drop [flags]

Looks into the queue in Redis (queue.url of the configuration) while processors run.

  stats                        depths by class and state, oldest wait, dead letters, open and stuck blocks, counters
  pause [CLASS …]              nothing of these classes is claimed until resumed; what is in hand ends
  resume [CLASS …]             claims them again
  dead ls                      dead letters, oldest first: id, task, attempts, crashes, error
  dead show ID                 one dead letter with the whole of its error
  dead replay ID … | --all     brings them back with fresh attempts; their blocks are open again
  dead drop ID … | --all       forgets them; their blocks stay stuck
  --config FILE                the configuration (default: config.yaml)
  --network NAME               only this network; ids need it where there are several
  --limit N                    dead letters that ls prints (default: 50)
  --json                       print JSON

Classes: ${TASK_CLASSES.slice(0, 3).join(", ")},
${TASK_CLASSES.slice(3).join(", ")}; none named: all of them.
Exit 0: done. Exit 1: Redis cannot be used, or an id is unknown. Exit 2: wrong arguments or configuration.`;

/** How long Redis may take to answer the first time. */
const CONNECT_MS = 5_000;
/** Dead letters read at a time. */
const PAGE = 500;
const LIMIT = 50;
/** Words after the flags are read: enough ids for one line. */
const MOST_WORDS = 200;

/** The queue cannot be looked into. */
export class QueueCommandError extends PipelineError {
  readonly code = "queue_command";
  readonly disposition = "fatal";
}

interface Request {
  readonly verb: string;
  readonly words: readonly string[];
  readonly all: boolean;
  readonly json: boolean;
  readonly limit: number;
}

async function run(args: readonly string[], io: CommandIo): Promise<number> {
  const { flags, words } = readFlags(args, {
    config: "text",
    network: "text",
    limit: "text",
    all: "switch",
    json: "switch",
  }, Array.from({ length: MOST_WORDS }, () => "word"));
  const request = readRequest(words, flags.all === true, flags.json === true, limitOf(flags.limit));
  let config: Config;
  try {
    ({ config } = await loadConfig(flags.config ?? "config.yaml", (name) => Deno.env.get(name)));
  } catch (error) {
    io.stderr(classified(error).message);
    return 2;
  }
  const names = config.networks.map(({ name }) => name).filter((name) => (flags.network ?? name) === name);
  if (names.length === 0) throw new UsageError(`Cannot find network ${flags.network} in the configuration`);
  if (names.length > 1 && /^dead (show|replay|drop)$/.test(request.verb) && !request.all) {
    throw new UsageError(`Cannot tell whose ids these are: give --network, one of ${names.join(", ")}`);
  }
  try {
    return await withQueues(config, names, (queues) => perform(request, queues, io));
  } catch (error) {
    io.stderr(classified(error).message);
    return 1;
  }
}

function readRequest(words: readonly string[], all: boolean, json: boolean, limit: number): Request {
  const dead = words[0] === "dead";
  const verb = words.slice(0, dead ? 2 : 1).join(" ");
  const rest = words.slice(dead ? 2 : 1);
  const request = { verb, words: rest, all, json, limit };
  switch (verb) {
    case "stats":
    case "dead ls":
      if (rest.length > 0) throw new UsageError(`Cannot take "${rest[0]}" after "queue ${verb}"`);
      return request;
    case "pause":
    case "resume": {
      const unknown = rest.find((word) => !TASK_CLASSES.some((name) => name === word));
      if (unknown === undefined) return request;
      throw new UsageError(`Cannot ${verb} class "${unknown}": the classes are ${TASK_CLASSES.join(", ")}`);
    }
    case "dead show":
      if (rest.length !== 1) throw new UsageError("Cannot show a dead letter: expected one id");
      return request;
    case "dead replay":
    case "dead drop":
      if (rest.length > 0 === all) throw new UsageError(`Cannot run "queue ${verb}": expected ids, or --all`);
      return request;
    default:
      throw new UsageError(
        `Cannot run "queue ${verb}": expected stats, pause, resume, dead ls, dead show, dead replay or dead drop`,
      );
  }
}

function limitOf(text: string | undefined): number {
  if (text === undefined) return LIMIT;
  if (/^[1-9]\d{0,6}$/.test(text)) return Number(text);
  throw new UsageError(`Cannot read --limit as a number above 0: current value is "${text}"`);
}

async function withQueues(
  config: Config,
  names: readonly string[],
  use: (queues: readonly WorkQueue[]) => Promise<number>,
): Promise<number> {
  const target = queueTarget(config);
  if (target.url === MEMORY_URL) {
    throw new QueueCommandError(
      "Cannot look into the queue: current value of queue.url is memory:, it lives and dies with its process; " +
        "use redis://… or the process's API",
    );
  }
  let reason = "no answer";
  using _outages = subscribe((event) => {
    if (event.kind === "queue_unreachable") reason = event.reason;
  });
  const queues = await openWorkQueues(target, queueOptions(config, 1), () => Promise.resolve(0));
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    late.reject(
      new QueueCommandError(
        `Cannot reach Redis at ${new URL(target.url).host} within ${CONNECT_MS / 1000} s: ${reason}. ` +
          "Check that it runs and that queue.url names it",
      ),
    );
  }, CONNECT_MS);
  try {
    const open = Promise.all(names.map((name) => queues.open(name)));
    const opened = await Promise.race([open, late.promise]);
    clearTimeout(timer);
    return await use(opened);
  } finally {
    clearTimeout(timer);
    await queues.close();
  }
}

function perform(request: Request, queues: readonly WorkQueue[], io: CommandIo): Promise<number> {
  switch (request.verb) {
    case "stats":
      return printStats(queues, request.json, io);
    case "pause":
    case "resume":
      return turn(request.verb, request.words as TaskClass[], queues, request.json, io);
    case "dead ls":
      return printLetters(queues, request.limit, request.json, io);
    case "dead show":
      return printLetter(queues[0]!, request.words[0]!, request.json, io);
    default:
      return moveLetters(request, queues, io);
  }
}

async function printStats(queues: readonly WorkQueue[], json: boolean, io: CommandIo): Promise<number> {
  for (const queue of queues) {
    const stats = await queue.stats();
    await printText(io, json ? JSON.stringify({ network: queue.network, ...stats }) : describe(queue.network, stats));
  }
  return 0;
}

function describe(network: string, stats: QueueStats): string {
  const rows = TASK_CLASSES.map((name) => {
    const { waiting, inFlight, oldestWaitMs, paused } = stats.classes[name];
    return [`  ${name}`, grouped(waiting), grouped(inFlight), duration(oldestWaitMs), paused ? "paused" : ""];
  });
  const counters = Object.entries(stats.counters).sort(([a], [b]) => a < b ? -1 : 1)
    .map(([name, value]) => `${name} ${grouped(value)}`);
  return [
    network,
    ...textTable([["  class", "waiting", "in flight", "oldest wait", ""], ...rows], [1, 2, 3]),
    `  delayed ${grouped(stats.delayed)}, dead letters ${grouped(stats.dead)}`,
    `  blocks open forwards ${grouped(stats.open.forwards)}, backwards ${grouped(stats.open.backwards)}, ` +
    `for repair ${grouped(stats.open.repair)}, stuck ${grouped(stats.stuck)}`,
    `  completions that the ledger does not hold ${grouped(stats.completions)}, requests ${grouped(stats.requests)}`,
    ...(stats.limitPerSecond === undefined ? [] : [`  limit ${stats.limitPerSecond} a second`]),
    ...(counters.length === 0 ? [] : [`  ever: ${counters.join(", ")}`]),
  ].join("\n");
}

async function turn(
  verb: "pause" | "resume",
  named: readonly TaskClass[],
  queues: readonly WorkQueue[],
  json: boolean,
  io: CommandIo,
): Promise<number> {
  const classes = named.length === 0 ? TASK_CLASSES : named;
  for (const queue of queues) {
    await queue[verb](classes);
    const now = (await queue.stats()).classes;
    const paused = TASK_CLASSES.filter((name) => now[name].paused);
    const text = paused.length === 0 ? "nothing is paused" : `paused: ${paused.join(", ")}`;
    await printText(io, json ? JSON.stringify({ network: queue.network, paused }) : `${queue.network}: ${text}`);
  }
  return 0;
}

async function printLetters(
  queues: readonly WorkQueue[],
  limit: number,
  json: boolean,
  io: CommandIo,
): Promise<number> {
  for (const queue of queues) {
    const letters = await queue.deadLetters(limit);
    if (json) {
      for (const letter of letters) await printText(io, JSON.stringify(letter));
      continue;
    }
    const { dead } = await queue.stats();
    await printText(io, `${queue.network}: ${grouped(dead)} dead ${dead === 1 ? "letter" : "letters"}`);
    if (letters.length === 0) continue;
    const rows = letters.map(({ id, task, failure }) => [
      `  ${id}`,
      taskId(task),
      String(task.attempts + 1),
      String(task.recoveries),
      failure.code,
    ]);
    await printText(io, textTable([["  id", "task", "attempts", "crashes", "error"], ...rows], [2, 3]).join("\n"));
    if (dead > letters.length) await printText(io, `  and ${grouped(dead - letters.length)} more: --limit`);
  }
  return 0;
}

async function printLetter(queue: WorkQueue, id: string, json: boolean, io: CommandIo): Promise<number> {
  const letter = await queue.deadLetter(id);
  if (letter === undefined) {
    io.stderr(`Cannot find dead letter ${id} of ${queue.network}: see "queue dead ls"`);
    return 1;
  }
  await printText(io, json ? JSON.stringify(letter, null, 2) : describeLetter(letter));
  return 0;
}

function describeLetter({ id, task, failure, diedMs }: DeadLetter): string {
  return textTable([
    ["id", id],
    ["task", `${task.kind}, ${task.class}`],
    ["block", `${task.blockNumber} ${task.blockHash}`],
    ["transactions", task.first === task.last ? String(task.first) : `${task.first} to ${task.last}`],
    ["attempts", String(task.attempts + 1)],
    ["crashes", String(task.recoveries)],
    ["failed nodes", task.failedNodes.length === 0 ? "none" : task.failedNodes.join(", ")],
    ["enqueued", new Date(task.firstEnqueuedMs).toISOString()],
    ["died", new Date(diedMs).toISOString()],
    ["error", failure.code],
    ["", failure.message],
  ]).join("\n");
}

async function moveLetters({ verb, words, all, json }: Request, queues: readonly WorkQueue[], io: CommandIo) {
  const move = verb === "dead replay" ? "replay" as const : "drop" as const;
  let missing = 0;
  for (const queue of queues) {
    const moved = all ? await moveAll(queue, move) : await queue[move](words);
    if (!all) missing += new Set(words).size - moved;
    await printText(
      io,
      json
        ? JSON.stringify({ network: queue.network, [move]: moved })
        : `${queue.network}: ${grouped(moved)} ${move === "replay" ? "replayed" : "dropped"}`,
    );
  }
  if (missing > 0) io.stderr(`Cannot find ${missing} of these ids: see "queue dead ls"`);
  return missing > 0 ? 1 : 0;
}

/** Those that are dead now; one that dies again meanwhile has a later id. */
async function moveAll(queue: WorkQueue, move: "replay" | "drop"): Promise<number> {
  const { dead } = await queue.stats();
  let moved = 0;
  let after: string | undefined;
  while (moved < dead) {
    const letters = await queue.deadLetters(PAGE, after);
    if (letters.length === 0) break;
    moved += await queue[move](letters.map(({ id }) => id));
    after = letters.at(-1)!.id;
  }
  return moved;
}

export const command: Command = {
  name: "queue",
  summary: "figures, dead letters, pause and resume",
  help: HELP,
  run,
};
