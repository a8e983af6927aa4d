import assert from "node:assert/strict";
import { abortable, aborted } from "../../src/flow/abortable.ts";
import { marbles } from "./marbles.ts";

/** What a subscription brings, as text; `done` resolves when it has ended. */
function heard<T>(run: Parameters<typeof abortable<T>>[0]) {
  const seen: string[] = [];
  const done = Promise.withResolvers<void>();
  const subscription = abortable<T>(run).subscribe({
    next: (value) => seen.push(String(value)),
    error: (error) => {
      seen.push(`# ${error}`);
      done.resolve();
    },
    complete: () => {
      seen.push("|");
      done.resolve();
    },
  });
  return { seen, subscription, done: done.promise };
}

Deno.test("abortable() emits what is told and completes with the promise", async () => {
  const { seen, done } = heard<string>(async (_signal, tell) => {
    tell("a");
    await Promise.resolve();
    tell("b");
  });
  await done;
  assert.deepEqual(seen, ["a", "b", "|"]);
});

Deno.test("abortable() passes the error of the promise", async () => {
  const { seen, done } = heard(() => Promise.reject("no"));
  await done;
  assert.deepEqual(seen, ["# no"]);
});

Deno.test("abortable() aborts when it is unsubscribed, and is silent from then on", async () => {
  const go = Promise.withResolvers<void>();
  let over: Promise<void> | undefined;
  let ended: AbortSignal | undefined;
  const { seen, subscription } = heard<string>((signal, tell) => {
    ended = signal;
    over = go.promise.then(() => tell("late"));
    return over;
  });
  assert.equal(ended!.aborted, false);
  subscription.unsubscribe();
  assert.equal(ended!.aborted, true);
  assert.equal(ended!.reason.name, "AbortError");
  go.resolve();
  await over;
  assert.deepEqual(seen, []);
});

Deno.test("abortable() runs once for each subscription, and not before", () => {
  marbles(({ expectObservable }) => {
    let runs = 0;
    const stream = abortable<string>((_signal, tell) => {
      tell(`${++runs}`);
      return new Promise(() => {});
    });
    assert.equal(runs, 0);
    expectObservable(stream).toBe("1");
    expectObservable(stream).toBe("2");
  });
});

Deno.test("aborted() emits once and completes when its signal aborts, at once if it has, and never before", () => {
  const abort = new AbortController();
  const seen: string[] = [];
  const listen = (name: string) =>
    aborted(abort.signal).subscribe({ next: () => seen.push(name), complete: () => seen.push(`${name} |`) });
  listen("early");
  listen("gone").unsubscribe();
  assert.deepEqual(seen, []);
  abort.abort();
  listen("late");
  assert.deepEqual(seen, ["early", "early |", "late", "late |"]);
});
