/** The assembled processor on flaky doors to one chain, for as long as one wants; and through an outage of all of them. */
import assert from "node:assert/strict";
import { Workload, WORKLOAD_BLOCKS } from "../../src/embedded/workload.ts";
import { openChain } from "../embedded/open_chain.ts";
import { residentBytes } from "../embedded/process_status.ts";
import { assertExact } from "./exact.ts";
import { type Door, openDoors, waited } from "./flaky_chain.ts";
import {
  ANY_PORT,
  listening,
  NETWORK,
  openStore,
  PATIENCE_MS,
  type Processor,
  runMain,
  startProcessor,
  until,
} from "./stack.ts";

type Store = Awaited<ReturnType<typeof openStore>>;

/** Failures of a kind that must have been met, or the run proved nothing. */
const LEAST_REASONS = 5;
/** Time within which a processor's short calls give up where doors have moods. Traces that hang end with the mood. */
const TIMEOUTS = { head: "1s", read: "2s", receipts: "2s" };

/** What a run looked at. */
export interface RunFigures {
  readonly structlogs: number;
  readonly reasons: readonly string[];
  /** Resident bytes of the processor, a sample each five seconds. */
  readonly residentBytes: readonly number[];
}

/** What an outage looked like. */
export interface OutageFigures {
  /** Lines of the log that tell it. */
  readonly lines: readonly string[];
  /** How many lines are due: one, and one for each minute. */
  readonly due: number;
}

/** Moods change at random for `forMs` while the workload is mined; then every row must be there, and nothing else. */
export async function runFlaky(seed: number, forMs: number): Promise<RunFigures> {
  await using chain = await openChain();
  await using store = await openStore();
  await using stack = new AsyncDisposableStack();
  const doors = openDoors(chain, seed).map((door) => stack.use(door));
  const config = { ...configOf(doors, store, TIMEOUTS), network: { verify: { delay: "2s" } } };
  await using processor = await startProcessor(config);
  const telemetry = await listening("telemetry", processor.log);
  await until("a ready processor", PATIENCE_MS, () => isReady(telemetry), processor.log);

  const changing = new AbortController();
  const moods = Promise.all(doors.map((door) => door.changeMoods(changing.signal)));
  const resident: number[] = [];
  const sampling = sample(processor, resident, changing.signal);
  const endMs = performance.now() + forMs;
  const workload = new Workload({ url: chain.httpUrl, seed });
  for await (const block of workload.mine(1, WORKLOAD_BLOCKS)) {
    await Promise.all(doors.map((door) => door.announce()));
    const left = WORKLOAD_BLOCKS - block.number + 1;
    await waited(Math.max(0, endMs - performance.now()) / left, changing.signal);
  }
  changing.abort();
  await Promise.all([moods, sampling]);
  await Promise.all(doors.map((door) => door.announce()));

  const complete = () => completeBlocks(store);
  const said = () => `${processor.log()}\nseed ${seed}`;
  await until("every block", PATIENCE_MS, async () => await complete() === WORKLOAD_BLOCKS, said);
  let certificate = "";
  await until("a clean certificate", PATIENCE_MS, async () => {
    const { code, output } = await runMain(processor.file, ["verify", "--from", "1", "--to", `${WORKLOAD_BLOCKS}`]);
    certificate = output;
    return code === 0;
  }, () => `${certificate}\n${said()}`);
  const structlogs = await assertExact(store, chain.httpUrl, 1, WORKLOAD_BLOCKS);
  await until("idle nodes", PATIENCE_MS, async () => {
    const text = await metricsOf(telemetry);
    return sum(text, "rpc_in_flight") === 0 && sum(text, "rpc_waiting") === 0 && sum(text, "queue_leases") === 0;
  }, said);
  const text = await metricsOf(telemetry);
  assert.equal(sum(text, "queue_dead_total"), 0, said());
  assert.equal(sum(text, "rpc_leases_abandoned_total"), 0, said());
  const reasons = labels(text, "rpc_failures_total", "reason");
  assert.ok(reasons.length >= LEAST_REASONS, `seed ${seed}: only ${reasons.join(", ")}`);
  assert.equal(await processor.end("SIGTERM"), 0, said());
  await until("closed connections", PATIENCE_MS, () => Promise.resolve(doors.every((door) => door.open === 0)), said);
  return { structlogs, reasons, residentBytes: resident };
}

