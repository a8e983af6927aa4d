import assert from "node:assert/strict";
import fc from "fast-check";
import { map } from "rxjs";
import { Window, type WindowDepths } from "../../../src/stages/gate/window.ts";
import { marbles } from "../../flow/marbles.ts";

const options = { maxPendingBlocks: 4, maxQueuedTasks: 100 };

/** What the window says of depths that change over time: o open, b closed by its blocks, q closed by the queue. */
function expectStates(depths: string, values: Readonly<Record<string, WindowDepths>>, states: string): void {
  marbles(({ cold, expectObservable }) => {
    const window = new Window(options);
    const said = { open: "o", blocks: "b", queue: "q" };
    const state = cold(depths, values).pipe(map((depth) => said[window.closedBy(depth) ?? "open"]));
    expectObservable(state).toBe(states);
  });
}

Deno.test("Window lets at most maxPendingBlocks in", () => {
  const values = { x: { pendingBlocks: 3, queuedTasks: 0 }, y: { pendingBlocks: 4, queuedTasks: 0 } };
  expectStates("x-yy-x--y|", values, "o-bb-o--b|");
});

Deno.test("Window closes at the queue's bound and opens again only at 0.8 of it", () => {
  const values = Object.fromEntries(
    Object.entries({ a: 79, b: 80, c: 81, d: 99, e: 100 }).map(([name, queuedTasks]) => [
      name,
      { pendingBlocks: 0, queuedTasks },
    ]),
  );
  expectStates("d-edc--bd-e-a|", values, "o-qqq--oo-q-o|");
});

Deno.test("Window says that the queue closes it where both bounds are met, and the blocks when the queue is drained", () => {
  const values = { x: { pendingBlocks: 4, queuedTasks: 100 }, y: { pendingBlocks: 4, queuedTasks: 80 } };
  expectStates("y-x-y|", values, "b-q-b|");
});

Deno.test("Window is never open at or above a bound", () => {
  fc.assert(fc.property(fc.array(fc.record({ pendingBlocks: fc.nat(8), queuedTasks: fc.nat(150) })), (series) => {
    const window = new Window(options);
    for (const depths of series) {
      const closed = window.closedBy(depths);
      if (depths.pendingBlocks >= 4 || depths.queuedTasks >= 100) assert.notEqual(closed, undefined);
      if (depths.pendingBlocks < 4 && depths.queuedTasks <= 80) assert.equal(closed, undefined);
    }
  }));
});
