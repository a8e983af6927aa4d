/** Terms of leadership as a test sees them. */
import assert from "node:assert/strict";
import type { Observable } from "rxjs";
import type { Leadership } from "../../../src/stages/gate/leadership.ts";

/** Terms as they come; a test waits for the one that it wants. */
export function terms(stream: Observable<Leadership>) {
  const seen: (number | undefined)[] = [];
  let changed = Promise.withResolvers<void>();
  let failed: unknown;
  const wake = () => {
    changed.resolve();
    changed = Promise.withResolvers();
  };
  const subscription = stream.subscribe({
    next: ({ leading, office }) => {
      assert.equal(leading, office !== undefined);
      seen.push(office?.token);
      wake();
    },
    error: (error) => {
      failed = error;
      wake();
    },
  });
  return {
    seen,
    subscription,
    error: () => failed,
    async until(holds: () => boolean): Promise<void> {
      while (!holds()) await changed.promise;
    },
  };
}