/** All doors refuse in the middle of the work for `forMs`: no attempt is used, nothing is claimed, nothing is lost. */
export async function runOutage(forMs: number): Promise<OutageFigures> {
  await using chain = await openChain();
  await using store = await openStore();
  await using stack = new AsyncDisposableStack();
  const doors = openDoors(chain, 1).map((door) => stack.use(door));
  const workload = new Workload({ url: chain.httpUrl, seed: 5 });
  const half = WORKLOAD_BLOCKS / 2;
  for await (const _ of workload.mine(1, half));
  await using processor = await startProcessor(configOf(doors, store, {}));
  const telemetry = await listening("telemetry", processor.log);
  await until("some blocks", PATIENCE_MS, async () => await completeBlocks(store) >= 2, processor.log);

  const stoppedMs = performance.now();
  for (const door of doors) door.stop();
  await until("the outage", PATIENCE_MS, async () => !await isReady(telemetry), processor.log);
  await until(
    "free lanes",
    PATIENCE_MS,
    async () => sum(await metricsOf(telemetry), "work_lanes_busy") === 0,
    processor.log,
  );
  const readiness = await fetch(`${telemetry}/readyz`);
  assert.equal(readiness.status, 503);
  assert.match(await readiness.text(), new RegExp(`^${NETWORK}: no node can serve: door-0 is down, door-1 is down`));
  const claimed = sum(await metricsOf(telemetry), "work_tasks_claimed_total");
  for await (const _ of workload.mine(half + 1, WORKLOAD_BLOCKS));
  await waited(forMs, new AbortController().signal);
  assert.equal(sum(await metricsOf(telemetry), "work_tasks_claimed_total"), claimed, processor.log());

  for (const door of doors) door.start();
  const returned = () => Promise.resolve(/has a node for class trace again/.test(processor.log()));
  await until("the return", PATIENCE_MS, returned, processor.log);
  const due = 1 + Math.floor((performance.now() - stoppedMs) / 60_000);
  await until("every block", PATIENCE_MS, async () => await completeBlocks(store) === WORKLOAD_BLOCKS, processor.log);
  const text = await metricsOf(telemetry);
  assert.equal(sum(text, "queue_retries_total"), 0, `an attempt was used\n${processor.log()}`);
  assert.equal(sum(text, "queue_dead_total"), 0, processor.log());
  assert.ok(await isReady(telemetry));
  assert.ok(await assertExact(store, chain.httpUrl, 1, WORKLOAD_BLOCKS) > 0);
  assert.equal(await processor.end("SIGTERM"), 0, processor.log());
  return { due, lines: processor.log().split("\n").filter((line) => line.includes("no node for class trace")) };
}

function configOf(doors: readonly Door[], store: Store, timeouts: Readonly<Record<string, string>>) {
  return {
    nodes: doors.map(({ url, ws }, at) => ({ name: `door-${at}`, url, ws, timeouts })),
    clickhouse: store.section,
    rest: {
      work: { workers: 1, lanes: 4 },
      // Half of all calls fail while a door is moody: far more than the attempts of a usual task allow for.
      queue: { attempts: 40, backoff: { base: "200ms", max: "2s" } },
      telemetry: { address: ANY_PORT },
    },
  };
}

async function completeBlocks(store: Store): Promise<number> {
  const [row] = await store.query<{ blocks: string }>(
    "SELECT uniqExact(block_number) AS blocks FROM execution_block FINAL WHERE meta_network_name = {network:String} AND state = 'complete' AND processor = 'transaction_structlog'",
    { network: NETWORK },
  );
  return Number(row!.blocks);
}

async function sample(processor: Processor, into: number[], signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    into.push(await residentBytes(processor.pid));
    await waited(5_000, signal);
  }
}

async function isReady(telemetry: string): Promise<boolean> {
  const response = await fetch(`${telemetry}/readyz`);
  await response.body?.cancel();
  return response.ok;
}

async function metricsOf(telemetry: string): Promise<string> {
  return await (await fetch(`${telemetry}/metrics`)).text();
}

/** A metric, summed over its labels. */
function sum(text: string, name: string): number {
  return [...text.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, "gm"))]
    .reduce((total, match) => total + Number(match[1]), 0);
}

/** Values of a label. */
function labels(text: string, name: string, label: string): readonly string[] {
  const found = [...text.matchAll(new RegExp(`^${name}\\{[^}]*\\b${label}="([^"]*)"`, "gm"))];
  return [...new Set(found.map((match) => match[1]!))].sort();
}
