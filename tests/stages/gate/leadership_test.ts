import assert from "node:assert/strict";
import { PipelineError } from "../../../src/errors.ts";
import { type Elections, leadership, type Office } from "../../../src/stages/gate/leadership.ts";
import { subscribe } from "../../../src/telemetry/emit.ts";
import { terms } from "./terms.ts";

/** Elections whose answers a test gives. */
class Scripted implements Elections {
  readonly network = "testnet";
  readonly calls: string[] = [];
  #called = Promise.withResolvers<void>();
  free = true;
  holds = true;
  failure: Error | undefined;
  /** Nothing is answered until it resolves: the backend is away and calls wait for it. */
  away: Promise<void> | undefined;
  #token = 0;

  async lead(mode: Office["mode"], holder: string): Promise<Office | undefined> {
    this.#note("lead");
    await this.#answer();
    return this.free ? { mode, holder, token: ++this.#token } : undefined;
  }

  async renew(): Promise<boolean> {
    this.#note("renew");
    await this.#answer();
    return this.holds;
  }

  async resign({ token }: Office): Promise<void> {
    this.#note(`resign ${token}`);
    await this.#answer();
  }

  /** Waits for calls that a test wants to see. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await this.#called.promise;
  }

  #note(call: string): void {
    this.calls.push(call);
    this.#called.resolve();
    this.#called = Promise.withResolvers();
  }

  async #answer(): Promise<void> {
    await this.away;
    if (this.failure !== undefined) throw this.failure;
  }
}

class Outage extends PipelineError {
  readonly code = "outage";
  readonly disposition = "retry";
}

class Refusal extends PipelineError {
  readonly code = "refusal";
  readonly disposition = "fatal";
}

const EVERY = { renewMs: 1, ttlMs: 600_000 };

Deno.test("leadership() begins without an office, takes one when it is free, and tells its loss", async () => {
  const elections = new Scripted();
  elections.free = false;
  const { seen, subscription, until: reached } = terms(leadership(elections, "forwards", "me", EVERY));
  assert.deepEqual(seen, [undefined]);
  await elections.until(() => elections.calls.length > 3);
  assert.deepEqual(new Set(elections.calls), new Set(["lead"]));
  elections.free = true;
  await reached(() => seen.length === 2);
  await elections.until(() => elections.calls.includes("renew"));
  elections.holds = false;
  await reached(() => seen.length >= 3);
  elections.holds = true;
  await reached(() => seen.length === 4);
  assert.deepEqual(seen, [undefined, 1, undefined, 2]);
  subscription.unsubscribe();
  await elections.until(() => elections.calls.includes("resign 2"));
});

Deno.test("leadership() resigns when it is unsubscribed, and leaves no timer behind", async () => {
  const elections = new Scripted();
  const { seen, subscription, until: reached } = terms(leadership(elections, "forwards", "me", EVERY));
  await reached(() => seen.length === 2);
  subscription.unsubscribe();
  await elections.until(() => elections.calls.at(-1) === "resign 1");
  assert.equal(elections.calls.filter((call) => call === "lead").length, 1);
});

Deno.test("leadership() takes an office for lost that it cannot renew in an outage, and stands again", async () => {
  const elections = new Scripted();
  const { seen, subscription, until: reached } = terms(leadership(elections, "backwards", "me", EVERY));
  await reached(() => seen.length === 2);
  elections.failure = new Outage("away");
  await reached(() => seen.length === 3);
  assert.equal(seen.at(-1), undefined);
  elections.failure = undefined;
  await reached(() => seen.length === 4);
  subscription.unsubscribe();
  await elections.until(() => elections.calls.at(-1) === "resign 2");
});

Deno.test("leadership() ends its term by its own clock where the queue does not answer, and leads again when it does", async () => {
  const elections = new Scripted();
  const term = { renewMs: 1, ttlMs: 200 };
  const { seen, subscription, until: reached } = terms(leadership(elections, "forwards", "me", term));
  await reached(() => seen.at(-1) !== undefined);
  const back = Promise.withResolvers<void>();
  elections.away = back.promise;
  await reached(() => seen.at(-1) === undefined);
  await elections.until(() => elections.calls.at(-1) === "lead");
  elections.away = undefined;
  back.resolve();
  await reached(() => seen.at(-1) !== undefined);
  subscription.unsubscribe();
  await elections.until(() => elections.calls.at(-1)!.startsWith("resign"));
});

Deno.test("leadership() does not believe an election that was answered after its term", async () => {
  const elections = new Scripted();
  const back = Promise.withResolvers<void>();
  elections.away = back.promise;
  const { now } = performance;
  const { seen, subscription, until: reached } = terms(leadership(elections, "forwards", "me", EVERY));
  try {
    await elections.until(() => elections.calls.length === 1);
    performance.now = () => now.call(performance) + EVERY.ttlMs;
    elections.away = undefined;
    back.resolve();
    await reached(() => seen.length === 2);
    assert.deepEqual(seen, [undefined, 2], "it asked again");
    subscription.unsubscribe();
    await elections.until(() => elections.calls.at(-1) === "resign 2");
  } finally {
    performance.now = now;
  }
});

Deno.test("leadership() ends with an error that is fatal", async () => {
  const elections = new Scripted();
  elections.failure = new Refusal("no right");
  const { until: reached, error } = terms(leadership(elections, "forwards", "me", EVERY));
  await reached(() => error() !== undefined);
  assert.equal(error(), elections.failure);
});

Deno.test("leadership() tells its changes", async () => {
  const told: string[] = [];
  using _reader = subscribe((event) => {
    if (event.kind === "leadership_changed") told.push(`${event.mode} ${event.leading} ${event.token}`);
  });
  const elections = new Scripted();
  const { seen, subscription, until: reached } = terms(leadership(elections, "forwards", "me", EVERY));
  await reached(() => seen.length === 2);
  subscription.unsubscribe();
  await elections.until(() => elections.calls.at(-1) === "resign 1");
  assert.deepEqual(told, ["forwards true 1", "forwards false 1"]);
});
