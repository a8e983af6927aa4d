/** A day of ten nodes in virtual time, a few seconds of real one: each hour another node fails in another way. */
import assert from "node:assert/strict";
import type { Outcome } from "../../src/rpc/port.ts";
import { hashOf } from "./flaky_node.ts";
import { Recorder } from "./recorder.ts";
import { simulate, type SimulatedNode, type SimulatedReply } from "./simulated.ts";

const NAMES = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
const HOUR_MS = 3_600_000;
const FAULT_MS = 1_200_000;
const STEP_MS = 20_000;
const BLOCK_MS = 60_000;
const OK: Outcome = { kind: "ok", bytes: 100_000, units: 1_000, firstByteMs: 400, totalMs: 500 };
/** Longest reset time of a breaker with its jitter, and a step. */
const BACK_WITHIN_MS = 300_000 * 1.2 + 2 * STEP_MS;

/** Ways to fail; what is not a reply happens to the node's chain. */
const FAULTS: Readonly<Record<string, SimulatedReply | "lags" | "forks">> = {
  refused: { fault: "refused" },
  hangs: { afterMs: Infinity },
  "503": { status: 503 },
  "429": { status: 429, retryAfter: "30" },
  lags: "lags",
  cut: { fault: "cut" },
  forks: "forks",
  "method off": { error: { code: -32601, message: "the method does not exist" } },
};

function begin(node: SimulatedNode, fault: SimulatedReply | "lags" | "forks"): void {
  if (fault === "lags") return;
  if (fault === "forks") Object.assign(node.chain, { fork: 9, forkAt: node.chain.head - 20 });
  else node.react = ({ method }) => fault.error !== undefined && method.startsWith("eth_b") ? {} : fault;
}

function end(node: SimulatedNode): void {
  node.react = () => ({});
  Object.assign(node.chain, { fork: 0, forkAt: -1 });
}

Deno.test("ten nodes through a day of faults: useful answers, spread load, and every node back in use", async () => {
  using recorder = new Recorder();
  const names = Object.fromEntries(NAMES.map((name) => [name, {}]));
  await using simulation = await simulate(names, { blockTime: "1m", chainId: 1337 }, 7);
  const { pool, nodes, clock } = simulation;
  const kinds = Object.keys(FAULTS);
  let [asked, useful, head] = [0, 0, 100];
  const traced = new Map<string, number>();
  const backMs: Record<string, number> = {};
  const work: Promise<void>[] = [];

  const ask = () => {
    const number = head - (asked % 40);
    const ask = { priority: "process", deadlineMs: clock.now() + 60_000, blockNumber: number } as const;
    const blockHash = hashOf({ ...nodes.a!.chain, fork: 0 }, number);
    asked += 2;
    work.push(
      pool.request("eth_getCode", [number], { class: "read", decode: () => useful++, blockHash, ...ask })
        .then(() => {}, () => {}),
      pool.lease({ need: { class: "trace", method: "debug_traceTransaction", units: 1_000 }, blockHash, ...ask }).then(
        (lease) => {
          traced.set(lease.node.name, (traced.get(lease.node.name) ?? 0) + 1);
          lease.report(OK);
          useful++;
        },
        () => {},
      ),
    );
  };

  for (let hour = 0; hour < 24; hour++) {
    const name = NAMES[hour % NAMES.length]!;
    const kind = kinds[hour % kinds.length]!;
    const node = nodes[name]!;
    const startedMs = clock.now();
    for (let passedMs = 0; passedMs < HOUR_MS; passedMs += STEP_MS) {
      const faulty = passedMs >= STEP_MS && passedMs < FAULT_MS;
      if (passedMs === STEP_MS) begin(node, FAULTS[kind]!);
      if (passedMs === FAULT_MS) end(node);
      if (passedMs % BLOCK_MS === 0) head++;
      for (const each of Object.values(nodes)) {
        each.chain.head = each === node && faulty && FAULTS[kind] === "lags" ? Math.min(each.chain.head, head) : head;
      }
      ask();
      await clock.advance(STEP_MS);
      const state = pool.nodes()[NAMES.indexOf(name)]!;
      const inUse = state.condition === "ready" && state.classes.read.reason === "";
      if (passedMs >= FAULT_MS && inUse) backMs[`${kind} ${name}`] ??= clock.now() - startedMs - FAULT_MS;
    }
  }
  await Promise.all(work);
  assert.equal(clock.now(), 24 * HOUR_MS);
  assert.ok(useful / asked >= 0.999, `${useful} of ${asked}`);
  const shares = NAMES.map((name) => traced.get(name)! / (asked / 2));
  assert.ok(Math.min(...shares) > 0.02 && Math.max(...shares) < 0.3, shares.map((share) => share.toFixed(2)).join(" "));
  assert.equal(Object.keys(backMs).length, 24, JSON.stringify(backMs));
  for (const [what, ms] of Object.entries(backMs)) assert.ok(ms <= BACK_WITHIN_MS, `${what} was back after ${ms} ms`);
  // A block moves when its node fails, not otherwise.
  const moves = recorder.of("rpc_pin_moved").length;
  assert.ok(moves > 0 && moves < asked / 20, `${moves} moves`);
  assert.deepEqual(pool.nodes().map(({ condition }) => condition), NAMES.map(() => "ready"));
});
