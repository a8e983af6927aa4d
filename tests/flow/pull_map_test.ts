import assert from "node:assert/strict";
import { firstValueFrom, lastValueFrom, NEVER, of, throwError, toArray } from "rxjs";
import { pullMap } from "../../src/flow/pull_map.ts";
import { marbles } from "./marbles.ts";

/** Numbers from 0, and how many were pulled. */
function counter(end: number): { open: () => AsyncIterable<number>; pulled: () => number; returned: () => boolean } {
  let pulled = 0;
  let returned = false;
  return {
    open: () => ({
      [Symbol.asyncIterator]: () => ({
        next: () => Promise.resolve(pulled < end ? { value: pulled++, done: false } : { value: undefined, done: true }),
        return: () => {
          returned = true;
          return Promise.resolve({ value: undefined, done: true });
        },
      }),
    }),
    pulled: () => pulled,
    returned: () => returned,
  };
}

/** Lets every promise that can settle do so. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await Promise.resolve();
}

Deno.test("pullMap() pulls what its lanes can hold, and no more", async () => {
  const source = counter(1_000_000);
  const subscription = pullMap(source.open, 3, () => NEVER).subscribe();
  await settled();
  assert.equal(source.pulled(), 3);
  subscription.unsubscribe();
});

Deno.test("pullMap() projects each value once and completes", async () => {
  const source = counter(100);
  const values = await lastValueFrom(pullMap(source.open, 7, (value) => of(value)).pipe(toArray()));
  assert.deepEqual(values.toSorted((a, b) => a - b), Array.from({ length: 100 }, (_, index) => index));
  assert.ok(source.returned());
});

Deno.test("pullMap() of an empty iterable completes", async () => {
  assert.deepEqual(await lastValueFrom(pullMap(counter(0).open, 2, of).pipe(toArray())), []);
});

Deno.test("pullMap() unsubscribed aborts the signal that its source was opened with, and returns the iterator", async () => {
  const source = counter(10);
  let signal: AbortSignal | undefined;
  const subscription = pullMap(
    (abort) => {
      signal = abort;
      return source.open();
    },
    2,
    () => NEVER,
  ).subscribe();
  await settled();
  assert.equal(signal?.aborted, false);
  subscription.unsubscribe();
  assert.equal(signal?.aborted, true);
  assert.ok(source.returned());
});

Deno.test("pullMap() passes the error of the iterable and of a projection, and returns the iterator", async () => {
  const source = counter(10);
  await assert.rejects(firstValueFrom(pullMap(source.open, 1, () => throwError(() => new Error("projection")))), {
    message: "projection",
  });
  assert.ok(source.returned());
  async function* failing(): AsyncGenerator<number> {
    yield 1;
    await Promise.resolve();
    throw new Error("iterable");
  }
  await assert.rejects(lastValueFrom(pullMap(failing, 1, of)), { message: "iterable" });
});

Deno.test("pullMap() opens nothing before it is subscribed", () => {
  marbles(({ expectObservable }) => {
    let opened = 0;
    const stream = pullMap(
      () => {
        opened++;
        return counter(0).open();
      },
      1,
      () => NEVER,
    );
    assert.equal(opened, 0);
    expectObservable(stream).toBe("-");
    assert.equal(opened, 0);
  });
});
