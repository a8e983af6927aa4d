/** Marble diagrams in virtual time: `TestScheduler` with `node:assert/strict`. */
import assert from "node:assert/strict";
import { type RunHelpers, TestScheduler } from "rxjs/testing";

/** Runs `diagram` in virtual time. A frame is a millisecond. What it expects is compared when it returns. */
export function marbles(diagram: (tools: RunHelpers, scheduler: TestScheduler) => void): void {
  const scheduler = new TestScheduler((actual, expected) => assert.deepStrictEqual(actual, expected));
  scheduler.run((tools) => diagram(tools, scheduler));
}
