import assert from "node:assert/strict";
import fc from "fast-check";
import { Window } from "../../../src/stages/gate/window.ts";

const options = { maxPendingBlocks: 4, maxQueuedTasks: 100 };

Deno.test("Window lets at most maxPendingBlocks in", () => {
  const window = new Window(options);
  assert.equal(window.closedBy({ pendingBlocks: 3, queuedTasks: 0 }), undefined);
  assert.equal(window.closedBy({ pendingBlocks: 4, queuedTasks: 0 }), "blocks");
  assert.equal(window.closedBy({ pendingBlocks: 3, queuedTasks: 0 }), undefined);
});

Deno.test("Window closes at the queue's bound and opens again only at 0.8 of it", () => {
  const window = new Window(options);
  const depths = [99, 100, 99, 81, 80, 99, 100, 79];
  assert.deepEqual(
    depths.map((queuedTasks) => window.closedBy({ pendingBlocks: 0, queuedTasks })),
    [undefined, "queue", "queue", "queue", undefined, undefined, "queue", undefined],
  );
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
