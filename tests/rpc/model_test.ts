/**
 * Any interleaving of leases, outcomes, aborts and time: what the pool counts as in flight is what is in hand, a slot is
 * granted only below the limit, nobody is forgotten, and nothing is left at the end.
 */
import assert from "node:assert/strict";
import * as fc from "fast-check";
import type { CallClass, Lease, Outcome, Priority } from "../../src/rpc/port.ts";
import { CALL_CLASSES, PRIORITIES } from "../../src/rpc/port.ts";
import { simulate, type Simulation } from "./simulated.ts";
import { settled } from "./virtual_clock.ts";

const METHODS: Readonly<Record<CallClass, string>> = {
  head: "eth_blockNumber",
  read: "eth_getCode",
  receipts: "eth_getBlockReceipts",
  trace: "debug_traceTransaction",
};
const RUNS = 150;
const MAX_WAITING = 8;
/** After its end a lease that nobody reports is given up. */
const ABANDON_MS = 5_000;

type Step =
  | {
    readonly kind: "lease";
    readonly class: CallClass;
    readonly priority: Priority;
    readonly block: number;
    readonly withinMs: number;
  }
  | { readonly kind: "end"; readonly which: number; readonly how: number }
  | { readonly kind: "abort"; readonly which: number }
  | { readonly kind: "pass"; readonly ms: number }
  | { readonly kind: "drain"; readonly node: number; readonly drained: boolean };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant("lease" as const),
      class: fc.constantFrom(...CALL_CLASSES),
      priority: fc.constantFrom(...PRIORITIES),
      block: fc.nat(3),
      withinMs: fc.constantFrom(50, 2_000, 60_000),
    }),
  },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("end" as const), which: fc.nat(50), how: fc.nat(11) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("abort" as const), which: fc.nat(50) }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("pass" as const), ms: fc.constantFrom(1, 60, 3_000, 20_000) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("drain" as const), node: fc.nat(1), drained: fc.boolean() }),
  },
);

/** A lease that was asked for. */
interface Asked {
  readonly class: CallClass;
  readonly abort: AbortController;
  lease?: Lease;
  error?: unknown;
  over: boolean;
}

const ACTIONS = ["other", "overload", "limit", "missing", "depth", "split", "dead", "same"] as const;

function outcomeOf(asked: Asked, how: number): Outcome {
  if (how === 0) return { kind: "cancelled" };
  if (how === 1) return { kind: "violated", identity: "R4" };
  const action = ACTIONS[how - 2];
  if (action === undefined) return { kind: "ok", bytes: 10, units: 1, firstByteMs: 1, totalMs: 2 };
  const failure = {
    class: asked.class,
    method: METHODS[asked.class],
    node: asked.lease!.node.name,
    action,
    reason: action === "other" ? "cut" : "test",
    text: "",
    bytes: 0,
  };
  return { kind: "failed", failure };
}

class Model {
  readonly #asked: Asked[] = [];
  #overGranted = "";

  constructor(readonly simulation: Simulation) {}

  async run(step: Step): Promise<void> {
    const { pool, clock } = this.simulation;
    switch (step.kind) {
      case "lease":
        this.#ask(step);
        break;
      case "end": {
        const held = this.#held();
        const asked = held[step.which % Math.max(1, held.length)];
        if (asked === undefined) break;
        asked.over = true;
        // The first report counts, whatever follows.
        asked.lease!.report(outcomeOf(asked, step.how));
        asked.lease![Symbol.dispose]();
        break;
      }
      case "abort":
        this.#asked[step.which % Math.max(1, this.#asked.length)]?.abort.abort(new Error("enough"));
        break;
      case "pass":
        await clock.advance(step.ms);
        break;
      case "drain":
        pool.setDrained("ab"[step.node]!, step.drained);
    }
    await settled();
  }

  check(): void {
    const { pool, clock } = this.simulation;
    assert.equal(this.#overGranted, "");
    for (const node of pool.nodes()) {
      for (const callClass of CALL_CLASSES) {
        const held = this.#held().filter((asked) => asked.class === callClass && asked.lease!.node.name === node.name);
        const { inFlight, limit } = node.classes[callClass];
        // Those that nobody reported for long are given up by the pool.
        const least = held.filter((asked) => asked.lease!.endByMs + ABANDON_MS > clock.now()).length;
        assert.ok(
          inFlight >= least && inFlight <= held.length,
          `${node.name} ${callClass}: ${inFlight} in flight, ${least} to ${held.length} in hand`,
        );
        assert.ok(limit >= 1);
      }
    }
    const waiting = this.#asked.filter((asked) => asked.lease === undefined && asked.error === undefined);
    assert.ok(waiting.length <= MAX_WAITING + waiting.filter((asked) => asked.class === "head").length + MAX_WAITING);
  }

  /** Ends everything; nothing may stay. */
  async finish(): Promise<void> {
    const { pool, clock } = this.simulation;
    for (const asked of this.#held()) {
      asked.over = true;
      asked.lease!.report({ kind: "cancelled" });
    }
    for (const asked of this.#asked) asked.abort.abort(new Error("over"));
    await settled();
    for (const asked of this.#held()) asked.lease!.report({ kind: "cancelled" });
    for (const node of pool.nodes()) {
      for (const callClass of CALL_CLASSES) assert.equal(node.classes[callClass].inFlight, 0);
      assert.equal(node.traceBytesInFlight, 0);
    }
    for (const asked of this.#asked) assert.ok(asked.lease !== undefined || asked.error !== undefined);
    await pool[Symbol.asyncDispose]();
    await settled();
    assert.equal(clock.pending, 0);
  }

  #held(): Asked[] {
    return this.#asked.filter((asked) => asked.lease !== undefined && !asked.over);
  }

  #ask(step: Extract<Step, { kind: "lease" }>): void {
    const { pool, clock } = this.simulation;
    const asked: Asked = { class: step.class, abort: new AbortController(), over: false };
    this.#asked.push(asked);
    pool.lease({
      need: { class: step.class, method: METHODS[step.class] },
      ...(step.block === 0 ? {} : { blockHash: `0x${String(step.block).repeat(64)}`, blockNumber: 90 + step.block }),
      priority: step.priority,
      deadlineMs: clock.now() + step.withinMs,
      signal: asked.abort.signal,
    }).then((lease) => {
      asked.lease = lease;
      const node = pool.nodes().find(({ name }) => name === lease.node.name)!;
      const { inFlight, limit } = node.classes[step.class];
      if (inFlight > limit) this.#overGranted = `${lease.node.name} ${step.class}: ${inFlight} above ${limit}`;
    }, (error) => asked.error = error);
  }
}

Deno.test("whatever happens, in flight is what is in hand, and nothing is left", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 80 }), fc.nat(), async (steps, seed) => {
      const limits = { read: { start: 3 }, trace: { start: 2 }, receipts: { start: 1 } };
      await using simulation = await simulate({ a: { limits }, b: { limits } }, { rpc: { queue: { max: 8 } } }, seed);
      const model = new Model(simulation);
      for (const each of steps) {
        await model.run(each);
        model.check();
      }
      await model.finish();
    }),
    { numRuns: RUNS },
  );
});
